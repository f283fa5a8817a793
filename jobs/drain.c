/* drain: asks a running build to leave off, or one node of it. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "jobs/observe.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"

#define ANSWER_MS 10000

static int drain(const char *out, const char *node, uint64_t *told, fm_err *err)
{
    fm_client *client = NULL;
    fm_message answer;
    int rc = fm_observe_open(out, fm_stop_flag(), &client, err);

    if (rc == 0)
        rc = fm_observe_ask(client, FM_MSG_DRAIN_ASK, node, ANSWER_MS, &answer, err);
    if (rc == 0) {
        *told = answer.records;
        fm_message_fini(&answer);
    }
    fm_client_close(client, 0);
    return rc;
}

int fm_verb_drain(int argc, char **argv)
{
    const char *node = NULL, *args[1];
    const fm_option options[] = {
        {"node", FM_OPT_STRING, &node, 0, 0, "N", "only the workers of this host, or of the crew with this number"},
    };
    const fm_command command = {"drain OUT [options]",
                                "Asks a running build to leave off: its workers finish what they have, seal and leave; it\n"
                                "ends with status 5 and goes on when the study is run again.  With --node the others go on.",
                                options, 1, 1, 1};
    fm_err err = FM_ERR_INIT;
    uint64_t told = 0;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc != 0)
        return fm_command_exit(rc, &err);
    fm_stop_install();
    rc = drain(args[0], node, &told, &err);
    if (rc == 0 && node && told == 0)
        rc = fm_fail(&err, -1, "no worker of \"%s\" is in this build (facemill watch lists them)", node);
    if (rc != 0) {
        fprintf(stderr, "facemill drain: %s\n", err.text);
        return *fm_stop_flag() ? FM_EXIT_STOPPED : FM_EXIT_INPUT;
    }
    printf("%llu workers were asked to leave%s%s\n", (unsigned long long)told, node ? " " : "", node ? node : "");
    return FM_EXIT_DONE;
}

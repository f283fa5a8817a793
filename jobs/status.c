/* status: how far a run is, as the coordinator writes it down about once a second. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/options.h"
#include "jobs/progress.h"
#include "jobs/status.h"
#include "jobs/verbs.h"

int fm_status_read(const char *out, json_t **status, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    json_error_t where;
    int rc = fm_path_join(path, sizeof path, out, "run/" FM_RUN_STATUS, err);

    if (rc == 0)
        rc = fm_file_read(path, 1 << 20, &b, err);
    if (rc == -ENOENT)
        rc = fm_fail(err, rc, "%s: no build has been started there; facemill run starts one", out);
    if (rc == 0 && !(*status = json_loadb((const char *)b.data, b.size, 0, &where)))
        rc = fm_fail(err, -EBADMSG, "%s: damaged (%s); run again to renew it", path, where.text);
    fm_buf_fini(&b);
    return rc;
}

static uint64_t number(const json_t *status, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(status, key));
}

void fm_status_counts(const json_t *status, fm_build_counts *c)
{
    const json_t *left = json_object_get(status, "left_out");

    *c = (fm_build_counts){.photographs = number(status, "photographs"), .done = number(status, "done"),
                           .photos_made = number(status, "photos_made"), .codes_made = number(status, "codes_made"),
                           .photos_reused = number(status, "photos_reused"),
                           .codes_reused = number(status, "codes_reused"),
                           .crews_lost = (uint32_t)number(status, "crews_lost"),
                           .workers = (uint32_t)number(status, "workers"),
                           .leases_lost = number(status, "leases_lost"),
                           .seconds = json_number_value(json_object_get(status, "seconds"))};
    for (int r = FM_USED + 1; r < FM_REASON_COUNT; r++)
        c->left_out[r] = number(left, fm_reason_name((fm_reason)r));
}

const char *fm_status_state(const json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));

    return state ? state : "";
}

static void print_words(const json_t *status)
{
    fm_build_counts c;
    char line[512];

    fm_status_counts(status, &c);
    fm_progress_line(&c, 0, line, sizeof line);
    printf("%s: %s\n", fm_status_state(status), line);
    printf("chips made %llu, reused %llu; codes made %llu, reused %llu; %u workers; %.0f s\n",
           (unsigned long long)c.photos_made, (unsigned long long)c.photos_reused, (unsigned long long)c.codes_made,
           (unsigned long long)c.codes_reused, c.workers, c.seconds);
}

static void print_json(const json_t *status)
{
    char *text = json_dumps(status, JSON_INDENT(2) | JSON_SORT_KEYS);

    if (text)
        puts(text);
    free(text);
}

int fm_verb_status(int argc, char **argv)
{
    bool json = false;
    const fm_option options[] = {{"json", FM_OPT_FLAG, &json, 0, 0, NULL, "print the facts as JSON"}};
    const fm_command command = {"status OUT [options]", "Says how far a run is, and how many chips and codes were made and "
                                "how many reused.", options, 1, 1, 1};
    const char *args[1];
    json_t *status = NULL;
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc != 0)
        return fm_command_exit(rc, &err);
    rc = fm_status_read(args[0], &status, &err);
    if (rc != 0)
        fprintf(stderr, "facemill %s: %s\n", argv[0], err.text);
    else if (json)
        print_json(status);
    else
        print_words(status);
    json_decref(status);
    return rc == 0 ? FM_EXIT_DONE : FM_EXIT_INPUT;
}

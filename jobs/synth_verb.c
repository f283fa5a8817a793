/* synth: the command line of generated faces. */
#include <errno.h>
#include <stdio.h>

#include "base/options.h"
#include "jobs/synth.h"
#include "jobs/verbs.h"

int fm_verb_synth(int argc, char **argv)
{
    fm_synth_spec spec = {.dir = NULL, .cases = 150, .controls = 200, .seed = 1, .effect = 1};
    const fm_option options[] = {
        {"out", FM_OPT_STRING, &spec.dir, 0, 0, "DIR", "a new folder, or an empty one (required)"},
        {"cases", FM_OPT_INT, &spec.cases, 1, 1000000, "N", "photographs with the planted difference (default 150)"},
        {"controls", FM_OPT_INT, &spec.controls, 1, 1000000, "N", "photographs without (default 200)"},
        {"seed", FM_OPT_INT, &spec.seed, 0, 9007199254740992.0, "S", "other seeds draw other people (default 1)"},
        {"effect", FM_OPT_REAL, &spec.effect, 0, 4, "E", "size of the difference; 0: none (default 1)"},
    };
    const fm_command command = {"synth --out DIR [options]",
                                "Draws faces of people who do not exist, in two cohorts with sex and age, and a study file\n"
                                "that compares them.  The cohorts differ in the planted effect and in nothing else.",
                                options, sizeof options / sizeof *options, 0, 0};
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, NULL, &err);

    if (rc == 0 && !spec.dir)
        rc = fm_fail(&err, -EINVAL, "synth: --out DIR is needed: where the faces go");
    if (rc != 0)
        return fm_command_exit(rc, &err);
    if ((rc = fm_synth_write(&spec, &err)) != 0) {
        fprintf(stderr, "facemill synth: %s\n", err.text);
        return rc == -EEXIST ? FM_EXIT_USAGE : FM_EXIT_FAILED;
    }
    printf("%s: %lld cases and %lld controls drawn; next: facemill run %s/study.yaml\n", spec.dir, (long long)spec.cases,
           (long long)spec.controls, spec.dir);
    return FM_EXIT_DONE;
}

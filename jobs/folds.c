/* folds: a study's folds as the jobs of an array; facemill submit --array-folds writes the
 * scripts that call it. */
#include <errno.h>
#include <stdio.h>

#include "base/options.h"
#include "jobs/road.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"

int fm_verb_folds(int argc, char **argv)
{
    fm_road_options road = {.ranks = 0};
    int64_t part = -1, parts = 0;
    const fm_option options[] = {
        {"part", FM_OPT_INT, &part, 0, UINT32_MAX, "I", "train every P-th fold from the I-th on, counted from 0"},
        {"parts", FM_OPT_INT, &parts, 1, UINT32_MAX, "P", "how many parts there are"},
        {"out", FM_OPT_STRING, &road.out, 0, 0, "DIR", "results go here instead of the study's out"},
        {"nodes", FM_OPT_INT, &road.nodes, 1, 65536, "N", "crews, one a node of the allocation (default: the study's)"},
        {"ranks", FM_OPT_INT, &road.ranks, 1, 1000000, "N", "MPI ranks in all (default: the study's, else what is granted)"},
        {"paranoid", FM_OPT_FLAG, &road.paranoid, 0, 0, NULL, "hash every file instead of trusting size and time"},
    };
    const fm_command command = {"folds STUDY.yaml [--part I --parts P]",
                                "Folds as a job array.  Without --part: builds the store and writes down what the folds are.\n"
                                "With it: trains a part of them.  facemill run then takes what it finds.",
                                options, sizeof options / sizeof *options, 1, 1};
    const char *args[1];
    fm_err err = FM_ERR_INIT;
    fm_road *r = NULL;
    int status, rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0 && ((part >= 0) != (parts > 0) || (parts && part >= parts)))
        rc = fm_fail(&err, -EINVAL, "folds: --part I goes with --parts P, and I is less than P");
    if (rc != 0)
        return fm_command_exit(rc, &err);
    fm_stop_install();
    if (fm_road_open(args[0], &road, &r, &status, &err) == 0)
        status = parts ? fm_road_folds_part(r, part, parts, &err) : fm_road_folds_plan(r, &err);
    fm_road_close(r);
    if (status != FM_EXIT_DONE)
        fprintf(stderr, "facemill folds: %s\n", err.text);
    return status;
}

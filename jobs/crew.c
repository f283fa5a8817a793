/* crew and stage: what the program starts itself as, under mpirun or srun. */
#include <errno.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"
#include "cluster/audit.h"
#include "cluster/crew.h"
#include "cluster/evaluate.h"
#include "cluster/explain.h"
#include "cluster/folds.h"
#include "cluster/hello.h"
#include "cluster/power.h"
#include "jobs/verbs.h"

int fm_verb_crew(int argc, char **argv)
{
    const fm_command command = {"crew JOIN NUMBER", "A rank of a crew; started by facemill itself.", NULL, 0, 2, 2};
    const char *args[2];
    fm_err err = FM_ERR_INIT;
    int64_t number = 0;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0 && !fm_parse_int(args[1], 0, UINT32_MAX, &number))
        rc = fm_fail(&err, -EINVAL, "crew: \"%s\" is not the number of a crew", args[1]);
    return rc == 0 ? fm_crew_main(args[0], (uint32_t)number) : fm_command_exit(rc, &err);
}

int fm_verb_stage(int argc, char **argv)
{
    const fm_command command = {"stage evaluate PLAN RESULT [FOLDS] | stage folds PLAN FOLDS PART PARTS | stage audit PLAN RESULT | stage power PLAN RESULT | stage explain PLAN RESULT | stage hello FILE",
                                "A rank of a collective stage; started by facemill itself.", NULL, 0, 2, 5};
    const char *args[5];
    int64_t part, parts;
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0 && strcmp(args[0], "evaluate") == 0 && args[2])
        return fm_evaluate_main(args[1], args[2], args[3]);
    if (rc == 0 && strcmp(args[0], "folds") == 0 && args[4] && fm_parse_int(args[4], 1, UINT32_MAX, &parts) &&
        fm_parse_int(args[3], 0, parts - 1, &part))
        return fm_folds_main(args[1], args[2], (size_t)part, (size_t)parts);
    if (rc == 0 && strcmp(args[0], "audit") == 0 && args[2])
        return fm_audit_main(args[1], args[2]);
    if (rc == 0 && strcmp(args[0], "power") == 0 && args[2])
        return fm_power_main(args[1], args[2]);
    if (rc == 0 && strcmp(args[0], "explain") == 0 && args[2])
        return fm_explain_main(args[1], args[2]);
    if (rc == 0 && strcmp(args[0], "hello") == 0 && !args[2])
        return fm_hello_main(args[1]);
    if (rc == 0)
        rc = fm_fail(&err, -EINVAL, "stage: usage: facemill %s", command.usage);
    return fm_command_exit(rc, &err);
}

/* MPI tests run themselves: a case starts this very program under mpirun, and each
 * rank runs the function that is named. */
#ifndef FM_TESTS_CLUSTER_RANKS_H
#define FM_TESTS_CLUSTER_RANKS_H

#include <stdlib.h>

#include "tests/check.h"

typedef struct {
    const char *name;
    void (*run)(void);      /* MPI is started and ended around it */
} rank_case;

#define RANK_CASE(f) {#f, f}

/* Run the function of that name on n ranks of this program; false when one of them failed. */
static inline bool ranks_run(int n, const char *name)
{
    char command[FILENAME_MAX + 200], self[FILENAME_MAX];
    FILE *f = fopen("/proc/self/cmdline", "re");
    int status = -1;

    if (f && fgets(self, sizeof self, f)) {     /* up to the first NUL: argv[0] */
        snprintf(command, sizeof command, "OMPI_MCA_rmaps_base_oversubscribe=1 mpirun -np %d '%s' --rank %s </dev/null 2>&1", n,
                 self, name);
        fflush(stdout);
        status = system(command);
    }
    if (f)
        fclose(f);
    if (status != 0)
        check_failed(__FILE__, __LINE__, "%s on %d ranks: status %d", name, n, status);
    return status == 0;
}

/* main's first act: a rank's exit status, or -1 when this is no rank. */
static inline int ranks_main(int argc, char **argv, const rank_case *cases, size_t n)
{
    if (argc != 3 || strcmp(argv[1], "--rank") != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (strcmp(cases[i].name, argv[2]) == 0) {
            cases[i].run();
            return !check_ok_so_far();
        }
    return 2;
}

#endif

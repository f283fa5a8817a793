/* Starting MPI jobs: crews that stay up, and collective stages that are waited
 * for.  On a machine by itself: mpirun.  Inside a SLURM allocation: one crew a
 * node, by srun --mpi=pmix where it has that, else by mpirun. */
#ifndef FM_CLUSTER_LAUNCH_H
#define FM_CLUSTER_LAUNCH_H

#include <signal.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/build.h"

typedef struct {
    const char *program;        /* this executable, absolute */
    const char *log_dir;        /* what crews and stages print goes to files here; NULL: to stderr */
    uint32_t nodes;             /* at most so many crews */
    uint32_t ranks;             /* in all; 0: as many as the machine or the allocation grants */
} fm_launch_spec;

typedef struct fm_launcher fm_launcher;

/* Looks where it is (SLURM_* variables, affinity, cgroup) and decides; starts nothing.
 * Errors: -ENOENT (neither mpirun nor srun is found, with the remedy), -ENOMEM. */
int fm_launcher_create(const fm_launch_spec *spec, fm_launcher **out, fm_err *err);
void fm_launcher_destroy(fm_launcher *l);       /* stops what still runs */

uint32_t fm_launcher_ranks(const fm_launcher *l);       /* in all crews together */
/* One line on how jobs are started, for logs and doctor: "mpirun, 1 crew of 2 ranks". */
const char *fm_launcher_words(const fm_launcher *l);

/* For fm_build_run; borrowed from l. */
void fm_launcher_crew_ops(fm_launcher *l, fm_crew_ops *out);
/* Start the ranks of crew i under another number, in a build that somebody else coordinates; poll and stop as above. */
int fm_launcher_start(fm_launcher *l, uint32_t i, uint32_t number, const char *join_file, fm_err *err);

/* Run `facemill stage NAME ARG...` as one MPI job over all ranks and wait for it.
 * args  [n] words after "stage".
 * Returns 0 when it ended by itself with status 0; -EINTR when stop was set (the job was ended); -EIO
 * otherwise, with the last line it printed.  What the stage wrote decides whether it worked. */
int fm_launcher_stage(fm_launcher *l, const char *const *args, size_t n, const volatile sig_atomic_t *stop,
                      fm_err *err);

#endif

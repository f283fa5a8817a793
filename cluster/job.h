/* Being a rank of an MPI job: start, end, and what every such program does first. */
#ifndef FM_CLUSTER_JOB_H
#define FM_CLUSTER_JOB_H

#include <mpi.h>

#include "base/err.h"

/* Start MPI for a program whose main thread alone talks to it.  MPI's errors come
 * back as codes from here on; log lines begin with "WHAT rank N".
 * Errors: -EIO. */
int fm_job_begin(const char *what, int *rank, fm_err *err);
/* End it.  Ranks: collective. */
void fm_job_end(void);
/* End this job on all ranks, now: for a rank that cannot go on while the others
 * would wait for it in a collective call or in fm_job_end().  Does not return. */
_Noreturn void fm_job_abort(int status);

#endif

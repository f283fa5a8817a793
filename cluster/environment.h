/* The environment that MPI jobs are started in. */
#ifndef FM_CLUSTER_ENVIRONMENT_H
#define FM_CLUSTER_ENVIRONMENT_H

#include <stdbool.h>

#include "cluster/process.h"

/* Does this variable say which rank of which job step we are ourselves?  Whoever starts another job
 * must not hand it on.  Pure; name may be "NAME=value".
 * in_mpirun  mpirun started us: it then passes what it knows in variables that a user may also set, for
 *            the jobs to come. */
bool fm_environment_is_ours(const char *name, bool in_mpirun);

/* Append our environment without those. */
void fm_environment_copy(fm_words *out);
/* Append what an MPI job of facemill runs in: the same, one thread a rank, ranks that yield when they wait. */
void fm_environment_for_job(fm_words *out);

#endif

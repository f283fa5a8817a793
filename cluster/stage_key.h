/* How a collective stage gets the keys of an encrypted store: a file beside its plan
 * that only its user can read, which rank 0 overwrites and removes as soon as it has
 * read it, and sends to the others. */
#ifndef FM_CLUSTER_STAGE_KEY_H
#define FM_CLUSTER_STAGE_KEY_H

#include <mpi.h>

#include "base/err.h"

/* Leave the store keys that this process holds for the stage that is given this plan; none when it holds none. */
int fm_stage_key_leave(const char *plan, fm_err *err);
/* Overwrite and remove them, if they are still there. */
void fm_stage_key_remove(const char *plan);

/* Take what was left for this plan.  Errors: -EIO, what reading gives.  Ranks: collective on comm; all return the same. */
int fm_stage_key_take(MPI_Comm comm, const char *plan, fm_err *err);

#endif

/* Bringing the models of a run to all ranks: read once, broadcast once a node,
 * packed once a node into memory that its ranks share. */
#ifndef FM_CLUSTER_SPREAD_H
#define FM_CLUSTER_SPREAD_H

#include <mpi.h>

#include "base/err.h"
#include "proto/join.h"
#include "worker/models.h"

typedef struct fm_spread fm_spread;

/* join    its models name the files; rank 0 reads them and holds them against the SHA-256 given there.  On
 *         success every rank's join has the digests of what was loaded.  No encoder path: chips only; no mask path: no masks.
 * models  borrowed from *out.
 * Errors: -ENOENT and what reading gives, -EBADMSG (another file than the run's, or no model), -ENOMEM, -EIO.
 * Ranks: collective on comm; all return the same. */
int fm_spread_models(MPI_Comm comm, fm_join *join, fm_spread **out, const fm_models **models, fm_err *err);
void fm_spread_destroy(fm_spread *s);       /* Ranks: collective on that comm */

#endif

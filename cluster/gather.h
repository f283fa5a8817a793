/* Matrices over ranks: gathered to rank 0, and shared with all.  Counts are in
 * size_t and transfers cut into chunks, so that 2^31 elements are no limit. */
#ifndef FM_CLUSTER_GATHER_H
#define FM_CLUSTER_GATHER_H

#include <mpi.h>
#include <stddef.h>

#include "base/err.h"

/* Which rows [*first, *first + *count) of n are this rank's: contiguous, sizes differ by at most one. */
void fm_share_of(size_t n, int rank, int size, size_t *first, size_t *count);

/* Gather bytes to rank root in rank order.
 * mine, n_mine  this rank's bytes.
 * all  root: room for the sum of all n_mine (total_bytes); others: ignored.
 * Errors: -EINVAL (root's total differs from what ranks have), -ENOMEM, -EIO (MPI).
 * Ranks: collective on comm; all return the same. */
int fm_gather_bytes(MPI_Comm comm, int root, const void *mine, size_t n_mine, void *all, size_t total_bytes, fm_err *err);

/* Broadcast n bytes from rank 0, in chunks.  Ranks: collective on comm. */
int fm_bcast_bytes(MPI_Comm comm, void *bytes, size_t n, fm_err *err);

/* Did it go well everywhere?  rc is this rank's result; returns the first failing
 * rank's code on all of them and gives rank 0 that rank's text.  Ranks: collective on comm. */
int fm_agree(MPI_Comm comm, int rc, fm_err *err);

/* Memory that the ranks of a node share (one MPI shared-memory window a node), or
 * private memory where there is no such window. */
typedef struct fm_shared fm_shared;

/* Ranks: collective on comm.  *bytes is the same memory on all ranks of a node. */
int fm_shared_create(MPI_Comm comm, size_t n_bytes, fm_shared **out, void **bytes, fm_err *err);
/* Spread rank 0's content to all: once a node.  Ranks: collective on create's comm. */
int fm_shared_spread(fm_shared *s, fm_err *err);
void fm_shared_destroy(fm_shared *s);      /* Ranks: collective on create's comm */

#endif

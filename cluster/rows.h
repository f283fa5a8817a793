/* What collective stages begin with: a file that rank 0 reads for all, and matrices
 * with a row a plan row, of which each rank reads its share and every node gets the whole. */
#ifndef FM_CLUSTER_ROWS_H
#define FM_CLUSTER_ROWS_H

#include <mpi.h>

#include "base/buf.h"
#include "cluster/gather.h"
#include "coordinator/learn/evaluation.h"
#include "storage/photo.h"
#include "storage/store.h"

/* A plan's bytes, and the keys that were left for it (cluster/stage_key.h), to all ranks.  bytes  empty before.
 * Errors: what fm_file_read gives, -ENOMEM, -EIO.  Ranks: collective on comm; all return the same. */
int fm_rows_file(MPI_Comm comm, const char *path, size_t max_bytes, fm_buf *bytes, fm_err *err);

/* A matrix from every rank's rows (fm_share_of(n)), in memory once a node.
 * mine    this rank's rows, row_bytes each.
 * shared  fm_shared_destroy; set on some failures, too.  matrix  borrowed from it.
 * Errors: -ENOMEM, -EIO.  Ranks: collective on comm; all return the same. */
int fm_rows_share(MPI_Comm comm, const void *mine, size_t n, size_t row_bytes, fm_shared **shared, void **matrix,
                  fm_err *err);

/* The plan's code matrix, f32 [plan->n, plan->code_width], from the store's CODE records.
 * Errors: what fm_store_open and fm_store_get give, -EINVAL (columns no code has), -EBADMSG, -ENOMEM, -EIO.
 * Ranks: collective on comm; all return the same. */
int fm_rows_codes(MPI_Comm comm, const fm_plan *plan, fm_shared **shared, float **codes, fm_err *err);

/* A row's PHOTO record, by its key; fm_photo_fini.  sample  named when it fails.
 * Errors: what fm_store_get and fm_photo_decode give.  Ranks: local. */
int fm_rows_photo(fm_store *store, const fm_digest *key, uint32_t sample, fm_photo *out, fm_err *err);

#endif

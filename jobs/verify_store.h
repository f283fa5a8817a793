/* Checking a store from a process of its own. */
#ifndef FM_JOBS_VERIFY_STORE_H
#define FM_JOBS_VERIFY_STORE_H

#include <stdint.h>

#include "base/err.h"
#include "storage/store.h"

/* fm_store_open and fm_store_verify in a child, so that a disk that fails under LMDB's map (SIGBUS), or damage that
 * nobody thought of, ends that process and not this one.  A child that dies is one more thing that is wrong; what it
 * had not come to is then unchecked, which is told too.
 * fn  told of each thing that is wrong, as fm_store_verify does.
 * Errors: theirs, and what fork and pipe give.  Threads: none may run. */
int fm_verify_store(const char *store_dir, fm_store_wrong fn, void *ctx, uint64_t *checked, uint64_t *damaged,
                    fm_err *err);

#endif

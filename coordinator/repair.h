/* Making a damaged store one that a build completes. */
#ifndef FM_COORDINATOR_REPAIR_H
#define FM_COORDINATOR_REPAIR_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    uint64_t kept, gone;        /* records of segments that could be read */
    uint64_t unreadable;        /* segments that could not */
} fm_repair_counts;

/* Let a build make again what is damaged and nothing else: the whole records of the named segments move to new
 * segments, and the rest of them is forgotten.  Records that neither the catalog nor the last build's keys know are
 * another study's and go.  A segment that cannot be read goes as a whole, its file to STORE/damaged.
 * scratch_dir  where new segments are written; NULL: store_dir/open.
 * segments     [n] as fm_store_verify named them.
 * Errors: -EAGAIN (a coordinator holds the store), what the store gives.  What was not reached yet is as it was, and
 * what was under way is found by the next build. */
int fm_repair_run(const char *store_dir, const char *scratch_dir, const char *const *segments, size_t n,
                  fm_repair_counts *counts, fm_err *err);

#endif

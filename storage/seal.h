/* Between the parts of storage/segment.h: names, keys, and the way into the store. */
#ifndef FM_STORAGE_SEAL_H
#define FM_STORAGE_SEAL_H

#include "base/digest.h"
#include "base/err.h"

/* SCRATCH/NAME.open and STORE/segments/NAME into out [FM_PATH_MAX].  -EINVAL when it is not a name. */
int fm_segment_open_path(char *out, const char *scratch, const char *name, fm_err *err);
int fm_segment_store_path(char *out, const char *store_dir, const char *name, fm_err *err);

/* Bring a whole, closed segment file to its length, sync it and move it to STORE/segments/NAME, durably.
 * On failure it is still at path, or whole at both places. */
int fm_segment_move(const char *path, const char *name, const char *store_dir, fm_err *err);

#endif

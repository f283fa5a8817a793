/* Room on the disk that the store is on. */
#ifndef FM_COORDINATOR_SPACE_H
#define FM_COORDINATOR_SPACE_H

#include <stdint.h>

#include "base/err.h"
#include "proto/recipe.h"

/* Bytes that records of so many photographs take at most, one face each, with what the store adds to them. */
uint64_t fm_space_needed(const fm_recipe *recipe, uint64_t photographs);
/* Free bytes for us where path is.  -errno of statvfs. */
int fm_space_free(const char *path, uint64_t *bytes);

/* A build failed with err for so many photographs short: when the disk is, or may be, what it failed on, say how much it
 * needs and has.  Returns err->code: -ENOSPC where the disk is full and err said only that something could not be
 * done. */
int fm_space_explain(const char *store_dir, const fm_recipe *recipe, uint64_t photographs, fm_err *err);

#endif

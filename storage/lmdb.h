/* What segments and catalog share of LMDB.  Not for other layers. */
#ifndef FM_STORAGE_LMDB_H
#define FM_STORAGE_LMDB_H

#include <stddef.h>

#include <lmdb.h>

#include "base/err.h"

/* Say what LMDB (or the system under it) said of a file, with what to do; returns our code for it.
 * rc  LMDB's: negative its own, positive errno. */
int fm_lmdb_fail(fm_err *err, int rc, const char *path, const char *doing);

/* Open an environment whose map is map_bytes (0: what the file says).
 * flags  LMDB's; MDB_NOTLS is added.
 * *out is NULL on failure. */
int fm_lmdb_open(const char *path, unsigned flags, size_t map_bytes, MDB_env **out, fm_err *err);

#endif

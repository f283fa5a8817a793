/* OUT/export.log: who exported what, when; a line an export, each with a hash over
 * itself and the hash before it.
 *
 * Columns: number, time (UTC), user, host, what, names (real or pseudonyms), folder, hash.  In an encrypted store the
 * hash is keyed, so that only who holds the store's key can make a line; in a plain store anybody who may write the
 * file can write another log from the start, and the chain shows accidents and careless hands only.
 * OUT/run/export.head holds the last line's number and hash: it shows what is missing at the end.  Who puts back an
 * older copy of both files together, or removes both, is not found out. */
#ifndef FM_JOBS_EXPORT_LOG_H
#define FM_JOBS_EXPORT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Take an export down, durably; before it begins.  The store is unlocked.
 * Errors: what reading and writing give: then nothing may be exported. */
int fm_export_log_add(const char *out, const char *what, bool real_names, const char *to, fm_err *err);

/* Check log and head; fn is told of each thing that is wrong, in a sentence.  The store is unlocked.
 * Errors: what reading gives. */
int fm_export_log_check(const char *out, void (*fn)(void *ctx, const char *what), void *ctx, uint64_t *lines, fm_err *err);

#endif

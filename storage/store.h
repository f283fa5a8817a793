/* The read side of a store: records through the catalog, from sealed segments. */
#ifndef FM_STORAGE_STORE_H
#define FM_STORAGE_STORE_H

#include "base/digest.h"
#include "base/err.h"
#include "storage/catalog.h"
#include "storage/record.h"

typedef struct fm_store fm_store;

int fm_store_open(const char *store_dir, fm_store **out, fm_err *err);
void fm_store_close(fm_store *s);
/* payload is borrowed until the next call with s.  hash may be NULL.
 * Errors: -ENOENT (no sealed segment holds it), -EBADMSG (damaged; the record is named), -EKEYREVOKED (its photograph
 * was forgotten). */
int fm_store_get(fm_store *s, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                 fm_digest *hash, fm_err *err);
fm_catalog *fm_store_catalog(fm_store *s);      /* borrowed */
const char *fm_store_dir(const fm_store *s);    /* borrowed */

/* One digest over what the store holds of a study: the distinct (kind, key, record hash) of the given
 * photo and code keys, sorted.  The same for any number of ranks, any order of work, cold or resumed.
 * photo, code  [n]; zero keys are passed over.
 * Errors: what fm_store_get gives. */
int fm_store_digest(fm_store *s, const fm_digest *photo, const fm_digest *code, size_t n, fm_digest *out, fm_err *err);

/* Check every record of every sealed segment, that the catalog's records are there, and that the catalog knows what
 * the last build left.
 * fn  told of each thing that is wrong, in a sentence, and in which segment (NULL: none); may be NULL.  Before a
 *     segment is read it is told of that, with no sentence (NULL).
 * checked, damaged  counts of records.
 * Returns 0 also when something is damaged; negative when checking itself failed. */
typedef void (*fm_store_wrong)(void *ctx, const char *segment, const char *what);
int fm_store_verify(fm_store *s, fm_store_wrong fn, void *ctx, uint64_t *checked, uint64_t *damaged, fm_err *err);

#endif

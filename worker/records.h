/* A worker's records: the segment it writes, and the sealed ones it may find
 * earlier work in. */
#ifndef FM_WORKER_RECORDS_H
#define FM_WORKER_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "storage/key_table.h"
#include "storage/record.h"

typedef struct fm_records fm_records;

/* store_dir, scratch_dir  copied.  Errors: -ENOMEM, what fm_vault_open gives. */
int fm_records_create(const char *store_dir, const char *scratch_dir, fm_records **out, fm_err *err);
/* Leaves an open segment, with what was committed to it, where it is. */
void fm_records_destroy(fm_records *r);

/* Name of the segment that the next record opens.  Errors: -EINVAL (no name, or too long). */
int fm_records_name(fm_records *r, const char *name, fm_err *err);
const char *fm_records_segment(const fm_records *r);    /* that name */

/* Look into this sealed segment from now on.  One that cannot be opened is passed
 * over: what it holds is then made again. */
void fm_records_add_sealed(fm_records *r, const char *name);

/* Find a record, in the own segment first.
 * payload  borrowed until the next call.
 * Errors: -ENOENT (err is left alone), what the own segment gives.  Damaged ones in sealed segments
 * count as not there. */
int fm_records_find(fm_records *r, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                    fm_err *err);
/* Was this photograph forgotten?  Then nothing of it may be put. */
bool fm_records_forgotten(const fm_records *r, const fm_digest *image, const char *path);
/* Put a record of the owner's photograph into the own segment, which is opened when it is the first. */
int fm_records_put(fm_records *r, const fm_key_owner *owner, fm_record_kind kind, const fm_digest *key,
                   const void *payload, size_t n, fm_err *err);
int fm_records_commit(fm_records *r, fm_err *err);      /* 0 too when there is no open segment */

uint64_t fm_records_bytes(const fm_records *r);         /* payload in the open segment; 0: none is open */
/* Seal the open segment; sealed is false when there is none. */
int fm_records_seal(fm_records *r, bool *sealed, uint64_t *records, fm_err *err);

#endif

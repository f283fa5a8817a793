/* The key table of an encrypted store: a random data key for each record, outside of
 * the segment that holds the record (STORE/keys.GENERATION/SEGMENT).
 *
 * Each entry says, hidden, which photograph its key is for, and holds the key wrapped under the vault's table key.
 * Whoever has a copy of a segment and not the table has noise.  Threads: one a handle. */
#ifndef FM_STORAGE_KEY_TABLE_H
#define FM_STORAGE_KEY_TABLE_H

#include "storage/vault.h"

typedef struct fm_key_table fm_key_table;

/* The photograph that a record is of; NULL where it is not known. */
typedef struct {
    const fm_digest *image;
    const char *path;
} fm_key_owner;

/* vault  borrowed.  The table must not be there / may be missing (then it has no entries).
 * Errors: what open gives, naming the file; -ENOMEM. */
int fm_key_table_create(const fm_vault *vault, const char *segment, fm_key_table **out, fm_err *err);
int fm_key_table_open(const fm_vault *vault, const char *segment, fm_key_table **out, fm_err *err);
void fm_key_table_close(fm_key_table *t);

/* Add a new random key.  slot  its place. */
int fm_key_table_add(fm_key_table *t, const fm_key_owner *owner, uint64_t *slot, uint8_t key[FM_VAULT_KEY_BYTES],
                     fm_err *err);
/* Make what was added durable.  Before the records that need it are. */
int fm_key_table_sync(fm_key_table *t, fm_err *err);
/* Errors: -EKEYREVOKED (the photograph was forgotten), -EBADMSG (no such key, or damaged). */
int fm_key_table_get(fm_key_table *t, uint64_t slot, uint8_t key[FM_VAULT_KEY_BYTES], fm_err *err);

#endif

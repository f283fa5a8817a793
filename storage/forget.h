/* New generations of an encrypted store's key table: forgetting photographs, and a
 * new master key. */
#ifndef FM_STORAGE_FORGET_H
#define FM_STORAGE_FORGET_H

#include "storage/vault.h"

typedef struct {
    fm_digest image;            /* zero: not known */
    const char *path;           /* borrowed */
} fm_forget_item;

/* Make every record of these photographs unreadable, in segments and in copies of segments, and remember, hidden,
 * that they were forgotten (fm_vault_forgotten).  All of them or, on failure, none.
 * The caller is the store's coordinator and no worker writes.  The store is unlocked.
 * records  how many keys were destroyed.
 * Errors: -ENOKEY (plain or locked), what writing gives. */
int fm_forget(const char *store_dir, const fm_forget_item *items, size_t n, uint64_t *records, fm_err *err);

/* Wrap everything under a new master key, with a new store key and a new table key: copies of the vault and of the
 * key table that were made before open with the old master key only.  The store is unlocked.
 * hint  as fm_vault_create. */
int fm_rekey(const char *store_dir, const uint8_t *master, const char *hint, fm_err *err);

/* Finish what a kill has interrupted: remove key tables of other generations than the vault's, overwriting them
 * first.  fm_forget and fm_rekey do it themselves, and fm_catalog_take. */
int fm_forget_leftovers(const fm_vault *v, fm_err *err);

#endif

/* An entry of a key table, for storage/key_table.c and storage/forget.c only. */
#ifndef FM_STORAGE_KEY_ENTRY_H
#define FM_STORAGE_KEY_ENTRY_H

#include "storage/vault_file.h"

typedef struct {                /* as it is in the file; bytes only, so without padding */
    fm_vault_tag image, path;   /* zeros: not known */
    uint8_t wrapped[FM_VAULT_KEY_BYTES + FM_VAULT_SEAL_BYTES];
} fm_key_entry;

/* e  has its tags. */
void fm_key_entry_wrap(const fm_vault *v, const char *segment, uint64_t slot, const uint8_t *key, fm_key_entry *e);
bool fm_key_entry_unwrap(const fm_vault *v, const char *segment, uint64_t slot, const fm_key_entry *e, uint8_t *key);

bool fm_key_entry_is_forgotten(const fm_key_entry *e);      /* all 0xff */
bool fm_key_entry_is_blank(const fm_key_entry *e);          /* all zeros */

#endif

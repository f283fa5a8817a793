/* Inside of a vault, for storage/vault*.c and storage/key_table.c only. */
#ifndef FM_STORAGE_VAULT_FILE_H
#define FM_STORAGE_VAULT_FILE_H

#include "base/file.h"
#include "storage/vault.h"

#define FM_VAULT_ID_BYTES 16
#define FM_VAULT_OLD ".old"     /* STORE/vault.old: the vault before this one, until it is overwritten */

struct fm_vault {               /* in memory of sodium_malloc: locked, wiped when freed */
    char store[FM_PATH_MAX];
    uint8_t id[FM_VAULT_ID_BYTES];
    uint8_t index[FM_VAULT_KEY_BYTES], table[FM_VAULT_KEY_BYTES];
    uint32_t generation;        /* of the key table: STORE/keys.GENERATION */
    size_t n_forgotten;
    fm_vault_tag *forgotten;    /* [n_forgotten], sorted; plain memory: they say nothing without the index key */
};

/* STORE/keys.GENERATION */
int fm_vault_table_dir(const fm_vault *v, uint32_t generation, char out[FM_PATH_MAX], fm_err *err);

/* Write v as STORE/vault; fm_forget_leftovers then overwrites the one that was there.
 * master  wraps a new store key, which this process then holds; NULL: the store key that it holds, as it is wrapped
 *         now. */
int fm_vault_write(const fm_vault *v, const uint8_t *master, const char *hint, fm_err *err);

/* XChaCha20-Poly1305 under any key, as nonce, text, authenticator (FM_VAULT_SEAL_BYTES more). */
void fm_seal_bytes(const uint8_t *key, const void *about, size_t about_size, const void *bytes, size_t n, uint8_t *out);
/* n  of the sealed bytes; out  n - FM_VAULT_SEAL_BYTES.  False when it is not what was sealed. */
bool fm_unseal_bytes(const uint8_t *key, const void *about, size_t about_size, const void *sealed, size_t n,
                     uint8_t *out);

int fm_vault_tag_compare(const void *a, const void *b);
#endif

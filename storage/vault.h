/* The vault of an encrypted store (STORE/vault): its keys, wrapped.
 *
 *   master key    the user's, 32 bytes; held by the coordinator only, and no longer than it takes to unlock
 *   store key     wraps everything below; what crews and stages are given
 *   index key     hides paths and record keys, seals what the catalog knows of files and the list of photographs
 *   table key     wraps the data key of each record (storage/key_table.h); a new one with each generation
 *
 * A store without a vault is plain: fm_vault_open then gives NULL, which everything here takes.
 * Store keys of this process are kept in memory that is locked and not dumped (fm_vault_unlock, fm_vault_admit): a
 * key belongs to a process as its user id does, so that whoever opens a store need not be handed one. */
#ifndef FM_STORAGE_VAULT_H
#define FM_STORAGE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#define FM_VAULT_KEY_BYTES 32
#define FM_VAULT_TAG_BYTES 16
#define FM_VAULT_SEAL_BYTES 40      /* that a sealed text is longer: nonce and authenticator */

typedef struct fm_vault fm_vault;

/* A photograph's bytes or its path, hidden. */
typedef struct { uint8_t b[FM_VAULT_TAG_BYTES]; } fm_vault_tag;

/* Is the store encrypted? */
bool fm_vault_exists(const char *store_dir);
/* Can this process open it: is it plain, or is its key held? */
bool fm_vault_is_open(const char *store_dir);

/* Make a vault with random keys for a store that has none yet, and unlock it; one that another process has just made
 * is unlocked only.
 * master  [FM_VAULT_KEY_BYTES].
 * hint    file that the master key came from, for later commands; "" for none.  Kept in the clear. */
int fm_vault_create(const char *store_dir, const uint8_t *master, const char *hint, fm_err *err);
/* Let this process open the store.  Errors: -ENOENT (no vault), -EKEYREJECTED (another key), -EBADMSG (damaged). */
int fm_vault_unlock(const char *store_dir, const uint8_t *master, fm_err *err);
/* The hint.  -ENOENT: no vault. */
int fm_vault_hint(const char *store_dir, char *out, size_t out_size, fm_err *err);

/* The store key that this process holds, for its crews: false (and zeros) when the store is plain or locked. */
bool fm_vault_store_key(const char *store_dir, uint8_t key[FM_VAULT_KEY_BYTES]);
/* Take such a key.  Errors: as fm_vault_unlock. */
int fm_vault_admit(const char *store_dir, const uint8_t key[FM_VAULT_KEY_BYTES], fm_err *err);
/* All store keys that this process holds, to hand them to a stage of its own: their bytes, 0 for none. */
#define FM_VAULT_HELD_MAX 384
size_t fm_vault_keys_give(uint8_t out[FM_VAULT_HELD_MAX]);
int fm_vault_keys_take(const uint8_t *bytes, size_t n, fm_err *err);
/* Wipe all store keys of this process. */
void fm_vault_forget_keys(void);

/* *out is NULL for a plain store.  Errors: -ENOKEY (locked: no key of this process is the store's), -EBADMSG. */
int fm_vault_open(const char *store_dir, fm_vault **out, fm_err *err);
void fm_vault_close(fm_vault *v);

/* A digest as an encrypted store keeps it: hashed with the index key.  v NULL: as it is. */
void fm_vault_blind(const fm_vault *v, const fm_digest *digest, fm_digest *out);
/* 32 bytes for another purpose ("export log"), from the index key. */
void fm_vault_derive(const fm_vault *v, const char *purpose, uint8_t out[FM_VAULT_KEY_BYTES]);

/* Append n bytes sealed under the index key; about  what they belong to, which must be the same to open them. */
void fm_vault_seal(const fm_vault *v, const void *about, size_t about_size, const void *bytes, size_t n, fm_buf *out);
/* Append what was sealed.  -EBADMSG (text left to the caller) when it is not that, -ENOMEM. */
int fm_vault_unseal(const fm_vault *v, const void *about, size_t about_size, const void *sealed, size_t n, fm_buf *out);

void fm_vault_tag_image(const fm_vault *v, const fm_digest *image, fm_vault_tag *out);
void fm_vault_tag_path(const fm_vault *v, const char *path, fm_vault_tag *out);
/* Was this photograph forgotten, by its bytes (may be NULL) or its path (may be NULL)?  v may be NULL. */
bool fm_vault_forgotten(const fm_vault *v, const fm_digest *image, const char *path);
size_t fm_vault_forgotten_count(const fm_vault *v);     /* tags, two a photograph */

#endif

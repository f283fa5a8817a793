/* What a vault's keys are used for: sealing bytes, hiding digests and paths, knowing the forgotten.
 *
 * One key, the index key, serves all of it: keys for other purposes are derived from it, and what is hashed under it
 * has a letter in front, so that hashes for one purpose meet no others'. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/vault_file.h"

_Static_assert(FM_VAULT_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one size of key");
_Static_assert(FM_VAULT_SEAL_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES +
               crypto_aead_xchacha20poly1305_ietf_ABYTES, "what sealing adds");

void fm_seal_bytes(const uint8_t *key, const void *about, size_t about_size, const void *bytes, size_t n, uint8_t *out)
{
    size_t nonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

    randombytes_buf(out, nonce);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + nonce, NULL, bytes, n, about, about_size, NULL, out, key);
}

bool fm_unseal_bytes(const uint8_t *key, const void *about, size_t about_size, const void *sealed, size_t n,
                     uint8_t *out)
{
    const uint8_t *b = sealed;
    size_t nonce = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;

    return n >= FM_VAULT_SEAL_BYTES && crypto_aead_xchacha20poly1305_ietf_decrypt(
               out, NULL, NULL, b + nonce, n - nonce, about, about_size, b, key) == 0;
}

void fm_vault_derive(const fm_vault *v, const char *purpose, uint8_t out[FM_VAULT_KEY_BYTES])
{
    crypto_generichash(out, FM_VAULT_KEY_BYTES, (const uint8_t *)purpose, strlen(purpose), v->index, sizeof v->index);
}

static void hide(const fm_vault *v, char letter, const void *bytes, size_t n, uint8_t *out, size_t out_size)
{
    crypto_generichash_state s;

    crypto_generichash_init(&s, v->index, sizeof v->index, out_size);
    crypto_generichash_update(&s, (const uint8_t *)&letter, 1);
    crypto_generichash_update(&s, bytes, n);
    crypto_generichash_final(&s, out, out_size);
}

void fm_vault_blind(const fm_vault *v, const fm_digest *digest, fm_digest *out)
{
    if (v)
        hide(v, 'k', digest->b, FM_DIGEST_BYTES, out->b, FM_DIGEST_BYTES);
    else
        *out = *digest;
}

void fm_vault_tag_image(const fm_vault *v, const fm_digest *image, fm_vault_tag *out)
{
    hide(v, 'i', image->b, FM_DIGEST_BYTES, out->b, sizeof out->b);
}

void fm_vault_tag_path(const fm_vault *v, const char *path, fm_vault_tag *out)
{
    hide(v, 'p', path, strlen(path), out->b, sizeof out->b);
}

void fm_vault_seal(const fm_vault *v, const void *about, size_t about_size, const void *bytes, size_t n, fm_buf *out)
{
    uint8_t *to = fm_buf_add(out, n + FM_VAULT_SEAL_BYTES), key[FM_VAULT_KEY_BYTES];

    if (!to)
        return;
    fm_vault_derive(v, "seal", key);
    fm_seal_bytes(key, about, about_size, bytes, n, to);
    sodium_memzero(key, sizeof key);
}

int fm_vault_unseal(const fm_vault *v, const void *about, size_t about_size, const void *sealed, size_t n, fm_buf *out)
{
    uint8_t key[FM_VAULT_KEY_BYTES], *to = n >= FM_VAULT_SEAL_BYTES ? fm_buf_add(out, n - FM_VAULT_SEAL_BYTES) : NULL;
    bool whole;

    if (!to)
        return out->failed ? -ENOMEM : -EBADMSG;
    fm_vault_derive(v, "seal", key);
    whole = fm_unseal_bytes(key, about, about_size, sealed, n, to);
    sodium_memzero(key, sizeof key);
    return whole ? 0 : -EBADMSG;
}

int fm_vault_tag_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(fm_vault_tag));
}

bool fm_vault_forgotten(const fm_vault *v, const fm_digest *image, const char *path)
{
    fm_vault_tag tag;
    bool found = false;

    if (!v || v->n_forgotten == 0)
        return false;
    if (image && !fm_digest_is_zero(image)) {
        fm_vault_tag_image(v, image, &tag);
        found = bsearch(&tag, v->forgotten, v->n_forgotten, sizeof tag, fm_vault_tag_compare) != NULL;
    }
    if (path && !found) {
        fm_vault_tag_path(v, path, &tag);
        found = bsearch(&tag, v->forgotten, v->n_forgotten, sizeof tag, fm_vault_tag_compare) != NULL;
    }
    return found;
}

size_t fm_vault_forgotten_count(const fm_vault *v)
{
    return v ? v->n_forgotten : 0;
}

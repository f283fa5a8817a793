#include "base/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

_Static_assert(FM_DIGEST_BYTES == crypto_hash_sha256_BYTES, "both digests have one size");

void fm_hasher_init(fm_hasher *h)
{
    fm_assert(sodium_init() >= 0);
    crypto_generichash_init(&h->s, NULL, 0, FM_DIGEST_BYTES);
}

void fm_hasher_add(fm_hasher *h, const void *bytes, size_t n)
{
    crypto_generichash_update(&h->s, bytes, n);
}

void fm_hasher_add_str(fm_hasher *h, const char *s)
{
    uint64_t n = strlen(s);
    uint8_t le[8];

    for (int i = 0; i < 8; i++)
        le[i] = (uint8_t)(n >> (8 * i));
    fm_hasher_add(h, le, sizeof le);
    fm_hasher_add(h, s, n);
}

void fm_hasher_end(fm_hasher *h, fm_digest *out)
{
    crypto_generichash_final(&h->s, out->b, FM_DIGEST_BYTES);
}

void fm_digest_of(const void *bytes, size_t n, fm_digest *out)
{
    fm_hasher h;

    fm_hasher_init(&h);
    fm_hasher_add(&h, bytes, n);
    fm_hasher_end(&h, out);
}

bool fm_digest_equal(const fm_digest *a, const fm_digest *b)
{
    return fm_digest_compare(a, b) == 0;
}

int fm_digest_compare(const fm_digest *a, const fm_digest *b)
{
    return memcmp(a->b, b->b, FM_DIGEST_BYTES);
}

bool fm_digest_is_zero(const fm_digest *d)
{
    static const fm_digest zero;

    return fm_digest_equal(d, &zero);       /* digests are no secrets: sodium_is_zero takes as long as it can */
}

void fm_digest_hex(const fm_digest *d, char out[FM_DIGEST_HEX])
{
    sodium_bin2hex(out, FM_DIGEST_HEX, d->b, FM_DIGEST_BYTES);
}

void fm_sha256_of(const void *bytes, size_t n, fm_digest *out)
{
    crypto_hash_sha256(out->b, bytes, n);
}

int fm_sha256_file(const char *path, fm_digest *out, fm_err *err)
{
    crypto_hash_sha256_state s;
    uint8_t block[65536];
    size_t n;
    int rc = 0;
    FILE *f = fopen(path, "rbe");

    if (!f)
        return fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    crypto_hash_sha256_init(&s);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        crypto_hash_sha256_update(&s, block, n);
    if (ferror(f))
        rc = fm_fail(err, -EIO, "%s: cannot read: %s", path, strerror(errno));
    else
        crypto_hash_sha256_final(&s, out->b);
    fclose(f);
    return rc;
}

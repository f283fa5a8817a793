/* Digests: BLAKE2b-256 (libsodium's generic hash) names everything that is
 * stored; SHA-256 is used for model files only, because that is how they are
 * published. */
#ifndef FM_BASE_DIGEST_H
#define FM_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

#include "base/err.h"

#define FM_DIGEST_BYTES 32
#define FM_DIGEST_HEX (2 * FM_DIGEST_BYTES + 1)     /* with the NUL */

typedef struct { uint8_t b[FM_DIGEST_BYTES]; } fm_digest;

typedef struct { crypto_generichash_state s; } fm_hasher;

void fm_hasher_init(fm_hasher *h);
void fm_hasher_add(fm_hasher *h, const void *bytes, size_t n);
/* A string with its length before it, so that "ab","c" and "a","bc" differ. */
void fm_hasher_add_str(fm_hasher *h, const char *s);
void fm_hasher_end(fm_hasher *h, fm_digest *out);

void fm_digest_of(const void *bytes, size_t n, fm_digest *out);
bool fm_digest_equal(const fm_digest *a, const fm_digest *b);
int fm_digest_compare(const fm_digest *a, const fm_digest *b);     /* as memcmp */
bool fm_digest_is_zero(const fm_digest *d);
void fm_digest_hex(const fm_digest *d, char out[FM_DIGEST_HEX]);

/* SHA-256 of bytes in memory. */
void fm_sha256_of(const void *bytes, size_t n, fm_digest *out);
/* SHA-256 of a file, read in blocks.  Errors: what open and read give. */
int fm_sha256_file(const char *path, fm_digest *out, fm_err *err);

#endif

#include "base/rng.h"

#include <math.h>

#include "base/digest.h"

#define ROUNDS 10

void fm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;

        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

fm_rng fm_rng_init(uint64_t seed, uint64_t stream)
{
    return (fm_rng){.seed = seed, .stream = stream};
}

uint64_t fm_rng_stream(const char *purpose, uint64_t a, uint64_t b)
{
    fm_hasher h;
    fm_digest d;
    uint8_t le[16];
    uint64_t stream = 0;

    for (int i = 0; i < 8; i++) {
        le[i] = (uint8_t)(a >> (8 * i));
        le[8 + i] = (uint8_t)(b >> (8 * i));
    }
    fm_hasher_init(&h);
    fm_hasher_add_str(&h, purpose);
    fm_hasher_add(&h, le, sizeof le);
    fm_hasher_end(&h, &d);
    for (int i = 0; i < 8; i++)
        stream |= (uint64_t)d.b[i] << (8 * i);
    return stream;
}

uint32_t fm_rng_u32(fm_rng *r)
{
    if (r->left == 0) {
        uint32_t counter[4] = {(uint32_t)r->block, (uint32_t)(r->block >> 32),
                               (uint32_t)r->stream, (uint32_t)(r->stream >> 32)};
        uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)};

        fm_philox4x32(counter, key, r->out);
        r->block++;
        r->left = 4;
    }
    return r->out[4 - r->left--];
}

uint32_t fm_rng_below(fm_rng *r, uint32_t n)
{
    uint32_t reject = -n % n;   /* 2^32 mod n: the first values would be drawn too often */
    uint32_t v;

    do
        v = fm_rng_u32(r);
    while (v < reject);
    return v % n;
}

double fm_rng_uniform(fm_rng *r)
{
    uint64_t hi = fm_rng_u32(r) >> 5, lo = fm_rng_u32(r) >> 6;

    return (double)(hi << 26 | lo) / 9007199254740992.0;
}

double fm_rng_normal(fm_rng *r)
{
    double u = 1.0 - fm_rng_uniform(r);
    double v = fm_rng_uniform(r);

    return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v);
}

void fm_rng_shuffle(fm_rng *r, uint32_t *index, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = fm_rng_below(r, (uint32_t)i);
        uint32_t t = index[i - 1];

        index[i - 1] = index[j];
        index[j] = t;
    }
}

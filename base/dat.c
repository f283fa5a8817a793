#include "base/dat.h"

#include <math.h>
#include <string.h>

#define EXPONENT_INF 32000
#define EXPONENT_NEGATIVE_INF 32001
#define EXPONENT_NAN 32002

int64_t fm_dat_int(fm_reader *r)
{
    uint8_t head = fm_reader_u8(r), size = head & 0x0f;
    const uint8_t *b;
    uint64_t v = 0;

    if (size < 1 || size > 8 || (head & 0x70))
        r->failed = true;
    b = r->failed ? NULL : fm_reader_get(r, size);
    for (unsigned i = 0; b && i < size; i++)
        v |= (uint64_t)b[i] << (8 * i);
    return head & 0x80 ? (int64_t)-v : (int64_t)v;
}

double fm_dat_real(fm_reader *r)
{
    int64_t mantissa = fm_dat_int(r), exponent = fm_dat_int(r);

    switch (exponent) {
    case EXPONENT_INF:
        return INFINITY;
    case EXPONENT_NEGATIVE_INF:
        return -INFINITY;
    case EXPONENT_NAN:
        return NAN;
    default:
        if (exponent < -2000 || exponent > 2000) {
            r->failed = true;
            return 0;
        }
        return ldexp((double)mantissa, (int)exponent);
    }
}

size_t fm_dat_count(fm_reader *r, size_t bytes_each)
{
    int64_t n = fm_dat_int(r);

    if (n < 0 || (uint64_t)n > fm_reader_left(r) / (bytes_each ? bytes_each : 1)) {
        r->failed = true;
        return 0;
    }
    return (size_t)n;
}

void fm_dat_str(fm_reader *r, char *out, size_t out_size)
{
    size_t n = fm_dat_count(r, 1);
    const uint8_t *b = n < out_size ? fm_reader_get(r, n) : NULL;

    out[0] = '\0';
    if (n >= out_size)
        r->failed = true;
    if (b && n) {
        memcpy(out, b, n);
        out[n] = '\0';
    }
}

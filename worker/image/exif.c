/* A bounded walk to one tag: TIFF header, first directory, its entries.  Nothing
 * else of EXIF is read, no pointer but the directory's own is followed, and
 * whatever does not add up means "no orientation". */
#include "worker/image/exif.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3
#define TYPE_LONG 4

typedef struct {
    const uint8_t *bytes;
    size_t n;
    int big_endian;
} tiff;

static uint32_t get16(const tiff *t, size_t at)
{
    const uint8_t *p = t->bytes + at;

    return t->big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t get32(const tiff *t, size_t at)
{
    return t->big_endian ? get16(t, at) << 16 | get16(t, at + 2) : get16(t, at + 2) << 16 | get16(t, at);
}

/* The entry's value when it is one number from 1 to 8. */
static int orientation_at(const tiff *t, size_t entry)
{
    uint32_t type = get16(t, entry + 2), count = get32(t, entry + 4), value;

    if (count != 1 || (type != TYPE_SHORT && type != TYPE_LONG))
        return 0;
    value = type == TYPE_SHORT ? get16(t, entry + 8) : get32(t, entry + 8);
    return value >= 1 && value <= 8 ? (int)value : 0;
}

int fm_exif_orientation(const uint8_t *bytes, size_t n)
{
    tiff t = {bytes, n, 0};
    size_t directory, entries;

    if (n >= 6 && memcmp(bytes, "Exif\0", 5) == 0) {
        t.bytes += 6;
        t.n -= 6;
    }
    if (t.n < 8)
        return 0;
    if (memcmp(t.bytes, "MM\0*", 4) == 0)
        t.big_endian = 1;
    else if (memcmp(t.bytes, "II*\0", 4) != 0)
        return 0;
    directory = get32(&t, 4);
    if (directory > t.n - 2)
        return 0;
    entries = get16(&t, directory);
    for (size_t i = 0; i < entries; i++) {
        size_t entry = directory + 2 + 12 * i;

        if (entry > t.n - 2 || t.n - entry < 12)
            return 0;
        if (get16(&t, entry) == TAG_ORIENTATION)
            return orientation_at(&t, entry);
    }
    return 0;
}

/* EXIF 2.32, sections 4.5 and 4.6.4: a TIFF header, then IFD 0 with tag 0x0112. */
#include <string.h>

#include "worker/image/decode.h"

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3

typedef struct {
    const uint8_t *b;
    size_t n;
    bool big;
} tiff;

static uint32_t get(const tiff *t, size_t at, int bytes)
{
    uint32_t v = 0;

    if (at > t->n || (size_t)bytes > t->n - at)
        return 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)t->b[at + (size_t)i] << 8 * (t->big ? bytes - 1 - i : i);
    return v;
}

uint8_t fm_exif_orientation(const uint8_t *bytes, size_t n)
{
    tiff t = {bytes, n, n >= 1 && bytes[0] == 'M'};
    size_t ifd;
    uint32_t entries;

    if (n < 14 || (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0))
        return 1;
    ifd = get(&t, 4, 4);
    entries = get(&t, ifd, 2);
    for (uint32_t i = 0; i < entries; i++) {
        size_t at = ifd + 2 + 12 * (size_t)i;
        uint32_t v;

        if (at + 12 > n)
            break;
        if (get(&t, at, 2) != TAG_ORIENTATION || get(&t, at + 2, 2) != TYPE_SHORT)
            continue;
        v = get(&t, at + 8, 2);
        return v >= 1 && v <= 8 ? (uint8_t)v : 1;
    }
    return 1;
}

int fm_image_orient(fm_image *image, uint8_t orientation, fm_err *err)
{
    int w = image->width, h = image->height;
    bool swap = orientation >= 5, flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    fm_image up;
    int rc;

    if (orientation <= 1 || orientation > 8)
        return 0;
    rc = fm_image_create(swap ? h : w, swap ? w : h, &up, err);
    if (rc != 0)
        return rc;
    for (int y = 0; y < up.height; y++)
        for (int x = 0; x < up.width; x++) {
            int sx = swap ? y : x, sy = swap ? x : y;

            /* flip_x, flip_y speak of the stored image */
            sx = flip_x ? w - 1 - sx : sx;
            sy = flip_y ? h - 1 - sy : sy;
            memcpy(up.pixels + (size_t)y * up.stride_bytes + 3 * (size_t)x,
                   image->pixels + (size_t)sy * image->stride_bytes + 3 * (size_t)sx, 3);
        }
    fm_image_fini(image);
    *image = up;
    return 0;
}

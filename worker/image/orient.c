/* Every orientation is a start pixel and two steps through the stored image, so
 * one copy loop serves all.  It goes in tiles, because a quarter turn reads down
 * columns.  In-place variants for 2 to 4 were rejected: a decoder has just given
 * back more memory than the copy takes. */
#include "worker/image/orient.h"

#include <errno.h>

#define TILE 32

/* Steps in pixels of the stored image, for one pixel right and one down in the upright one. */
typedef struct {
    int exchange;               /* sides change places */
    int right_x, right_y;
    int down_x, down_y;
} turn;

static const turn turns[9] = {
    [1] = {0, 1, 0, 0, 1},
    [2] = {0, -1, 0, 0, 1},
    [3] = {0, -1, 0, 0, -1},
    [4] = {0, 1, 0, 0, -1},
    [5] = {1, 0, 1, 1, 0},
    [6] = {1, 0, -1, 1, 0},
    [7] = {1, 0, -1, -1, 0},
    [8] = {1, 0, 1, -1, 0},
};

static void copy_tile(const fm_image *from, fm_image *to, const turn *t, int x0, int y0)
{
    ptrdiff_t stride = (ptrdiff_t)from->stride_bytes;
    ptrdiff_t right = 3 * t->right_x + stride * t->right_y, down = 3 * t->down_x + stride * t->down_y;
    int first_x = t->right_x + t->down_x < 0 ? from->width - 1 : 0;
    int first_y = t->right_y + t->down_y < 0 ? from->height - 1 : 0;
    const uint8_t *first = from->pixels + stride * first_y + 3 * first_x;
    int x1 = x0 + TILE < to->width ? x0 + TILE : to->width, y1 = y0 + TILE < to->height ? y0 + TILE : to->height;

    for (int y = y0; y < y1; y++) {
        const uint8_t *in = first + y * down + x0 * right;
        uint8_t *out = to->pixels + to->stride_bytes * (size_t)y + 3 * (size_t)x0;

        for (int x = x0; x < x1; x++, in += right, out += 3) {
            out[0] = in[0];
            out[1] = in[1];
            out[2] = in[2];
        }
    }
}

int fm_image_orient(fm_image *image, int orientation, fm_err *err)
{
    fm_image upright = FM_IMAGE_INIT;
    const turn *t;
    int rc;

    if (orientation < 1 || orientation > 8)
        return fm_fail(err, -EINVAL, "orientation %d: EXIF knows 1 to 8", orientation);
    if (orientation == 1)
        return 0;
    t = &turns[orientation];
    rc = fm_image_create(t->exchange ? image->height : image->width, t->exchange ? image->width : image->height,
                         &upright, err);
    if (rc != 0)
        return rc;
    for (int y = 0; y < upright.height; y += TILE)
        for (int x = 0; x < upright.width; x += TILE)
            copy_tile(image, &upright, t, x, y);
    fm_image_fini(image);
    *image = upright;
    return 0;
}

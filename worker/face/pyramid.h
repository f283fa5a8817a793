/* Scaling photographs as dlib does, to the bit: a detector that shall find the
 * same boxes must see the same pixels. */
#ifndef FM_WORKER_FACE_PYRAMID_H
#define FM_WORKER_FACE_PYRAMID_H

#include "base/err.h"
#include "worker/image/image.h"

/* An image with its colours apart, which vectors can take: u8 [3][height][row], plane bytes from one colour to the
 * next; past the end of any row, 64 bytes can be read. */
typedef struct {
    int width, height;
    int64_t row, plane;
    uint8_t *at;        /* borrowed */
} fm_colours;

#define FM_COLOURS_ROW(width) (((size_t)(width) + 15) & ~(size_t)15)

enum { FM_COLOURS_SLACK = 64 };

size_t fm_colours_bytes(int width, int height);     /* of the memory that the next two want */
fm_colours fm_colours_of(const fm_image *image, uint8_t *memory);
/* As fm_image_resize, into memory.  Errors: -ENOMEM. */
int fm_colours_shrink(const fm_colours *in, int width, int height, uint8_t *memory, fm_colours *out, fm_err *err);

/* dlib's resize_image (bilinear, image_transforms/interpolation.h) from in to out,
 * whose size says what is wanted.  Corners map to corners; values are cut, not rounded.
 * Errors: -ENOMEM. */
int fm_image_resize(const fm_image *in, fm_image *out, fm_err *err);

/* Twice the size, as dlib's pyramid_up: what the study file calls upsample.
 * out  created here.  Errors: -ENOMEM, -EINVAL (too large for an image). */
int fm_image_double(const fm_image *in, fm_image *out, fm_err *err);

/* dlib's pyramid_down<2>: 5 x 5 binomial filter, then every other pixel, for a
 * region of in.  Sides of 8 pixels or fewer give an image of no pixels
 * (width 0): the caller must ask for less depth.
 * Errors: -ENOMEM. */
int fm_image_halve(const fm_image *in, int left, int top, int width, int height, fm_image *out, fm_err *err);

#endif

/* Square pictures to another size: a triangle filter as wide as a pixel of the
 * smaller picture (linear interpolation when it grows, an average with soft edges
 * when it shrinks; Turkowski 1990, "Filters for common resampling tasks").
 * Pixel centres lie at halves.  The same bits everywhere. */
#ifndef FM_WORKER_IMAGE_RESAMPLE_H
#define FM_WORKER_IMAGE_RESAMPLE_H

#include <stdint.h>

#include "base/err.h"

typedef struct fm_resampler fm_resampler;

/* from, to  pixels a side, 1 to 4096.  Errors: -EINVAL, -ENOMEM. */
int fm_resampler_create(int from, int to, fm_resampler **out, fm_err *err);
void fm_resampler_destroy(fm_resampler *r);
/* in   u8 [from, from, 3].
 * out  f32 [to, to, 3], 0 to 255.
 * Threads: one resampler each. */
void fm_resample(fm_resampler *r, const uint8_t *in, float *out);

#endif

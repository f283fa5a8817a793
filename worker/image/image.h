/* An RGB image in memory: what decoders make and detectors and chips read. */
#ifndef FM_WORKER_IMAGE_IMAGE_H
#define FM_WORKER_IMAGE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    int width, height;      /* pixels, each at least 1 in a valid image */
    size_t stride_bytes;    /* from one row to the next; at least 3 * width */
    uint8_t *pixels;        /* RGB, 8 bits each, interleaved, top row first; owned */
} fm_image;

#define FM_IMAGE_INIT {0, 0, 0, NULL}

/* Memory for width x height pixels, rows packed (stride 3 * width), not cleared.
 * Errors: -EINVAL (a side below 1 or above 2^20), -ENOMEM. */
int fm_image_create(int width, int height, fm_image *out, fm_err *err);
void fm_image_fini(fm_image *image);    /* legal on FM_IMAGE_INIT and twice */

#endif

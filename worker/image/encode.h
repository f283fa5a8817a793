/* RGB images to files' bytes: PNG without loss, JPEG for pages and generated photographs. */
#ifndef FM_WORKER_IMAGE_ENCODE_H
#define FM_WORKER_IMAGE_ENCODE_H

#include "base/buf.h"
#include "base/err.h"
#include "worker/image/image.h"

/* Append a PNG (RGB, 8 bits).  Errors: -ENOMEM, -EINVAL with libpng's message. */
int fm_png_encode(const fm_image *image, fm_buf *out, fm_err *err);

/* Append a baseline JPEG, 4:2:0.  quality 1 to 100, the IJG scale.  Errors: as above. */
int fm_jpeg_encode(const fm_image *image, int quality, fm_buf *out, fm_err *err);

#endif

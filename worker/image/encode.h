/* RGB pixels to PNG or JPEG bytes, for exports, reports and generated faces. */
#ifndef FM_WORKER_IMAGE_ENCODE_H
#define FM_WORKER_IMAGE_ENCODE_H

#include "base/buf.h"
#include "base/err.h"
#include "worker/image/image.h"

/* Append image to out, in RGB 8; the bytes depend on the pixels and the codec library's version only.
 * On failure out holds what it held.  Errors: -ENOMEM, -EINVAL (a quality outside 1 to 100; a side
 * longer than the format takes: 65,500 for JPEG), -EIO (the codec refuses).
 * Threads: any number. */
int fm_png_encode(const fm_image *image, fm_buf *out, fm_err *err);
/* quality  1 to 100, IJG scale; chroma is halved both ways (4:2:0), standard Huffman tables. */
int fm_jpeg_encode(const fm_image *image, int quality, fm_buf *out, fm_err *err);

#endif

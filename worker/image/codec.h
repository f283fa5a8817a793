/* Between decode.c and the two decoders; nobody else includes this. */
#ifndef FM_WORKER_IMAGE_CODEC_H
#define FM_WORKER_IMAGE_CODEC_H

#include "worker/image/decode.h"

/* Each decodes to stored orientation.  Same terms as fm_image_decode, except that they report
 * orientation in info and leave turning to the caller. */
int fm_jpeg_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                   fm_decode_info *info, fm_err *err);
int fm_png_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                  fm_decode_info *info, fm_err *err);

/* Say why there is no image, in info and err alike; returns code. */
int fm_decode_fail(fm_decode_info *info, fm_reason reason, fm_err *err, int code, const char *fmt, ...) FM_PRINTF(5, 6);
/* -EFBIG when the header's pixels are more than the limit; also notes them in info. */
int fm_decode_size(fm_decode_info *info, const fm_decode_limits *limits, uint32_t width, uint32_t height, fm_err *err);
/* Count an oddity; the first is kept, made printable. */
void fm_decode_warn(fm_decode_info *info, const char *text);
/* With limits->strict: the first warning as an error, if there is one. */
int fm_decode_strict(fm_decode_info *info, const fm_decode_limits *limits, fm_err *err);

#endif

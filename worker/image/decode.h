/* Photograph bytes to an upright RGB image.
 *
 * JPEG (libjpeg-turbo: accurate integer DCT, smooth upsampling, as dlib decodes)
 * and PNG (8 and 16 bit, grey, palette, alpha, interlaced).  What the bytes are
 * decides, not the file's name.  16 bits are cut to the upper 8; alpha is
 * dropped, as dlib and Pillow's convert("RGB") do.  CMYK and YCCK become RGB as
 * (1 - C)(1 - K).  EXIF orientation is applied.
 *
 * Threads: no shared state. */
#ifndef FM_WORKER_IMAGE_DECODE_H
#define FM_WORKER_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reason.h"
#include "worker/image/image.h"

typedef struct {
    uint64_t max_pixels;    /* checked before pixel memory is allocated */
    bool strict;            /* a decoder's warning is an error */
} fm_decode_limits;

typedef enum { FM_FORMAT_NONE, FM_FORMAT_JPEG, FM_FORMAT_PNG } fm_image_format;

typedef struct {
    fm_reason reason;           /* FM_USED when decoded, else where the photograph ends */
    fm_image_format format;
    uint32_t width, height;     /* as stored, before orientation */
    uint8_t orientation;        /* EXIF, 1 to 8; 1 when there is none */
    uint8_t jpeg_quality;       /* estimate from the quantisation table, 1 to 100; 0 when not JPEG */
    uint32_t warnings;
    char warning[160];          /* the first one */
} fm_decode_info;

/* Decode n bytes.
 * out   written only on success; free with fm_image_fini.
 * info  written always.
 * Returns 0; -EINVAL when the photograph cannot be used (info->reason says which:
 * unsupported, too_large, decode_error, decode_warning_strict); -ENOMEM. */
int fm_image_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                    fm_decode_info *info, fm_err *err);

/* EXIF orientation (1 to 8) of a TIFF block as in JPEG's APP1 after "Exif\0\0" or
 * PNG's eXIf; 1 when there is none or the block is damaged.  Pure and bounded. */
uint8_t fm_exif_orientation(const uint8_t *tiff, size_t n);

/* Turn an image upright.  Replaces image.  Errors: -ENOMEM. */
int fm_image_orient(fm_image *image, uint8_t orientation, fm_err *err);

/* The formats' decoders: as fm_image_decode, without orientation applied. */
int fm_jpeg_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                   fm_decode_info *info, fm_err *err);
int fm_png_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                  fm_decode_info *info, fm_err *err);

/* For decoders: record why a photograph ends here. */
int fm_decode_fail(fm_decode_info *info, fm_reason reason, fm_err *err, const char *fmt, ...) FM_PRINTF(4, 5);
void fm_decode_warn(fm_decode_info *info, const char *text);

#endif

/* Bytes of a photograph to RGB pixels, upright.  What a file really is decides,
 * never its name.  Pure: no files, no state; safe on bytes that mean harm. */
#ifndef FM_WORKER_IMAGE_DECODE_H
#define FM_WORKER_IMAGE_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reason.h"
#include "worker/image/image.h"

typedef enum {
    FM_FORMAT_UNKNOWN,
    FM_FORMAT_JPEG,         /* the two that are decoded */
    FM_FORMAT_PNG,
    FM_FORMAT_GIF,          /* recognised, to be named in the error */
    FM_FORMAT_BMP,
    FM_FORMAT_WEBP,
    FM_FORMAT_TIFF,
    FM_FORMAT_HEIC,
    FM_FORMAT_AVIF,
    FM_FORMAT_JPEG2000,
    FM_FORMAT_JPEGXL,
    FM_FORMAT_PDF,
    FM_FORMAT_PSD,
    FM_FORMAT_ICO,
    FM_FORMAT_PNM,
    FM_FORMAT_COUNT
} fm_image_format;

typedef struct {
    uint64_t max_pixels;    /* width * height; checked before any memory for pixels is asked for */
    bool strict;            /* a warning is an error */
} fm_decode_limits;

typedef struct {
    fm_reason reason;       /* FM_USED, or the ledger's word for why there is no image; see fm_image_decode */
    fm_image_format format;
    uint32_t width, height; /* pixels as stored, before orientation; 0 when the header was not read */
    uint8_t orientation;    /* EXIF, 1 to 8; 1 when there is none or it makes no sense */
    uint8_t bit_depth;      /* of a stored sample: 8 for JPEG; 1, 2, 4, 8, 16 for PNG */
    uint8_t components;     /* stored: JPEG 1, 3, 4; PNG 1 (grey, palette), 2, 3, 4 */
    uint8_t jpeg_quality;   /* 1 to 100 in the scale of the IJG's tables, from the luminance table; 0: not JPEG */
    bool progressive;       /* JPEG of several scans, or interlaced PNG */
    bool alpha;             /* there was transparency, which is dropped */
    uint32_t warnings;      /* how many oddities the decoder passed over */
    char warning[120];      /* the first of them; "" when there is none */
} fm_decode_info;

/* What the first bytes say; FM_FORMAT_UNKNOWN for anything else, and for n == 0. */
fm_image_format fm_image_sniff(const uint8_t *bytes, size_t n);
const char *fm_image_format_name(fm_image_format format);

/* Decode a JPEG or PNG to RGB, 8 bits, turned upright by its EXIF orientation.
 *   JPEG  exact integer IDCT and smooth chroma upsampling, as libjpeg's defaults, so that
 *         pixels are dlib's and Pillow's; grey is tripled; CMYK and YCCK become RGB as
 *         (255-C)(255-K)/255, inverted first when an Adobe marker says that they are.
 *   PNG   every colour type and depth, interlaced or not; of 16 bits the upper 8 count;
 *         transparency is dropped and the colours beneath it count (both as Pillow); gamma and colour profiles are not applied.
 * A file whose pixel data end early or are damaged where one can tell (checksums that do not
 * hold, codes that are none, a restart lost, a colour without data) is a decode error: half
 * a face must not pass for one.  Oddities that leave all pixels there are warnings (bytes
 * between parts, a damaged profile, a progressive JPEG without its last scans), and errors
 * with limits->strict.
 * bytes   borrowed, [n].
 * out     written only on success; free with fm_image_fini.
 * info    written always, as far as decoding came; never NULL.
 * Returns, with info->reason:
 *   0            used
 *   -ENODATA     unreadable             no bytes at all
 *   -EOPNOTSUPP  unsupported            neither JPEG nor PNG
 *   -EFBIG       too_large              more than limits->max_pixels
 *   -EBADMSG     decode_error
 *   -EILSEQ      decode_warning_strict
 *   -ENOMEM      used                   (not the photograph's fault: the caller's failure)
 * Ranks: local.  Threads: any number. */
int fm_image_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                    fm_decode_info *info, fm_err *err);

#endif

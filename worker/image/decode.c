/* Looks at the first bytes, hands over to the format's decoder, turns the result upright. */
#include "worker/image/decode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int fm_decode_fail(fm_decode_info *info, fm_reason reason, fm_err *err, const char *fmt, ...)
{
    va_list ap;

    info->reason = reason;
    va_start(ap, fmt);
    fm_vfail(err, -EINVAL, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

void fm_decode_warn(fm_decode_info *info, const char *text)
{
    if (info->warnings++ == 0)
        snprintf(info->warning, sizeof info->warning, "%s", text);
}

static const struct { const char *name; size_t at, n; const char *magic; } others[] = {
    {"a GIF", 0, 4, "GIF8"},          {"a BMP", 0, 2, "BM"},
    {"a WebP", 8, 4, "WEBP"},         {"a TIFF", 0, 4, "II*\0"},
    {"a TIFF", 0, 4, "MM\0*"},        {"a HEIC or AVIF", 4, 4, "ftyp"},
    {"a JPEG 2000", 4, 4, "jP  "},    {"a JPEG XL", 0, 2, "\xff\x0a"},
    {"a PDF", 0, 4, "%PDF"},          {"a DICOM file", 128, 4, "DICM"},
};

static int fail_unsupported(const uint8_t *bytes, size_t n, fm_decode_info *info, fm_err *err)
{
    if (n == 0)
        return fm_decode_fail(info, FM_UNREADABLE, err, "the file is empty");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (n >= others[i].at + others[i].n && memcmp(bytes + others[i].at, others[i].magic, others[i].n) == 0)
            return fm_decode_fail(info, FM_UNSUPPORTED, err, "%s: convert it to JPEG or PNG", others[i].name);
    return fm_decode_fail(info, FM_UNSUPPORTED, err, "neither JPEG nor PNG");
}

int fm_image_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                    fm_decode_info *info, fm_err *err)
{
    fm_image image = FM_IMAGE_INIT;
    int rc;

    *info = (fm_decode_info){.reason = FM_USED, .orientation = 1};
    if (n >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8)
        rc = fm_jpeg_decode(bytes, n, limits, &image, info, err);
    else if (n >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0)
        rc = fm_png_decode(bytes, n, limits, &image, info, err);
    else
        rc = fail_unsupported(bytes, n, info, err);
    if (rc == 0 && limits->strict && info->warnings)
        rc = fm_decode_fail(info, FM_DECODE_WARNING_STRICT, err, "%s", info->warning);
    if (rc == 0)
        rc = fm_image_orient(&image, info->orientation, err);
    if (rc == 0)
        *out = image;
    else
        fm_image_fini(&image);
    return rc;
}

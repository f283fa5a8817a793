/* Looks at the first bytes, hands over to a decoder, turns the result upright.
 * Signatures are enough: a JPEG or PNG that has lost its first bytes is no photograph
 * any more, and guessing would only feed noise to a decoder. */
#include "worker/image/decode.h"

#include <errno.h>
#include <string.h>

#include "worker/image/codec.h"
#include "worker/image/orient.h"

static const struct {
    fm_image_format format;
    uint8_t offset, length;
    const char *magic;
} signatures[] = {
    {FM_FORMAT_JPEG, 0, 3, "\xff\xd8\xff"},
    {FM_FORMAT_PNG, 0, 8, "\x89PNG\r\n\x1a\n"},
    {FM_FORMAT_GIF, 0, 4, "GIF8"},
    {FM_FORMAT_BMP, 0, 2, "BM"},
    {FM_FORMAT_WEBP, 8, 4, "WEBP"},
    {FM_FORMAT_TIFF, 0, 4, "II*\0"},
    {FM_FORMAT_TIFF, 0, 4, "MM\0*"},
    {FM_FORMAT_TIFF, 0, 4, "II+\0"},
    {FM_FORMAT_TIFF, 0, 4, "MM\0+"},
    {FM_FORMAT_HEIC, 4, 8, "ftypheic"},
    {FM_FORMAT_HEIC, 4, 8, "ftypheix"},
    {FM_FORMAT_HEIC, 4, 8, "ftyphevc"},
    {FM_FORMAT_HEIC, 4, 8, "ftypmif1"},
    {FM_FORMAT_HEIC, 4, 8, "ftypmsf1"},
    {FM_FORMAT_AVIF, 4, 8, "ftypavif"},
    {FM_FORMAT_AVIF, 4, 8, "ftypavis"},
    {FM_FORMAT_JPEG2000, 0, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
    {FM_FORMAT_JPEG2000, 0, 4, "\xff\x4f\xff\x51"},
    {FM_FORMAT_JPEGXL, 0, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
    {FM_FORMAT_JPEGXL, 0, 2, "\xff\x0a"},
    {FM_FORMAT_PDF, 0, 5, "%PDF-"},
    {FM_FORMAT_PSD, 0, 4, "8BPS"},
    {FM_FORMAT_ICO, 0, 4, "\0\0\x01\0"},
    {FM_FORMAT_PNM, 0, 3, "P5\n"},
    {FM_FORMAT_PNM, 0, 3, "P6\n"},
};

static const char *const format_names[FM_FORMAT_COUNT] = {
    [FM_FORMAT_UNKNOWN] = "unknown",     [FM_FORMAT_JPEG] = "JPEG",     [FM_FORMAT_PNG] = "PNG",
    [FM_FORMAT_GIF] = "GIF",             [FM_FORMAT_BMP] = "BMP",       [FM_FORMAT_WEBP] = "WebP",
    [FM_FORMAT_TIFF] = "TIFF",           [FM_FORMAT_HEIC] = "HEIC",     [FM_FORMAT_AVIF] = "AVIF",
    [FM_FORMAT_JPEG2000] = "JPEG 2000",  [FM_FORMAT_JPEGXL] = "JPEG XL", [FM_FORMAT_PDF] = "PDF",
    [FM_FORMAT_PSD] = "Photoshop",       [FM_FORMAT_ICO] = "ICO",       [FM_FORMAT_PNM] = "PNM",
};

fm_image_format fm_image_sniff(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        size_t end = (size_t)signatures[i].offset + signatures[i].length;

        if (n >= end && memcmp(bytes + signatures[i].offset, signatures[i].magic, signatures[i].length) == 0)
            return signatures[i].format;
    }
    return FM_FORMAT_UNKNOWN;
}

const char *fm_image_format_name(fm_image_format format)
{
    return (unsigned)format < FM_FORMAT_COUNT ? format_names[format] : "unknown";
}

int fm_decode_fail(fm_decode_info *info, fm_reason reason, fm_err *err, int code, const char *fmt, ...)
{
    va_list ap;

    info->reason = reason;
    va_start(ap, fmt);
    fm_vfail(err, code, fmt, ap);
    va_end(ap);
    return code;
}

int fm_decode_size(fm_decode_info *info, const fm_decode_limits *limits, uint32_t width, uint32_t height, fm_err *err)
{
    info->width = width;
    info->height = height;
    if ((uint64_t)width * height > limits->max_pixels)
        return fm_decode_fail(info, FM_TOO_LARGE, err, -EFBIG, "%u x %u pixels are more than the limit of %llu", width,
                              height, (unsigned long long)limits->max_pixels);
    return 0;
}

void fm_decode_warn(fm_decode_info *info, const char *text)
{
    size_t i;

    if (info->warnings < UINT32_MAX)
        info->warnings++;
    if (info->warning[0])
        return;
    for (i = 0; text[i] && i + 1 < sizeof info->warning; i++)
        info->warning[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    info->warning[i] = '\0';
}

int fm_decode_strict(fm_decode_info *info, const fm_decode_limits *limits, fm_err *err)
{
    if (!limits->strict || info->warnings == 0)
        return 0;
    return fm_decode_fail(info, FM_DECODE_WARNING_STRICT, err, -EILSEQ, "%s", info->warning);
}

static int fail_unsupported(fm_decode_info *info, fm_err *err)
{
    if (info->format == FM_FORMAT_UNKNOWN)
        return fm_decode_fail(info, FM_UNSUPPORTED, err, -EOPNOTSUPP, "neither a JPEG nor a PNG file");
    return fm_decode_fail(info, FM_UNSUPPORTED, err, -EOPNOTSUPP, "a %s file: convert it to JPEG or PNG",
                          format_names[info->format]);
}

int fm_image_decode(const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                    fm_decode_info *info, fm_err *err)
{
    fm_image image = FM_IMAGE_INIT;
    int rc;

    *info = (fm_decode_info){.reason = FM_USED, .orientation = 1};
    if (n == 0)
        return fm_decode_fail(info, FM_UNREADABLE, err, -ENODATA, "the file is empty");
    info->format = fm_image_sniff(bytes, n);
    switch (info->format) {
    case FM_FORMAT_JPEG:
        rc = fm_jpeg_decode(bytes, n, limits, &image, info, err);
        break;
    case FM_FORMAT_PNG:
        rc = fm_png_decode(bytes, n, limits, &image, info, err);
        break;
    default:
        return fail_unsupported(info, err);
    }
    if (rc == 0)
        rc = fm_image_orient(&image, info->orientation, err);
    if (rc != 0) {
        fm_image_fini(&image);
        return rc;
    }
    *out = image;
    return 0;
}

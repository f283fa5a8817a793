/* What kinds of file become which pixels, and what is refused for which reason. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include <png.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/rng.h"
#include "tests/pictures.h"
#include "worker/image/decode.h"
#include "worker/image/encode.h"

#define WIDTH 45
#define HEIGHT 37

static const fm_decode_limits limits = {.max_pixels = 100000000};

static int decode(const fm_buf *file, fm_image *out, fm_decode_info *info)
{
    fm_err err = FM_ERR_INIT;
    int rc = fm_image_decode(file->data, file->size, &limits, out, info, &err);

    CHECK((rc == 0) == (info->reason == FM_USED) && (rc == 0) == (err.text[0] == '\0'));
    return rc;
}

static void every_format_is_named(void)
{
    static const struct {
        fm_image_format format;
        size_t n;
        const char *bytes;
    } heads[] = {
        {FM_FORMAT_JPEG, 4, "\xff\xd8\xff\xe0"},
        {FM_FORMAT_PNG, 8, "\x89PNG\r\n\x1a\n"},
        {FM_FORMAT_GIF, 6, "GIF89a"},
        {FM_FORMAT_BMP, 6, "BM\x36\x10\0\0"},
        {FM_FORMAT_WEBP, 12, "RIFF\x10\0\0\0WEBP"},
        {FM_FORMAT_TIFF, 4, "II*\0"},
        {FM_FORMAT_TIFF, 4, "MM\0*"},
        {FM_FORMAT_HEIC, 12, "\0\0\0\x18" "ftypheic"},
        {FM_FORMAT_HEIC, 12, "\0\0\0\x18" "ftypmif1"},
        {FM_FORMAT_AVIF, 12, "\0\0\0\x1c" "ftypavif"},
        {FM_FORMAT_JPEG2000, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
        {FM_FORMAT_JPEG2000, 4, "\xff\x4f\xff\x51"},
        {FM_FORMAT_JPEGXL, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
        {FM_FORMAT_JPEGXL, 2, "\xff\x0a"},
        {FM_FORMAT_PDF, 8, "%PDF-1.7"},
        {FM_FORMAT_PSD, 4, "8BPS"},
        {FM_FORMAT_ICO, 4, "\0\0\x01\0"},
        {FM_FORMAT_PNM, 3, "P6\n"},
        {FM_FORMAT_PNM, 3, "P5\n"},
        {FM_FORMAT_UNKNOWN, 15, "<!DOCTYPE html>"},
        {FM_FORMAT_UNKNOWN, 2, "\xff\xd8"},
        {FM_FORMAT_UNKNOWN, 7, "\x89PNG\r\n\x1a"},
        {FM_FORMAT_UNKNOWN, 0, ""},
    };
    bool seen[FM_FORMAT_COUNT] = {false};

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const uint8_t *bytes = (const uint8_t *)heads[i].bytes;
        fm_image image = FM_IMAGE_INIT;
        fm_decode_info info;
        fm_err err = FM_ERR_INIT;
        int rc;

        CHECK_INT(fm_image_sniff(bytes, heads[i].n), heads[i].format);
        seen[heads[i].format] = true;
        rc = fm_image_decode(bytes, heads[i].n, &limits, &image, &info, &err);
        CHECK_INT(info.format, heads[i].format);
        if (heads[i].n == 0) {
            CHECK(rc == -ENODATA && info.reason == FM_UNREADABLE);
        } else if (heads[i].format == FM_FORMAT_JPEG || heads[i].format == FM_FORMAT_PNG) {
            CHECK(rc == -EBADMSG && info.reason == FM_DECODE_ERROR);
        } else {
            CHECK(rc == -EOPNOTSUPP && info.reason == FM_UNSUPPORTED);
            CHECK(heads[i].format == FM_FORMAT_UNKNOWN || strstr(err.text, fm_image_format_name(heads[i].format)));
        }
    }
    for (int f = 0; f < FM_FORMAT_COUNT; f++)
        CHECK(seen[f] && fm_image_format_name((fm_image_format)f)[0]);
}

/* Samples of a smooth picture: what a JPEG of quality 100 brings back within a few levels. */
static void ramps(uint8_t *samples, int components)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < components; c++)
                *samples++ = (uint8_t)(c == 0 ? 40 + 3 * x : c == 1 ? 220 - 4 * y : c == 2 ? 100 + x + y : 250 - 2 * x - y);
}

static void expected_rgb(const picture_jpeg *p, const uint8_t *sample, int rgb[3])
{
    int flip = p->plain_cmyk ? 255 : 0;

    for (int c = 0; c < 3; c++)
        rgb[c] = p->components == 1   ? sample[0]
                 : p->components == 3 ? sample[c]
                                      : (sample[c] ^ flip) * (sample[3] ^ flip) / 255;
}

static void check_jpeg(const picture_jpeg *p, const char *name)
{
    fm_buf file = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    int rgb[3], worst = 0;

    if (!picture_jpeg_write(p, &file)) {
        check_skip("this libjpeg writes no %s JPEG", name);
        return;
    }
    if (!CHECK(decode(&file, &image, &info) == 0))
        return;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            expected_rgb(p, p->samples + (y * WIDTH + x) * p->components, rgb);
            for (int c = 0; c < 3; c++) {
                int d = abs(image.pixels[image.stride_bytes * (size_t)y + 3 * (size_t)x + (size_t)c] - rgb[c]);

                worst = d > worst ? d : worst;
            }
        }
    if (worst > 4)
        check_failed(__FILE__, __LINE__, "%s JPEG: a sample is %d levels off", name, worst);
    CHECK(image.width == WIDTH && image.height == HEIGHT && info.width == WIDTH && info.height == HEIGHT);
    CHECK(info.format == FM_FORMAT_JPEG && info.bit_depth == 8 && info.components == p->components);
    CHECK(info.orientation == 1 && !info.alpha && info.progressive == p->progressive);
    CHECK_INT(info.warnings, 0);
    CHECK_STR(info.warning, "");
    fm_image_fini(&image);
    fm_buf_fini(&file);
}

static void jpeg_kinds(void)
{
    uint8_t grey[WIDTH * HEIGHT], rgb[WIDTH * HEIGHT * 3], cmyk[WIDTH * HEIGHT * 4];
    const struct {
        const char *name;
        picture_jpeg p;
    } kinds[] = {
        {"grey", {WIDTH, HEIGHT, 1, grey, .quality = 100}},
        {"colour", {WIDTH, HEIGHT, 3, rgb, .quality = 100}},
        {"progressive", {WIDTH, HEIGHT, 3, rgb, .quality = 100, .progressive = true}},
        {"restarted", {WIDTH, HEIGHT, 3, rgb, .quality = 100, .restart_rows = 1}},
        {"arithmetic", {WIDTH, HEIGHT, 3, rgb, .quality = 100, .arithmetic = true}},
        {"arithmetic progressive", {WIDTH, HEIGHT, 3, rgb, .quality = 100, .arithmetic = true, .progressive = true}},
        {"CMYK", {WIDTH, HEIGHT, 4, cmyk, .quality = 100}},
        {"CMYK without a marker", {WIDTH, HEIGHT, 4, cmyk, .quality = 100, .plain_cmyk = true}},
        {"YCCK", {WIDTH, HEIGHT, 4, cmyk, .quality = 100, .ycck = true}},
        {"progressive YCCK", {WIDTH, HEIGHT, 4, cmyk, .quality = 100, .ycck = true, .progressive = true}},
    };

    ramps(grey, 1);
    ramps(rgb, 3);
    ramps(cmyk, 4);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_jpeg(&kinds[i].p, kinds[i].name);
}

static void two_components_are_no_colour(void)
{
    uint8_t samples[WIDTH * HEIGHT * 2];
    fm_buf file = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;

    ramps(samples, 2);
    REQUIRE(picture_jpeg_write(&(picture_jpeg){WIDTH, HEIGHT, 2, samples, .quality = 75}, &file));
    CHECK_INT(decode(&file, &image, &info), -EBADMSG);
    CHECK(!image.pixels && info.components == 2);
    fm_buf_fini(&file);
}

static void quality_is_read_from_tables(void)
{
    uint8_t *scene = picture_scene(16, 16);

    for (int q = 1; q <= 100; q++) {
        fm_buf file = FM_BUF_INIT;
        fm_image image = FM_IMAGE_INIT;
        fm_decode_info info;

        CHECK(picture_jpeg_write(&(picture_jpeg){16, 16, 3, scene, .quality = q}, &file));
        CHECK_INT(decode(&file, &image, &info), 0);
        CHECK_INT(info.jpeg_quality, q);
        fm_image_fini(&image);
        fm_buf_fini(&file);
    }
    free(scene);
}

/* The bits of sample i of a packed row, the upper 8 of 16. */
static int packed(const uint8_t *row, int depth, int i)
{
    if (depth >= 8)
        return row[i * (depth / 8)];
    return row[i * depth / 8] >> (8 - depth - i * depth % 8) & ((1 << depth) - 1);
}

static int channels_of(int colours)
{
    return colours == PNG_COLOR_TYPE_RGB          ? 3
           : colours == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
           : colours == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                  : 1;
}

static int expected_png(const picture_png *p, size_t row_bytes, int x, int y, int c)
{
    const uint8_t *row = p->rows + row_bytes * (size_t)y;
    int channels = channels_of(p->colours), value;

    if (p->colours == PNG_COLOR_TYPE_PALETTE)
        return p->palette[3 * packed(row, p->depth, x) + c];
    value = packed(row, p->depth, x * channels + (channels >= 3 ? c : 0));
    return p->depth < 8 ? value * 255 / ((1 << p->depth) - 1) : value;
}

static void check_png(const picture_png *p)
{
    int channels = channels_of(p->colours), wrong = 0;
    size_t row_bytes = ((size_t)(p->width * channels * p->depth) + 7) / 8;
    fm_buf file = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;

    picture_png_write(p, &file);
    if (!CHECK(decode(&file, &image, &info) == 0))
        return;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            for (int c = 0; c < 3; c++)
                wrong += image.pixels[image.stride_bytes * (size_t)y + 3 * (size_t)x + (size_t)c] !=
                         expected_png(p, row_bytes, x, y, c);
    if (wrong || info.warnings)
        check_failed(__FILE__, __LINE__, "colours %d, depth %d, interlaced %d: %d samples differ, %s", p->colours,
                     p->depth, p->interlaced, wrong, info.warning);
    CHECK(info.format == FM_FORMAT_PNG && info.bit_depth == p->depth && info.components == channels);
    CHECK(info.progressive == p->interlaced && info.jpeg_quality == 0);
    CHECK_INT(info.alpha, p->transparent || (p->colours & PNG_COLOR_MASK_ALPHA) != 0);
    fm_image_fini(&image);
    fm_buf_fini(&file);
}

static void png_kinds(void)
{
    static const struct { int colours, depth; } kinds[] = {
        {PNG_COLOR_TYPE_GRAY, 1},    {PNG_COLOR_TYPE_GRAY, 2},       {PNG_COLOR_TYPE_GRAY, 4},
        {PNG_COLOR_TYPE_GRAY, 8},    {PNG_COLOR_TYPE_GRAY, 16},      {PNG_COLOR_TYPE_RGB, 8},
        {PNG_COLOR_TYPE_RGB, 16},    {PNG_COLOR_TYPE_PALETTE, 1},    {PNG_COLOR_TYPE_PALETTE, 2},
        {PNG_COLOR_TYPE_PALETTE, 4}, {PNG_COLOR_TYPE_PALETTE, 8},    {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_RGB_ALPHA, 8}, {PNG_COLOR_TYPE_RGB_ALPHA, 16},
    };
    static uint8_t noise[WIDTH * HEIGHT * 8];
    fm_rng rng = fm_rng_init(20, 7);

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)fm_rng_below(&rng, 256);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int variant = 0; variant < 4; variant++) {
            picture_png p = {WIDTH, HEIGHT, kinds[i].depth, kinds[i].colours, noise, .interlaced = variant & 1};

            p.palette = p.colours == PNG_COLOR_TYPE_PALETTE ? noise : NULL;
            p.transparent = variant & 2 && !(p.colours & PNG_COLOR_MASK_ALPHA);
            check_png(&p);
        }
    check_png(&(picture_png){1, 1, 1, PNG_COLOR_TYPE_GRAY, noise, .interlaced = true});
}

/* libpng would ask for these bytes before it reads them. */
static void png_chunk_larger_than_its_file(void)
{
    uint8_t grey[4] = {0}, exif[64];
    size_t n = picture_exif(exif, 6, false) - 6;
    fm_buf file = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;

    picture_png_write(&(picture_png){2, 2, 8, PNG_COLOR_TYPE_GRAY, grey, .exif = exif + 6, .exif_bytes = n}, &file);
    REQUIRE(file.size > 60 && memcmp(file.data + 37, "eXIf", 4) == 0);
    file.data[33] = 0x4b;
    CHECK_INT(decode(&file, &image, &info), -EBADMSG);
    CHECK(!image.pixels);
    CHECK_INT(info.warnings, 0);        /* not even begun */
    fm_buf_fini(&file);
}

/* The same pixels as Pillow gives; tests/image/pillow.py wrote the table. */
static void photographs_as_pillow(void)
{
    char line[512], name[256], want[FM_DIGEST_HEX];
    FILE *f = fopen("tests/image/pillow.tsv", "r");
    int width, height;

    REQUIRE(f && fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f)) {
        const char *path;
        char got[FM_DIGEST_HEX];
        fm_buf file = FM_BUF_INIT;
        fm_image image = FM_IMAGE_INIT;
        fm_decode_info info;
        fm_digest digest;

        if (!CHECK(sscanf(line, "%255[^\t]\t%d\t%d\t%64s", name, &width, &height, want) == 4))
            break;
        path = strncmp(name, "photos/", 7) == 0 ? check_model(name) : check_data(name);
        if (!path)
            continue;
        if (CHECK(fm_file_read(path, 1u << 26, &file, NULL) == 0 && decode(&file, &image, &info) == 0)) {
            CHECK_INT(image.width, width);
            CHECK_INT(image.height, height);
            fm_digest_of(image.pixels, image.stride_bytes * (size_t)image.height, &digest);
            fm_digest_hex(&digest, got);
            if (strcmp(got, want) != 0)
                check_failed(__FILE__, __LINE__, "%s: pixels differ from Pillow's", name);
        }
        fm_image_fini(&image);
        fm_buf_fini(&file);
    }
    fclose(f);
}

CHECK_MAIN(CHECK_CASE(every_format_is_named), CHECK_CASE(jpeg_kinds), CHECK_CASE(two_components_are_no_colour),
           CHECK_CASE(quality_is_read_from_tables), CHECK_CASE(png_kinds), CHECK_CASE(png_chunk_larger_than_its_file),
           CHECK_CASE(photographs_as_pillow))

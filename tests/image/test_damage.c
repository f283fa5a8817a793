/* Good photographs, cut and damaged: half a face must not pass for one.
 * The thumbnails are cut behind every byte, the photographs themselves at some. */
#include "tests/check.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>

#include <png.h>

#include "base/file.h"
#include "base/rng.h"
#include "tests/pictures.h"
#include "worker/image/decode.h"

#define PHOTOGRAPHS 20
#define THUMB 32
#define CUTS 12
#define SEED 1954

static const fm_decode_limits limits = {.max_pixels = 100000000};

static void check_cut(const char *name, const uint8_t *bytes, size_t n)
{
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;
    uint8_t *exact = malloc(n + !n);    /* so that a sanitizer sees every read past the end */
    int rc;

    if (n)
        memcpy(exact, bytes, n);
    rc = fm_image_decode(exact, n, &limits, &image, &info, &err);
    if (image.pixels || info.reason == FM_USED ||
        rc != (n == 0 ? -ENODATA : info.format == FM_FORMAT_UNKNOWN ? -EOPNOTSUPP : -EBADMSG) ||
        (info.format == FM_FORMAT_UNKNOWN && n >= 8))
        check_failed(__FILE__, __LINE__, "%s cut to %zu bytes: %d (%s), %u x %u", name, n, rc, err.text, info.width,
                     info.height);
    free(exact);
    fm_image_fini(&image);
}

static void check_whole(const char *name, const fm_buf *file, fm_image *out)
{
    fm_decode_info info;
    fm_err err = FM_ERR_INIT;

    if (fm_image_decode(file->data, file->size, &limits, out, &info, &err) != 0 || info.warnings)
        check_failed(__FILE__, __LINE__, "%s: %s%s", name, err.text, info.warning);
}

static void shrink(const fm_image *from, uint8_t *thumb)
{
    for (int y = 0; y < THUMB; y++)
        for (int x = 0; x < THUMB; x++)
            memcpy(thumb + 3 * (y * THUMB + x),
                   from->pixels + from->stride_bytes * (size_t)(from->height * y / THUMB) +
                       3 * (size_t)(from->width * x / THUMB), 3);
}

static void cut_everywhere(const char *name, const fm_buf *file)
{
    fm_image image = FM_IMAGE_INIT;

    check_whole(name, file, &image);
    fm_image_fini(&image);
    for (size_t n = 0; n < file->size && check_ok_so_far(); n++)
        check_cut(name, file->data, n);
}

static void cut_thumbnails(const char *name, const uint8_t *thumb)
{
    const picture_jpeg jpegs[] = {
        {THUMB, THUMB, 3, thumb, .halved = true},
        {THUMB, THUMB, 3, thumb, .halved = true, .restart_rows = 1},
        {THUMB, THUMB, 3, thumb, .progressive = true},
        {THUMB, THUMB, 3, thumb, .arithmetic = true},
    };
    fm_buf file = FM_BUF_INIT;

    for (size_t i = 0; i < sizeof jpegs / sizeof *jpegs; i++) {
        file.size = 0;
        if (picture_jpeg_write(&jpegs[i], &file))
            cut_everywhere(name, &file);
    }
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        file.size = 0;
        picture_png_write(&(picture_png){THUMB, THUMB, 8, PNG_COLOR_TYPE_RGB, thumb, .interlaced = interlaced}, &file);
        cut_everywhere(name, &file);
    }
    fm_buf_fini(&file);
}

static void cut_photograph(const char *path, fm_rng *rng)
{
    uint8_t thumb[3 * THUMB * THUMB];
    fm_buf file = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;

    if (!CHECK(fm_file_read(path, 1u << 26, &file, NULL) == 0))
        return;
    check_whole(path, &file, &image);
    for (int i = 0; i < CUTS; i++)
        check_cut(path, file.data, fm_rng_below(rng, (uint32_t)file.size - 2));
    if (image.pixels) {
        shrink(&image, thumb);
        cut_thumbnails(path, thumb);
    }
    fm_image_fini(&image);
    fm_buf_fini(&file);
}

static void cut_photographs(void)
{
    const char *folder = check_data("faces");
    char pattern[FM_PATH_MAX + 8];
    fm_rng rng = fm_rng_init(SEED, 0);
    glob_t found;

    if (!folder)
        return;
    printf("  seed %d\n", SEED);
    snprintf(pattern, sizeof pattern, "%s/*.jpg", folder);
    REQUIRE(glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc >= PHOTOGRAPHS);
    for (size_t i = 0; i < PHOTOGRAPHS; i++)
        cut_photograph(found.gl_pathv[i], &rng);
    globfree(&found);
}

/* A PNG's checksums cover every byte: a flipped bit is an error, or has changed no pixel. */
static void png_bits_flipped(void)
{
    uint8_t *scene = picture_scene(THUMB, THUMB);
    fm_buf file = FM_BUF_INIT;
    size_t errors = 0;

    picture_png_write(&(picture_png){THUMB, THUMB, 8, PNG_COLOR_TYPE_RGB, scene, .interlaced = true}, &file);
    for (size_t bit = 0; bit < 8 * file.size; bit++) {
        fm_image image = FM_IMAGE_INIT;
        fm_decode_info info;

        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (fm_image_decode(file.data, file.size, &limits, &image, &info, NULL) != 0)
            errors++;
        else if (image.width != THUMB || memcmp(image.pixels, scene, 3 * THUMB * THUMB) != 0)
            check_failed(__FILE__, __LINE__, "bit %zu of the PNG flipped: other pixels", bit);
        fm_image_fini(&image);
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK(errors > 7 * file.size);
    fm_buf_fini(&file);
    free(scene);
}

/* Offset of the n-th marker of this kind (1: the first); 0 when there is none. */
static size_t marker(const fm_buf *file, uint8_t kind, int n)
{
    for (size_t i = 0; i + 1 < file->size; i++)
        if (file->data[i] == 0xff && file->data[i + 1] == kind && --n == 0)
            return i;
    return 0;
}

static int decode_with_end(const fm_buf *file, size_t n, fm_decode_info *info)
{
    fm_buf ended = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    int rc;

    fm_buf_put(&ended, file->data, n);
    fm_buf_put(&ended, "\xff\xd9", 2);
    rc = fm_image_decode(ended.data, ended.size, &limits, &image, info, NULL);
    fm_image_fini(&image);
    fm_buf_fini(&ended);
    return rc;
}

/* Files that end with an end marker, and yet not all is there. */
static void scans_missing(void)
{
    uint8_t *scene = picture_scene(THUMB, THUMB);
    fm_buf file = FM_BUF_INIT;
    fm_decode_info info;

    REQUIRE(picture_jpeg_write(&(picture_jpeg){THUMB, THUMB, 3, scene, .progressive = true}, &file));
    CHECK_INT(decode_with_end(&file, marker(&file, 0xd9, 1), &info), 0);
    CHECK_INT(info.warnings, 0);
    for (int scan = 3; marker(&file, 0xda, scan); scan++) {
        CHECK_INT(decode_with_end(&file, marker(&file, 0xda, scan), &info), 0);
        CHECK(info.warnings >= 1 && strstr(info.warning, "last scans"));
    }
    file.size = 0;
    REQUIRE(picture_jpeg_write(&(picture_jpeg){THUMB, THUMB, 3, scene, .halved = true}, &file));
    CHECK_INT(decode_with_end(&file, (marker(&file, 0xda, 1) + file.size) / 2, &info), -EBADMSG);
    fm_buf_fini(&file);
    free(scene);
}

/* What follows the end of a picture is not part of it (cameras put previews there). */
static void bytes_after_the_end(void)
{
    uint8_t *scene = picture_scene(THUMB, THUMB);
    fm_buf file = FM_BUF_INIT;

    for (int png = 0; png < 2; png++) {
        fm_image image = FM_IMAGE_INIT;

        file.size = 0;
        if (png)
            picture_png_write(&(picture_png){THUMB, THUMB, 8, PNG_COLOR_TYPE_RGB, scene, .palette = NULL}, &file);
        else
            picture_jpeg_write(&(picture_jpeg){THUMB, THUMB, 3, scene, .quality = 75}, &file);
        fm_buf_put(&file, scene, 500);
        check_whole(png ? "PNG" : "JPEG", &file, &image);
        fm_image_fini(&image);
    }
    fm_buf_fini(&file);
    free(scene);
}

CHECK_MAIN(CHECK_CASE(cut_photographs), CHECK_CASE(png_bits_flipped), CHECK_CASE(scans_missing),
           CHECK_CASE(bytes_after_the_end))

/* EXIF orientations: read from whatever bytes, applied as the standard's table says. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include <png.h>

#include "base/rng.h"
#include "tests/pictures.h"
#include "worker/image/decode.h"
#include "worker/image/exif.h"
#include "worker/image/orient.h"

#define WIDTH 70
#define HEIGHT 45
#define SEED 1893

static const fm_decode_limits limits = {.max_pixels = 1000000};

/* Which stored pixel an upright one is, written out from EXIF 2.3, 4.6.4 (0th row, 0th column). */
static const uint8_t *stored_pixel(const fm_image *stored, int orientation, int x, int y)
{
    int right = stored->width - 1, bottom = stored->height - 1, sx = x, sy = y;

    switch (orientation) {
    case 2: sx = right - x; break;
    case 3: sx = right - x, sy = bottom - y; break;
    case 4: sy = bottom - y; break;
    case 5: sx = y, sy = x; break;
    case 6: sx = y, sy = bottom - x; break;
    case 7: sx = right - y, sy = bottom - x; break;
    case 8: sx = right - y, sy = x; break;
    }
    return stored->pixels + stored->stride_bytes * (size_t)sy + 3 * (size_t)sx;
}

static void check_upright(const char *name, const fm_image *stored, const fm_image *upright, int orientation)
{
    bool turned = orientation >= 5;
    int wrong = 0;

    CHECK_INT(upright->width, turned ? stored->height : stored->width);
    CHECK_INT(upright->height, turned ? stored->width : stored->height);
    for (int y = 0; y < upright->height && check_ok_so_far(); y++)
        for (int x = 0; x < upright->width; x++)
            wrong += memcmp(upright->pixels + upright->stride_bytes * (size_t)y + 3 * (size_t)x,
                            stored_pixel(stored, orientation, x, y), 3) != 0;
    if (wrong)
        check_failed(__FILE__, __LINE__, "%s, orientation %d: %d pixels elsewhere", name, orientation, wrong);
}

static void turning(void)
{
    uint8_t *scene = picture_scene(WIDTH, HEIGHT);
    fm_image image = FM_IMAGE_INIT;

    for (int orientation = 1; orientation <= 8; orientation++) {
        fm_image stored = {WIDTH - 3, HEIGHT, 3 * WIDTH, scene};    /* rows not packed */

        REQUIRE(fm_image_create(stored.width, stored.height, &image, NULL) == 0);
        for (int y = 0; y < HEIGHT; y++)
            memcpy(image.pixels + image.stride_bytes * (size_t)y, scene + stored.stride_bytes * (size_t)y,
                   image.stride_bytes);
        CHECK_INT(fm_image_orient(&image, orientation, NULL), 0);
        check_upright("image", &stored, &image, orientation);
        fm_image_fini(&image);
    }
    CHECK_INT(fm_image_orient(&image, 0, NULL), -EINVAL);
    CHECK_INT(fm_image_orient(&image, 9, NULL), -EINVAL);
    free(scene);
}

static void decode(const fm_buf *file, fm_image *image, int orientation)
{
    fm_decode_info info;

    CHECK_INT(fm_image_decode(file->data, file->size, &limits, image, &info, NULL), 0);
    CHECK_INT(info.orientation, orientation);
    CHECK(info.width == WIDTH && info.height == HEIGHT);
    CHECK_INT(info.warnings, 0);
}

static void jpeg_is_turned(void)
{
    uint8_t exif[64], *scene = picture_scene(WIDTH, HEIGHT);
    fm_image stored = FM_IMAGE_INIT, upright = FM_IMAGE_INIT;
    picture_jpeg p = {WIDTH, HEIGHT, 3, scene, .quality = 90};
    fm_buf file = FM_BUF_INIT;

    CHECK(picture_jpeg_write(&p, &file));
    decode(&file, &stored, 1);
    p.exif = exif;
    for (int i = 2; i <= 17 && check_ok_so_far(); i++) {
        p.exif_bytes = picture_exif(exif, i / 2, i % 2);
        file.size = 0;
        CHECK(picture_jpeg_write(&p, &file));
        decode(&file, &upright, i / 2);
        check_upright("JPEG", &stored, &upright, i / 2);
        fm_image_fini(&upright);
    }
    fm_image_fini(&stored);
    fm_buf_fini(&file);
    free(scene);
}

static void png_is_turned(void)
{
    uint8_t exif[64], *scene = picture_scene(WIDTH, HEIGHT);
    fm_image stored = {WIDTH, HEIGHT, 3 * WIDTH, scene}, upright = FM_IMAGE_INIT;
    picture_png p = {WIDTH, HEIGHT, 8, PNG_COLOR_TYPE_RGB, scene, .exif = exif + 6};
    fm_buf file = FM_BUF_INIT;

    for (int i = 2; i <= 17 && check_ok_so_far(); i++) {
        p.exif_bytes = picture_exif(exif, i / 2, i % 2) - 6;
        p.exif_last = i % 2;
        file.size = 0;
        picture_png_write(&p, &file);
        decode(&file, &upright, i / 2);
        check_upright("PNG", &stored, &upright, i / 2);
        fm_image_fini(&upright);
    }
    fm_buf_fini(&file);
    free(scene);
}

/* One byte of a good record changed; offsets count from "Exif": the orientation's entry begins at 28. */
static void damaged_exif(void)
{
    static const struct {
        const char *what;
        size_t offset;
        uint8_t value;
        int want;
    } cases[] = {
        {"nothing changed", 0, 'E', 6},
        {"orientation 0", 36, 0, 0},
        {"orientation 8", 36, 8, 8},
        {"orientation 9", 36, 9, 0},
        {"orientation 262", 37, 1, 0},
        {"another tag", 28, 0x13, 0},
        {"two values", 32, 2, 0},
        {"no value", 32, 0, 0},
        {"a LONG", 30, 4, 6},
        {"a BYTE", 30, 1, 0},
        {"half big-endian", 7, 'M', 0},
        {"not TIFF", 8, 43, 0},
        {"directory far away", 13, 0xff, 0},
        {"directory behind the end", 10, 200, 0},
        {"more entries than there are", 15, 0xff, 6},
        {"fewer entries", 14, 1, 0},
    };
    uint8_t exif[64];
    size_t n = picture_exif(exif, 6, false);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t was = exif[cases[i].offset];
        int got;

        exif[cases[i].offset] = cases[i].value;
        got = fm_exif_orientation(exif, n);
        if (got != cases[i].want)
            check_failed(__FILE__, __LINE__, "%s: %d, expected %d", cases[i].what, got, cases[i].want);
        exif[cases[i].offset] = was;
    }
    for (size_t cut = 0; cut < 40; cut++) {
        uint8_t *exact = malloc(cut + 1);

        memcpy(exact, exif, cut);
        exact = realloc(exact, cut ? cut : 1);
        CHECK_INT(fm_exif_orientation(exact, cut), 0);
        free(exact);
    }
}

static void random_exif(void)
{
    fm_rng rng = fm_rng_init(SEED, 0);
    uint8_t exif[64];

    printf("  seed %d\n", SEED);
    for (int i = 0; i < 200000; i++) {
        size_t n = picture_exif(exif, 1 + i % 8, i % 2);
        int got;

        for (uint32_t changes = fm_rng_below(&rng, 6); changes; changes--)
            exif[6 + fm_rng_below(&rng, (uint32_t)n - 6)] = (uint8_t)fm_rng_below(&rng, 256);
        got = fm_exif_orientation(exif, 6 + fm_rng_below(&rng, (uint32_t)n - 5));
        if (got < 0 || got > 8)
            check_failed(__FILE__, __LINE__, "orientation %d", got);
    }
}

/* An orientation that makes no sense is none, and no reason to refuse the photograph. */
static void senseless_orientation(void)
{
    uint8_t exif[64], *scene = picture_scene(WIDTH, HEIGHT);
    fm_image image = FM_IMAGE_INIT;
    fm_buf file = FM_BUF_INIT;
    size_t n = picture_exif(exif, 9, false);

    CHECK(picture_jpeg_write(&(picture_jpeg){WIDTH, HEIGHT, 3, scene, .exif = exif, .exif_bytes = n}, &file));
    decode(&file, &image, 1);
    fm_image_fini(&image);
    fm_buf_fini(&file);
    free(scene);
}

CHECK_MAIN(CHECK_CASE(turning), CHECK_CASE(jpeg_is_turned), CHECK_CASE(png_is_turned), CHECK_CASE(damaged_exif),
           CHECK_CASE(random_exif), CHECK_CASE(senseless_orientation))

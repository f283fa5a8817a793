/* Every allocation of a decoder or encoder fails once, and none is larger than the
 * file or the limits allow. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include <png.h>

#include "tests/alloc.h"
#include "tests/pictures.h"
#include "worker/image/decode.h"
#include "worker/image/encode.h"

#define SIDE 40
#define TRIES_MAX 2000

typedef int (*task)(const fm_buf *in, const fm_image *image, fm_buf *out, fm_err *err);

/* Appends the pixels to out. */
static int decode(const fm_buf *in, const fm_image *image, fm_buf *out, fm_err *err)
{
    fm_decode_limits limits = {.max_pixels = 1u << 20};
    fm_image decoded = FM_IMAGE_INIT;
    fm_decode_info info;
    int rc = fm_image_decode(in->data, in->size, &limits, &decoded, &info, err);

    (void)image;
    CHECK(info.reason == FM_USED);      /* lack of memory is not the photograph's fault */
    CHECK((rc == 0) == (decoded.pixels != NULL));
    if (rc == 0) {
        CHECK_INT(info.warnings, 0);
        fm_buf_put(out, decoded.pixels, decoded.stride_bytes * (size_t)decoded.height);
        if (out->failed)
            rc = fm_fail_nomem(err, "the test's copy", 0);
    }
    fm_image_fini(&decoded);
    return rc;
}

static int encode_png(const fm_buf *in, const fm_image *image, fm_buf *out, fm_err *err)
{
    (void)in;
    return fm_png_encode(image, out, err);
}

static int encode_jpeg(const fm_buf *in, const fm_image *image, fm_buf *out, fm_err *err)
{
    (void)in;
    return fm_jpeg_encode(image, 95, out, err);
}

/* libjpeg asks for less when it cannot have much, so that a failure may also end well: then with
 * the same result. */
static void judge(const char *name, int n, int rc, const fm_buf *out, const fm_buf *want, const fm_err *err)
{
    if (rc == 0 && (out->size != want->size || memcmp(out->data, want->data, want->size) != 0))
        check_failed(__FILE__, __LINE__, "%s, allocation %d: another result", name, n);
    if (rc != 0 && (rc != -ENOMEM || err->code != rc || !err->text[0] || out->size != 4))
        check_failed(__FILE__, __LINE__, "%s, allocation %d: %d, %zu bytes: %s", name, n, rc, out->size, err->text);
}

static void fail_each(const char *name, task run, const fm_buf *in, const fm_image *image)
{
    fm_buf want = FM_BUF_INIT;
    bool failed = true;
    int n;

    fm_buf_put(&want, "held", 4);
    CHECK(run(in, image, &want, NULL) == 0 && want.size > 4);
    for (n = 1; failed && n < TRIES_MAX && check_ok_so_far(); n++) {
        fm_buf out = FM_BUF_INIT;
        fm_err err = FM_ERR_INIT;
        long before = alloc_live();
        int rc;

        fm_buf_put(&out, "held", 4);
        alloc_fail_at((size_t)n);
        rc = run(in, image, &out, &err);
        failed = alloc_failed();
        alloc_fail_at(0);
        judge(name, n, rc, &out, &want, &err);
        fm_buf_fini(&out);
        if (alloc_live() != before)
            check_failed(__FILE__, __LINE__, "%s, allocation %d: %ld leaked", name, n, alloc_live() - before);
    }
    CHECK(n > 4 && n < TRIES_MAX);
    fm_buf_fini(&want);
}

static bool counted(void)
{
    if (!alloc_counted())
        check_skip("allocations cannot be made to fail with this allocator");
    return alloc_counted();
}

static void jpeg_decoding(void)
{
    uint8_t exif[64], cmyk[SIDE * SIDE * 4] = {0}, *scene = picture_scene(SIDE, SIDE);
    const picture_jpeg kinds[] = {
        {SIDE, SIDE, 3, scene, .halved = true},
        {SIDE, SIDE, 3, scene, .progressive = true, .exif = exif, .exif_bytes = picture_exif(exif, 6, true)},
        {SIDE, SIDE, 4, cmyk, .ycck = true},
    };

    for (size_t i = 0; counted() && i < sizeof kinds / sizeof *kinds; i++) {
        fm_buf file = FM_BUF_INIT;

        CHECK(picture_jpeg_write(&kinds[i], &file));
        fail_each("JPEG", decode, &file, NULL);
        fm_buf_fini(&file);
    }
    free(scene);
}

static void png_decoding(void)
{
    uint8_t exif[64], *scene = picture_scene(SIDE, SIDE);
    size_t n = picture_exif(exif, 6, false);
    const picture_png kinds[] = {
        {SIDE, SIDE, 8, PNG_COLOR_TYPE_RGB, scene, .interlaced = true},
        {SIDE, SIDE, 8, PNG_COLOR_TYPE_RGB, scene, .exif = exif + 6, .exif_bytes = n - 6, .transparent = true},
        {SIDE, SIDE, 8, PNG_COLOR_TYPE_RGB, scene, .exif = exif + 6, .exif_bytes = n - 6, .exif_last = true},
        {SIDE, SIDE, 8, PNG_COLOR_TYPE_PALETTE, scene, .palette = scene, .transparent = true},
    };

    for (size_t i = 0; counted() && i < sizeof kinds / sizeof *kinds; i++) {
        fm_buf file = FM_BUF_INIT;

        picture_png_write(&kinds[i], &file);
        fail_each("PNG", decode, &file, NULL);
        fm_buf_fini(&file);
    }
    free(scene);
}

/* Large enough that output buffers grow several times. */
static void encoding(void)
{
    uint8_t *scene = picture_scene(400, 400);
    fm_image image = {400, 400, 1200, scene};

    if (counted()) {
        for (size_t i = 0; i < 3 * 400 * 400; i++)
            scene[i] ^= (uint8_t)(i * i >> 7);
        fail_each("PNG encoder", encode_png, NULL, &image);
        fail_each("JPEG encoder", encode_jpeg, NULL, &image);
    }
    free(scene);
}

static void claim(const fm_buf *file, uint64_t max_pixels, int want)
{
    fm_decode_limits limits = {.max_pixels = max_pixels};
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    fm_err err;
    size_t largest;

    alloc_largest();
    CHECK_INT(fm_image_decode(file->data, file->size, &limits, &image, &info, &err), want);
    largest = alloc_largest();
    if (largest > 1u << 20)
        check_failed(__FILE__, __LINE__, "%zu bytes asked for at once for %u x %u pixels", largest, info.width,
                     info.height);
    CHECK(info.width == 60000 && info.height == 60000 && !image.pixels);
}

static void claimed_size_costs_nothing(void)
{
    fm_buf jpeg = FM_BUF_INIT, progressive = FM_BUF_INIT, png = FM_BUF_INIT;

    if (!counted())
        return;
    picture_jpeg_claim(60000, 60000, false, &jpeg);
    picture_jpeg_claim(60000, 60000, true, &progressive);
    picture_png_claim(60000, 60000, &png);
    claim(&jpeg, 100000000, -EFBIG);
    claim(&progressive, 100000000, -EFBIG);
    claim(&png, 100000000, -EFBIG);
    /* even where the study allows it: these bytes cannot hold it */
    claim(&jpeg, UINT64_MAX, -EBADMSG);
    claim(&progressive, UINT64_MAX, -EBADMSG);
    claim(&png, UINT64_MAX, -EBADMSG);
    fm_buf_fini(&jpeg);
    fm_buf_fini(&progressive);
    fm_buf_fini(&png);
}

CHECK_MAIN(CHECK_CASE(jpeg_decoding), CHECK_CASE(png_decoding), CHECK_CASE(encoding),
           CHECK_CASE(claimed_size_costs_nothing))

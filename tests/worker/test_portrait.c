/* The portrait mask as preprocessing makes it: against masks that ONNX Runtime
 * made, laid onto chips, and kept in photo records. */
#include "storage/photo.h"
#include "tests/oracle.h"
#include "tests/worker/fixture.h"
#include "worker/face/chip.h"
#include "worker/portrait.h"
#include "worker/preprocess.h"

enum { IMAGES = 8, PIXELS = FM_PORTRAIT_SIZE * FM_PORTRAIT_SIZE, HEADER = 128 };

static float half_to_float(const uint8_t *p)
{
    unsigned h = (unsigned)(p[0] | p[1] << 8), e = h >> 10 & 31, m = h & 1023;

    return (float)(e ? ldexp(1024 + m, (int)e - 25) : ldexp(m, -24));
}

static bool read_model(fm_buf *model)
{
    return fixture_read("portrait.onnx", model);
}

static void masks_as_kept(void)
{
    fm_buf model = FM_BUF_INIT, images = FM_BUF_INIT, masks = FM_BUF_INIT;
    fm_portrait *p = NULL;

    if (!read_model(&model) || !oracle_bytes("oracle/mask/images.npy", &images) ||
        !oracle_bytes("oracle/mask/masks.npy", &masks))
        return;
    REQUIRE(images.size == HEADER + (size_t)IMAGES * PIXELS * 3 && masks.size == HEADER + (size_t)IMAGES * PIXELS * 2);
    REQUIRE(fm_portrait_create(model.data, model.size, &p, NULL) == 0);
    for (int i = 0; i < IMAGES; i++) {
        const uint8_t *want = masks.data + HEADER + (size_t)i * PIXELS * 2;
        const float *got;
        int both = 0, either = 0;
        double worst = 0;

        REQUIRE(fm_portrait_picture(p, images.data + HEADER + (size_t)i * PIXELS * 3, &got, NULL) == 0);
        for (int k = 0; k < PIXELS; k++) {
            float w = half_to_float(want + 2 * k);
            bool a = got[k] > 0.5f, b = w > 0.5f;

            both += a && b;
            either += a || b;
            worst = fmax(worst, fabs((double)got[k] - (double)w));
        }
        if (both < 0.999 * either || worst > 1e-3)
            check_failed(__FILE__, __LINE__, "image %d: IoU %g, largest difference %g", i, (double)both / either, worst);
    }
    fm_portrait_destroy(p);
    fm_buf_fini(&model);
    fm_buf_fini(&images);
    fm_buf_fini(&masks);
}

/* A chip that is cut as the network's picture has its very mask; any other has it at the same places of the face. */
static void laid_onto_chips(void)
{
    enum { SMALL = 150 };
    static uint8_t rgb[3 * PIXELS], whole[PIXELS], small[SMALL * SMALL];
    fm_buf model = FM_BUF_INIT;
    fm_image image = FM_IMAGE_INIT;
    fm_portrait *p = NULL;
    fm_similarity s;
    oracle_faces o;
    const float *mask;
    bool misses;
    double apart = 0;

    if (!read_model(&model) || !oracle_load("oracle/photos/faces.tsv", &o))
        return;
    REQUIRE(fm_portrait_create(model.data, model.size, &p, NULL) == 0);
    for (size_t i = 0; i < o.n && !image.pixels; i++)
        if (strcmp(o.v[i].file, "fr_obama.jpg") == 0) {
            fm_point *points = o.v[i].points;

            REQUIRE(oracle_image("faces", o.v[i].file, &image));
            REQUIRE(fm_portrait_chip(p, &image, points, 68, FM_PORTRAIT_SIZE, FM_PORTRAIT_PADDING, whole, &misses, NULL) == 0);
            CHECK(!misses);
            REQUIRE(fm_portrait_chip(p, &image, points, 68, SMALL, 0.25, small, &misses, NULL) == 0);
            REQUIRE(fm_chip_transform(points, 68, FM_PORTRAIT_SIZE, FM_PORTRAIT_PADDING, &s, NULL) == 0);
            REQUIRE(fm_chip_extract(&image, &s, FM_PORTRAIT_SIZE, rgb, NULL) == 0);
        }
    REQUIRE(image.pixels && fm_portrait_picture(p, rgb, &mask, NULL) == 0);
    for (int i = 0; i < PIXELS; i++)
        CHECK_NEAR(whole[i], 255 * (double)mask[i], 1);
    for (int y = 0; y < SMALL; y++)
        for (int x = 0; x < SMALL; x++) {
            int wx = (int)(FM_PORTRAIT_SIZE / 3.0 * ((x + 0.5) / SMALL * 1.5 + 0.75));
            int wy = (int)(FM_PORTRAIT_SIZE / 3.0 * ((y + 0.5) / SMALL * 1.5 + 0.75));

            apart += abs(small[y * SMALL + x] - whole[wy * FM_PORTRAIT_SIZE + wx]) / (double)(SMALL * SMALL);
        }
    CHECK(apart < 3);
    CHECK(small[SMALL * 75 + 75] == 255 && small[0] < 50);
    fm_portrait_destroy(p);
    fm_image_fini(&image);
    fm_buf_fini(&model);
    oracle_free(&o);
}

/* A network that sees nobody: the chip stays whole. */
static void a_missed_face_keeps_its_chip(void)
{
    static uint8_t mask[64 * 64];
    fm_buf model = FM_BUF_INIT;
    fm_portrait *p = NULL;
    fm_image image = FM_IMAGE_INIT;
    fm_point points[5] = {{160, 120}, {140, 120}, {80, 120}, {100, 120}, {120, 170}};
    bool misses = false;

    if (!read_model(&model))
        return;
    REQUIRE(fm_portrait_create(model.data, model.size, &p, NULL) == 0);
    REQUIRE(fm_image_create(240, 240, &image, NULL) == 0);
    memset(image.pixels, 90, 240 * image.stride_bytes);
    REQUIRE(fm_portrait_chip(p, &image, points, 5, 64, 0.25, mask, &misses, NULL) == 0);
    CHECK(misses && mask[0] == 255 && mask[64 * 64 - 1] == 255);
    fm_portrait_destroy(p);
    fm_image_fini(&image);
    fm_buf_fini(&model);
}

static void records_with_and_without_masks(void)
{
    uint8_t chip[4 * 4 * 3], mask[4 * 4];
    fm_photo_face face = {.n_points = 5, .chip = chip};
    fm_photo photo = {.chip_size = 4, .n_faces = 1, .faces = &face}, back;
    fm_buf plain = FM_BUF_INIT, masked = FM_BUF_INIT;

    for (size_t i = 0; i < sizeof chip; i++)
        chip[i] = (uint8_t)(i * 5);
    for (size_t i = 0; i < sizeof mask; i++)
        mask[i] = (uint8_t)(255 - i);
    fm_photo_encode(&photo, &plain);
    face.mask = mask;
    fm_photo_encode(&photo, &masked);
    CHECK(plain.data[0] == 1 && masked.data[0] == 2 && masked.size == plain.size + sizeof mask);
    CHECK(memcmp(plain.data + 1, masked.data + 1, plain.size - 1) == 0);
    REQUIRE(fm_photo_decode(plain.data, plain.size, &back, NULL) == 0);
    CHECK(!back.faces[0].mask && memcmp(back.faces[0].chip, chip, sizeof chip) == 0);
    fm_photo_fini(&back);
    REQUIRE(fm_photo_decode(masked.data, masked.size, &back, NULL) == 0);
    CHECK(memcmp(back.faces[0].mask, mask, sizeof mask) == 0 && memcmp(back.faces[0].chip, chip, sizeof chip) == 0);
    fm_photo_fini(&back);
    for (size_t n = 0; n < masked.size; n++)
        CHECK(fm_photo_decode(masked.data, n, &back, NULL) != 0);
    masked.data[0] = 1;
    CHECK(fm_photo_decode(masked.data, masked.size, &back, NULL) != 0);
    fm_buf_fini(&plain);
    fm_buf_fini(&masked);
}

CHECK_MAIN(CHECK_CASE(masks_as_kept), CHECK_CASE(laid_onto_chips), CHECK_CASE(a_missed_face_keeps_its_chip),
           CHECK_CASE(records_with_and_without_masks))

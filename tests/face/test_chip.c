/* Landmarks and chips against dlib's, given its boxes and landmarks. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
#include "tests/oracle.h"
#include "worker/face/chip.h"
#include "worker/face/landmarks.h"
#include "worker/face/pyramid.h"

typedef struct {
    fm_buf packed;
    fm_landmarks *l;
    bool doubled;
    size_t coordinates, equal, off;
} landmark_parity;

static bool open_model(const char *name, landmark_parity *p)
{
    const char *path = check_model(name);
    fm_buf file = FM_BUF_INIT;
    bool ok;

    memset(p, 0, sizeof *p);
    if (!path)
        return false;
    ok = CHECK(fm_file_read(path, 1u << 28, &file, NULL) == 0) &&
         CHECK(fm_landmarks_pack(file.data, file.size, &p->packed, NULL) == 0) &&
         CHECK(fm_landmarks_open(p->packed.data, p->packed.size, &p->l, NULL) == 0);
    fm_buf_fini(&file);
    return ok;
}

static void close_model(landmark_parity *p)
{
    fm_landmarks_close(p->l);
    fm_buf_fini(&p->packed);
}

static void compare(void *ctx, const fm_image *image, const oracle_face *faces, size_t n)
{
    landmark_parity *p = ctx;
    fm_image up = FM_IMAGE_INIT;
    fm_point points[68];

    if (p->doubled)
        CHECK(fm_image_double(image, &up, NULL) == 0);
    for (size_t i = 0; i < n; i++) {
        fm_landmarks_find(p->l, p->doubled ? &up : image, &faces[i].box, points);
        for (int k = 0; k < 68; k++) {
            int dx = abs(points[k].x - faces[i].points[k].x), dy = abs(points[k].y - faces[i].points[k].y);

            p->coordinates += 2;
            p->equal += (size_t)((dx == 0) + (dy == 0));
            p->off += dx > 1 || dy > 1;
        }
    }
    fm_image_fini(&up);
}

static void landmarks_with(const char *folder, const char *table, bool doubled, size_t every)
{
    landmark_parity p;
    oracle_faces o;

    if (!open_model("shape_predictor_68_face_landmarks.dat", &p) || !oracle_load(table, &o))
        return;
    p.doubled = doubled;
    oracle_each(folder, &o, every, compare, &p);
    CHECK(p.coordinates > 0);
    CHECK_INT(p.off, 0);
    if ((double)p.equal < 0.99 * (double)p.coordinates)
        check_failed(__FILE__, __LINE__, "%zu of %zu coordinates equal", p.equal, p.coordinates);
    if (getenv("CHECK_VERBOSE"))
        printf("  %s: %zu of %zu coordinates equal\n", table, p.equal, p.coordinates);
    oracle_free(&o);
    close_model(&p);
}

static void landmarks_as_dlib(void)
{
    landmarks_with("faces", "oracle/photos/faces.tsv", false, 1);
}

static void landmarks_of_doubled_as_dlib(void)
{
    landmarks_with("faces", "oracle/photos-up1/faces.tsv", true, 1);
}

static void landmarks_of_utkface_as_dlib(void)
{
    landmarks_with("utkface-2k", "oracle/utkface-2k/faces.tsv", false, getenv("CHECK_ALL") ? 1 : 8);
}

static void five_points_lie_in_the_face(void)
{
    landmark_parity p;
    fm_image image;
    fm_face_box box = {122, 208, 208, 294, 1.7f, 1};
    fm_point points[5];

    if (!open_model("shape_predictor_5_face_landmarks.dat", &p) || !check_data("faces/2008_001009.jpg") ||
        !oracle_image("faces", "2008_001009.jpg", &image))
        return;
    CHECK_INT(fm_landmarks_count(p.l), 5);
    fm_landmarks_find(p.l, &image, &box, points);
    for (int i = 0; i < 5; i++)
        CHECK(points[i].x > box.left && points[i].x < box.right && points[i].y > box.top && points[i].y < box.bottom);
    CHECK(points[2].x < points[0].x);   /* the subject's right eye is on the left */
    fm_image_fini(&image);
    close_model(&p);
}

static void damaged_models_are_refused(void)
{
    const char *path = check_model("shape_predictor_5_face_landmarks.dat");
    fm_buf file = FM_BUF_INIT, packed = FM_BUF_INIT;
    fm_rng r = fm_rng_init(5, 5);
    fm_err err = FM_ERR_INIT;

    if (!path)
        return;
    REQUIRE(fm_file_read(path, 1u << 28, &file, NULL) == 0);
    for (size_t n = 0; n < file.size; n += 1 + file.size / 40) {
        CHECK_INT(fm_landmarks_pack(file.data, n, &packed, &err), -EBADMSG);
        CHECK_INT(packed.size, 0);
    }
    for (int i = 0; i < 60; i++) {  /* whatever a flipped byte does, it is not an overrun */
        size_t at = fm_rng_below(&r, i < 40 ? 200 : (uint32_t)file.size);
        uint8_t was = file.data[at];

        file.data[at] ^= (uint8_t)(1u << fm_rng_below(&r, 8));
        fm_landmarks_pack(file.data, file.size, &packed, &err);
        packed.size = 0;
        file.data[at] = was;
    }
    fm_buf_fini(&packed);
    fm_buf_fini(&file);
}

/* The mean shape's first number replaced by infinity: its point is nowhere, and no undefined conversion. */
static void infinite_shape(void)
{
    static const uint8_t infinity[] = {0x01, 1, 0x02, 0x00, 0x7d};
    const char *path = check_model("shape_predictor_5_face_landmarks.dat");
    static uint8_t pixels[3 * 64 * 64];
    const fm_image image = {64, 64, 3 * 64, pixels};
    fm_buf file = FM_BUF_INIT, changed = FM_BUF_INIT, packed = FM_BUF_INIT;
    fm_landmarks *l = NULL;
    fm_point points[5];
    size_t at = 0;

    if (!path)
        return;
    REQUIRE(fm_file_read(path, 1u << 28, &file, NULL) == 0);
    for (int i = 0; i < 3; i++)             /* version, rows, columns */
        at += 1 + (file.data[at] & 15);
    fm_buf_put(&changed, file.data, at);
    fm_buf_put(&changed, infinity, sizeof infinity);
    for (int i = 0; i < 2; i++)             /* mantissa, exponent */
        at += 1 + (file.data[at] & 15);
    fm_buf_put(&changed, file.data + at, file.size - at);
    REQUIRE(fm_landmarks_pack(changed.data, changed.size, &packed, NULL) == 0);
    REQUIRE(fm_landmarks_open(packed.data, packed.size, &l, NULL) == 0);
    fm_landmarks_find(l, &image, &(fm_face_box){10, 10, 50, 50, 1, 0}, points);
    for (int i = 0; i < 5; i++)
        CHECK(abs(points[i].x) <= 1 << 24 && abs(points[i].y) <= 1 << 24);
    fm_landmarks_close(l);
    fm_buf_fini(&packed);
    fm_buf_fini(&changed);
    fm_buf_fini(&file);
}

/* The smallest whole number as a size has no positive counterpart. */
static void smallest_size(void)
{
    static const uint8_t file[] = {0x01, 1, 0x88, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x81, 1, 0x01, 1, 0x01, 1};
    fm_buf packed = FM_BUF_INIT;

    CHECK_INT(fm_landmarks_pack(file, sizeof file, &packed, NULL), -EBADMSG);
    fm_buf_fini(&packed);
}

typedef struct {
    fm_buf chips;
    size_t at, worst;
    double worst_mean;
} chip_parity;

static void compare_chips(void *ctx, const fm_image *image, const oracle_face *faces, size_t n)
{
    chip_parity *p = ctx;
    static uint8_t chip[150 * 150 * 3];

    for (size_t i = 0; i < n; i++, p->at++) {
        const uint8_t *want = p->chips.data + p->at * sizeof chip;
        fm_similarity s;
        size_t sum = 0;

        CHECK(fm_chip_transform(faces[i].points, 68, 150, 0.25, &s, NULL) == 0);
        if (!CHECK(fm_chip_extract(image, &s, 150, chip, NULL) == 0) || !CHECK((p->at + 1) * sizeof chip <= p->chips.size))
            return;
        for (size_t k = 0; k < sizeof chip; k++) {
            size_t d = (size_t)abs(chip[k] - want[k]);

            sum += d;
            p->worst = d > p->worst ? d : p->worst;
        }
        p->worst_mean = fmax(p->worst_mean, (double)sum / sizeof chip);
    }
}

static void chips_as_dlib(void)
{
    chip_parity p = {FM_BUF_INIT, 0, 0, 0};
    oracle_faces o;

    if (!oracle_load("oracle/photos/faces.tsv", &o) || !oracle_bytes("oracle/photos/chips.u8", &p.chips))
        return;
    oracle_each("faces", &o, 1, compare_chips, &p);
    CHECK_INT(p.at, 66);
    CHECK(p.worst <= 8);
    CHECK_NEAR(p.worst_mean, 0, 0.3);
    if (getenv("CHECK_VERBOSE"))
        printf("  chips: largest difference %zu, largest mean %g\n", p.worst, p.worst_mean);
    fm_buf_fini(&p.chips);
    oracle_free(&o);
}

static void strange_landmarks_make_no_crash(void)
{
    fm_image image;
    fm_point points[68] = {{0, 0}};
    fm_similarity s;
    static uint8_t chip[150 * 150 * 3];

    REQUIRE(fm_image_create(40, 30, &image, NULL) == 0);
    memset(image.pixels, 9, image.stride_bytes * 30);
    CHECK(fm_chip_transform(points, 67, 150, 0.25, &s, NULL) < 0);
    REQUIRE(fm_chip_transform(points, 68, 150, 0.25, &s, NULL) == 0);   /* all in one place */
    CHECK_INT(fm_chip_extract(&image, &s, 150, chip, NULL), 0);
    for (int i = 0; i < 68; i++)
        points[i] = (fm_point){i * 1000000, -i * 900000};
    REQUIRE(fm_chip_transform(points, 68, 150, 0.25, &s, NULL) == 0);
    fm_chip_extract(&image, &s, 150, chip, NULL);
    for (int i = 0; i < 68; i++)
        points[i] = (fm_point){500 + i, 500 + i % 7};
    REQUIRE(fm_chip_transform(points, 68, 150, 0.25, &s, NULL) == 0);
    CHECK_INT(fm_chip_extract(&image, &s, 150, chip, NULL), 0);
    CHECK_INT(chip[0], 0);
    fm_image_fini(&image);
}

CHECK_MAIN(CHECK_CASE(landmarks_as_dlib), CHECK_CASE(landmarks_of_doubled_as_dlib),
           CHECK_CASE(landmarks_of_utkface_as_dlib), CHECK_CASE(five_points_lie_in_the_face),
           CHECK_CASE(damaged_models_are_refused), CHECK_CASE(infinite_shape),
           CHECK_CASE(smallest_size), CHECK_CASE(chips_as_dlib), CHECK_CASE(strange_landmarks_make_no_crash))

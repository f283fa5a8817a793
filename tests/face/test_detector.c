/* The detector against dlib's results, and its kernels against plain C. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
#include "tests/oracle.h"
#include "worker/face/detector.h"
#include "worker/face/hog.h"
#include "worker/face/pyramid.h"

static fm_detector *detector(fm_isa isa)
{
    const char *path = check_model("frontal_hog.f32");
    fm_buf b = FM_BUF_INIT;
    fm_detector *d = NULL;

    if (path && CHECK(fm_file_read(path, 1u << 20, &b, NULL) == 0))
        CHECK(fm_detector_create(b.data, b.size, isa, &d, NULL) == 0);
    fm_buf_fini(&b);
    return d;
}

typedef struct {
    fm_detector *d;
    bool doubled;
    size_t found, photographs;
} parity;

static bool same_box(const fm_face_box *a, const fm_face_box *b)
{
    return a->left == b->left && a->top == b->top && a->right == b->right && a->bottom == b->bottom;
}

static const fm_face_box *find_box(const fm_face_box *boxes, size_t n, const fm_face_box *box)
{
    for (size_t i = 0; i < n; i++)
        if (same_box(&boxes[i], box))
            return &boxes[i];
    return NULL;
}

static void compare(void *ctx, const fm_image *image, const oracle_face *faces, size_t n)
{
    parity *p = ctx;
    const fm_face_box *boxes;
    size_t n_boxes;
    fm_image up = FM_IMAGE_INIT;

    p->photographs++;
    if (p->doubled)
        CHECK(fm_image_double(image, &up, NULL) == 0);
    if (!CHECK(fm_detector_find(p->d, p->doubled ? &up : image, 0, &boxes, &n_boxes, NULL) == 0)) {
        fm_image_fini(&up);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const fm_face_box *ours = find_box(boxes, n_boxes, &faces[i].box);

        if (faces[i].score <= 0.01)
            continue;
        if (!ours)
            check_failed(__FILE__, __LINE__, "%s: box %d %d %d %d (score %g) not found", faces[i].file,
                         faces[i].box.left, faces[i].box.top, faces[i].box.right, faces[i].box.bottom, faces[i].score);
        else
            CHECK_NEAR(ours->score, faces[i].score, 1e-3);
        p->found += ours != NULL;
    }
    for (size_t i = 0; i < n_boxes; i++) {
        bool known = false;

        for (size_t j = 0; j < n; j++)
            known = known || same_box(&faces[j].box, &boxes[i]);
        if (!known && boxes[i].score > 0.01)
            check_failed(__FILE__, __LINE__, "%s: box %d %d %d %d (score %g) is not dlib's", faces[0].file,
                         boxes[i].left, boxes[i].top, boxes[i].right, boxes[i].bottom, boxes[i].score);
    }
    fm_image_fini(&up);
}

static void parity_with(const char *folder, const char *table, bool doubled, size_t every, size_t at_least)
{
    parity p = {detector(fm_cpu_isa()), doubled, 0, 0};
    oracle_faces o;

    if (!p.d || !oracle_load(table, &o)) {
        fm_detector_destroy(p.d);
        return;
    }
    oracle_each(folder, &o, every, compare, &p);
    if (p.found < at_least)
        check_failed(__FILE__, __LINE__, "%zu faces found in %zu photographs, expected %zu", p.found, p.photographs,
                     at_least);
    oracle_free(&o);
    fm_detector_destroy(p.d);
}

static void photographs_as_dlib(void)
{
    parity_with("faces", "oracle/photos/faces.tsv", false, 1, 64);
}

static void doubled_photographs_as_dlib(void)
{
    parity_with("faces", "oracle/photos-up1/faces.tsv", true, 1, 90);
}

/* $CHECK_ALL=1 compares all 2,002 photographs, not each eighth. */
static void utkface_as_dlib(void)
{
    bool all = getenv("CHECK_ALL") != NULL;

    parity_with("utkface-2k", "oracle/utkface-2k/faces.tsv", false, all ? 1 : 8, all ? 1970 : 240);
}

static fm_image noise(int width, int height)
{
    fm_image image;
    fm_rng r = fm_rng_init(11, (uint64_t)width);

    if (fm_image_create(width, height, &image, NULL) != 0)
        abort();
    for (size_t i = 0; i < image.stride_bytes * (size_t)height; i++)
        image.pixels[i] = (uint8_t)fm_rng_below(&r, i % 7 ? 256 : 4);
    return image;
}

static void small_images_have_no_faces(void)
{
    static const int sides[][2] = {{1, 1}, {1, 300}, {300, 1}, {7, 9}, {12, 12}, {19, 24}, {63, 64}, {80, 80}, {64, 500}};
    fm_detector *d = detector(fm_cpu_isa());

    for (size_t i = 0; d && i < sizeof sides / sizeof *sides; i++) {
        fm_image image = noise(sides[i][0], sides[i][1]);
        const fm_face_box *boxes;
        size_t n = 99;

        CHECK_INT(fm_detector_find(d, &image, 0, &boxes, &n, NULL), 0);
        CHECK_INT(n, 0);
        fm_image_fini(&image);
    }
    fm_detector_destroy(d);
}

/* Bit for bit: scores are stored, and a store's digest must not depend on the node. */
static void kernels_agree_with_plain_c(void)
{
    enum { W = 403, CELLS = 53, ROW = W + 45 };
    fm_image image = noise(W, 3);
    static float planes[31 * 12 * 256], weights[31 * 100 * 5], out[2][5 * 256];
    fm_rng r = fm_rng_init(3, 3);

    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        planes[i] = (float)fm_rng_uniform(&r);
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        weights[i] = (float)fm_rng_normal(&r) * 0.01f;
    for (int isa = FM_ISA_AVX2; isa <= (int)fm_cpu_isa(); isa++) {
        const fm_hog_kernels *fast = fm_hog_kernels_for((fm_isa)isa);
        float magnitude[2][ROW];
        uint16_t at[2][ROW];
        static uint8_t rows[2][3][3 * ROW];

        for (size_t y = 0; y < 3; y++) {
            fm_hog_plain.split(image.pixels + y * image.stride_bytes, W, rows[0][y], ROW);
            fast->split(image.pixels + y * image.stride_bytes, W, rows[1][y], ROW);
        }
        CHECK(memcmp(rows[0], rows[1], sizeof rows[0]) == 0);
        for (int later = 0; later < 2; later++) {
            fm_hog_plain.gradient(rows[0][0] + 1, rows[0][1] + 1, rows[0][2] + 1, ROW, W - 2, later, magnitude[0], at[0]);
            fast->gradient(rows[0][0] + 1, rows[0][1] + 1, rows[0][2] + 1, ROW, W - 2, later, magnitude[1], at[1]);
            CHECK(memcmp(magnitude[0], magnitude[1], (W - 2) * sizeof(float)) == 0);
            CHECK(memcmp(at[0], at[1], (W - 2) * sizeof **at) == 0);
        }
        fm_hog_plain.filter(planes, 12 * 256, 256, weights, CELLS, out[0], 256);
        fast->filter(planes, 12 * 256, 256, weights, CELLS, out[1], 256);
        for (int f = 0; f < 5; f++)
            CHECK(memcmp(&out[1][f * 256], &out[0][f * 256], CELLS * sizeof(float)) == 0);
    }
    fm_image_fini(&image);
}

/* As dlib: the largest product with a unit vector, the first of equal ones. */
static int orientation(int x, int y)
{
    static const float to_x[9] = {1.0000f, 0.9397f, 0.7660f, 0.500f, 0.1736f, -0.1736f, -0.5000f, -0.7660f, -0.9397f};
    static const float to_y[9] = {0.0000f, 0.3420f, 0.6428f, 0.8660f, 0.9848f, 0.9848f, 0.8660f, 0.6428f, 0.3420f};
    float best = 0;
    int at = 0;

    for (int o = 0; o < 9; o++) {
        float dot = (float)x * to_x[o] + (float)y * to_y[o];

        if (dot > best || -dot > best) {
            best = dot > best ? dot : -dot;
            at = dot > 0 ? o : o + 9;
        }
    }
    return at;
}

/* All gradients that there are. */
static void every_gradient_has_its_orientation(void)
{
    enum { ROW = 48 };
    uint8_t above[3 * ROW] = {0}, row[3 * ROW] = {0}, below[3 * ROW] = {0};
    size_t wrong = 0;

    for (int isa = FM_ISA_PLAIN; isa <= (int)fm_cpu_isa(); isa++)
        for (int y = -255; y <= 255; y++)
            for (int x = -255; x <= 255; x++) {
                float magnitude[16];
                uint16_t at[16];

                above[1] = (uint8_t)(y < 0 ? -y : 0);
                below[1] = (uint8_t)(y > 0 ? y : 0);
                row[0] = (uint8_t)(x < 0 ? -x : 0);
                row[2] = (uint8_t)(x > 0 ? x : 0);
                fm_hog_kernels_for((fm_isa)isa)->gradient(above + 1, row + 1, below + 1, ROW, 1, 1, magnitude, at);
                wrong += magnitude[0] != sqrtf((float)(x * x + y * y));
                wrong += (x != 0 || y != 0) && at[0] != 4 * orientation(x, y);
            }
    CHECK_INT(wrong, 0);
}

/* Each pixel's shares one by one, in double precision. */
static void votes_go_to_four_cells(void)
{
    enum { STRIDE = 48, ROWS = FM_HOG_CELL * FM_HOG_STRIP_ROW, CELLS = FM_HOG_BINS * STRIDE };
    static float magnitude[ROWS], got[FM_ISA_AVX512 + 1][2][CELLS];
    static uint16_t at[ROWS];
    static double want[2][CELLS];
    fm_rng r = fm_rng_init(8, 8);

    for (int i = 0; i < ROWS; i++) {
        magnitude[i] = (float)fm_rng_uniform(&r) * 360;
        at[i] = (uint16_t)(4 * fm_rng_below(&r, i % 5 ? FM_HOG_BINS : 2));
    }
    for (int y = 0; y < FM_HOG_CELL; y++)
        for (int x = 0; x < FM_HOG_STRIP; x++)
            for (int k = 0; k < 4; k++) {
                double right = (2 * (x % 8) + 1) / 16.0, lower = (2 * y + 1) / 16.0;
                double share = (k & 1 ? right : 1 - right) * (k & 2 ? lower : 1 - lower);
                int i = y * FM_HOG_STRIP_ROW + x;

                want[k / 2][at[i] / 4 * STRIDE + x / 8 + k % 2] += share * (double)magnitude[i];
            }
    for (int isa = FM_ISA_PLAIN; isa <= (int)fm_cpu_isa(); isa++) {
        fm_hog_kernels_for((fm_isa)isa)->vote(magnitude, at, got[isa][0], got[isa][1], STRIDE);
        CHECK(memcmp(got[isa], got[FM_ISA_PLAIN], sizeof *got) == 0);
        for (int i = 0; i < 2 * CELLS; i++)
            CHECK_NEAR(got[isa][i / CELLS][i % CELLS], want[i / CELLS][i % CELLS], 1e-5 * want[i / CELLS][i % CELLS]);
    }
}

/* Rows that fill no vector end in zeros. */
static void features_agree_with_plain_c(void)
{
    enum { STRIDE = 112, ROOM = 96 };
    static float bins[FM_HOG_BINS * STRIDE], norm[2][3 * STRIDE], planes[2][FM_HOG_PLANES][ROOM];
    fm_rng r = fm_rng_init(5, 5);

    for (int n = 1; n < 40; n++)
        for (int isa = FM_ISA_PLAIN; isa <= (int)fm_cpu_isa(); isa++) {
            const fm_hog_kernels *k = fm_hog_kernels_for((fm_isa)isa);
            const int which = isa != FM_ISA_PLAIN;
            const float *const rows[3] = {norm[which] + 1, norm[which] + STRIDE + 1, norm[which] + 2 * STRIDE + 1};
            float *out[FM_HOG_PLANES];

            for (int i = 0; !which && i < FM_HOG_BINS * STRIDE; i++)
                bins[i] = (float)fm_rng_below(&r, 4) * (float)fm_rng_uniform(&r) * 9000;
            memset(planes[which], 0x55, sizeof planes[which]);
            for (int y = 0; y < 3; y++)
                k->norms(bins, STRIDE, norm[which] + y * STRIDE);
            for (int p = 0; p < FM_HOG_PLANES; p++)
                out[p] = planes[which][p];
            k->features(bins + 1, STRIDE, rows, n, out);
            CHECK(memcmp(norm[which], norm[0], sizeof norm[0]) == 0);
            for (int p = 0; p < FM_HOG_PLANES; p++) {
                CHECK(memcmp(planes[which][p], planes[0][p], (size_t)(n + FM_HOG_MARGIN) * sizeof(float)) == 0);
                CHECK(planes[which][p][n] == 0 && planes[which][p][n + FM_HOG_MARGIN - 1] == 0);
            }
        }
}

/* Scales from finer to much coarser than the detector's; rows end with the 16 bytes after their last pixel. */
static void rows_are_blended_as_in_plain_c(void)
{
    enum { OUT = 64 };
    static const double steps[] = {0.5, 0.7, 1.2, 1.9, 2.5};
    fm_rng r = fm_rng_init(4, 4);

    for (int trial = 0; trial < 200; trial++) {
        int width = 2 + (int)fm_rng_below(&r, 70), plane = width + 15, left[OUT], n = 0;
        size_t size = (size_t)(3 * plane);
        uint8_t *top = malloc(size), *bottom = malloc(size), pick[2 * OUT] = {0}, out[2][3 * OUT] = {{0}};
        float fraction[OUT];

        REQUIRE(top && bottom);
        for (size_t i = 0; i < size; i++) {
            top[i] = (uint8_t)fm_rng_below(&r, 256);
            bottom[i] = (uint8_t)fm_rng_below(&r, 256);
        }
        for (double x = 0; (int)x + 1 < width && n < OUT; x += steps[trial % 5], n++) {
            left[n] = (int)x;
            fraction[n] = (float)fm_rng_uniform(&r);
            pick[n / 8 * 16 + n % 8] = (uint8_t)(left[n] - left[n / 8 * 8]);
            pick[n / 8 * 16 + n % 8 + 8] = (uint8_t)(left[n] - left[n / 8 * 8] + 1);
        }
        fm_hog_plain.blend(top, bottom, plane, left, pick, fraction, 0.3, n, out[0], OUT);
        for (int isa = FM_ISA_AVX2; isa <= (int)fm_cpu_isa(); isa++) {
            fm_hog_kernels_for((fm_isa)isa)->blend(top, bottom, plane, left, pick, fraction, 0.3, n, out[1], OUT);
            for (int k = 0; k < 3; k++)
                CHECK(memcmp(out[0] + k * OUT, out[1] + k * OUT, (size_t)n) == 0);
        }
        free(top);
        free(bottom);
    }
}

static void every_isa_finds_the_same_faces(void)
{
    fm_image image;
    fm_detector *plain = detector(FM_ISA_PLAIN);
    const fm_face_box *want, *got;
    size_t n_want, n_got;

    if (!plain || !check_data("faces/bald_guys.jpg") || !oracle_image("faces", "bald_guys.jpg", &image)) {
        fm_detector_destroy(plain);
        return;
    }
    REQUIRE(fm_detector_find(plain, &image, 0, &want, &n_want, NULL) == 0);
    for (int isa = FM_ISA_AVX2; isa <= (int)fm_cpu_isa(); isa++) {
        fm_detector *d = detector((fm_isa)isa);

        REQUIRE(fm_detector_find(d, &image, 0, &got, &n_got, NULL) == 0);
        CHECK_INT(n_got, n_want);
        for (size_t i = 0; i < n_got && i < n_want; i++) {
            CHECK(same_box(&got[i], &want[i]));
            CHECK(got[i].score == want[i].score);
        }
        fm_detector_destroy(d);
    }
    fm_detector_destroy(plain);
    fm_image_fini(&image);
}

static void other_files_are_refused(void)
{
    fm_detector *d = NULL;
    fm_err err = FM_ERR_INIT;
    static float junk[15505];

    CHECK(fm_detector_create("x", 1, FM_ISA_PLAIN, &d, &err) < 0);
    CHECK(strstr(err.text, "62020") != NULL);
    junk[100] = NAN;
    CHECK(fm_detector_create(junk, sizeof junk, FM_ISA_PLAIN, &d, &err) < 0);
    CHECK(d == NULL);
}

CHECK_MAIN(CHECK_CASE(photographs_as_dlib), CHECK_CASE(doubled_photographs_as_dlib), CHECK_CASE(utkface_as_dlib),
           CHECK_CASE(small_images_have_no_faces), CHECK_CASE(kernels_agree_with_plain_c),
           CHECK_CASE(every_gradient_has_its_orientation),
           CHECK_CASE(votes_go_to_four_cells), CHECK_CASE(features_agree_with_plain_c),
           CHECK_CASE(rows_are_blended_as_in_plain_c), CHECK_CASE(every_isa_finds_the_same_faces),
           CHECK_CASE(other_files_are_refused))

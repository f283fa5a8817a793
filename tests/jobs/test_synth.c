/* Generated faces: the same for the same seed, found by the detector, of two
 * cohorts that differ in the planted effect alone. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "coordinator/learn/evaluation.h"
#include "jobs/match.h"
#include "jobs/samples.h"
#include "jobs/study.h"
#include "jobs/synth.h"
#include "worker/face/chip.h"
#include "worker/face/detector.h"
#include "worker/face/landmarks.h"
#include "worker/image/decode.h"
#include "worker/net/encoder.h"

enum { SEED = 20 };

static const char *folder(const char *name)
{
    static char path[4][FM_PATH_MAX];
    static int next;
    char *p = path[next++ % 4];

    fm_path_join(p, FM_PATH_MAX, check_tmpdir(), name, NULL);
    return p;
}

static void file_bytes(const char *dir, const char *name, fm_buf *out)
{
    char path[FM_PATH_MAX];

    *out = (fm_buf)FM_BUF_INIT;
    CHECK(fm_path_join(path, sizeof path, dir, name, NULL) == 0);
    CHECK(fm_file_read(path, 1 << 24, out, NULL) == 0);
}

static bool same_file(const char *dir_a, const char *dir_b, const char *name)
{
    fm_buf a, b;
    bool same;

    file_bytes(dir_a, name, &a);
    file_bytes(dir_b, name, &b);
    same = a.size > 0 && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    return same;
}

static void check_photograph(const char *path)
{
    const fm_decode_limits limits = {1 << 20, true};
    fm_buf bytes = FM_BUF_INIT;
    fm_decode_info info;
    fm_image image = FM_IMAGE_INIT;

    CHECK(fm_file_read(path, 1 << 20, &bytes, NULL) == 0);
    CHECK_INT(fm_image_decode(bytes.data, bytes.size, &limits, &image, &info, NULL), 0);
    CHECK(image.width >= 240 && image.height <= 360);
    fm_image_fini(&image);
    fm_buf_fini(&bytes);
}

static void a_study_is_written_that_matches(void)
{
    const fm_synth_spec spec = {folder("new/study"), 24, 60, SEED, 1};
    static fm_study study;
    fm_samples s;
    fm_pairs pairs;
    fm_err err = FM_ERR_INIT;
    char path[FM_PATH_MAX];
    size_t of[2] = {0, 0}, again = 0;

    REQUIRE(fm_synth_write(&spec, &err) == 0);
    REQUIRE(fm_path_join(path, sizeof path, spec.dir, "study.yaml", NULL) == 0);
    REQUIRE(fm_study_load(path, &study, &err) == 0);
    REQUIRE(fm_samples_import(&study, &s, &err) == 0);
    for (size_t i = 0; i < s.n; i++) {
        of[s.v[i].cohort]++;
        again += i > 0 && strcmp(s.v[i].subject, s.v[i - 1].subject) == 0;
        CHECK(s.v[i].reason == FM_USED && s.v[i].sex != FM_SEX_UNKNOWN);
        CHECK(s.v[i].age >= 10 && s.v[i].age <= 80);
        check_photograph(s.v[i].path);
    }
    CHECK_INT(of[0], 24);
    CHECK_INT(of[1], 60);
    CHECK(again >= 2);
    REQUIRE(fm_match(&study, &s, &pairs, &err) == 0);
    CHECK(pairs.n > 18);
    fm_pairs_fini(&pairs);
    fm_samples_fini(&s);
    CHECK(fm_path_exists(strcat(strcpy(path, spec.dir), "/cases/GENERATED")));
    CHECK(fm_path_exists(strcat(strcpy(path, spec.dir), "/controls/GENERATED")));
}

static void same_seed_same_files(void)
{
    const fm_synth_spec a = {folder("a"), 2, 3, SEED, 1}, b = {folder("b"), 5, 3, SEED, 0};
    const fm_synth_spec c = {folder("c"), 2, 1, SEED + 1, 1};

    REQUIRE(fm_synth_write(&a, NULL) == 0 && fm_synth_write(&b, NULL) == 0 && fm_synth_write(&c, NULL) == 0);
    CHECK(same_file(a.dir, b.dir, "controls/manifest.csv"));
    CHECK(same_file(a.dir, b.dir, "controls/s0000003-1.jpg"));
    CHECK(!same_file(a.dir, b.dir, "cases/s0000000-1.jpg"));
    CHECK(!same_file(a.dir, c.dir, "cases/s0000000-1.jpg"));
}

static void full_folders_and_odd_numbers_are_refused(void)
{
    const struct { fm_synth_spec spec; int code; const char *says; } all[] = {
        {{"", 1, 1, 1, 1}, -EEXIST, "not empty"},          {{"x", 0, 1, 1, 1}, -EINVAL, "0 cases"},
        {{"x", 1, -1, 1, 1}, -EINVAL, "-1 controls"},      {{"x", 1, 2000000, 1, 1}, -EINVAL, "1000000"},
        {{"x", 1, 1, -1, 1}, -EINVAL, "seed"},             {{"x", 1, 1, 1, NAN}, -EINVAL, "effect"},
        {{"x", 1, 1, 1, 4.5}, -EINVAL, "effect"},          {{"x", 1, 1, 1, -0.1}, -EINVAL, "effect"},
    };

    REQUIRE(fm_file_write(folder("kept"), "k", 1, NULL) == 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        fm_synth_spec spec = all[i].spec;
        fm_err err = FM_ERR_INIT;

        spec.dir = folder(spec.dir);
        CHECK_INT(fm_synth_write(&spec, &err), all[i].code);
        CHECK(strstr(err.text, all[i].says) != NULL);
    }
    CHECK(!fm_path_exists(folder("x")));
}

static void draw(int64_t seed, int64_t subject, int photo, double effect, fm_image *image, fm_synth_truth *truth)
{
    const fm_synth_id id = {seed, subject, photo, effect};

    if (fm_synth_face(&id, image, truth, NULL) != 0)
        abort();
}

static bool same_pixels(const fm_image *a, const fm_image *b)
{
    return a->width == b->width && a->height == b->height &&
           memcmp(a->pixels, b->pixels, a->stride_bytes * (size_t)a->height) == 0;
}

/* Sex, age and all that the random numbers say are the subject's, whatever the effect. */
static void effect_changes_the_face_alone(void)
{
    for (int64_t subject = 0; subject < 20; subject++) {
        fm_image plain, again, planted, other;
        fm_synth_truth t[4];

        draw(SEED, subject, 0, 0, &plain, &t[0]);
        draw(SEED, subject, 0, 0, &again, &t[1]);
        draw(SEED, subject, 0, 1, &planted, &t[2]);
        draw(SEED, subject, 1, 0, &other, &t[3]);
        CHECK(same_pixels(&plain, &again));
        CHECK(!same_pixels(&plain, &planted) && !same_pixels(&plain, &other));
        CHECK(plain.width == planted.width && plain.height == planted.height);
        CHECK(memcmp(plain.pixels, planted.pixels, 3 * 4) == 0);
        CHECK(t[2].eyes[1][0] - t[2].eyes[0][0] > t[0].eyes[1][0] - t[0].eyes[0][0]);
        for (int i = 1; i < 4; i++)
            CHECK(t[i].sex == t[0].sex && t[i].age == t[0].age && t[i].glasses == t[0].glasses);
        fm_image_fini(&plain);
        fm_image_fini(&again);
        fm_image_fini(&planted);
        fm_image_fini(&other);
    }
}

typedef struct {
    fm_detector *detector;
    fm_landmarks *landmarks;
    fm_encoder *encoder;
    fm_buf file[3];
    void *packed[2];
} pipeline;

/* A packed model has to lie on a 64-byte boundary, which a buffer does not promise. */
static void *aligned(const fm_buf *b)
{
    void *copy = aligned_alloc(64, (b->size + 63) / 64 * 64);

    if (!copy)
        abort();
    return memcpy(copy, b->data, b->size);
}

static void pipeline_fini(pipeline *p)
{
    fm_detector_destroy(p->detector);
    fm_landmarks_close(p->landmarks);
    fm_encoder_close(p->encoder);
    for (int i = 0; i < 3; i++)
        fm_buf_fini(&p->file[i]);
    for (int i = 0; i < 2; i++)
        free(p->packed[i]);
}

/* False when a model is missing (the case is then marked skipped) or after a failed check. */
static bool pipeline_init(pipeline *p)
{
    static const char *const names[3] = {"frontal_hog.f32", "shape_predictor_68_face_landmarks.dat",
                                         "dlib_face_recognition_resnet_model_v1.dat"};
    fm_buf packed[2] = {FM_BUF_INIT, FM_BUF_INIT};
    fm_buf *f = p->file;
    size_t size[2];

    memset(p, 0, sizeof *p);
    for (int i = 0; i < 3; i++) {
        const char *path = check_model(names[i]);

        if (!path || !CHECK(fm_file_read(path, 1u << 28, &f[i], NULL) == 0))
            return false;
    }
    if (!CHECK(fm_detector_create(f[0].data, f[0].size, fm_cpu_isa(), &p->detector, NULL) == 0) ||
        !CHECK(fm_landmarks_pack(f[1].data, f[1].size, &packed[0], NULL) == 0) ||
        !CHECK(fm_encoder_pack(f[2].data, f[2].size, fm_cpu_isa(), &packed[1], NULL) == 0))
        return false;
    for (int i = 0; i < 2; i++) {
        size[i] = packed[i].size;
        p->packed[i] = aligned(&packed[i]);
        fm_buf_fini(&packed[i]);
    }
    return CHECK(fm_landmarks_open(p->packed[0], size[0], &p->landmarks, NULL) == 0) &&
           CHECK(fm_encoder_open(p->packed[1], size[1], &p->encoder, NULL) == 0);
}

/* The best face of a picture and its landmarks. */
static size_t find_face(const pipeline *p, const fm_image *image, fm_face_box *box, fm_point points[68])
{
    const fm_face_box *boxes;
    size_t n;

    if (!CHECK(fm_detector_find(p->detector, image, 0, &boxes, &n, NULL) == 0) || n == 0)
        return 0;
    *box = boxes[0];
    fm_landmarks_find(p->landmarks, image, box, points);
    return n;
}

/* The largest distance of the drawn pupils and mouth from where the landmarks have them, in pupil distances. */
static double misplaced(const fm_point points[68], const fm_synth_truth *t)
{
    static const struct { int first, last; } range[3] = {{36, 42}, {42, 48}, {48, 68}};
    const double *want[3] = {t->eyes[0], t->eyes[1], t->mouth};
    double worst = 0;

    for (int i = 0; i < 3; i++) {
        double x = 0, y = 0, n = range[i].last - range[i].first;

        for (int k = range[i].first; k < range[i].last; k++) {
            x += points[k].x / n;
            y += points[k].y / n;
        }
        worst = fmax(worst, hypot(x - want[i][0], y - want[i][1]));
    }
    return worst / hypot(t->eyes[1][0] - t->eyes[0][0], t->eyes[1][1] - t->eyes[0][1]);
}

/* $CHECK_ALL=1 draws 900 faces, not 150. */
static void faces_are_found_where_they_are(void)
{
    int n = getenv("CHECK_ALL") ? 300 : 50, found = 0, off = 0;
    pipeline p;
    bool ready = pipeline_init(&p);

    for (int i = 0; ready && i < 3 * n; i++) {
        fm_image image;
        fm_synth_truth truth;
        fm_face_box box;
        fm_point points[68];

        draw(31 + i / n, i % n, 0, i & 1 ? 0 : 1, &image, &truth);
        if (find_face(&p, &image, &box, points) == 1) {
            CHECK(box.right - box.left >= 80);
            found++;
            off += misplaced(points, &truth) > 0.2;
        }
        fm_image_fini(&image);
    }
    if (ready && (found * 100 < 3 * n * 98 || off * 100 > 3 * n * 5))
        check_failed(__FILE__, __LINE__, "of %d faces %d are found, with landmarks off in %d", 3 * n, found, off);
    pipeline_fini(&p);
}

static bool encode(const pipeline *p, int64_t subject, double effect, float code[FM_ENCODER_WIDTH])
{
    static uint8_t rgb[FM_ENCODER_CHIP * FM_ENCODER_CHIP * 3];
    const uint8_t *chip = rgb;
    fm_similarity transform;
    fm_image image;
    fm_face_box box;
    fm_point points[68];
    bool found;

    draw(SEED, subject, 0, effect, &image, NULL);
    found = find_face(p, &image, &box, points) > 0;
    if (found) {
        CHECK(fm_chip_transform(points, 68, FM_ENCODER_CHIP, 0.25, &transform, NULL) == 0);
        CHECK(fm_chip_extract(&image, &transform, FM_ENCODER_CHIP, rgb, NULL) == 0);
        CHECK(fm_encoder_run(p->encoder, &chip, 1, code, NULL) == 0);
    }
    fm_image_fini(&image);
    return found;
}

enum { EACH = 60 };

/* AUC of the FC head between EACH cases and EACH controls, five folds. */
static fm_metric head_auc(const pipeline *p, double effect)
{
    static float x[2 * EACH][FM_ENCODER_POOLED];
    float code[FM_ENCODER_WIDTH];
    fm_evaluation e = {0};
    fm_metric auc = {0};
    fm_plan plan;

    fm_plan_init(&plan);
    plan.rows = calloc(2 * EACH, sizeof *plan.rows);
    for (uint32_t i = 0; plan.rows && i < 2 * EACH; i++) {
        bool control = i & 1;

        if (!encode(p, i, control ? 0 : effect, code))
            continue;
        memcpy(x[plan.n], code + FM_ENCODER_EMBEDDING, sizeof x[0]);
        plan.rows[plan.n++] = (fm_plan_row){.subject = i, .sample = i, .label = !control, .fold = -1};
    }
    if (CHECK(plan.n >= 2 * EACH * 97 / 100) && CHECK(fm_evaluate_local(&plan, x[0], &e, NULL) == 0))
        auc = e.metrics[FM_METRIC_AUC];
    fm_evaluation_fini(&e);
    fm_plan_fini(&plan);
    return auc;
}

static void a_head_finds_the_effect_and_nothing_else(void)
{
    pipeline p;

    if (pipeline_init(&p)) {
        fm_metric planted = head_auc(&p, 1), none = head_auc(&p, 0);

        if (!(planted.low > 0.65) || !(none.low < 0.5 && none.high > 0.5))
            check_failed(__FILE__, __LINE__, "AUC %.3f (%.3f to %.3f) with the effect, %.3f (%.3f to %.3f) without",
                         planted.value, planted.low, planted.high, none.value, none.low, none.high);
    }
    pipeline_fini(&p);
}

CHECK_MAIN(CHECK_CASE(a_study_is_written_that_matches), CHECK_CASE(same_seed_same_files),
           CHECK_CASE(full_folders_and_odd_numbers_are_refused), CHECK_CASE(effect_changes_the_face_alone),
           CHECK_CASE(faces_are_found_where_they_are), CHECK_CASE(a_head_finds_the_effect_and_nothing_else))

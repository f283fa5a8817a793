/* Audits of codes that carry the label, that carry nothing, and of real ones. */
#include "coordinator/learn/audit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "tests/check.h"
#include "tests/oracle.h"

#define SUBJECTS 120
#define ROWS (2 * SUBJECTS)         /* two photographs of each */
#define WIDTH 16
#define CODE 384

typedef struct {
    fm_audit_plan plan;
    float *x;
    fm_audit_views views;
} world;

/* Column 0 carries `signal` standard deviations of the label. */
static bool world_make(world *w, double signal, uint64_t seed)
{
    fm_plan plan;
    fm_rng r = fm_rng_init(seed, 1);

    memset(w, 0, sizeof *w);
    fm_plan_init(&plan);
    plan.seed = seed;
    plan.code_offset = 0;
    plan.code_width = WIDTH;
    plan.bootstrap = 400;
    plan.head.kind = FM_HEAD_LOGISTIC;
    plan.head.C = 0.1;
    plan.n = ROWS;
    plan.rows = calloc(ROWS, sizeof *plan.rows);
    w->x = calloc(ROWS * WIDTH, sizeof *w->x);
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t subject = i / 2;

        plan.rows[i] = (fm_plan_row){.sample = i, .subject = subject, .label = subject % 2, .fold = -1};
        for (int k = 0; k < WIDTH; k++)
            w->x[i * WIDTH + (uint32_t)k] = (float)(fm_rng_normal(&r) + (k == 0 ? signal * (subject % 2) : 0));
    }
    w->views.codes = w->x;
    for (int k = 0; k < FM_AUDIT_CONFOUNDS; k++) {
        w->views.confound[k] = w->x;
        w->views.confound_width[k] = WIDTH;
    }
    return CHECK(fm_audit_plan_init(&w->plan, &plan, NULL) == 0);
}

static void world_fini(world *w)
{
    fm_audit_plan_fini(&w->plan);
    free(w->x);
}

static bool run_all(const world *w, fm_audit *out)
{
    if (!CHECK(fm_audit_begin(&w->plan, out, NULL) == 0))
        return false;
    for (size_t i = 0; i < out->n; i++)
        if (!CHECK(fm_audit_task(&w->plan, &w->views, i, &out->v[i], NULL) == 0))
            return false;
    return true;
}

static void what_carries_the_label_is_told_from_what_does_not(void)
{
    for (int signal = 0; signal <= 2; signal += 2) {
        const fm_audit_figure *curve;
        fm_audit a;
        world w;

        REQUIRE(world_make(&w, signal, 3));
        w.plan.nulls = 2;
        w.plan.seeds = 2;
        w.plan.permutations = 30;
        REQUIRE(run_all(&w, &a));
        curve = fm_audit_figures(&a, FM_AUDIT_CURVE_POINT);
        printf("  signal %d: AUC %.3f, at an eighth %.3f, p %.3f, null %.3f\n", signal, curve[3].auc, curve[0].auc,
               fm_audit_p(&a), fm_audit_figures(&a, FM_AUDIT_NULL)[0].auc);
        CHECK(signal ? curve[3].low > 0.7 : curve[3].low < 0.5);
        CHECK(signal ? curve[0].auc < curve[3].auc - 0.02 : curve[3].high > 0.5);
        CHECK(signal ? fm_audit_p(&a) < 1.5 / 31 : fm_audit_p(&a) > 0.05);
        for (int i = 0; i < 2; i++) {
            const fm_audit_figure *n = &fm_audit_figures(&a, FM_AUDIT_NULL)[i];

            CHECK(n->low <= 0.5 && n->high >= 0.5);     /* class 0 has nothing to tell in either */
            CHECK_NEAR(n->subjects, SUBJECTS / 4, 0);
        }
        CHECK_NEAR(fm_audit_figures(&a, FM_AUDIT_SEED)[1].auc, curve[3].auc, 0.06);
        CHECK_NEAR(curve[3].subjects, SUBJECTS * 0.8, 0.5);
        fm_audit_fini(&a);
        world_fini(&w);
    }
}

/* The last point of the curve is the study itself. */
static void the_reference_is_the_evaluation(void)
{
    fm_audit_figure f;
    fm_evaluation e;
    world w;

    REQUIRE(world_make(&w, 1, 4));
    REQUIRE(fm_evaluate_local(&w.plan.plan, w.x, &e, NULL) == 0);
    REQUIRE(fm_audit_task(&w.plan, &w.views, FM_AUDIT_CONFOUNDS + FM_AUDIT_CURVE - 1, &f, NULL) == 0);
    CHECK(f.auc == e.metrics[FM_METRIC_AUC].value);
    CHECK(f.low == e.metrics[FM_METRIC_AUC].low && f.high == e.metrics[FM_METRIC_AUC].high);
    fm_evaluation_fini(&e);
    world_fini(&w);
}

static void halves_are_equal_in_every_stratum_and_planted_ones_are_found(void)
{
    fm_audit_figure f;
    float *planted;
    world w;

    REQUIRE(world_make(&w, 0, 5));
    for (uint32_t i = 0; i < ROWS; i++)
        w.plan.stratum[i] = i / 2 < 14 ? 1 : 2;     /* class 0 has 7 subjects in one, 53 in the other */
    planted = malloc(ROWS * WIDTH * sizeof *planted);
    memcpy(planted, w.x, ROWS * WIDTH * sizeof *planted);
    REQUIRE(fm_audit_halves(&w.plan.plan, w.plan.stratum, w.x, planted, 0, &f, NULL) == 0);
    CHECK_NEAR(f.subjects, 3 + 26, 0);
    CHECK(f.low <= 0.5 && f.high >= 0.5);
    for (uint32_t i = 0; i < ROWS; i++)
        planted[i * WIDTH + 3] += 2;
    REQUIRE(fm_audit_halves(&w.plan.plan, w.plan.stratum, w.x, planted, 0, &f, NULL) == 0);
    CHECK(f.low > 0.6);
    free(planted);
    world_fini(&w);
}

static void what_cannot_be_made_is_an_answer(void)
{
    fm_audit_figure f = {1, 1, 1, 1};
    world w;

    REQUIRE(world_make(&w, 0, 6));
    w.plan.nulls = 1;
    for (uint32_t i = 0; i < ROWS; i++)
        w.plan.plan.rows[i].label = i / 2 >= 6;     /* six subjects of class 0: three a half, for five folds */
    CHECK_INT(fm_audit_task(&w.plan, &w.views, FM_AUDIT_CONFOUNDS, &f, NULL), 0);
    CHECK(isnan(f.auc) && isnan(f.low));
    world_fini(&w);
}

/* Rows of one subject with several classes are permuted one by one. */
static void permutations_keep_how_many_each_class_has(void)
{
    fm_audit_figure f;
    world w;

    REQUIRE(world_make(&w, 2, 7));
    w.plan.permutations = 1;
    for (uint32_t i = 0; i < ROWS; i++)
        w.plan.plan.rows[i].label = i % 2;
    REQUIRE(fm_audit_task(&w.plan, &w.views, fm_audit_tasks(&w.plan) - 1, &f, NULL) == 0);
    CHECK(f.auc > 0.3 && f.auc < 0.7);
    world_fini(&w);
}

static void codecs_give_back_what_they_took(void)
{
    fm_buf b = FM_BUF_INIT, again = FM_BUF_INIT;
    fm_audit_plan plan;
    fm_digest d1, d2;
    fm_audit a, got;
    world w;

    REQUIRE(world_make(&w, 1, 8));
    w.plan.nulls = 1;
    w.plan.file_bytes[3] = 77;
    w.plan.stratum[4] = 9;
    w.plan.chip_padding = 0.25;
    fm_audit_plan_encode(&w.plan, &b);
    REQUIRE(fm_audit_plan_decode(b.data, b.size, &plan, NULL) == 0);
    fm_audit_plan_encode(&plan, &again);
    CHECK(b.size == again.size && memcmp(b.data, again.data, b.size) == 0);
    CHECK(fm_audit_plan_digest(&w.plan, &d1, NULL) == 0 && fm_audit_plan_digest(&plan, &d2, NULL) == 0);
    CHECK(fm_digest_equal(&d1, &d2));
    plan.file_bytes[3]++;
    CHECK(fm_audit_plan_digest(&plan, &d2, NULL) == 0 && !fm_digest_equal(&d1, &d2));
    fm_audit_plan_fini(&plan);
    for (size_t n = 0; n < b.size; n += n < 100 ? 1 : 997)
        CHECK_INT(fm_audit_plan_decode(b.data, n, &plan, NULL), -EBADMSG);

    REQUIRE(fm_audit_begin(&w.plan, &a, NULL) == 0);
    a.v[2].auc = 0.75;
    again.size = 0;
    fm_audit_encode(&a, &again);
    REQUIRE(fm_audit_decode(again.data, again.size, &got, NULL) == 0);
    CHECK(got.n == a.n && got.v[2].auc == 0.75);
    fm_audit_fini(&got);
    for (size_t i = 0; i < again.size; i++) {
        again.data[i] ^= 1;
        CHECK_INT(fm_audit_decode(again.data, again.size, &got, NULL), -EBADMSG);
        again.data[i] ^= 1;
        CHECK_INT(fm_audit_decode(again.data, i, &got, NULL), -EBADMSG);
    }
    fm_audit_fini(&a);
    fm_buf_fini(&b);
    fm_buf_fini(&again);
    world_fini(&w);
}

/* Codes of real faces that nothing but chance divides: 18 of 20 intervals hold 0.5 (CHECK_ALL=1; else 5 of 6). */
static void null_studies_of_real_faces_hold_half(void)
{
    uint32_t runs = getenv("CHECK_ALL") ? 20 : 6, hold = 0;
    fm_plan plan;
    fm_buf bytes = FM_BUF_INIT;
    float *x;
    uint32_t *stratum;

    if (!oracle_bytes("oracle/utkface-2k/codes.f32", &bytes))
        return;
    fm_plan_init(&plan);
    plan.seed = 21;
    plan.n = bytes.size / (CODE * sizeof *x) / 2;       /* every second face */
    plan.rows = calloc(plan.n, sizeof *plan.rows);
    stratum = calloc(plan.n, sizeof *stratum);
    x = calloc(plan.n * plan.code_width, sizeof *x);
    for (uint32_t i = 0; i < plan.n; i++) {
        plan.rows[i] = (fm_plan_row){.sample = i, .subject = i, .fold = -1};
        memcpy(x + i * plan.code_width, bytes.data + ((size_t)2 * i * CODE + 128) * sizeof *x, plan.code_width * sizeof *x);
    }
    for (uint32_t i = 0; i < runs; i++) {
        fm_audit_figure f;

        REQUIRE(fm_audit_halves(&plan, stratum, x, x, i, &f, NULL) == 0);
        printf("  null study %u: AUC %.3f [%.3f, %.3f]\n", i, f.auc, f.low, f.high);
        hold += f.low <= 0.5 && f.high >= 0.5;
    }
    CHECK(hold >= runs - (runs == 20 ? 2 : 1));
    fm_plan_fini(&plan);
    fm_buf_fini(&bytes);
    free(stratum);
    free(x);
}

CHECK_MAIN(CHECK_CASE(codecs_give_back_what_they_took), CHECK_CASE(what_cannot_be_made_is_an_answer),
           CHECK_CASE(permutations_keep_how_many_each_class_has), CHECK_CASE(the_reference_is_the_evaluation),
           CHECK_CASE(halves_are_equal_in_every_stratum_and_planted_ones_are_found),
           CHECK_CASE(what_carries_the_label_is_told_from_what_does_not), CHECK_CASE(null_studies_of_real_faces_hold_half))

/* Maps of generated codes: column k stands for cell k, and a hidden cell is a column of zeros. */
#include "coordinator/learn/explain.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "tests/check.h"

enum { SUBJECTS = 40, ROWS = 2 * SUBJECTS, GRID = 4, CELLS = GRID * GRID, PERMUTATIONS = 39, SIGN = 6 };

typedef struct {
    fm_plan plan;
    fm_evaluation e;
    float x[ROWS * CELLS];
    float *hidden;
    uint32_t *rows;
    size_t n;
    double weight[FM_EXPLAIN_REGIONS * CELLS];
    fm_explain_view v;
} world;

/* Column SIGN carries `signal` standard deviations of the label; all columns have a mean of their own. */
static bool world_make(world *w, double signal, uint64_t seed, uint32_t faces)
{
    fm_rng r = fm_rng_init(seed, 1);

    memset(w, 0, sizeof *w);
    fm_plan_init(&w->plan);
    w->plan.seed = seed;
    w->plan.code_offset = 0;
    w->plan.code_width = CELLS;
    w->plan.bootstrap = 0;
    w->plan.folds.folds = 4;
    w->plan.head.kind = FM_HEAD_LOGISTIC;
    w->plan.head.C = 0.1;
    w->plan.n = ROWS;
    w->plan.rows = calloc(ROWS, sizeof *w->plan.rows);
    for (uint32_t i = 0; i < ROWS; i++) {
        w->plan.rows[i] = (fm_plan_row){.sample = i, .subject = i / 2, .label = i / 2 % 2, .fold = -1};
        for (uint32_t k = 0; k < CELLS; k++)
            w->x[i * CELLS + k] = (float)(3 + fm_rng_normal(&r) + (k == SIGN ? signal * (i / 2 % 2) : 0));
    }
    for (uint32_t k = 0; k < CELLS; k++)
        w->weight[k / 2 * CELLS + k] = 0.5;
    if (!CHECK(fm_evaluation_begin(&w->plan, &w->e, NULL) == 0) ||
        !CHECK(fm_explain_choose(&w->plan, &w->e, faces, &w->rows, &w->n, NULL) == 0))
        return false;
    w->hidden = malloc(w->n * CELLS * CELLS * sizeof *w->hidden);
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < CELLS; k++) {
            memcpy(w->hidden + (i * CELLS + k) * CELLS, w->x + w->rows[i] * CELLS, CELLS * sizeof *w->x);
            w->hidden[(i * CELLS + k) * CELLS + k] = 0;
        }
    w->v = (fm_explain_view){&w->plan, &w->e, w->x, w->rows, w->n, CELLS, w->hidden, FM_EXPLAIN_REGIONS, w->weight};
    return true;
}

static void world_fini(world *w)
{
    fm_evaluation_fini(&w->e);
    fm_plan_fini(&w->plan);
    free(w->hidden);
    free(w->rows);
}

static bool explain(const world *w, fm_explanation *out)
{
    fm_explain_peak peaks[PERMUTATIONS];

    if (!CHECK(fm_explain_study(&w->v, GRID, out, NULL) == 0))
        return false;
    for (uint32_t i = 0; i < PERMUTATIONS; i++)
        if (!CHECK(fm_explain_permutation(&w->v, i + 1, &peaks[i], NULL) == 0))
            return false;
    return CHECK(fm_explain_conclude(out, peaks, PERMUTATIONS, NULL) == 0);
}

static size_t cells_over(const fm_explanation *x)
{
    size_t n = 0;

    for (int k = 0; k < CELLS; k++)
        n += fm_explain_over(&x->map[0].cell[k]);
    return n;
}

static void a_sign_is_found_in_its_place(void)
{
    static world w;
    fm_explanation x = {0};

    REQUIRE(world_make(&w, 2, 11, 1000));
    REQUIRE(explain(&w, &x));
    CHECK_INT(fm_explain_top(&x), SIGN);
    CHECK(fm_explain_over(&x.map[0].cell[SIGN]) && fm_explain_over(&x.map[0].region[SIGN / 2]));
    CHECK(x.map[0].cell[SIGN].t > x.threshold && x.map[0].region[SIGN / 2].t > x.region_threshold);
    CHECK_INT(cells_over(&x), 1);
    CHECK_INT(x.permutations, PERMUTATIONS);
    CHECK_INT(x.map[0].faces, ROWS);
    CHECK_INT(x.map[0].subjects, SUBJECTS);
    CHECK_INT(x.map[1].faces + x.map[2].faces, ROWS);
    fm_explanation_fini(&x);
    world_fini(&w);
}

/* 40 studies: with 2 expected over the threshold, 7 or more come once in 300. */
static void a_map_of_nothing_says_so(void)
{
    static world w;
    uint64_t seed = check_seed();
    int over = 0;

    for (int i = 0; i < 40; i++) {
        fm_explanation x = {0};

        REQUIRE(world_make(&w, 0, seed + (uint64_t)i, 1000));
        REQUIRE(explain(&w, &x));
        over += cells_over(&x) > 0;
        fm_explanation_fini(&x);
        world_fini(&w);
    }
    if (over > 7)
        check_failed(__FILE__, __LINE__, "%d of 40 maps of nothing have a cell over the threshold", over);
}

/* The same falls, means and errors, written out with the evaluation's own probabilities. */
static void figures_are_those_of_their_definition(void)
{
    static world w;
    fm_explanation x = {0};
    fm_evaluation all;
    double own[2] = {0, 0}, n[2] = {0, 0};

    REQUIRE(world_make(&w, 1, 5, 1000));
    REQUIRE(explain(&w, &x) && CHECK(fm_evaluate_local(&w.plan, w.x, &all, NULL) == 0));
    for (int i = 0; i < ROWS; i++) {
        const double *p = all.prob + 2 * i;
        int c = all.label[i];

        own[c] += log(p[c]) - log(p[1 - c]);
        n[c]++;
    }
    CHECK_NEAR(x.map[1].base, own[0] / n[0], 1e-12);
    CHECK_NEAR(x.map[2].base, own[1] / n[1], 1e-12);
    CHECK_NEAR(x.map[0].base, (own[0] / n[0] + own[1] / n[1]) / 2, 1e-12);
    for (int k = 0; k < CELLS; k++) {
        const fm_explain_value *v = &x.map[0].cell[k], *a = &x.map[1].cell[k], *b = &x.map[2].cell[k];

        CHECK_NEAR(v->fall, (a->fall + b->fall) / 2, 1e-12);
        /* no subject is of two classes: sums of squares add up, but for the factors S / (S - 1) */
        CHECK_NEAR(v->se * v->se * (SUBJECTS - 1) / SUBJECTS,
                   (a->se * a->se + b->se * b->se) / 4 * (SUBJECTS / 2 - 1) / (SUBJECTS / 2), 1e-12);
        CHECK_NEAR(v->t, v->fall / v->se, 1e-12);
    }
    CHECK_NEAR(x.map[0].region[0].fall, (x.map[0].cell[0].fall + x.map[0].cell[1].fall) / 2, 1e-12);
    fm_evaluation_fini(&all);
    fm_explanation_fini(&x);
    world_fini(&w);
}

static void the_sample_is_of_many_subjects_and_both_classes(void)
{
    static world w;
    size_t of[2] = {0, 0};

    REQUIRE(world_make(&w, 0, 3, 12));
    CHECK_INT(w.n, 24);
    for (size_t i = 0; i < w.n; i++) {
        of[w.e.label[w.rows[i]]]++;
        if (i > 0)
            CHECK(w.e.subject[w.rows[i]] > w.e.subject[w.rows[i - 1]]);
    }
    CHECK(of[0] == 12 && of[1] == 12);
    world_fini(&w);
}

static void few_permutations_give_no_threshold(void)
{
    static world w;
    fm_explanation x = {0};
    fm_explain_peak peaks[18] = {{0, 0}};

    REQUIRE(world_make(&w, 4, 3, 1000));
    REQUIRE(fm_explain_study(&w.v, GRID, &x, NULL) == 0 && fm_explain_conclude(&x, peaks, 18, NULL) == 0);
    CHECK(isnan(x.threshold) && cells_over(&x) == 0);
    REQUIRE(fm_explain_conclude(&x, NULL, 0, NULL) == 0);
    CHECK(isnan(x.map[0].cell[0].p) && cells_over(&x) == 0);
    fm_explanation_fini(&x);
    world_fini(&w);
}

static void bytes_come_back_and_damage_is_seen(void)
{
    static world w;
    fm_explanation x = {0}, back;
    fm_buf a = FM_BUF_INIT, b = FM_BUF_INIT;

    REQUIRE(world_make(&w, 1, 9, 10));
    REQUIRE(explain(&w, &x));
    fm_explanation_encode(&x, &a);
    REQUIRE(fm_explanation_decode(a.data, a.size, &back, NULL) == 0);
    fm_explanation_encode(&back, &b);
    CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
    fm_explanation_fini(&back);
    for (size_t i = 0; i < a.size; i += 7) {
        a.data[i] ^= 1;
        CHECK_INT(fm_explanation_decode(a.data, a.size, &back, NULL), -EBADMSG);
        a.data[i] ^= 1;
        CHECK_INT(fm_explanation_decode(a.data, i, &back, NULL), -EBADMSG);
    }
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    fm_explanation_fini(&x);
    world_fini(&w);
}

CHECK_MAIN(CHECK_CASE(a_sign_is_found_in_its_place), CHECK_CASE(a_map_of_nothing_says_so),
           CHECK_CASE(figures_are_those_of_their_definition), CHECK_CASE(the_sample_is_of_many_subjects_and_both_classes),
           CHECK_CASE(few_permutations_give_no_threshold), CHECK_CASE(bytes_come_back_and_damage_is_seen))

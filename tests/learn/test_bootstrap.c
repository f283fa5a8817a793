#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/metrics.h"
#include "tests/check.h"

#define N 120

/* Rows of random predictions; rows of one group share much of their score. */
typedef struct {
    int32_t label[N], test_fold[2 * N];
    uint32_t group[N];
    double prob[2 * N * 5];
} study;

static void study_make(study *s, int classes, uint32_t groups, fm_rng *rng)
{
    double *p = s->prob;

    for (int i = 0; i < N; i++) {
        s->label[i] = (int32_t)fm_rng_below(rng, (uint32_t)classes);
        s->group[i] = 7 * fm_rng_below(rng, groups);
    }
    for (int i = 0; i < 2 * N; i++, p += classes) {
        double sum = 0;

        s->test_fold[i] = i % 17 == 3 ? -1 : i % 5;
        for (int c = 0; c < classes; c++)
            sum += p[c] = 0.01 + fm_rng_below(rng, 20) + (c == s->label[i % N] ? 4 : 0);
        for (int c = 0; c < classes; c++)
            p[c] /= sum;
    }
}

/* The resample written out: each group's rows as often as the same random numbers draw it. */
static void written_out(const study *s, int classes, uint64_t seed, uint64_t b, fm_metric_values *out)
{
    enum { ROOM = 20 * N };
    static int32_t label[ROOM], fold[2 * ROOM];
    static double prob[2 * ROOM * 5];
    static uint32_t source[ROOM];
    fm_rng rng = fm_rng_init(seed, fm_rng_stream("bootstrap", b, 0));
    uint32_t numbers[N], units = 0;
    size_t n = 0, c = (size_t)classes;
    fm_predictions p;

    for (uint32_t g = 0; g < 7 * N; g++)
        for (int i = 0; i < N; i++)
            if (s->group[i] == g && (s->test_fold[i] >= 0 || s->test_fold[N + i] >= 0)) {
                numbers[units++] = g;
                break;
            }
    for (uint32_t i = 0; i < units; i++) {
        uint32_t g = numbers[fm_rng_below(&rng, units)];

        for (uint32_t row = 0; row < N; row++)
            if (s->group[row] == g && n < ROOM)
                source[n++] = row;
    }
    for (size_t i = 0; i < 2 * n; i++) {
        size_t from = (i / n) * N + source[i % n];

        label[i % n] = s->label[source[i % n]];
        fold[i] = s->test_fold[from];
        memcpy(prob + i * c, s->prob + from * c, c * sizeof *prob);
    }
    p = (fm_predictions){.n = n, .classes = classes, .repeats = 2, .label = label, .test_fold = fold, .prob = prob,
                         .prevalence = 0.1, .top_k = 2};
    CHECK(fm_metrics_point(&p, NULL, 0, -1, -1, out, NULL) == 0);
}

static void a_resample_is_the_study_written_out(void)
{
    uint64_t seed = 5;
    fm_rng rng = fm_rng_init(seed, 1);
    static study s;

    printf("  seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; turn < 6; turn++) {
        int classes = turn % 2 ? 5 : 2;
        fm_predictions p = {.n = N, .classes = classes, .repeats = 2, .label = s.label, .group = s.group,
                            .test_fold = s.test_fold, .prob = s.prob, .prevalence = 0.1, .top_k = 2};
        double got[4 * FM_METRIC_COUNT];
        fm_bootstrap *b;

        study_make(&s, classes, turn < 2 ? 8 : N, &rng);
        REQUIRE(fm_bootstrap_create(&p, NULL, 0, &b, NULL) == 0);
        REQUIRE(fm_bootstrap_run(b, seed, 100, 4, got, NULL) == 0);
        for (uint64_t i = 0; i < 4; i++) {
            fm_metric_values want;

            written_out(&s, classes, seed, 100 + i, &want);
            for (int k = 0; k < FM_METRIC_COUNT; k++)
                if (!isnan(want.v[k]) || !isnan(got[i * FM_METRIC_COUNT + (uint64_t)k]))
                    CHECK_NEAR(got[i * FM_METRIC_COUNT + (uint64_t)k], want.v[k], 1e-12);
        }
        fm_bootstrap_destroy(b);
    }
}

static void resamples_can_be_split_anyhow(void)
{
    enum { COUNT = 50 };
    static double whole[COUNT * FM_METRIC_COUNT], part[COUNT * FM_METRIC_COUNT], other[COUNT * FM_METRIC_COUNT];
    static study s;
    fm_rng rng = fm_rng_init(3, 0);
    fm_predictions p = {.n = N, .classes = 2, .repeats = 2, .label = s.label, .group = s.group,
                        .test_fold = s.test_fold, .prob = s.prob};
    fm_bootstrap *b, *again;

    study_make(&s, 2, 30, &rng);
    REQUIRE(fm_bootstrap_create(&p, NULL, 0, &b, NULL) == 0 && fm_bootstrap_create(&p, NULL, 0, &again, NULL) == 0);
    memset(s.prob, 0, sizeof s.prob);       /* it was copied */
    CHECK(fm_bootstrap_run(b, 9, 0, COUNT, whole, NULL) == 0);
    for (uint64_t first = COUNT, n; first > 0; first -= n) {
        n = 1 + fm_rng_below(&rng, 7);
        n = n < first ? n : first;
        CHECK(fm_bootstrap_run(first % 2 ? b : again, 9, first - n, n, part + (first - n) * FM_METRIC_COUNT, NULL) == 0);
    }
    CHECK(memcmp(whole, part, sizeof whole) == 0);
    CHECK(fm_bootstrap_run(b, 10, 0, COUNT, other, NULL) == 0);
    CHECK(memcmp(whole, other, sizeof whole) != 0);
    fm_bootstrap_destroy(b);
    fm_bootstrap_destroy(again);
}

static void intervals_by_hand(void)
{
    enum { COUNT = 41 };
    static double r[COUNT * FM_METRIC_COUNT];
    fm_metric_values point;
    fm_metric m[FM_METRIC_COUNT];

    for (int k = 0; k < FM_METRIC_COUNT; k++)
        point.v[k] = k == 2 ? (double)NAN : 0.5;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < FM_METRIC_COUNT; k++)
            r[i * FM_METRIC_COUNT + k] = k == 3 && i < 5 ? (double)NAN : k == 4 && i < 4 ? (double)NAN : i * 16 % 41;
    REQUIRE(fm_bootstrap_intervals(&point, r, COUNT, m, NULL) == 0);
    CHECK_NEAR(m[0].low, 1.0, 1e-12);       /* 0.025 * 40 */
    CHECK_NEAR(m[0].high, 39.0, 1e-12);
    CHECK(m[0].value == 0.5 && r[0] == 0 && r[40 * FM_METRIC_COUNT] == 40);
    CHECK(isnan(m[2].value) && isnan(m[2].low) && isnan(m[2].high));
    CHECK(m[3].value == 0.5 && isnan(m[3].low) && isnan(m[3].high));    /* 5 of 41 undefined */
    CHECK(!isnan(m[4].low));                                            /* 4 of 41 */
    REQUIRE(fm_bootstrap_intervals(&point, r, 0, m, NULL) == 0);
    CHECK(m[0].value == 0.5 && isnan(m[0].low) && isnan(m[0].high));
}

/* Predictions that know nothing: the interval of their AUC holds 0.5 as often as it says,
 * also where rows come in groups that share label and score, if groups are told. */
static double coverage(bool grouped, bool told, uint64_t seed)
{
    enum { STUDIES = 200 };
    static study s;
    int holds = 0;

    for (uint64_t i = 0; i < STUDIES; i++) {
        fm_rng rng = fm_rng_init(seed, fm_rng_stream("study", i, 0));
        fm_predictions p = {.n = N, .classes = 2, .repeats = 1, .label = s.label, .group = told ? s.group : NULL,
                            .prob = s.prob};
        fm_metric m[FM_METRIC_COUNT];

        for (int row = 0; row < N; row++) {
            bool like_last = grouped && row % 3 != 0;
            double noise = fm_rng_uniform(&rng);

            s.group[row] = (uint32_t)(grouped ? row / 3 : row);
            s.label[row] = like_last ? s.label[row - 1] : fm_rng_uniform(&rng) < 0.5;
            s.prob[2 * row + 1] = like_last ? 0.95 * s.prob[2 * row - 1] + 0.05 * noise : noise;
            s.prob[2 * row] = 1 - s.prob[2 * row + 1];
        }
        CHECK(fm_metrics_with_intervals(&p, NULL, 0, seed + i, 400, m, NULL) == 0);
        CHECK(m[FM_METRIC_AUC].low <= m[FM_METRIC_AUC].value && m[FM_METRIC_AUC].value <= m[FM_METRIC_AUC].high);
        holds += m[FM_METRIC_AUC].low <= 0.5 && 0.5 <= m[FM_METRIC_AUC].high;
    }
    return holds / (double)STUDIES;
}

static void intervals_cover_what_they_say(void)
{
    uint64_t seed = 2020;
    double alone = coverage(false, false, seed), told = coverage(true, true, seed), untold = coverage(true, false, seed);

    printf("  seed %llu: covers %.3f, by group %.3f, groups ignored %.3f\n", (unsigned long long)seed, alone, told,
           untold);
    CHECK(alone >= 0.88 && alone <= 0.99);
    CHECK(told >= 0.88 && told <= 0.99);
    CHECK(untold < 0.85);
}

CHECK_MAIN(CHECK_CASE(a_resample_is_the_study_written_out), CHECK_CASE(resamples_can_be_split_anyhow),
           CHECK_CASE(intervals_by_hand), CHECK_CASE(intervals_cover_what_they_say))

/* Curves against areas that are checked elsewhere, and bands against one resample counted row by row. */
#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/curves.h"
#include "tests/check.h"

#define N 200

static int32_t label[N];
static uint32_t group[N];
static double prob[2 * N];

/* More and more different scores, turn by turn. */
static fm_predictions random_predictions(fm_rng *rng, int turn)
{
    for (int i = 0; i < N; i++) {
        label[i] = fm_rng_uniform(rng) < 0.3;
        group[i] = (uint32_t)i / 3;
        prob[2 * i + 1] = (fm_rng_below(rng, 1u << (1 + turn % 10)) + (label[i] ? 1.0 : 0.0)) / 2048.0;
        prob[2 * i] = 1 - prob[2 * i + 1];
    }
    return (fm_predictions){.n = N, .classes = 2, .repeats = 1, .label = label, .group = group, .prob = prob};
}

/* Curves are monotone, end in (1, 1), and the areas under them are the AUC and average precision. */
static void areas_are_the_metrics(void)
{
    uint64_t seed = 11;
    fm_rng rng = fm_rng_init(seed, 0);

    printf("  seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; turn < 20; turn++) {
        fm_predictions p = random_predictions(&rng, turn);
        double roc = 0, steps = 0;
        fm_metric_values v;
        fm_curves c;

        REQUIRE(fm_curves_make(&p, 1, 0, &c, NULL) == 0);
        REQUIRE(c.n >= 2 && c.n <= N + 1);
        for (size_t i = 1; i < c.n; i++) {
            CHECK(c.fpr[i] >= c.fpr[i - 1] && c.tpr[i] >= c.tpr[i - 1] &&
                  c.fpr[i] + c.tpr[i] > c.fpr[i - 1] + c.tpr[i - 1]);
            roc += (c.fpr[i] - c.fpr[i - 1]) * (c.tpr[i] + c.tpr[i - 1]) / 2;
            steps += (c.tpr[i] - c.tpr[i - 1]) * c.precision[i];
        }
        CHECK(c.fpr[0] == 0 && c.tpr[0] == 0 && c.fpr[c.n - 1] == 1 && c.tpr[c.n - 1] == 1);
        REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &v, NULL) == 0);
        CHECK_NEAR(roc, v.v[FM_METRIC_AUC], 1e-12);
        CHECK_NEAR(steps, v.v[FM_METRIC_AVERAGE_PRECISION], 1e-12);
        CHECK(isnan(c.sensitivity[50].low) && isnan(c.at_recall[50].high));
        fm_curves_fini(&c);
    }
}

/* What is called positive at a score or above, row by row. */
static void count_above(const uint32_t *weight, double score, double *right, double *wrong)
{
    *right = *wrong = 0;
    for (int i = 0; i < N; i++)
        if (prob[2 * i + 1] >= score)
            *(label[i] ? right : wrong) += weight[group[i]];
}

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

/* Sensitivity at a false positive rate, between the two points beside it; precision at the first recall reached. */
static void naive(const uint32_t *weight, double at, double *sensitivity, double *precision)
{
    double scores[N], all_right, all_wrong, last_right = 0, last_wrong = 0;

    for (int i = 0; i < N; i++)
        scores[i] = prob[2 * i + 1];
    qsort(scores, N, sizeof *scores, descending);
    count_above(weight, -1, &all_right, &all_wrong);
    *sensitivity = 1;
    *precision = NAN;
    for (int i = 0; i < N; i++) {
        double right, wrong;

        count_above(weight, scores[i], &right, &wrong);
        if (isnan(*precision) && right + wrong > 0 && right >= at * all_right - 1e-9)
            *precision = right / (right + wrong);
        if (wrong > at * all_wrong) {
            *sensitivity = (last_right + (at * all_wrong - last_wrong) / (wrong - last_wrong) * (right - last_right)) /
                           all_right;
            break;
        }
        last_right = right;
        last_wrong = wrong;
    }
    for (int i = 0; i < N && isnan(*precision); i++) {
        double right, wrong;

        count_above(weight, scores[i], &right, &wrong);
        if (right >= at * all_right - 1e-9)
            *precision = right / (right + wrong);
    }
}

/* The band of one resample is that resample. */
static void a_band_is_of_the_resamples(void)
{
    fm_rng rng = fm_rng_init(5, 0);
    uint32_t weight[(N + 2) / 3];

    for (int turn = 0; turn < 10; turn++) {
        fm_predictions p = random_predictions(&rng, turn);
        fm_curves c;

        REQUIRE(fm_curves_make(&p, 77, 1, &c, NULL) == 0);
        fm_bootstrap_draw(77, 0, weight, (N + 2) / 3);
        for (int i = 1; i < FM_CURVE_POSITIONS; i++) {
            double sensitivity, precision;

            naive(weight, i / 100.0, &sensitivity, &precision);
            CHECK_NEAR(c.sensitivity[i].low, sensitivity, 1e-12);
            CHECK_NEAR(c.at_recall[i].high, precision, 1e-12);
        }
        fm_curves_fini(&c);
    }
}

static void bands_hold_the_curve(void)
{
    fm_rng rng = fm_rng_init(6, 0);
    fm_predictions p = random_predictions(&rng, 9);
    fm_curves c, again;

    REQUIRE(fm_curves_make(&p, 3, 500, &c, NULL) == 0);
    REQUIRE(fm_curves_make(&p, 3, 500, &again, NULL) == 0);
    for (int i = 5; i < 95; i++) {
        CHECK(c.sensitivity[i].low <= c.sensitivity[i].value && c.sensitivity[i].value <= c.sensitivity[i].high);
        CHECK(c.at_recall[i].low < c.at_recall[i].high && c.at_recall[i].low >= 0 && c.at_recall[i].high <= 1);
        CHECK(c.sensitivity[i].low == again.sensitivity[i].low);
    }
    fm_curves_fini(&c);
    fm_curves_fini(&again);
}

static void what_has_no_curve(void)
{
    fm_rng rng = fm_rng_init(7, 0);
    fm_predictions p = random_predictions(&rng, 3);
    fm_curves c;
    fm_err err = FM_ERR_INIT;

    memset(label, 0, sizeof label);
    REQUIRE(fm_curves_make(&p, 1, 10, &c, NULL) == 0);
    CHECK(c.n == 0 && isnan(c.sensitivity[0].value) && isnan(c.at_recall[100].value));
    fm_curves_fini(&c);
    p.classes = 3;
    CHECK_INT(fm_curves_make(&p, 1, 10, &c, &err), -EINVAL);
    CHECK(strstr(err.text, "two classes") != NULL);
}

CHECK_MAIN(CHECK_CASE(areas_are_the_metrics), CHECK_CASE(a_band_is_of_the_resamples), CHECK_CASE(bands_hold_the_curve),
           CHECK_CASE(what_has_no_curve))

#include <errno.h>
#include <math.h>

#include "base/rng.h"
#include "coordinator/learn/threshold.h"
#include "tests/check.h"

#define N 40

/* Every threshold that tells rows apart, tried: sensitivity and Youden's index at it. */
static void figures_at(const int32_t *label, const double *prob, double threshold, double *sensitivity, double *youden)
{
    double called[2] = {0, 0}, all[2] = {0, 0};
    int32_t calls[N];

    fm_threshold_call(prob, N, threshold, calls);
    for (int i = 0; i < N; i++) {
        all[label[i]]++;
        called[label[i]] += calls[i];
    }
    *sensitivity = called[1] / all[1];
    *youden = *sensitivity - called[0] / all[0];
}

static void no_threshold_is_better(void)
{
    uint64_t seed = 31;
    fm_rng rng = fm_rng_init(seed, 0);
    int32_t label[N];
    double prob[2 * N];

    printf("  seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; turn < 200; turn++) {
        double youden, fixed, target = 0.5 + fm_rng_uniform(&rng) / 2, s, y, best_s, best_y;

        for (int i = 0; i < N; i++) {
            label[i] = i < 2 ? i : fm_rng_uniform(&rng) < 0.4;
            prob[2 * i + 1] = (fm_rng_below(&rng, 1 + turn % 25) + 5 * label[i] * (turn % 3)) / 40.0;
            prob[2 * i] = 1 - prob[2 * i + 1];
        }
        REQUIRE(fm_threshold_youden(label, prob, N, &youden, NULL) == 0);
        REQUIRE(fm_threshold_sensitivity(label, prob, N, target, &fixed, NULL) == 0);
        figures_at(label, prob, youden, &s, &best_y);
        figures_at(label, prob, fixed, &best_s, &y);
        CHECK(best_y >= 0 && best_s >= target - 1e-9);
        for (int i = 0; i < N; i++) {
            double score = prob[2 * i + 1];

            figures_at(label, prob, score, &s, &y);
            REQUIRE(y <= best_y + 1e-12);
            REQUIRE(y < best_y - 1e-12 || score >= youden);     /* none as good is lower */
            figures_at(label, prob, nextafter(score, 2), &s, &y);
            REQUIRE(score < fixed || s < target);               /* none as sensitive calls fewer */
        }
    }
}

static void edges(void)
{
    const int32_t label[4] = {0, 0, 1, 1}, turned[4] = {1, 1, 0, 0}, bad[4] = {0, 0, 1, 2};
    const double low = 0.5, high = nextafter(0.5, 1);
    double prob[8] = {0.5, low, 0.5, low, 0.5, high, 0.5, high}, t;
    int32_t called[4];
    fm_err err = FM_ERR_INIT;

    REQUIRE(fm_threshold_youden(label, prob, 4, &t, NULL) == 0);        /* neighbours that nothing lies between */
    fm_threshold_call(prob, 4, t, called);
    CHECK(called[0] == 0 && called[2] == 1);
    REQUIRE(fm_threshold_youden(turned, prob, 4, &t, NULL) == 0);       /* wrong everywhere: all or none */
    CHECK(t == 0);
    REQUIRE(fm_threshold_sensitivity(label, prob, 4, 1, &t, NULL) == 0);
    CHECK(t == high);
    REQUIRE(fm_threshold_sensitivity(turned, prob, 4, 0.1, &t, NULL) == 0);
    CHECK(t == 0);
    REQUIRE(fm_threshold_youden(label, prob, 2, &t, NULL) == 0);
    CHECK(isnan(t));
    fm_threshold_call(prob, 4, t, called);
    CHECK(called[0] == 0 && called[3] == 0);
    REQUIRE(fm_threshold_youden(label, prob, 0, &t, NULL) == 0);
    CHECK(isnan(t));
    CHECK_INT(fm_threshold_youden(bad, prob, 4, &t, &err), -EINVAL);
    CHECK(strstr(err.text, "row 3") != NULL);
    CHECK_INT(fm_threshold_sensitivity(label, prob, 4, 0, &t, &err), -EINVAL);
    CHECK_INT(fm_threshold_sensitivity(label, prob, 4, NAN, &t, &err), -EINVAL);
    prob[3] = NAN;
    CHECK_INT(fm_threshold_youden(label, prob, 4, &t, &err), -EINVAL);
}

CHECK_MAIN(CHECK_CASE(no_threshold_is_better), CHECK_CASE(edges))

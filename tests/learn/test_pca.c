/* Components against power iteration, and against what must hold of any. */
#include <errno.h>

#include "base/rng.h"
#include "coordinator/learn/pca.h"
#include "tests/check.h"

#define N 300
#define D 12

static float x[N * D];
static double z[N * D], corr[D * D];

/* Two strong directions and noise; columns of very different size. */
static void fill(uint64_t seed)
{
    fm_rng rng = fm_rng_init(seed, 0);

    for (int i = 0; i < N; i++) {
        double a = 3 * fm_rng_normal(&rng), b = 1.5 * fm_rng_normal(&rng);

        for (int k = 0; k < D; k++)
            x[i * D + k] = (float)((k + 1) * (a * (k % 3 - 1) + b * (k % 2) + fm_rng_normal(&rng)) + 100 * k);
    }
}

static void correlate(void)
{
    memset(corr, 0, sizeof corr);
    for (int k = 0; k < D; k++) {
        double mean = 0, square = 0;

        for (int i = 0; i < N; i++)
            mean += x[i * D + k] / (double)N;
        for (int i = 0; i < N; i++)
            square += (x[i * D + k] - mean) * (x[i * D + k] - mean) / N;
        for (int i = 0; i < N; i++)
            z[i * D + k] = (x[i * D + k] - mean) / sqrt(square);
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < D; k++)
            for (int j = 0; j < D; j++)
                corr[k * D + j] += z[i * D + k] * z[i * D + j] / N;
}

/* The leading eigenvector of corr into v; its value is returned and taken out of corr. */
static double power_iteration(double v[D])
{
    double norm = 0;

    for (int k = 0; k < D; k++)
        v[k] = 1.0 + 0.1 * k;
    for (int turn = 0; turn < 5000; turn++) {
        double w[D] = {0};

        norm = 0;
        for (int k = 0; k < D; k++)
            for (int j = 0; j < D; j++)
                w[k] += corr[k * D + j] * v[j];
        for (int k = 0; k < D; k++)
            norm += w[k] * w[k];
        norm = sqrt(norm);
        for (int k = 0; k < D; k++)
            v[k] = w[k] / norm;
    }
    for (int k = 0; k < D; k++)
        for (int j = 0; j < D; j++)
            corr[k * D + j] -= norm * v[k] * v[j];
    return norm;
}

static void components_are_those_of_power_iteration(void)
{
    static double xy[2 * N];
    double explained[2];

    fill(4);
    correlate();
    REQUIRE(fm_pca(x, N, D, xy, explained, NULL) == 0);
    for (int c = 0; c < 2; c++) {
        double v[D], value = power_iteration(v), largest = 0, sign = 1;

        for (int k = 0; k < D; k++)
            if (fabs(v[k]) > largest + 1e-9) {
                largest = fabs(v[k]);
                sign = v[k] < 0 ? -1 : 1;
            }
        CHECK_NEAR(explained[c], value / D, 1e-9);
        for (int i = 0; i < N; i++) {
            double at = 0;

            for (int k = 0; k < D; k++)
                at += z[i * D + k] * v[k] * sign;
            CHECK_NEAR(xy[2 * i + c], at, 1e-6);
        }
    }
    CHECK(explained[0] > explained[1] && explained[0] + explained[1] <= 1);
}

/* A column without variance says nothing; one more changes nothing but the sum it is not part of. */
static void constant_columns_count_as_nothing(void)
{
    static float wide[N * (D + 1)];
    static double xy[2 * N], same[2 * N];
    double explained[2], again[2];

    fill(8);
    for (int i = 0; i < N; i++) {
        memcpy(wide + i * (D + 1), x + i * D, D * sizeof *x);
        wide[i * (D + 1) + D] = 5;
    }
    REQUIRE(fm_pca(x, N, D, xy, explained, NULL) == 0 && fm_pca(wide, N, D + 1, same, again, NULL) == 0);
    CHECK_NEAR(explained[0], again[0], 1e-12);
    for (int i = 0; i < 2 * N; i++)
        CHECK_NEAR(xy[i], same[i], 1e-9);
}

static void what_has_no_components(void)
{
    double xy[2 * 4], explained[2];
    float equal[8] = {1, 2, 1, 2, 1, 2, 1, 2}, bad[8] = {1, 2, NAN, 4, 5, 6, 7, 9};

    CHECK_INT(fm_pca(equal, 2, 2, xy, explained, NULL), -EINVAL);
    CHECK_INT(fm_pca(equal, 8, 1, xy, explained, NULL), -EINVAL);
    CHECK_INT(fm_pca(equal, 4, 2, xy, explained, NULL), -EDOM);
    CHECK_INT(fm_pca(bad, 4, 2, xy, explained, NULL), -EDOM);
    bad[2] = INFINITY;
    CHECK_INT(fm_pca(bad, 4, 2, xy, explained, NULL), -EDOM);
}

CHECK_MAIN(CHECK_CASE(components_are_those_of_power_iteration), CHECK_CASE(constant_columns_count_as_nothing),
           CHECK_CASE(what_has_no_components))

/* Near duplicates against every distance worked out in full. */
#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/near.h"
#include "tests/check.h"

#define ROWS 200

static double distance(const float *a, const float *b, size_t d)
{
    double sum = 0;

    for (size_t i = 0; i < d; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}

/* Widths that do and do not fill whole lanes; each row's near copies lie at rising distances. */
static void pairs_are_those_of_the_full_search(void)
{
    static const size_t widths[] = {1, 7, 8, 13, 128};
    static float x[ROWS * 128];

    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        size_t d = widths[w], n = 0, want = 0;
        fm_rng r = fm_rng_init(5, w);
        fm_near_pair *pairs = NULL;

        for (size_t i = 0; i < ROWS * d; i++)
            x[i] = (float)(fm_rng_normal(&r) / sqrt((double)d));
        for (size_t i = 1; i < ROWS; i += 2)
            for (size_t k = 0; k < d; k++)
                x[i * d + k] = x[(i - 1) * d + k] + (k == 0 ? (float)i * 0.01f : 0);
        REQUIRE(fm_near_pairs(x, ROWS, d, 0.5, &pairs, &n, NULL) == 0);
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = i + 1; j < ROWS; j++) {
                double full = distance(x + i * d, x + j * d, d);

                if (fabs(full - 0.5) < 1e-5)
                    continue;
                if (full < 0.5) {
                    REQUIRE(want < n && pairs[want].a == i && pairs[want].b == j);
                    CHECK_NEAR(pairs[want].distance, full, 1e-5);
                    want++;
                }
            }
        CHECK(want >= 20);
        CHECK_INT(n, (long long)want);
        free(pairs);
    }
}

static void clusters_are_named_by_their_first_row(void)
{
    const fm_near_pair pairs[] = {{3, 5, 0}, {1, 5, 0}, {2, 6, 0}};
    const uint32_t want[] = {0, 1, 2, 1, 4, 1, 2};
    uint32_t root[7];

    fm_near_clusters(pairs, 3, 7, root);
    CHECK(memcmp(root, want, sizeof want) == 0);
}

static void a_flood_of_pairs_is_refused(void)
{
    size_t n = 1500, pairs_n;
    float *x = calloc(n, sizeof *x);
    fm_near_pair *pairs = NULL;

    CHECK_INT(fm_near_pairs(x, n, 1, 0.1, &pairs, &pairs_n, NULL), -EFBIG);
    CHECK(pairs == NULL);
    free(x);
}

CHECK_MAIN(CHECK_CASE(pairs_are_those_of_the_full_search), CHECK_CASE(clusters_are_named_by_their_first_row),
           CHECK_CASE(a_flood_of_pairs_is_refused))

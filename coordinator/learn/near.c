/* Every pair is looked at, but most are given up after the first columns: codes of
 * two people are several thresholds apart.  Rejected: trees and hashes, which in 128
 * dimensions look at most pairs, too, or miss some. */
#include "coordinator/learn/near.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define LANES 8

typedef struct {
    fm_near_pair *v;
    size_t n, capacity;
} list;

/* Squared distance, or something over the limit as soon as that is known. */
static float squared(const float *a, const float *b, size_t d, float limit)
{
    float sum = 0;
    size_t i = 0;

    for (; i + LANES <= d && sum <= limit; i += LANES) {
        float lane[LANES];

        for (int k = 0; k < LANES; k++)
            lane[k] = (a[i + (size_t)k] - b[i + (size_t)k]) * (a[i + (size_t)k] - b[i + (size_t)k]);
        sum += ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
    }
    for (; i < d && sum <= limit; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

static int add(list *l, fm_near_pair pair, fm_err *err)
{
    if (l->n == FM_NEAR_PAIRS_MAX)
        return fm_fail(err, -EFBIG, "more than %zu pairs of near duplicates", FM_NEAR_PAIRS_MAX);
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        fm_near_pair *v = realloc(l->v, capacity * sizeof *v);

        if (!v)
            return fm_fail_nomem(err, "near duplicates", capacity * sizeof *v);
        l->v = v;
        l->capacity = capacity;
    }
    l->v[l->n++] = pair;
    return 0;
}

int fm_near_pairs(const float *x, size_t n, size_t d, double threshold, fm_near_pair **out, size_t *n_pairs, fm_err *err)
{
    float limit = (float)(threshold * threshold);
    list l = {NULL, 0, 0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        for (size_t j = i + 1; rc == 0 && j < n; j++) {
            float s = squared(x + i * d, x + j * d, d, limit);

            if (s < limit)
                rc = add(&l, (fm_near_pair){(uint32_t)i, (uint32_t)j, sqrtf(s)}, err);
        }
    if (rc != 0) {
        free(l.v);
        return rc;
    }
    *out = l.v;
    *n_pairs = l.n;
    return 0;
}

static uint32_t find(uint32_t *root, uint32_t i)
{
    while (root[i] != i)
        i = root[i] = root[root[i]];
    return i;
}

void fm_near_clusters(const fm_near_pair *pairs, size_t n_pairs, size_t n, uint32_t *root)
{
    for (size_t i = 0; i < n; i++)
        root[i] = (uint32_t)i;
    for (size_t k = 0; k < n_pairs; k++) {
        uint32_t a = find(root, pairs[k].a), b = find(root, pairs[k].b);

        root[a > b ? a : b] = a > b ? b : a;
    }
    for (size_t i = 0; i < n; i++)
        root[i] = find(root, (uint32_t)i);
}

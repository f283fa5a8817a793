/* Near duplicates: faces whose codes lie nearer to each other than those of two
 * photographs do. */
#ifndef FM_COORDINATOR_LEARN_NEAR_H
#define FM_COORDINATOR_LEARN_NEAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    uint32_t a, b;          /* rows, a < b */
    float distance;         /* Euclidean */
} fm_near_pair;

#define FM_NEAR_PAIRS_MAX ((size_t)1 << 20)

/* All pairs of rows nearer than a threshold, by a, then by b.
 * x     f32 [n, d], row-major.
 * sums  are taken in one order, so that every machine gives the same distances.
 * *out  the caller's, free(); set only on success.
 * Errors: -EFBIG (more than FM_NEAR_PAIRS_MAX pairs), -ENOMEM. */
int fm_near_pairs(const float *x, size_t n, size_t d, double threshold, fm_near_pair **out, size_t *n_pairs, fm_err *err);

/* Rows that are linked by pairs, also through others: root[i] is the smallest row of i's cluster.
 * root  caller's, u32 [n]. */
void fm_near_clusters(const fm_near_pair *pairs, size_t n_pairs, size_t n, uint32_t *root);

#endif

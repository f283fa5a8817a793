/* Inner folds: what may be decided about a head is decided on its training rows alone. */
#ifndef FM_COORDINATOR_LEARN_INNER_H
#define FM_COORDINATOR_LEARN_INNER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Rows to train on, as the kinds of heads see them.  Borrowed throughout. */
typedef struct {
    const float *x;         /* f32 [n, d], row-major, standardised */
    size_t n, d;
    const int32_t *labels;  /* i32 [n], 0 .. classes-1, each present */
    int classes;
    const float *weight;    /* f32 [classes]: what a row of each class counts */
    uint32_t folds;         /* 0: nothing is to be decided, fold is NULL */
    const int32_t *fold;    /* i32 [n], 0 .. folds-1: the inner fold a row is held out in */
} fm_rows;

#define FM_INNER_FOLDS 5

/* Inner folds of n rows: FM_INNER_FOLDS, or as many as the class with fewest groups has.
 * Groups stay together, classes are spread evenly (learn/folds.h).
 * groups  u32 [n]; NULL: each row alone.  fold  i32 [n], caller's.
 * Errors: -EINVAL (a class has one group only), -ENOMEM. */
int fm_inner_folds(const int32_t *labels, const uint32_t *groups, size_t n, int classes, uint64_t seed, uint64_t stream,
                   int32_t *fold, uint32_t *folds, fm_err *err);

/* What choices are made by: the mean of -log of the probability given to a row's class, rows counting by
 * their class's weight; probabilities below 1e-15 count as that.  prob  f64 [n, classes]. */
double fm_log_loss(const fm_rows *rows, const double *prob);

#endif

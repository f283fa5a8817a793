/* Linear classifiers by Newton's method on dense rows, several at once.
 *
 * Minimises  |w|^2 / 2 + C * sum over rows of cost_i * loss(y_i * w.x_i)  with
 *   LOGISTIC       log(1 + exp(-m))
 *   SQUARED_HINGE  max(0, 1 - m)^2      (L2-loss SVM)
 * which is what liblinear's solvers 0 and 2 minimise (Fan et al. 2008), for one
 * set of rows and the same set without each of its blocks in turn: the inner folds
 * of a choice of C and the fit to all rows share every pass over the matrix, and
 * each C starts where the last one ended. */
#ifndef FM_COORDINATOR_LEARN_NEWTON_H
#define FM_COORDINATOR_LEARN_NEWTON_H

#include <stddef.h>

#include "base/err.h"
#include "coordinator/learn/loss.h"

typedef struct {
    fm_loss loss;
    size_t n, d;
    const float *x;         /* f32 [n, d], row-major; a bias is a column of ones */
    const float *y;         /* f32 [n], -1 or 1 */
    const float *cost;      /* f32 [n], over 0; C multiplies it */
    size_t blocks;          /* 0: none is held out */
    const size_t *edge;     /* [blocks + 1]: block b is rows edge[b] .. edge[b + 1] - 1; all rows lie in one */
} fm_newton_rows;

typedef struct fm_newton fm_newton;

/* rows  borrowed with all it points to; must outlive the result.  Errors: -ENOMEM. */
int fm_newton_create(const fm_newton_rows *rows, fm_newton **out, fm_err *err);
void fm_newton_destroy(fm_newton *s);

/* Fit at one C, from where the last call ended (at first from 0).  A fit ends when the step
 * that is left would move probabilities by less than some 5e-6 (root of the mean square).
 * Errors: -EDOM (out of range), -ENOMEM. */
int fm_newton_fit(fm_newton *s, double C, fm_err *err);

/* Of the last fit; borrowed from s, valid until the next.
 * fit  0 .. blocks-1: without that block; blocks: to all rows. */
const double *fm_newton_weights(const fm_newton *s, size_t fit);    /* f64 [d] */
const float *fm_newton_scores(const fm_newton *s, size_t fit);      /* f32 [n], w.x of all rows, held out or not */

#endif

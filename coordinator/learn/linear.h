/* Linear heads: logistic regression and SVM, one class against the rest. */
#ifndef FM_COORDINATOR_LEARN_LINEAR_H
#define FM_COORDINATOR_LEARN_LINEAR_H

#include <stddef.h>

#include "base/err.h"
#include "coordinator/learn/head.h"
#include "coordinator/learn/inner.h"

/* Scores a head has: one for two classes (class 1's), else one a class. */
size_t fm_linear_scores(int classes);

/* Train; with several choices of C, by the log loss of the inner folds' held-out rows, ties to the smaller C.
 * rows        folds over 0 when there is a choice, for SVM, and for inner_prob.
 * weight      caller's; f64 [d + 1, scores]; the last row is the bias.  An SVM's hold Platt's scale and shift.
 * C           the one used.
 * inner_prob  caller's; f64 [n, classes], each row's by the fit without its inner fold; or NULL.
 * Errors: -EDOM (out of range), -ENOMEM.  Threads: any number of calls at once. */
int fm_linear_train(const fm_head_spec *spec, const fm_rows *rows, double *weight, double *C, double *inner_prob,
                    fm_err *err);

/* Class probabilities of one row.  x  f32 [d], standardised.  prob  f64 [classes]. */
void fm_linear_score(const double *weight, size_t d, int classes, const float *x, double *prob);

#endif

/* Linear heads: logistic regression and SVM, one class against the rest. */
#ifndef FM_COORDINATOR_LEARN_LINEAR_H
#define FM_COORDINATOR_LEARN_LINEAR_H

#include <stddef.h>

#include "base/err.h"
#include "coordinator/learn/head.h"
#include "coordinator/learn/inner.h"

/* Scores a head has: one for two classes (class 1's), else one a class. */
size_t fm_linear_scores(int classes);

/* Training in parts, which may be worked out anywhere: of each score, a stretch of its rising values of C. */
size_t fm_linear_parts(const fm_head_spec *spec, int classes);
/* How many numbers a part leaves behind; rows' x is not looked at. */
size_t fm_linear_part_values(const fm_head_spec *spec, const fm_rows *rows, size_t part);

/* Rows as parts take them: in the order of their inner folds, ones behind them. */
typedef struct fm_linear fm_linear;

/* spec, rows  borrowed with all they point to; must outlive the result.
 * rows        folds over 0 when there is a choice, for SVM, and for inner_prob.
 * Errors: -ENOMEM. */
int fm_linear_create(const fm_head_spec *spec, const fm_rows *rows, fm_linear **out, fm_err *err);
void fm_linear_destroy(fm_linear *l);

/* values  caller's; f64 [fm_linear_part_values]: for each C weights [d + 1] and, with inner folds, held-out scores [n].
 * Errors: -EDOM (out of range), -ENOMEM.  Threads: any number of calls at once. */
int fm_linear_part(const fm_linear *l, size_t part, double *values, fm_err *err);

/* The head from all parts: of several choices of C the one with the least log loss on the inner folds' held-out rows,
 * ties to the smaller C.
 * parts       all parts' values, one behind the other; overwritten.
 * weight      caller's; f64 [d + 1, scores]; the last row is the bias.  An SVM's hold Platt's scale and shift.
 * C           the one used.
 * inner_prob  caller's; f64 [n, classes], each row's by the fit without its inner fold; or NULL.
 * Errors: -ENOMEM. */
int fm_linear_finish(const fm_head_spec *spec, const fm_rows *rows, double *parts, double *weight, double *C,
                     double *inner_prob, fm_err *err);

/* Class probabilities of one row.  x  f32 [d], standardised.  prob  f64 [classes]. */
void fm_linear_score(const double *weight, size_t d, int classes, const float *x, double *prob);

#endif

/* Logistic regression by liblinear, one class against the rest. */
#ifndef FM_COORDINATOR_LEARN_LOGISTIC_H
#define FM_COORDINATOR_LEARN_LOGISTIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Scores a head has: one for two classes (class 1's), else one a class. */
size_t fm_logistic_scores(int classes);

/* x       f32 [n, d], standardised.  labels  i32 [n], each class present.
 * weight  caller's; f64 [d + 1, scores]; the last row is the bias.
 * Errors: -EDOM (no finite weights), -EINVAL (C unusable), -ENOMEM.  Threads: any number of calls at once. */
int fm_logistic_train(const float *x, size_t n, size_t d, const int32_t *labels, int classes, double C, double *weight,
                      fm_err *err);

/* Class probabilities of one row.  x  f32 [d], standardised.  prob  f64 [classes]. */
void fm_logistic_score(const double *weight, size_t d, int classes, const float *x, double *prob);

#endif

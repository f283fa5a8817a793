/* Thresholds, and the calls they make.  Choose on predictions of rows that are not
 * tested with the threshold afterwards: inside the training rows, by folds of
 * their own.  A row is called class 1 when its probability of it is at or over the
 * threshold; a threshold lies half-way between two neighbouring scores, so that
 * neither side hangs on a rounding. */
#ifndef FM_COORDINATOR_LEARN_THRESHOLD_H
#define FM_COORDINATOR_LEARN_THRESHOLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Largest sensitivity + specificity - 1 (Youden 1950, Cancer 3:32); of equal ones the lowest threshold, which is the
 * most sensitive.
 * label  i32 [n], 0 or 1.   prob  f64 [n, 2], row-major, as fm_head_score() writes them.
 * out    0 (all are class 1) or between two scores; NaN where a class has no rows.
 * Errors: -ENOMEM, -EINVAL (a label or probability out of range). */
int fm_threshold_youden(const int32_t *label, const double *prob, size_t n, double *out, fm_err *err);

/* The highest threshold whose sensitivity is `sensitivity` or more (to 1e-9); sensitivity over 0, up to 1.
 * The rest as above. */
int fm_threshold_sensitivity(const int32_t *label, const double *prob, size_t n, double sensitivity, double *out,
                             fm_err *err);

/* called  i32 [n], caller's: 1 where prob[i][1] >= threshold.  Hand it to fm_predictions.called and the metrics and
 * their intervals are those at the threshold. */
void fm_threshold_call(const double *prob, size_t n, double threshold, int32_t *called);

#endif

/* The AUC's variance without resampling: DeLong, DeLong and Clarke-Pearson 1988
 * (Biometrics 44:837), from ranks as Sun and Xu 2014 (IEEE Signal Processing
 * Letters 21:1389) compute it; where a subject has several rows, Obuchowski 1997
 * (Biometrics 53:567), which is the same when each row is a subject.
 *
 * A positive row's placement is the part of negative rows below it (ties half), a
 * negative row's the part of positive rows above it.  Of several repeats the mean
 * AUC is meant: a subject's part of it is the mean of its parts in each repeat.
 * Two classes; of more, everything is NaN. */
#ifndef FM_COORDINATOR_LEARN_DELONG_H
#define FM_COORDINATOR_LEARN_DELONG_H

#include "base/err.h"
#include "coordinator/learn/metrics.h"

typedef struct {
    double value, se;
    double low, high;       /* 95 %: value -+ 1.96 se, within 0 and 1 */
} fm_delong;                /* NaN where undefined: all without both classes; se and interval where fewer than two
                             * subjects have positive rows, or fewer than two negative ones */

/* Borrows p.  Errors: -ENOMEM, -EINVAL (as fm_metrics_point). */
int fm_delong_auc(const fm_predictions *p, fm_delong *out, fm_err *err);

typedef struct {
    double a, b, difference;            /* a - b */
    double se, low, high;               /* of the difference */
    double z, p;                        /* two-sided; NaN where se is 0 */
} fm_paired;

/* The AUCs of two predictions of the same rows: n, label and group of a are b's.
 * Errors: -ENOMEM, -EINVAL (rows, classes, labels or groups differ; as fm_metrics_point). */
int fm_delong_compare(const fm_predictions *a, const fm_predictions *b, fm_paired *out, fm_err *err);

/* Fill in a difference's interval and test from a, b and its variance. */
fm_paired fm_paired_from(double a, double b, double variance);

#endif

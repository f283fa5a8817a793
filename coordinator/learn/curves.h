/* ROC and precision-recall curves with pointwise 95 % bands. */
#ifndef FM_COORDINATOR_LEARN_CURVES_H
#define FM_COORDINATOR_LEARN_CURVES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/learn/metrics.h"

#define FM_CURVE_POSITIONS 101
#define FM_CURVE_RESAMPLES_MAX 2000     /* more do not show in a drawing */

typedef struct {
    size_t n;                   /* points of the curves themselves, from nothing called positive to everything */
    double *fpr, *tpr;          /* [n] */
    double *precision;          /* [n]; recall is tpr; [0] is undefined, and holds [1] */
    fm_metric sensitivity[FM_CURVE_POSITIONS];      /* where 1 - specificity is i / 100, straight between points */
    fm_metric at_recall[FM_CURVE_POSITIONS];        /* precision at the highest score that gives a recall of i / 100,
                                                     * the steps that average precision adds up */
} fm_curves;

/* Two classes, class 1 positive, first repeat.  Bands are percentiles over the resamples that fm_bootstrap_run draws
 * from the seed (the first FM_CURVE_RESAMPLES_MAX of `resamples`); 0: low and high are NaN.
 * With a class absent n is 0 and all is NaN.  *out is set on success only; fm_curves_fini.
 * Errors: as fm_metrics_point; -EINVAL (not two classes). */
int fm_curves_make(const fm_predictions *p, uint64_t seed, uint64_t resamples, fm_curves *out, fm_err *err);
void fm_curves_fini(fm_curves *c);

#endif

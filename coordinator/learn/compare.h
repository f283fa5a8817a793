/* Two classifiers on the same rows: who ranks better, who calls better. */
#ifndef FM_COORDINATOR_LEARN_COMPARE_H
#define FM_COORDINATOR_LEARN_COMPARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/learn/delong.h"
#include "coordinator/learn/metrics.h"

/* McNemar 1947 (Psychometrika 12:153): of the rows of which one of two is right, are
 * as many a's as b's?  It takes rows to be independent. */
typedef struct {
    uint64_t both, only_a, only_b, neither;     /* rows called rightly */
    double exact_p;         /* binomial, two-sided: twice the smaller tail, at most 1 */
    double chi2, chi2_p;    /* with Edwards' continuity correction (1948), which does not go below 0; one degree of
                             * freedom; NaN where no row is called rightly by one only */
} fm_mcnemar;

fm_mcnemar fm_mcnemar_of(uint64_t both, uint64_t only_a, uint64_t only_b, uint64_t neither);

typedef struct {
    size_t subjects;        /* groups that have a row which both tested */
    size_t rows;            /* which both tested, in the first repeat */
    fm_paired auc;          /* fm_delong_compare, all repeats */
    fm_paired accuracy;     /* first repeat; variance from the subjects' sums, as of a ratio (Cochran 1977;
                             * Obuchowski 1998): subjects with several rows are allowed for */
    fm_mcnemar mcnemar;     /* first repeat */
} fm_comparison;

/* Errors: as fm_delong_compare. */
int fm_compare(const fm_predictions *a, const fm_predictions *b, fm_comparison *out, fm_err *err);

#endif

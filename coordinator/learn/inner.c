/* Choices are made by log loss rather than by AUC: it is a proper score (its best
 * value is reached by the true probabilities alone), so it tells a head that ranks
 * well from one that is also sure for good reason, it moves with every row where
 * AUC has ties, and it is the same figure for any number of classes. */
#include "coordinator/learn/inner.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/folds.h"

static uint64_t inner_seed(uint64_t seed, uint64_t stream)
{
    fm_rng r = fm_rng_init(seed, stream);
    uint64_t high = fm_rng_u32(&r);

    return high << 32 | fm_rng_u32(&r);
}

static int fewest_folds(const int32_t *labels, const uint32_t *groups, size_t n, int classes, uint64_t seed,
                        fm_folds *out, fm_err *err)
{
    fm_folds_spec spec = {.kind = FM_FOLDS_KFOLD, .folds = FM_INNER_FOLDS, .repeats = 1};
    int rc = fm_folds_make(&spec, n, labels, groups, NULL, classes, seed, out, err);

    while (rc == -EINVAL && --spec.folds >= 2)
        rc = fm_folds_make(&spec, n, labels, groups, NULL, classes, seed, out, err);
    return rc;
}

int fm_inner_folds(const int32_t *labels, const uint32_t *groups, size_t n, int classes, uint64_t seed, uint64_t stream,
                   int32_t *fold, uint32_t *folds, fm_err *err)
{
    uint32_t *own = groups ? NULL : malloc(n * sizeof *own);
    fm_folds f;
    int rc;

    if (!groups && !own)
        return fm_fail_nomem(err, "inner folds", n * sizeof *own);
    for (size_t i = 0; own && i < n; i++)
        own[i] = (uint32_t)i;
    rc = fewest_folds(labels, groups ? groups : own, n, classes, inner_seed(seed, stream), &f, err);
    free(own);
    if (rc != 0)
        return fm_fail_in(err, rc, "inner folds of %zu rows to train on, which choose C, epochs or a threshold", n);
    memcpy(fold, f.test_fold, n * sizeof *fold);
    *folds = f.folds;
    fm_folds_fini(&f);
    return 0;
}

double fm_log_loss(const fm_rows *rows, const double *prob)
{
    double sum = 0.0, weight = 0.0;

    for (size_t i = 0; i < rows->n; i++) {
        double p = prob[i * (size_t)rows->classes + (size_t)rows->labels[i]], w = (double)rows->weight[rows->labels[i]];

        sum -= w * log(p > 1e-15 ? p : 1e-15);
        weight += w;
    }
    return sum / weight;
}

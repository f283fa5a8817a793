/* The cluster bootstrap.
 *
 * A resample is a count a unit, drawn by a random stream of its own: any part of
 * the resamples can be computed anywhere.  Percentile intervals, because they
 * need no variance estimate and stay within a metric's range; BCa's jackknife
 * costs one pass a subject. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/metrics.h"
#include "coordinator/learn/ranked.h"

struct fm_bootstrap {
    fm_ranked *ranked;
};

int fm_bootstrap_create(const fm_predictions *p, const uint32_t *rows, size_t n_rows, fm_bootstrap **out, fm_err *err)
{
    fm_bootstrap *b = calloc(1, sizeof *b);
    int rc;

    if (!b)
        return fm_fail_nomem(err, "bootstrap", sizeof *b);
    rc = fm_ranked_create(p, rows, n_rows, -1, -1, &b->ranked, err);
    if (rc != 0) {
        free(b);
        return rc;
    }
    *out = b;
    return 0;
}

void fm_bootstrap_destroy(fm_bootstrap *b)
{
    if (!b)
        return;
    fm_ranked_destroy(b->ranked);
    free(b);
}

void fm_bootstrap_draw(uint64_t seed, uint64_t resample, uint32_t *weight, size_t units)
{
    fm_rng rng = fm_rng_init(seed, fm_rng_stream("bootstrap", resample, 0));

    memset(weight, 0, units * sizeof *weight);
    for (size_t i = 0; i < units; i++)
        weight[fm_rng_below(&rng, (uint32_t)units)]++;
}

int fm_bootstrap_run(const fm_bootstrap *b, uint64_t seed, uint64_t first, uint64_t count, double *out, fm_err *err)
{
    size_t units = fm_ranked_units(b->ranked);
    uint32_t *weight = malloc((units + 1) * sizeof *weight);
    uint64_t *scratch = malloc(fm_ranked_scratch(b->ranked) * sizeof *scratch);
    int rc = 0;

    if (!weight || !scratch)
        rc = fm_fail_nomem(err, "resamples", units * sizeof *weight);
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        fm_metric_values v;

        fm_bootstrap_draw(seed, first + i, weight, units);
        fm_ranked_metrics(b->ranked, weight, scratch, &v);
        memcpy(out + i * FM_METRIC_COUNT, v.v, sizeof v.v);
    }
    free(scratch);
    free(weight);
    return rc;
}

/* NaN after everything else. */
static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    if (isnan(x) || isnan(y))
        return (isnan(x) != 0) - (isnan(y) != 0);
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, uint64_t n, double q)
{
    double at = q * (double)(n - 1);
    uint64_t low = (uint64_t)at;
    uint64_t high = low + 1 < n ? low + 1 : low;

    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

fm_metric fm_bootstrap_interval(double value, double *resamples, uint64_t count)
{
    fm_metric m = {value, NAN, NAN};
    uint64_t defined = count;

    qsort(resamples, count, sizeof *resamples, compare_doubles);
    while (defined > 0 && isnan(resamples[defined - 1]))
        defined--;
    if (!isnan(value) && defined > 0 && count - defined <= count / 10) {
        m.low = quantile(resamples, defined, 0.025);
        m.high = quantile(resamples, defined, 0.975);
    }
    return m;
}

int fm_bootstrap_intervals(const fm_metric_values *point, double *resamples, uint64_t count,
                           fm_metric out[FM_METRIC_COUNT], fm_err *err)
{
    double *column = malloc((count + 1) * sizeof *column);

    if (!column)
        return fm_fail_nomem(err, "resamples", count * sizeof *column);
    for (int k = 0; k < FM_METRIC_COUNT; k++) {
        for (uint64_t i = 0; i < count; i++)
            column[i] = resamples[i * FM_METRIC_COUNT + (uint64_t)k];
        out[k] = fm_bootstrap_interval(point->v[k], column, count);
        for (uint64_t i = 0; i < count; i++)
            resamples[i * FM_METRIC_COUNT + (uint64_t)k] = column[i];
    }
    free(column);
    return 0;
}

int fm_metrics_with_intervals(const fm_predictions *p, const uint32_t *rows, size_t n_rows, uint64_t seed,
                              uint64_t count, fm_metric out[FM_METRIC_COUNT], fm_err *err)
{
    fm_metric_values point;
    fm_bootstrap *b = NULL;
    double *resamples = NULL;
    int rc = fm_metrics_point(p, rows, n_rows, -1, -1, &point, err);

    if (rc != 0)
        return rc;
    rc = fm_bootstrap_create(p, rows, n_rows, &b, err);
    if (rc != 0)
        return rc;
    resamples = calloc(count + 1, FM_METRIC_COUNT * sizeof *resamples);
    if (!resamples)
        rc = fm_fail_nomem(err, "resamples", count * FM_METRIC_COUNT * sizeof *resamples);
    if (rc == 0)
        rc = fm_bootstrap_run(b, seed, 0, count, resamples, err);
    if (rc == 0)
        rc = fm_bootstrap_intervals(&point, resamples, count, out, err);
    free(resamples);
    fm_bootstrap_destroy(b);
    return rc;
}

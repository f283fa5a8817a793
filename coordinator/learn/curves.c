/* Curves and their bands.
 *
 * Bands are vertical: at each position the curve of every resample is read, and
 * the values' percentiles are taken (Fawcett 2006, "vertical averaging").  A
 * resample costs one pass over scores that are sorted once. */
#include "coordinator/learn/curves.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "coordinator/learn/ranked.h"

/* One resample after another: their values at each position, [position, resample]. */
typedef struct {
    fm_ranked *ranked;
    uint32_t *weight;           /* [units] */
    fm_ranked_point *points;
    double *sensitivity, *precision;
    size_t resamples;
} work;

static double sensitivity_at(const fm_ranked_point *p, size_t n, size_t *k, double fpr)
{
    double wrong = fpr * (double)p[n - 1].wrong, over, step;

    while (*k + 1 < n && (double)p[*k + 1].wrong <= wrong)
        ++*k;
    if (*k + 1 == n)
        return 1;
    over = wrong - (double)p[*k].wrong;
    step = (double)(p[*k + 1].wrong - p[*k].wrong);
    return ((double)p[*k].right + over / step * (double)(p[*k + 1].right - p[*k].right)) / (double)p[n - 1].right;
}

static double precision_at(const fm_ranked_point *p, size_t n, size_t *k, double recall)
{
    double right = recall * (double)p[n - 1].right;

    while (*k + 1 < n && ((double)p[*k].right < right - 1e-9 || p[*k].right + p[*k].wrong == 0))
        ++*k;
    return (double)p[*k].right / (double)(p[*k].right + p[*k].wrong);
}

/* The two curves at all positions, into every stride-th place. */
static void read_curves(const fm_ranked_point *p, size_t n, double *sensitivity, double *precision, size_t stride)
{
    size_t on_roc = 0, on_pr = 0;
    bool defined = p[n - 1].right > 0 && p[n - 1].wrong > 0;

    for (size_t i = 0; i < FM_CURVE_POSITIONS; i++) {
        double at = (double)i / (FM_CURVE_POSITIONS - 1);

        sensitivity[i * stride] = defined ? sensitivity_at(p, n, &on_roc, at) : NAN;
        precision[i * stride] = defined ? precision_at(p, n, &on_pr, at) : NAN;
    }
}

static void set_values(fm_metric *to, const double *values)
{
    for (size_t i = 0; i < FM_CURVE_POSITIONS; i++)
        to[i] = (fm_metric){values[i], NAN, NAN};
}

/* The curves as they are. */
static int take_points(work *w, fm_curves *c, fm_err *err)
{
    double sensitivity[FM_CURVE_POSITIONS], precision[FM_CURVE_POSITIONS];
    size_t n;

    for (size_t i = 0; i < fm_ranked_units(w->ranked); i++)
        w->weight[i] = 1;
    n = fm_ranked_points(w->ranked, w->weight, w->points);
    read_curves(w->points, n, sensitivity, precision, 1);
    set_values(c->sensitivity, sensitivity);
    set_values(c->at_recall, precision);
    if (isnan(sensitivity[0]))
        return 0;
    c->fpr = malloc(n * sizeof *c->fpr);
    c->tpr = malloc(n * sizeof *c->tpr);
    c->precision = malloc(n * sizeof *c->precision);
    if (!c->fpr || !c->tpr || !c->precision)
        return fm_fail_nomem(err, "curves", n * sizeof *c->fpr);
    for (size_t i = n; i-- > 0;) {
        const fm_ranked_point *p = &w->points[i];

        c->fpr[i] = (double)p->wrong / (double)w->points[n - 1].wrong;
        c->tpr[i] = (double)p->right / (double)w->points[n - 1].right;
        c->precision[i] = i ? (double)p->right / (double)(p->right + p->wrong) : c->precision[1];
    }
    c->n = n;
    return 0;
}

static void take_bands(work *w, uint64_t seed, fm_curves *c)
{
    for (size_t b = 0; b < w->resamples; b++) {
        size_t n;

        fm_bootstrap_draw(seed, b, w->weight, fm_ranked_units(w->ranked));
        n = fm_ranked_points(w->ranked, w->weight, w->points);
        read_curves(w->points, n, w->sensitivity + b, w->precision + b, w->resamples);
    }
    for (size_t i = 0; i < FM_CURVE_POSITIONS; i++) {
        c->sensitivity[i] = fm_bootstrap_interval(c->sensitivity[i].value, w->sensitivity + i * w->resamples,
                                                  w->resamples);
        c->at_recall[i] = fm_bootstrap_interval(c->at_recall[i].value, w->precision + i * w->resamples, w->resamples);
    }
}

static int make_room(work *w, fm_err *err)
{
    size_t values = FM_CURVE_POSITIONS * (w->resamples + 1);

    w->weight = malloc((fm_ranked_units(w->ranked) + 1) * sizeof *w->weight);
    w->points = malloc((fm_ranked_points_max(w->ranked) + 1) * sizeof *w->points);
    w->sensitivity = malloc(values * sizeof *w->sensitivity);
    w->precision = malloc(values * sizeof *w->precision);
    if (!w->weight || !w->points || !w->sensitivity || !w->precision)
        return fm_fail_nomem(err, "curves", 2 * values * sizeof *w->precision);
    return 0;
}

int fm_curves_make(const fm_predictions *p, uint64_t seed, uint64_t resamples, fm_curves *out, fm_err *err)
{
    fm_curves c = {.n = 0};
    work w = {.resamples = resamples < FM_CURVE_RESAMPLES_MAX ? resamples : FM_CURVE_RESAMPLES_MAX};
    int rc;

    if (p->classes != 2)
        return fm_fail(err, -EINVAL, "a ROC curve is of two classes, not of %d", p->classes);
    rc = fm_ranked_create(p, NULL, 0, 0, -1, &w.ranked, err);
    if (rc == 0)
        rc = make_room(&w, err);
    if (rc == 0)
        rc = take_points(&w, &c, err);
    if (rc == 0 && c.n)
        take_bands(&w, seed, &c);
    if (rc == 0)
        *out = c;
    else
        fm_curves_fini(&c);
    fm_ranked_destroy(w.ranked);
    free(w.weight);
    free(w.points);
    free(w.sensitivity);
    free(w.precision);
    return rc;
}

void fm_curves_fini(fm_curves *c)
{
    free(c->fpr);
    free(c->tpr);
    free(c->precision);
}

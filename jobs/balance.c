/* The figures are defined as MatchIt 4.5 computes them for the effect on the
 * treated: means and variances weighted by matching weights; the standardised
 * difference divided by the standard deviation of all cases, before matching in
 * both columns, so that matching cannot change the yardstick; when that is zero,
 * by the pooled one.  Its cumulative distributions are compared at every value
 * that somebody has, matched or not; so are ours. */
#include "jobs/balance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define NEGLIGIBLE 1.4901161193847656e-08   /* square root of the double's epsilon */

typedef struct {
    double value;
    double weight[2];       /* in all, in matched */
    bool is_case;
} unit;

typedef enum { AGE, FEMALE, MALE } variable;

/* NaN when not known. */
static double value_of(const fm_sample *x, variable v)
{
    if (v == AGE)
        return x->age;
    return x->sex == FM_SEX_UNKNOWN ? NAN : x->sex == (v == FEMALE ? FM_SEX_FEMALE : FM_SEX_MALE);
}

static bool both_used(const fm_samples *s, const fm_pair *p)
{
    return s->v[p->case_sample].reason == FM_USED && s->v[p->control_sample].reason == FM_USED;
}

/* Matching weights of all samples. */
static int weigh(const fm_samples *s, const fm_pairs *pairs, double **out, fm_err *err)
{
    double *weight = calloc(s->n + 1, sizeof *weight);

    if (!weight)
        return fm_fail_nomem(err, "weights", s->n * sizeof *weight);
    for (size_t i = 0, end; i < pairs->n; i = end) {
        size_t of_case = pairs->v[i].case_sample, n = 0;

        for (end = i; end < pairs->n && pairs->v[end].case_sample == of_case; end++)
            n += both_used(s, &pairs->v[end]);
        for (size_t k = i; k < end; k++)
            if (both_used(s, &pairs->v[k]))
                weight[pairs->v[k].control_sample] += 1.0 / (double)n;
        if (n)
            weight[of_case] = 1;
    }
    *out = weight;
    return 0;
}

/* A total order, so that sums are the same wherever they are made. */
static int by_value(const void *a, const void *b)
{
    const unit *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    if (x->is_case != y->is_case)
        return x->is_case ? -1 : 1;
    return (x->weight[1] > y->weight[1]) - (x->weight[1] < y->weight[1]);
}

static size_t collect(const fm_study *study, const fm_samples *s, const double *weight, variable v, unit *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        const fm_sample *x = &s->v[i];
        double value = value_of(x, v);

        if ((x->reason == FM_USED || x->reason == FM_UNMATCHED) && !isnan(value))
            out[n++] = (unit){value, {1, weight[i]}, study->cohorts[x->cohort].role == FM_ROLE_CASE};
    }
    if (n)
        qsort(out, n, sizeof *out, by_value);
    return n;
}

typedef struct {
    size_t n;
    double sum, mean, variance, effective;
} group;

static group describe(const unit *u, size_t n, int sample, bool cases, bool share)
{
    group g = {.n = 0};
    double squares = 0, spread = 0;

    for (size_t i = 0; i < n; i++) {
        double w = u[i].is_case == cases ? u[i].weight[sample] : 0;

        g.n += w > 0;
        g.sum += w;
        squares += w * w;
        g.mean += w * u[i].value;
    }
    g.mean /= g.sum;
    g.effective = g.sum * g.sum / squares;
    for (size_t i = 0; i < n; i++)
        if (u[i].is_case == cases)
            spread += u[i].weight[sample] * (u[i].value - g.mean) * (u[i].value - g.mean);
    g.variance = share ? g.mean * (1 - g.mean) : spread / g.sum / (1 - 1 / g.effective);
    return g;
}

static void compare_ecdf(const unit *u, size_t n, int sample, const group *cases, const group *controls,
                         fm_balance_figures *to)
{
    double difference = 0, sum = 0, most = 0;
    size_t values = 0;

    for (size_t i = 0; i < n; i++) {
        difference += u[i].is_case ? u[i].weight[sample] / cases->sum : -u[i].weight[sample] / controls->sum;
        if (i + 1 < n && u[i + 1].value == u[i].value)
            continue;
        sum += fabs(difference);
        most = fmax(most, fabs(difference));
        values++;
    }
    to->ecdf_mean = sum / (double)values;
    to->ecdf_max = most;
}

static fm_balance_figures compare(const unit *u, size_t n, int sample, bool share, double yardstick)
{
    group cases = describe(u, n, sample, true, share), controls = describe(u, n, sample, false, share);
    fm_balance_figures to = {.cases = cases.n, .controls = controls.n, .effective_controls = controls.effective,
                             .mean_cases = cases.mean, .mean_controls = controls.mean, .variance_ratio = NAN,
                             .smd = NAN, .ecdf_mean = NAN, .ecdf_max = NAN};
    double difference = cases.mean - controls.mean;

    if (!cases.n || !controls.n)
        return to;
    to.smd = fabs(difference) > NEGLIGIBLE ? difference / yardstick : difference;
    if (share)
        to.ecdf_mean = to.ecdf_max = fabs(difference);
    else {
        to.variance_ratio = cases.variance / controls.variance;
        compare_ecdf(u, n, sample, &cases, &controls, &to);
    }
    return to;
}

static double standard_deviation(const unit *u, size_t n, bool share)
{
    group cases = describe(u, n, 0, true, share), controls = describe(u, n, 0, false, share);
    double sd = sqrt(cases.variance), all = cases.sum + controls.sum, pooled;

    if (isfinite(sd) && sd >= NEGLIGIBLE)
        return sd;
    if (share)
        return sqrt((cases.sum * cases.variance + controls.sum * controls.variance) / all);
    pooled = (controls.n > 1 ? controls.variance * (controls.sum - 1) : 0) + (cases.n > 1 ? cases.variance * (cases.sum - 1) : 0);
    return sqrt(pooled / (all - 1));
}

static double pair_distance(const fm_samples *s, const fm_pairs *pairs, variable v, double yardstick)
{
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < pairs->n; i++) {
        double d = fabs(value_of(&s->v[pairs->v[i].case_sample], v) - value_of(&s->v[pairs->v[i].control_sample], v));

        if (isnan(d) || !both_used(s, &pairs->v[i]))
            continue;
        sum += d;
        n++;
    }
    return !n ? NAN : sum > 0 ? sum / (double)n / yardstick : 0;
}

int fm_balance_make(const fm_study *study, const fm_samples *s, const fm_pairs *pairs, fm_balance *out, fm_err *err)
{
    static const char *const names[] = {[AGE] = "age", [FEMALE] = "female", [MALE] = "male"};
    fm_balance b = {.n_rows = 0};
    double *weight = NULL;
    unit *u = malloc((s->n + 1) * sizeof *u);
    int rc = u ? weigh(s, pairs, &weight, err) : fm_fail_nomem(err, "balance", s->n * sizeof *u);

    for (int v = AGE; rc == 0 && study->match.on && v <= MALE; v++) {
        size_t n = collect(study, s, weight, (variable)v, u);
        double yardstick = standard_deviation(u, n, v != AGE);
        fm_balance_row *row = &b.rows[b.n_rows];

        row->all = compare(u, n, 0, v != AGE, yardstick);
        row->matched = compare(u, n, 1, v != AGE, yardstick);
        row->pair_distance = pair_distance(s, pairs, (variable)v, yardstick);
        snprintf(row->name, sizeof row->name, "%s", names[v]);
        b.n_rows += row->all.cases && row->all.controls;
    }
    free(u);
    free(weight);
    if (rc == 0)
        *out = b;
    return rc;
}

static void put_figure(fm_buf *b, double x)
{
    fm_buf_u8(b, '\t');
    if (isfinite(x))
        fm_buf_printf(b, "%.12g", x);
}

static void put_row(fm_buf *b, const char *name, const char *sample, const fm_balance_figures *f, double pair)
{
    fm_buf_printf(b, "%s\t%s\t%zu\t%zu", name, sample, f->cases, f->controls);
    put_figure(b, f->effective_controls);
    put_figure(b, f->mean_cases);
    put_figure(b, f->mean_controls);
    put_figure(b, f->smd);
    put_figure(b, f->variance_ratio);
    put_figure(b, f->ecdf_mean);
    put_figure(b, f->ecdf_max);
    put_figure(b, pair);
    fm_buf_u8(b, '\n');
}

int fm_balance_table(const fm_balance *b, fm_buf *out, fm_err *err)
{
    fm_buf_printf(out, "variable\tsample\tcases\tcontrols\teffective_controls\tmean_cases\tmean_controls\tstd_mean_diff\t"
                  "var_ratio\tecdf_mean\tecdf_max\tstd_pair_dist\n");
    for (int i = 0; i < b->n_rows; i++) {
        put_row(out, b->rows[i].name, "all", &b->rows[i].all, NAN);
        put_row(out, b->rows[i].name, "matched", &b->rows[i].matched, b->rows[i].pair_distance);
    }
    return out->failed ? fm_fail_nomem(err, "balance.tsv", out->size) : 0;
}

int fm_balance_write(const fm_balance *b, const char *path, fm_err *err)
{
    fm_buf out = FM_BUF_INIT;
    int rc = fm_balance_table(b, &out, err);

    if (rc == 0)
        rc = fm_file_write(path, out.data, out.size, err);
    fm_buf_fini(&out);
    return rc;
}

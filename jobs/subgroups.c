/* Subgroups: the evaluation's rows, split once by sex and once by age. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/results.h"

/* Ages are read up to 130. */
static const double decades[] = {0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 131};

typedef struct {
    const double *edges;
    int n;              /* edges; the last one is included */
} bands;

static bands bands_of(const fm_study *study)
{
    if (study->match.on && study->match.by_age)
        return (bands){study->match.bands, study->match.n_bands};
    return (bands){decades, (int)(sizeof decades / sizeof *decades)};
}

static bool in_band(const bands *b, int i, double age)
{
    return age >= b->edges[i] && (age < b->edges[i + 1] || (i + 2 == b->n && age == b->edges[i + 1]));
}

/* An age known as a range belongs to the band that holds all of it. */
static bool sample_in_band(const bands *b, int i, const fm_sample *x)
{
    if (isnan(x->age_low))
        return in_band(b, i, x->age);
    return in_band(b, i, x->age_low) && (isinf(x->age_high) ? i + 2 == b->n : in_band(b, i, x->age_high));
}

/* In the words of a table: whole years include their last, as people give ages. */
static void name_band(const bands *b, int i, char *name, size_t size)
{
    double low = b->edges[i], high = b->edges[i + 1];
    bool last = i + 2 == b->n, whole = low == floor(low) && high == floor(high);

    if (whole && !last)
        high -= 1;
    if (whole && low == high)
        snprintf(name, size, "age %g", low);
    else if (whole || last)
        snprintf(name, size, "age %g-%g", low, high);
    else
        snprintf(name, size, "age %g to below %g", low, high);
}

/* Group g: first the sexes, then the bands. */
static bool belongs(const fm_sample *x, int g, const bands *b)
{
    return g < 2 ? x->sex == (g ? FM_SEX_FEMALE : FM_SEX_MALE) : sample_in_band(b, g - 2, x);
}

static int measure(const fm_results *r, const uint32_t *rows, fm_subgroup *to, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(r->evaluation);
    fm_metric metrics[FM_METRIC_COUNT];
    int rc = fm_metrics_with_intervals(&p, rows, to->n, (uint64_t)r->study->seed, r->evaluation->bootstrap, metrics,
                                       err);

    if (rc != 0)
        return rc;
    to->accuracy = metrics[FM_METRIC_ACCURACY];
    to->auc = metrics[FM_METRIC_AUC];
    for (size_t i = 0; i < to->n; i++)
        if (r->evaluation->label[rows[i]] < 16)
            to->of_class[r->evaluation->label[rows[i]]]++;
    return 0;
}

static int copy_groups(const fm_results *r, fm_subgroup **out, size_t *n, fm_err *err)
{
    fm_subgroup *copy = malloc((r->n_groups + 1) * sizeof *copy);

    if (!copy)
        return fm_fail_nomem(err, "subgroups", r->n_groups * sizeof *copy);
    memcpy(copy, r->groups, r->n_groups * sizeof *copy);
    *out = copy;
    *n = r->n_groups;
    return 0;
}

/* From the rows. */
static int make_groups(const fm_results *r, fm_subgroup **out, size_t *n, fm_err *err)
{
    const fm_evaluation *e = r->evaluation;
    bands b = bands_of(r->study);
    int n_groups = 2 + b.n - 1;
    fm_subgroup *groups = calloc((size_t)n_groups, sizeof *groups);
    uint32_t *rows = malloc((e->n + 1) * sizeof *rows);
    size_t found = 0;
    int rc = groups && rows ? 0 : fm_fail_nomem(err, "subgroups", e->n * sizeof *rows);

    for (int g = 0; rc == 0 && g < n_groups; g++) {
        fm_subgroup *to = &groups[found];

        for (size_t i = 0; i < e->n; i++)
            if (belongs(&r->samples->v[e->sample[i]], g, &b))
                rows[to->n++] = (uint32_t)i;
        if (to->n == 0)
            continue;
        if (g < 2)
            snprintf(to->name, sizeof to->name, "%s", fm_sex_name(g ? FM_SEX_FEMALE : FM_SEX_MALE));
        else
            name_band(&b, g - 2, to->name, sizeof to->name);
        snprintf(to->column, sizeof to->column, "%s", g < 2 ? "sex" : "age");
        rc = measure(r, rows, to, err);
        found++;
    }
    free(rows);
    if (rc != 0) {
        free(groups);
        return rc;
    }
    *out = groups;
    *n = found;
    return 0;
}

int fm_results_subgroups(const fm_results *r, fm_subgroup **out, size_t *n, fm_err *err)
{
    int rc = fm_results_check(r, err);

    if (rc != 0)
        return rc;
    return r->groups ? copy_groups(r, out, n, err) : make_groups(r, out, n, err);
}

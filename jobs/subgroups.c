/* Subgroups: the evaluation's rows, split by sex, by age, and by both. */
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

/* Any sex or any band is -1. */
typedef struct {
    int sex, band;
} cell;

/* Group g: first the sexes, then the bands, then the bands of each sex. */
static cell cell_of(int g, int n_bands)
{
    static const int sexes[] = {FM_SEX_MALE, FM_SEX_FEMALE};

    if (g < 2)
        return (cell){sexes[g], -1};
    g -= 2;
    return g < n_bands ? (cell){-1, g} : (cell){sexes[g / n_bands - 1], g % n_bands};
}

static bool belongs(const fm_sample *x, cell c, const bands *b)
{
    return (c.sex < 0 || (int)x->sex == c.sex) && (c.band < 0 || sample_in_band(b, c.band, x));
}

/* Rows of the evaluation that belong; returns how many. */
static size_t rows_of(const fm_results *r, cell c, const bands *b, uint32_t *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < r->evaluation->n; i++)
        if (belongs(&r->samples->v[r->evaluation->sample[i]], c, b))
            rows[n++] = (uint32_t)i;
    return n;
}

static void name_group(cell c, const bands *b, fm_subgroup *to)
{
    char age[48] = "";

    if (c.band >= 0)
        name_band(b, c.band, age, sizeof age);
    snprintf(to->name, sizeof to->name, "%s%s%s", c.sex >= 0 ? fm_sex_name((fm_sex)c.sex) : "",
             c.sex >= 0 && c.band >= 0 ? ", " : "", age);
    snprintf(to->column, sizeof to->column, "%s", c.band < 0 ? "sex" : c.sex < 0 ? "age" : "sex and age");
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
    to->sensitivity = metrics[FM_METRIC_SENSITIVITY];
    to->specificity = metrics[FM_METRIC_SPECIFICITY];
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
    bands b = bands_of(r->study);
    int n_bands = b.n - 1, n_groups = 2 + 3 * n_bands;
    fm_subgroup *groups = calloc((size_t)n_groups, sizeof *groups);
    uint32_t *rows = malloc((r->evaluation->n + 1) * sizeof *rows);
    size_t found = 0;
    int rc = groups && rows ? 0 : fm_fail_nomem(err, "subgroups", r->evaluation->n * sizeof *rows);

    for (int g = 0; rc == 0 && g < n_groups; g++) {
        fm_subgroup *to = &groups[found];
        cell c = cell_of(g, n_bands);
        size_t faces = rows_of(r, c, &b, rows);

        if (faces < (c.sex < 0 || c.band < 0 ? 1 : FM_SUBGROUP_CELL_MIN))
            continue;
        to->n = faces;
        name_group(c, &b, to);
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

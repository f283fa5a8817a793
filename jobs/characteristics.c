/* Table 1: one pass over the evaluation's rows a class.  Counted by photograph,
 * since age is one of the photograph and matching goes by it. */
#include "jobs/characteristics.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void fm_quartiles(double *v, size_t n, double out[5])
{
    qsort(v, n, sizeof *v, by_value);
    for (int q = 0; q < 5; q++) {
        double at = n ? q / 4.0 * (double)(n - 1) : 0;
        size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;

        out[q] = n ? v[low] + (at - (double)low) * (v[high] - v[low]) : NAN;
    }
}

typedef struct {
    const fm_results *r;
    double *age;            /* [rows] */
    uint32_t *subject;      /* [rows] */
} scratch;

static void count_age(const scratch *w, const fm_sample *x, fm_characteristics *c)
{
    const fm_match_spec *m = &w->r->study->match;

    if (!isfinite(x->age)) {
        if (isfinite(x->age_low))
            c->age_ranges++;
        else
            c->age_unknown++;
        return;
    }
    w->age[c->ages++] = x->age;
    for (int b = 0; m->on && m->by_age && b + 1 < m->n_bands; b++) {
        bool last = b + 2 == m->n_bands;

        if (x->age >= m->bands[b] && (x->age < m->bands[b + 1] || (last && x->age <= m->bands[b + 1])))
            c->of_band[b]++;
    }
}

static void count_photograph(const scratch *w, const fm_sample *x, fm_characteristics *c)
{
    c->photographs++;
    if (x->sex == FM_SEX_MALE)
        c->male++;
    else if (x->sex == FM_SEX_FEMALE)
        c->female++;
    else
        c->sex_unknown++;
    count_age(w, x, c);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void finish(const scratch *w, fm_characteristics *c)
{
    double sum = 0, square = 0;

    qsort(w->subject, c->faces, sizeof *w->subject, by_number);
    for (size_t i = 0; i < c->faces; i++)
        c->subjects += i == 0 || w->subject[i] != w->subject[i - 1];
    for (size_t i = 0; i < c->ages; i++)
        sum += w->age[i];
    c->age_mean = c->ages ? sum / (double)c->ages : NAN;
    for (size_t i = 0; i < c->ages; i++)
        square += (w->age[i] - c->age_mean) * (w->age[i] - c->age_mean);
    c->age_sd = c->ages > 1 ? sqrt(square / (double)(c->ages - 1)) : NAN;
    fm_quartiles(w->age, c->ages, c->age);
}

/* Of class `class`, or of all when it is the number of classes. */
static void describe(const scratch *w, uint32_t class, fm_characteristics *c)
{
    const fm_evaluation *e = w->r->evaluation;

    *c = (fm_characteristics){.faces = 0};
    for (size_t i = 0; i < e->n; i++) {
        if (class < e->classes && (uint32_t)e->label[i] != class)
            continue;
        w->subject[c->faces++] = e->subject[i];
        if (i == 0 || e->sample[i] != e->sample[i - 1])
            count_photograph(w, &w->r->samples->v[e->sample[i]], c);
    }
    finish(w, c);
}

int fm_characteristics_make(const fm_results *r, fm_characteristics *out, fm_err *err)
{
    size_t n = r->evaluation->n;
    scratch w = {.r = r, .age = malloc((n + 1) * sizeof *w.age), .subject = malloc((n + 1) * sizeof *w.subject)};
    int rc = w.age && w.subject ? 0 : fm_fail_nomem(err, "characteristics", n * sizeof *w.age);

    for (uint32_t c = 0; rc == 0 && c <= r->evaluation->classes; c++)
        describe(&w, c, &out[c]);
    free(w.age);
    free(w.subject);
    return rc;
}

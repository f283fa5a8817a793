/* DeLong's variance.
 *
 * The AUC is a mean of placements; what each subject adds to it, less what it
 * would add on average, is its part.  Two sums of squares and one of products of
 * parts give the variance, of a difference as of one AUC: parts are subtracted.
 * Rejected: the matrix of placements of all curves, which a difference does not
 * need.  Always: subjects are numbered by the rows of p whether tested or not, so
 * that two predictions of the same rows number them alike. */
#include "coordinator/learn/delong.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define Z95 1.959963984540054

typedef struct {
    double side[2];     /* sum of (placement - AUC) / rows of that class: negative, positive rows */
    bool has[2];        /* a row of that class was tested */
} part;

typedef struct {
    size_t subjects;
    uint32_t *subject;      /* [n] */
    part *parts;            /* [subjects] */
    double auc;             /* mean over repeats */
} parts;

typedef struct {
    double score;
    uint32_t subject;
    int positive;
} scored;

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int compare_scored(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;

    return (x > y) - (x < y);
}

static int number_subjects(const fm_predictions *p, parts *out, fm_err *err)
{
    uint32_t *keys = malloc((p->n + 1) * sizeof *keys);
    size_t distinct = 0;

    out->subject = malloc((p->n + 1) * sizeof *out->subject);
    if (!keys || !out->subject) {
        free(keys);
        return fm_fail_nomem(err, "subjects", p->n * sizeof *keys);
    }
    for (size_t i = 0; i < p->n; i++)
        keys[i] = p->group ? p->group[i] : (uint32_t)i;
    qsort(keys, p->n, sizeof *keys, compare_u32);
    for (size_t i = 0; i < p->n; i++)
        if (i == 0 || keys[i] != keys[distinct - 1])
            keys[distinct++] = keys[i];
    for (size_t i = 0; i < p->n; i++) {
        uint32_t key = p->group ? p->group[i] : (uint32_t)i;

        out->subject[i] = (uint32_t)((uint32_t *)bsearch(&key, keys, distinct, sizeof key, compare_u32) - keys);
    }
    out->subjects = distinct;
    free(keys);
    out->parts = calloc(distinct + 1, sizeof *out->parts);
    return out->parts ? 0 : fm_fail_nomem(err, "parts of an AUC", distinct * sizeof *out->parts);
}

/* Twice the rows of the other class that one of each class has rightly below or above it: [n], for sorted s. */
static void place(const scored *s, size_t n, const size_t of_class[2], double *twice)
{
    size_t below[2] = {0, 0}, end;

    for (size_t i = 0; i < n; i = end) {
        size_t tied[2] = {0, 0};

        for (end = i; end < n && s[end].score == s[i].score; end++)
            tied[s[end].positive]++;
        for (size_t k = i; k < end; k++)
            twice[k] = s[k].positive ? (double)(2 * below[0] + tied[0])
                                     : (double)(2 * (of_class[1] - below[1]) - tied[1]);
        below[0] += tied[0];
        below[1] += tied[1];
    }
}

/* One repeat's AUC, and its parts added to those of the repeats before it.  NaN without both classes. */
static double add_parts(scored *s, size_t n, double *twice, part *to)
{
    size_t of_class[2] = {0, 0};
    double sum = 0.0, auc;

    for (size_t i = 0; i < n; i++)
        of_class[s[i].positive]++;
    if (!of_class[0] || !of_class[1])
        return NAN;
    qsort(s, n, sizeof *s, compare_scored);
    place(s, n, of_class, twice);
    for (size_t i = 0; i < n; i++)
        sum += s[i].positive ? twice[i] : 0.0;
    auc = sum / (2.0 * (double)of_class[0] * (double)of_class[1]);
    for (size_t i = 0; i < n; i++) {
        int positive = s[i].positive;
        double placement = twice[i] / (2.0 * (double)of_class[!positive]);

        to[s[i].subject].side[positive] += (placement - auc) / (double)of_class[positive];
        to[s[i].subject].has[positive] = true;
    }
    return auc;
}

static size_t tested_rows(const fm_predictions *p, size_t repeat, const uint32_t *subject, scored *out)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        if (!p->test_fold || p->test_fold[repeat * p->n + i] >= 0)
            out[n++] = (scored){p->prob[(repeat * p->n + i) * 2 + 1], subject[i], p->label[i] == 1};
    return n;
}

static void parts_fini(parts *p)
{
    free(p->subject);
    free(p->parts);
}

static int parts_make(const fm_predictions *p, parts *out, fm_err *err)
{
    scored *s = malloc((p->n + 1) * sizeof *s);
    double *twice = malloc((p->n + 1) * sizeof *twice), sum = 0.0;
    size_t defined = 0;
    int rc = s && twice ? 0 : fm_fail_nomem(err, "placements", p->n * sizeof *s);

    if (rc == 0)
        rc = number_subjects(p, out, err);
    for (size_t r = 0; rc == 0 && r < p->repeats; r++) {
        double auc = add_parts(s, tested_rows(p, r, out->subject, s), twice, out->parts);

        if (isnan(auc))
            continue;
        sum += auc;
        defined++;
    }
    out->auc = defined ? sum / (double)defined : NAN;
    for (size_t i = 0; defined && i < out->subjects; i++)
        for (int k = 0; k < 2; k++)
            out->parts[i].side[k] /= (double)defined;
    free(s);
    free(twice);
    return rc;
}

/* Obuchowski's: each sum with the degrees of freedom of the subjects that are in it. */
static double variance(const part *p, size_t subjects)
{
    double squares[2] = {0.0, 0.0}, products = 0.0;
    double with[2] = {0, 0}, with_any = 0;

    for (size_t i = 0; i < subjects; i++) {
        for (int k = 0; k < 2; k++) {
            squares[k] += p[i].side[k] * p[i].side[k];
            with[k] += p[i].has[k];
        }
        products += p[i].side[0] * p[i].side[1];
        with_any += p[i].has[0] || p[i].has[1];
    }
    if (with[0] < 2 || with[1] < 2)
        return NAN;
    return with[0] / (with[0] - 1) * squares[0] + with[1] / (with[1] - 1) * squares[1] +
           2 * with_any / (with_any - 1) * products;
}

/* Labels, calls and probabilities are in range: the metrics' own check, at its own price. */
static int check(const fm_predictions *p, fm_err *err)
{
    fm_metric_values unused;

    return fm_metrics_point(p, NULL, 0, -1, -1, &unused, err);
}

int fm_delong_auc(const fm_predictions *p, fm_delong *out, fm_err *err)
{
    parts own = {.subjects = 0};
    int rc = check(p, err);

    if (rc != 0 || p->classes != 2) {
        if (rc == 0)
            *out = (fm_delong){NAN, NAN, NAN, NAN};
        return rc;
    }
    rc = parts_make(p, &own, err);
    if (rc == 0) {
        double se = isnan(own.auc) ? NAN : sqrt(variance(own.parts, own.subjects));

        *out = (fm_delong){own.auc, se, NAN, NAN};
        if (!isnan(se)) {
            out->low = fmax(own.auc - Z95 * se, 0.0);
            out->high = fmin(own.auc + Z95 * se, 1.0);
        }
    }
    parts_fini(&own);
    return rc;
}

fm_paired fm_paired_from(double a, double b, double variance_of_difference)
{
    double se = sqrt(variance_of_difference), z = se > 0 ? (a - b) / se : NAN;

    return (fm_paired){.a = a, .b = b, .difference = a - b, .se = se, .low = a - b - Z95 * se, .high = a - b + Z95 * se,
                       .z = z, .p = erfc(fabs(z) / sqrt(2.0))};
}

static int same_rows(const fm_predictions *a, const fm_predictions *b, fm_err *err)
{
    if (a->n != b->n || a->classes != b->classes || !a->group != !b->group)
        return fm_fail(err, -EINVAL, "predictions of %zu rows and %d classes beside %zu and %d: only predictions of "
                       "the same rows can be compared", a->n, a->classes, b->n, b->classes);
    for (size_t i = 0; i < a->n; i++)
        if (a->label[i] != b->label[i] || (a->group && a->group[i] != b->group[i]))
            return fm_fail(err, -EINVAL, "row %zu has another label or group in the other prediction: only predictions "
                           "of the same rows can be compared", i);
    return 0;
}

int fm_delong_compare(const fm_predictions *a, const fm_predictions *b, fm_paired *out, fm_err *err)
{
    parts of_a = {.subjects = 0}, of_b = {.subjects = 0};
    int rc = same_rows(a, b, err);

    if (rc == 0)
        rc = check(a, err);
    if (rc == 0)
        rc = check(b, err);
    if (rc == 0 && a->classes != 2)
        *out = fm_paired_from(NAN, NAN, NAN);
    if (rc != 0 || a->classes != 2)
        return rc;
    rc = parts_make(a, &of_a, err);
    if (rc == 0)
        rc = parts_make(b, &of_b, err);
    for (size_t i = 0; rc == 0 && i < of_a.subjects; i++)
        for (int k = 0; k < 2; k++) {
            of_a.parts[i].side[k] -= of_b.parts[i].side[k];
            of_a.parts[i].has[k] = of_a.parts[i].has[k] || of_b.parts[i].has[k];
        }
    if (rc == 0)
        *out = fm_paired_from(of_a.auc, of_b.auc, variance(of_a.parts, of_a.subjects));
    parts_fini(&of_a);
    parts_fini(&of_b);
    return rc;
}

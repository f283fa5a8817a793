/* Stretches of rising C, class by class, on one copy of the rows in the order of
 * their inner folds, so that a fold is a block that a fit can do without.
 *
 * A stretch is what ranks share out: within one, a fit starts where the last C's
 * ended; each begins anew, so that it makes no difference who works it out.  Longer
 * ones would save little (all of seven C in one go: 15 % of the time).  Rejected: a
 * part an inner fold, which would sum second derivatives over the same rows again.
 * The fit to all rows at the C that is chosen comes out of the same stretch: nothing
 * is trained twice.  An SVM's scores become probabilities by Platt's sigmoid,
 * fitted to scores of held-out rows; as a sigmoid of a linear score is again one,
 * both kinds end as the same numbers.  The bias is regularised, as liblinear does. */
#include "coordinator/learn/linear.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/newton.h"
#include "coordinator/learn/platt.h"

#define STRETCH 2           /* values of C */

struct fm_linear {
    const fm_head_spec *spec;
    const fm_rows *rows;
    size_t width;           /* with the bias */
    size_t *edge;           /* [folds + 1] */
    uint32_t *order;        /* u32 [n]: rows by inner fold */
    float *x;               /* f32 [n, width], in that order */
    float *cost;            /* f32 [n], in that order */
};

size_t fm_linear_scores(int classes)
{
    return classes == 2 ? 1 : (size_t)classes;
}

static size_t choices_of(const fm_head_spec *spec)
{
    return spec->n_choices ? spec->n_choices : 1;
}

static const double *choice_of(const fm_head_spec *spec)
{
    return spec->n_choices ? spec->choice : &spec->C;
}

/* Numbers that one C leaves behind: weights, held-out scores by row. */
static size_t values_each(const fm_rows *rows)
{
    return rows->d + 1 + (rows->folds ? rows->n : 0);
}

static size_t stretches_of(const fm_head_spec *spec)
{
    return (choices_of(spec) + STRETCH - 1) / STRETCH;
}

size_t fm_linear_parts(const fm_head_spec *spec, int classes)
{
    return fm_linear_scores(classes) * stretches_of(spec);
}

/* Values of C of a part: *first and how many. */
static size_t stretch_of(const fm_head_spec *spec, size_t part, size_t *first)
{
    size_t left;

    *first = part % stretches_of(spec) * STRETCH;
    left = choices_of(spec) - *first;
    return left < STRETCH ? left : STRETCH;
}

size_t fm_linear_part_values(const fm_head_spec *spec, const fm_rows *rows, size_t part)
{
    size_t first;

    return stretch_of(spec, part, &first) * values_each(rows);
}

void fm_linear_destroy(fm_linear *l)
{
    if (!l)
        return;
    free(l->edge);
    free(l->order);
    free(l->x);
    free(l->cost);
    free(l);
}

/* Rows in the order of their inner folds, ones behind them. */
static void lay_out(fm_linear *l)
{
    const fm_rows *r = l->rows;
    size_t at = 0;

    for (uint32_t f = 0; f < (r->folds ? r->folds : 1); f++) {
        l->edge[f] = at;
        for (size_t i = 0; i < r->n; i++)
            if (!r->folds || r->fold[i] == (int32_t)f)
                l->order[at++] = (uint32_t)i;
        l->edge[f + 1] = at;
    }
    for (size_t i = 0; i < r->n; i++) {
        memcpy(l->x + i * l->width, r->x + l->order[i] * r->d, r->d * sizeof *l->x);
        l->x[i * l->width + r->d] = 1.0f;
        l->cost[i] = r->weight[r->labels[l->order[i]]];
    }
}

int fm_linear_create(const fm_head_spec *spec, const fm_rows *rows, fm_linear **out, fm_err *err)
{
    fm_linear *l = calloc(1, sizeof *l);

    if (l) {
        *l = (fm_linear){.spec = spec, .rows = rows, .width = rows->d + 1};
        l->edge = calloc(rows->folds + 2, sizeof *l->edge);
        l->order = malloc(rows->n * sizeof *l->order);
        l->x = malloc(rows->n * l->width * sizeof *l->x);
        l->cost = malloc(rows->n * sizeof *l->cost);
    }
    if (!l || !l->edge || !l->order || !l->x || !l->cost) {
        fm_linear_destroy(l);
        return fm_fail_nomem(err, "linear head", rows->n * (rows->d + 1) * sizeof(float));
    }
    lay_out(l);
    *out = l;
    return 0;
}

/* What the fits at one C leave behind. */
static void keep(const fm_linear *l, const fm_newton *s, double *values)
{
    double *z = values + l->width;

    memcpy(values, fm_newton_weights(s, l->rows->folds), l->width * sizeof *values);
    for (uint32_t f = 0; f < l->rows->folds; f++) {
        const float *held = fm_newton_scores(s, f);

        for (size_t i = l->edge[f]; i < l->edge[f + 1]; i++)
            z[l->order[i]] = (double)held[i];
    }
}

/* The class that score k holds against the rest. */
static int32_t class_of(int classes, size_t k)
{
    return classes == 2 ? 1 : (int32_t)k;
}

static int walk(const fm_linear *l, size_t part, const float *y, double *values, fm_err *err)
{
    const fm_newton_rows rows = {
        .loss = l->spec->kind == FM_HEAD_SVM ? FM_LOSS_SQUARED_HINGE : FM_LOSS_LOGISTIC,
        .n = l->rows->n, .d = l->width, .x = l->x, .y = y, .cost = l->cost,
        .blocks = l->rows->folds, .edge = l->edge,
    };
    size_t first, n = stretch_of(l->spec, part, &first);
    fm_newton *s = NULL;
    int rc = fm_newton_create(&rows, &s, err);

    for (size_t c = 0; rc == 0 && c < n; c++) {
        rc = fm_newton_fit(s, choice_of(l->spec)[first + c], err);
        if (rc == 0)
            keep(l, s, values + c * values_each(l->rows));
    }
    fm_newton_destroy(s);
    return rc;
}

int fm_linear_part(const fm_linear *l, size_t part, double *values, fm_err *err)
{
    int32_t class = class_of(l->rows->classes, part / stretches_of(l->spec));
    float *y = malloc(l->rows->n * sizeof *y);
    int rc;

    if (!y)
        return fm_fail_nomem(err, "linear head", l->rows->n * sizeof *y);
    for (size_t i = 0; i < l->rows->n; i++)
        y[i] = l->rows->labels[l->order[i]] == class ? 1.0f : -1.0f;
    rc = walk(l, part, y, values, err);
    free(y);
    return rc;
}

/* All parts, being looked through. */
typedef struct {
    const fm_rows *rows;
    bool svm;
    size_t scores, n_choices;
    double *values;         /* f64 [scores, choices, values_each] */
    float *z, *y, *cost;    /* f32 [n], for Platt's sigmoid */
    double *prob, *best;    /* f64 [n, classes]; best: of the best choice so far */
    size_t chosen;
} finish;

static double *values_at(const finish *f, size_t c, size_t k)
{
    return f->values + (k * f->n_choices + c) * values_each(f->rows);
}

/* Scale and shift one score of one choice by Platt's sigmoid. */
static void calibrate(finish *f, size_t c, size_t k)
{
    const fm_rows *r = f->rows;
    double *w = values_at(f, c, k), *z = w + r->d + 1, a, b;

    for (size_t i = 0; i < r->n; i++) {
        f->z[i] = (float)z[i];
        f->y[i] = r->labels[i] == class_of(r->classes, k) ? 1.0f : -1.0f;
        f->cost[i] = r->weight[r->labels[i]];
    }
    fm_platt_fit(f->z, f->y, f->cost, r->n, &a, &b);
    for (size_t i = 0; i <= r->d; i++)
        w[i] *= a;
    w[r->d] += b;
    for (size_t i = 0; i < r->n; i++)
        z[i] = a * z[i] + b;
}

/* Scores, in prob's first places, to probabilities. */
static void to_probabilities(double *prob, int classes)
{
    size_t scores = fm_linear_scores(classes);
    double sum = 0.0;

    for (size_t k = 0; k < scores; k++)
        sum += prob[k] = 1.0 / (1.0 + exp(-prob[k]));
    if (scores == 1) {
        prob[1] = prob[0];
        prob[0] = 1.0 - prob[1];
        return;
    }
    for (size_t k = 0; k < scores; k++)
        prob[k] = sum > 0.0 ? prob[k] / sum : 1.0 / (double)scores;
}

/* The choice with the least log loss on held-out rows; its probabilities into best. */
static void choose(finish *f)
{
    const fm_rows *r = f->rows;
    size_t classes = (size_t)r->classes;
    double least = INFINITY;

    for (size_t c = 0; c < f->n_choices; c++) {
        double loss;

        for (size_t k = 0; f->svm && k < f->scores; k++)
            calibrate(f, c, k);
        for (size_t i = 0; i < r->n; i++) {
            for (size_t k = 0; k < f->scores; k++)
                f->prob[i * classes + k] = values_at(f, c, k)[r->d + 1 + i];
            to_probabilities(f->prob + i * classes, r->classes);
        }
        loss = fm_log_loss(r, f->prob);
        if (loss < least) {
            least = loss;
            f->chosen = c;
            memcpy(f->best, f->prob, r->n * classes * sizeof *f->best);
        }
    }
}

int fm_linear_finish(const fm_head_spec *spec, const fm_rows *rows, double *parts, double *weight, double *C,
                     double *inner_prob, fm_err *err)
{
    size_t held = rows->folds ? rows->n : 0, each = held * (size_t)rows->classes;
    finish f = {.rows = rows, .svm = spec->kind == FM_HEAD_SVM, .scores = fm_linear_scores(rows->classes),
                .n_choices = choices_of(spec), .values = parts, .prob = malloc((2 * each + 1) * sizeof *f.prob),
                .z = malloc((3 * held + 1) * sizeof *f.z)};

    if (!f.prob || !f.z) {
        free(f.prob);
        free(f.z);
        return fm_fail_nomem(err, "linear head", 2 * each * sizeof *f.prob);
    }
    f.best = f.prob + each;
    f.y = f.z + held;
    f.cost = f.y + held;
    if (held)
        choose(&f);
    for (size_t k = 0; k < f.scores; k++)
        for (size_t i = 0; i <= rows->d; i++)
            weight[i * f.scores + k] = values_at(&f, f.chosen, k)[i];
    *C = choice_of(spec)[f.chosen];
    if (inner_prob)
        memcpy(inner_prob, f.best, each * sizeof *inner_prob);
    free(f.prob);
    free(f.z);
    return 0;
}

void fm_linear_score(const double *weight, size_t d, int classes, const float *x, double *prob)
{
    size_t scores = fm_linear_scores(classes);

    for (size_t k = 0; k < scores; k++)
        prob[k] = weight[d * scores + k];
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < scores; k++)
            prob[k] += (double)x[i] * weight[i * scores + k];
    to_probabilities(prob, classes);
}

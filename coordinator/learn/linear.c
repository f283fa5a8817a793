/* A path of rising C, class by class, on one copy of the rows in the order of
 * their inner folds, so that a fold is a block that a fit can do without.
 *
 * The fit to all rows at the C that is chosen comes out of the same path: nothing
 * is trained twice.  An SVM's scores become probabilities by Platt's sigmoid,
 * fitted to scores of held-out rows; as a sigmoid of a linear score is again one,
 * both kinds end as the same numbers.  The bias is regularised, as liblinear does. */
#include "coordinator/learn/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/newton.h"
#include "coordinator/learn/platt.h"

typedef struct {
    const fm_head_spec *spec;
    const fm_rows *rows;
    size_t scores, width;   /* width: with the bias */
    size_t n_choices;
    const double *choice;
    size_t *edge;           /* [folds + 1] */
    uint32_t *order;        /* u32 [n]: rows by inner fold */
    float *x;               /* f32 [n, width], in that order */
    float *y, *cost;        /* f32 [n], in that order */
    double *w;              /* f64 [choices, scores, width] */
    float *z;               /* f32 [choices, scores, n]: held-out scores, by row */
    double *prob;           /* f64 [n, classes] */
    double *best;           /* the same, of the best choice so far */
    size_t chosen;
} path;

size_t fm_linear_scores(int classes)
{
    return classes == 2 ? 1 : (size_t)classes;
}

static void path_fini(path *p)
{
    free(p->edge);
    free(p->order);
    free(p->x);
    free(p->y);
    free(p->w);
    free(p->z);
    free(p->prob);
}

static int path_init(path *p, fm_err *err)
{
    size_t n = p->rows->n, held = p->rows->folds ? n : 0, classes = (size_t)p->rows->classes;

    p->edge = calloc(p->rows->folds + 2, sizeof *p->edge);
    p->order = malloc(n * sizeof *p->order);
    p->x = malloc(n * p->width * sizeof *p->x);
    p->y = malloc(2 * n * sizeof *p->y);
    p->w = calloc(p->n_choices, p->scores * p->width * sizeof *p->w);
    p->z = calloc(p->n_choices, p->scores * held * sizeof *p->z + 1);
    p->prob = calloc(2 * held + 1, classes * sizeof *p->prob);
    if (!p->edge || !p->order || !p->x || !p->y || !p->w || !p->z || !p->prob)
        return fm_fail_nomem(err, "linear head", n * p->width * sizeof *p->x + 2 * held * classes * sizeof *p->prob);
    p->cost = p->y + n;
    p->best = p->prob + held * classes;
    return 0;
}

/* Rows in the order of their inner folds, ones behind them. */
static void lay_out(path *p)
{
    const fm_rows *r = p->rows;
    size_t at = 0;

    for (uint32_t f = 0; f < (r->folds ? r->folds : 1); f++) {
        p->edge[f] = at;
        for (size_t i = 0; i < r->n; i++)
            if (!r->folds || r->fold[i] == (int32_t)f)
                p->order[at++] = (uint32_t)i;
        p->edge[f + 1] = at;
    }
    for (size_t i = 0; i < r->n; i++) {
        memcpy(p->x + i * p->width, r->x + p->order[i] * r->d, r->d * sizeof *p->x);
        p->x[i * p->width + r->d] = 1.0f;
        p->cost[i] = r->weight[r->labels[p->order[i]]];
    }
}

/* What fits of score k at one C leave behind. */
static void keep(path *p, const fm_newton *s, size_t c, size_t k)
{
    size_t at = c * p->scores + k;
    float *z = p->z + at * p->rows->n;

    memcpy(p->w + at * p->width, fm_newton_weights(s, p->rows->folds), p->width * sizeof *p->w);
    for (uint32_t f = 0; f < p->rows->folds; f++) {
        const float *held = fm_newton_scores(s, f);

        for (size_t i = p->edge[f]; i < p->edge[f + 1]; i++)
            z[p->order[i]] = held[i];
    }
}

/* Score k's class against the rest, C by C. */
static int walk(path *p, size_t k, fm_err *err)
{
    int class = p->scores == 1 ? 1 : (int)k;
    const fm_newton_rows rows = {
        .loss = p->spec->kind == FM_HEAD_SVM ? FM_LOSS_SQUARED_HINGE : FM_LOSS_LOGISTIC,
        .n = p->rows->n, .d = p->width, .x = p->x, .y = p->y, .cost = p->cost,
        .blocks = p->rows->folds, .edge = p->edge,
    };
    fm_newton *s = NULL;
    int rc = fm_newton_create(&rows, &s, err);

    for (size_t i = 0; i < p->rows->n; i++)
        p->y[i] = p->rows->labels[p->order[i]] == class ? 1.0f : -1.0f;
    for (size_t c = 0; rc == 0 && c < p->n_choices; c++) {
        rc = fm_newton_fit(s, p->choice[c], err);
        if (rc == 0)
            keep(p, s, c, k);
    }
    fm_newton_destroy(s);
    return rc;
}

/* Scale and shift one score of one choice by Platt's sigmoid; y and cost are done with and serve anew, by row. */
static void calibrate(path *p, size_t c, size_t k)
{
    const fm_rows *r = p->rows;
    size_t at = c * p->scores + k;
    double *w = p->w + at * p->width, a, b;
    float *z = p->z + at * r->n;

    for (size_t i = 0; i < r->n; i++) {
        p->y[i] = r->labels[i] == (p->scores == 1 ? 1 : (int32_t)k) ? 1.0f : -1.0f;
        p->cost[i] = r->weight[r->labels[i]];
    }
    fm_platt_fit(z, p->y, p->cost, r->n, &a, &b);
    for (size_t i = 0; i < p->width; i++)
        w[i] *= a;
    w[r->d] += b;
    for (size_t i = 0; i < r->n; i++)
        z[i] = (float)(a * (double)z[i] + b);
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
static void choose(path *p)
{
    const fm_rows *r = p->rows;
    size_t classes = (size_t)r->classes;
    double least = INFINITY;

    for (size_t c = 0; c < p->n_choices; c++) {
        double loss;

        for (size_t k = 0; p->spec->kind == FM_HEAD_SVM && k < p->scores; k++)
            calibrate(p, c, k);
        for (size_t i = 0; i < r->n; i++) {
            for (size_t k = 0; k < p->scores; k++)
                p->prob[i * classes + k] = (double)p->z[(c * p->scores + k) * r->n + i];
            to_probabilities(p->prob + i * classes, r->classes);
        }
        loss = fm_log_loss(r, p->prob);
        if (loss < least) {
            least = loss;
            p->chosen = c;
            memcpy(p->best, p->prob, r->n * classes * sizeof *p->best);
        }
    }
}

int fm_linear_train(const fm_head_spec *spec, const fm_rows *rows, double *weight, double *C, double *inner_prob,
                    fm_err *err)
{
    path p = {.spec = spec, .rows = rows, .scores = fm_linear_scores(rows->classes), .width = rows->d + 1,
              .n_choices = spec->n_choices ? spec->n_choices : 1, .choice = spec->n_choices ? spec->choice : &spec->C};
    int rc = path_init(&p, err);

    if (rc == 0)
        lay_out(&p);
    for (size_t k = 0; rc == 0 && k < p.scores; k++)
        rc = walk(&p, k, err);
    if (rc == 0 && rows->folds)
        choose(&p);
    for (size_t k = 0; rc == 0 && k < p.scores; k++)
        for (size_t i = 0; i < p.width; i++)
            weight[i * p.scores + k] = p.w[(p.chosen * p.scores + k) * p.width + i];
    if (rc == 0)
        *C = p.choice[p.chosen];
    if (rc == 0 && inner_prob)
        memcpy(inner_prob, p.best, rows->n * (size_t)rows->classes * sizeof *inner_prob);
    path_fini(&p);
    return rc;
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

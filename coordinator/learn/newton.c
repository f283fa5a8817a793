/* Modified Newton: factored second derivatives are kept as long as steps shrink.
 *
 * Rows are taken in runs that stay in the cache; one product gives the scores of
 * all open fits, another their slopes, so that fits share the matrix's way through
 * memory.  Second derivatives are summed block by block at the scores of the fit to
 * all rows: a fit without a block gets the sum without it, at no cost but a
 * factorisation.  One that still goes slowly gets its own.
 *
 * liblinear's own solver was measured and rejected here: it stores 16 bytes a
 * number and goes through them once a fit and iteration, some ten times slower over
 * a path of C with inner folds.  It stays the reference in tests.  Products are in
 * float, sums over runs and all that follows in double.  Always: a step is taken
 * only when it lowers the value, as far as float can tell. */
#include "coordinator/learn/newton.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PASSES_MAX 300
#define CLOSE 1e-10         /* of the rows' summed cost: what half a step's gain may still be */
#define SLOW 0.05           /* a step that leaves more of the gain than this calls for new second derivatives */
#define NOISE 1e-7          /* of a value, by which float cannot tell it from another */
#define LEAF 32

typedef struct {
    double *w;              /* f64 [d]: where it is */
    double *at;             /* f64 [d]: where it looks */
    double *step;           /* f64 [d] */
    double *slope;          /* f64 [d], at the point looked at */
    double *factor;         /* f64 [d, d], lower triangle */
    float *z;               /* f32 [n] */
    double value, value_at;
    double gain;            /* slope . step: twice what a full step would gain */
    double length;          /* of the step being tried, 1: full */
    bool open, slow;
} fit;

struct fm_newton {
    fm_newton_rows rows;
    double C, cost;         /* cost: C times the sum of rows' */
    size_t whole[2];        /* edges when no block is held out */
    const size_t *edge;
    size_t n_edges, n_fits;
    fit *fits;              /* [n_fits]; the last is the fit to all rows */
    float *sums;            /* f32 [n_edges, d, d]: second derivatives, block by block */
    float *scaled;          /* f32 [FM_LOSS_ROWS, d] */
    float *w, *z, *r, *g;   /* f32 [n_fits, d], [n_fits, FM_LOSS_ROWS] twice, [n_fits, d] */
    float cost_run[FM_LOSS_ROWS];
    double *numbers;        /* what fits point into */
    float *scores;          /* the same, f32 */
};

void fm_newton_destroy(fm_newton *s)
{
    if (!s)
        return;
    free(s->fits);
    free(s->sums);
    free(s->scaled);
    free(s->w);
    free(s->z);
    free(s->numbers);
    free(s->scores);
    free(s);
}

static int make_room(fm_newton *s, fm_err *err)
{
    size_t d = s->rows.d, m = s->n_fits, each = d * (d + 4);

    s->fits = calloc(m, sizeof *s->fits);
    s->sums = calloc(s->n_edges, d * d * sizeof *s->sums);
    s->scaled = malloc(FM_LOSS_ROWS * d * sizeof *s->scaled);
    s->w = malloc(2 * m * d * sizeof *s->w);
    s->z = malloc(2 * m * FM_LOSS_ROWS * sizeof *s->z);
    s->numbers = calloc(m, each * sizeof *s->numbers);
    s->scores = calloc(m, s->rows.n * sizeof *s->scores);
    if (!s->fits || !s->sums || !s->scaled || !s->w || !s->z || !s->numbers || !s->scores)
        return fm_fail_nomem(err, "linear classifiers", m * (each + s->rows.n) * sizeof *s->numbers);
    s->g = s->w + m * d;
    s->r = s->z + m * FM_LOSS_ROWS;
    for (size_t j = 0; j < m; j++) {
        double *at = s->numbers + j * each;

        s->fits[j] = (fit){.w = at, .at = at + d, .step = at + 2 * d, .slope = at + 3 * d, .factor = at + 4 * d,
                           .z = s->scores + j * s->rows.n};
    }
    return 0;
}

int fm_newton_create(const fm_newton_rows *rows, fm_newton **out, fm_err *err)
{
    fm_newton *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return fm_fail_nomem(err, "linear classifiers", sizeof *s);
    s->rows = *rows;
    s->whole[1] = rows->n;
    s->edge = rows->blocks ? rows->edge : s->whole;
    s->n_edges = rows->blocks ? rows->blocks : 1;
    s->n_fits = rows->blocks + 1;
    rc = make_room(s, err);
    if (rc != 0) {
        fm_newton_destroy(s);
        return rc;
    }
    *out = s;
    return 0;
}

static bool holds_out(const fm_newton *s, size_t j, size_t block)
{
    return s->rows.blocks && j == block;
}

/* Costs of a run of rows times C. */
static const float *costs(fm_newton *s, size_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->cost_run[i] = (float)(s->C * (double)s->rows.cost[first + i]);
    return s->cost_run;
}

/* Scores, values and slopes of the open fits over one run of rows. */
static void run_rows(fm_newton *s, size_t block, size_t first, size_t n, fit *const *open, size_t m)
{
    size_t d = s->rows.d;
    const float *x = s->rows.x + first * d, *cost = costs(s, first, n);

    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)d, 1.0f, s->w, (int)d, x, (int)d, 0.0f,
                s->z, FM_LOSS_ROWS);
    for (size_t k = 0; k < m; k++) {
        float *z = s->z + k * FM_LOSS_ROWS, *r = s->r + k * FM_LOSS_ROWS;

        memcpy(open[k]->z + first, z, n * sizeof *z);
        if (holds_out(s, (size_t)(open[k] - s->fits), block))
            memset(r, 0, n * sizeof *r);
        else
            open[k]->value_at += fm_loss_run(s->rows.loss, z, s->rows.y + first, cost, n, r);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)d, (int)n, 1.0f, s->r, FM_LOSS_ROWS, x, (int)d,
                0.0f, s->g, (int)d);
    for (size_t k = 0; k < m; k++)
        for (size_t i = 0; i < d; i++)
            open[k]->slope[i] += (double)s->g[k * d + i];
}

/* Value and slope of every open fit where it looks. */
static void pass(fm_newton *s, fit *const *open, size_t m)
{
    size_t d = s->rows.d;

    for (size_t k = 0; k < m; k++) {
        open[k]->value_at = 0.5 * cblas_ddot((int)d, open[k]->at, 1, open[k]->at, 1);
        memcpy(open[k]->slope, open[k]->at, d * sizeof *open[k]->slope);
        for (size_t i = 0; i < d; i++)
            s->w[k * d + i] = (float)open[k]->at[i];
    }
    for (size_t b = 0; b < s->n_edges; b++)
        for (size_t i = s->edge[b]; i < s->edge[b + 1]; i += FM_LOSS_ROWS) {
            size_t left = s->edge[b + 1] - i;

            run_rows(s, b, i, left < FM_LOSS_ROWS ? left : FM_LOSS_ROWS, open, m);
        }
}

/* One block's second derivatives at a fit's scores, into the upper triangle of its sum. */
static void sum_block(fm_newton *s, const fit *f, size_t block)
{
    size_t d = s->rows.d;
    float *sum = s->sums + block * d * d, curve[FM_LOSS_ROWS];

    memset(sum, 0, d * d * sizeof *sum);
    for (size_t first = s->edge[block]; first < s->edge[block + 1]; first += FM_LOSS_ROWS) {
        size_t left = s->edge[block + 1] - first, n = left < FM_LOSS_ROWS ? left : FM_LOSS_ROWS, used = 0;

        fm_loss_curve(s->rows.loss, f->z + first, s->rows.y + first, costs(s, first, n), n, curve);
        for (size_t i = 0; i < n; i++) {
            const float *x = s->rows.x + (first + i) * d;
            float *to = s->scaled + used * d, by = sqrtf(curve[i]);

            for (size_t k = 0; k < d; k++)
                to[k] = by * x[k];
            used += curve[i] > 0.0f;
        }
        cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)d, (int)used, 1.0f, s->scaled, (int)d, 1.0f, sum,
                    (int)d);
    }
}

/* Lower triangle of a [n, n], row length d, to its Cholesky factor.  False: not positive definite. */
static bool factorise(double *a, size_t n, size_t d)
{
    size_t h = n / 2;

    if (n <= LEAF) {
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k <= i; k++) {
                double v = a[i * d + k] - cblas_ddot((int)k, a + i * d, 1, a + k * d, 1);

                if (i == k && !(v > 0.0))
                    return false;
                a[i * d + k] = i == k ? sqrt(v) : v / a[k * d + k];
            }
        return true;
    }
    if (!factorise(a, h, d))
        return false;
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)(n - h), (int)h, 1.0, a, (int)d,
                a + h * d, (int)d);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)(n - h), (int)h, -1.0, a + h * d, (int)d, 1.0,
                a + h * d + h, (int)d);
    return factorise(a + h * d + h, n - h, d);
}

/* The fit's factor from the blocks' sums.  What float left of positive definiteness is made up for by a
 * shift: that shortens steps where the rows say little, and moves no minimum. */
static bool factor_fit(fm_newton *s, size_t j)
{
    size_t d = s->rows.d;
    double *a = s->fits[j].factor, shift = 1.0;

    for (int tries = 0; tries < 12; tries++, shift *= 10.0) {
        memset(a, 0, d * d * sizeof *a);
        for (size_t b = 0; b < s->n_edges; b++) {
            const float *sum = s->sums + b * d * d;

            for (size_t i = 0; !holds_out(s, j, b) && i < d; i++)
                for (size_t k = i; k < d; k++)
                    a[i * d + k] += (double)sum[i * d + k];
        }
        for (size_t i = 0; i < d; i++) {
            a[i * d + i] += shift;
            for (size_t k = 0; k < i; k++)
                a[i * d + k] = a[k * d + i];
        }
        if (factorise(a, d, d))
            return true;
    }
    return false;
}

/* New factors: for every open fit at the scores of the last one, or for fit j alone at its own. */
static bool refresh(fm_newton *s, size_t j)
{
    bool all = j == s->n_fits - 1, done = true;

    for (size_t b = 0; b < s->n_edges; b++)
        if (!holds_out(s, j, b))
            sum_block(s, &s->fits[j], b);
    for (size_t k = 0; done && k < s->n_fits; k++)
        if (k == j || (all && s->fits[k].open))
            done = factor_fit(s, k);
    return done;
}

/* The step from the slope; what it would gain. */
static void aim(const fm_newton *s, fit *f)
{
    int d = (int)s->rows.d;

    memcpy(f->step, f->slope, s->rows.d * sizeof *f->step);
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, d, f->factor, d, f->step, 1);
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, d, f->factor, d, f->step, 1);
    f->gain = cblas_ddot(d, f->slope, 1, f->step, 1);
    f->length = 1.0;
}

/* Take the step that was tried or halve it. */
static void judge(const fm_newton *s, fit *f)
{
    double before = f->gain;

    if (!(f->value_at <= f->value - 1e-4 * f->length * f->gain + NOISE * fabs(f->value))) {
        f->length *= 0.5;
        f->slow = true;
        f->open = f->length > 1e-9;
        return;
    }
    memcpy(f->w, f->at, s->rows.d * sizeof *f->w);
    f->value = f->value_at;
    aim(s, f);
    f->open = f->gain > CLOSE * s->cost;
    f->slow = f->slow || f->gain > SLOW * before;
}

/* Second derivatives anew for fits that go slowly and have just taken a step. */
static bool hurry(fm_newton *s)
{
    fit *last = &s->fits[s->n_fits - 1];
    bool all = last->open && last->slow && last->length == 1.0;

    if (all && !refresh(s, s->n_fits - 1))
        return false;
    for (size_t j = 0; j < s->n_fits; j++) {
        fit *f = &s->fits[j];

        if (!f->open || f->length != 1.0)
            continue;
        if (!all && f->slow && !refresh(s, j))
            return false;
        if (all || f->slow)
            aim(s, f);
        f->slow = false;
    }
    return true;
}

static size_t look(fm_newton *s, fit **open)
{
    size_t m = 0;

    for (size_t j = 0; j < s->n_fits; j++) {
        fit *f = &s->fits[j];

        if (!f->open)
            continue;
        for (size_t i = 0; i < s->rows.d; i++)
            f->at[i] = f->w[i] - f->length * f->step[i];
        open[m++] = f;
    }
    return m;
}

static bool run(fm_newton *s, fit **open)
{
    size_t m;

    for (size_t j = 0; j < s->n_fits; j++) {
        fit *f = open[j] = &s->fits[j];

        memcpy(f->at, f->w, s->rows.d * sizeof *f->at);
        f->open = true;
        f->slow = false;
    }
    pass(s, open, s->n_fits);
    if (!refresh(s, s->n_fits - 1))
        return false;
    for (size_t j = 0; j < s->n_fits; j++) {
        s->fits[j].value = s->fits[j].value_at;
        aim(s, &s->fits[j]);
        s->fits[j].open = s->fits[j].gain > CLOSE * s->cost;
    }
    for (int i = 0; i < PASSES_MAX && (m = look(s, open)) > 0; i++) {
        pass(s, open, m);
        for (size_t k = 0; k < m; k++)
            judge(s, open[k]);
        if (!hurry(s))
            return false;
    }
    return true;
}

int fm_newton_fit(fm_newton *s, double C, fm_err *err)
{
    fit **open = malloc(s->n_fits * sizeof *open);
    bool finite;

    if (!open)
        return fm_fail_nomem(err, "linear classifiers", s->n_fits * sizeof *open);
    s->C = C;
    s->cost = 0.0;
    for (size_t i = 0; i < s->rows.n; i++)
        s->cost += C * (double)s->rows.cost[i];
    finite = run(s, open);
    free(open);
    for (size_t j = 0; j < s->n_fits; j++)
        finite &= isfinite(s->fits[j].value) && isfinite(cblas_dasum((int)s->rows.d, s->fits[j].w, 1));
    return finite ? 0 : fm_fail(err, -EDOM, "head: training went out of range; use a smaller C than %g", C);
}

const double *fm_newton_weights(const fm_newton *s, size_t j)
{
    return s->fits[j].w;
}

const float *fm_newton_scores(const fm_newton *s, size_t j)
{
    return s->fits[j].z;
}

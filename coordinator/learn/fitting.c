/* Training heads, in parts.
 *
 * The training rows are copied once into a contiguous, standardised matrix; the
 * kinds (fc.c, linear.c) see nothing else.  A column that is constant in
 * training says nothing and counts as 0 ever after, rather than passing what a
 * test row has there through weights that nothing has trained.  The copy is made
 * by the first call that needs it: who only asks how large parts are, to share
 * them out, has none. */
#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/head_parts.h"
#include "coordinator/learn/inner.h"
#include "coordinator/learn/linear.h"

#define LINEAR_WIDTH_MAX 8192u     /* its square is held in memory, several times */

struct fm_fitting {
    fm_training t;
    uint64_t seed, stream;
    fm_head *head;          /* its spec; what standardises; to be trained */
    float *weight;          /* f32 [classes] */
    int32_t *fold;          /* i32 [n]; NULL: no inner folds */
    float *x;               /* f32 [n, d], standardised; NULL: not yet */
    fm_linear *linear;      /* x as linear parts take it; NULL: not yet */
    fm_rows rows;           /* of the above */
};

/* weight  f32 [classes], caller's: what a row of each class counts. */
static int weigh_classes(const fm_head_spec *spec, const fm_training *t, float *weight, fm_err *err)
{
    size_t classes = (size_t)t->classes, n = t->codes.n, *rows = calloc(classes, sizeof *rows);
    int rc = 0;

    if (!rows)
        return fm_fail_nomem(err, "counts of classes", classes * sizeof *rows);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (t->labels[i] < 0 || t->labels[i] >= t->classes)
            rc = fm_fail(err, -EINVAL, "head: row %zu has label %d, expected 0 to %d", i, (int)t->labels[i],
                         t->classes - 1);
        else
            rows[t->labels[i]]++;
    }
    for (size_t c = 0; rc == 0 && c < classes; c++) {
        if (rows[c] == 0)
            rc = fm_fail(err, -EINVAL, "head: none of %zu rows to train on is of class %zu", n, c);
        else
            weight[c] = spec->class_weight ? (float)((double)n / ((double)classes * (double)rows[c])) : 1.0f;
    }
    free(rows);
    return rc;
}

/* Means and deviations of the columns of x f32 [n, d], which it standardises in place. */
static int standardise(fm_head *h, float *x, size_t n, fm_err *err)
{
    size_t d = h->d;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            h->mean[k] += (double)x[i * d + k];
    for (size_t k = 0; k < d; k++) {
        if (!isfinite(h->mean[k]))      /* finite floats cannot sum up to that */
            return fm_fail(err, -EDOM, "head: column %zu of the codes holds NaN or infinity; verify the store", k);
        h->mean[k] /= (double)n;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            h->scale[k] += ((double)x[i * d + k] - h->mean[k]) * ((double)x[i * d + k] - h->mean[k]);
    for (size_t k = 0; k < d; k++)
        h->scale[k] = h->scale[k] > 0.0 ? 1.0 / sqrt(h->scale[k] / (double)n) : 0.0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            x[i * d + k] = (float)(((double)x[i * d + k] - h->mean[k]) * h->scale[k]);
    return 0;
}

/* A process's OpenBLAS runs on the thread that calls it: ranks share out the cores,
 * and a product cut over threads would add in another order. */
static void one_thread(void)
{
    openblas_set_num_threads(1);
}

static int check_size(const fm_head_spec *spec, const fm_training *t, fm_err *err)
{
    unsigned most = spec->kind == FM_HEAD_FC ? FM_HEAD_WIDTH_MAX : LINEAR_WIDTH_MAX;

    if (t->classes >= 2 && t->classes <= FM_HEAD_CLASSES_MAX && t->codes.d >= 1 && t->codes.d <= most &&
        t->codes.n <= INT32_MAX)
        return 0;
    return fm_fail(err, -EINVAL, "head: %zu rows of %zu columns in %d classes, expected at most %d rows, 1 to %u "
                   "columns, 2 to %d classes", t->codes.n, t->codes.d, t->classes, INT32_MAX, most, FM_HEAD_CLASSES_MAX);
}

void fm_fitting_destroy(fm_fitting *f)
{
    if (!f)
        return;
    fm_linear_destroy(f->linear);
    fm_head_destroy(f->head);
    free(f->weight);
    free(f->fold);
    free(f->x);
    free(f);
}

/* What is known of the rows without their codes. */
static int look_at_rows(fm_fitting *f, const fm_head_spec *spec, bool inner, fm_err *err)
{
    const fm_training *t = &f->t;
    uint32_t folds = 0;
    int rc;

    f->weight = calloc((size_t)t->classes, sizeof *f->weight);
    f->fold = inner ? malloc((t->codes.n + 1) * sizeof *f->fold) : NULL;
    if (!f->weight || (inner && !f->fold))
        return fm_fail_nomem(err, "rows to train on", t->codes.n * sizeof *f->fold);
    rc = weigh_classes(spec, t, f->weight, err);
    if (rc == 0 && inner)
        rc = fm_inner_folds(t->labels, t->groups, t->codes.n, t->classes, f->seed, f->stream, f->fold, &folds, err);
    if (rc == 0)
        rc = fm_head_create(spec, t->codes.d, t->classes, &f->head, err);
    f->rows = (fm_rows){NULL, t->codes.n, t->codes.d, t->labels, t->classes, f->weight, folds, f->fold};
    return rc;
}

int fm_fitting_create(const fm_head_spec *spec, const fm_training *t, uint64_t seed, uint64_t stream, bool with_inner,
                      fm_fitting **out, fm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    fm_fitting *f = NULL;
    int rc = fm_head_spec_check(spec, err);

    if (rc == 0)
        rc = check_size(spec, t, err);
    if (rc != 0)
        return rc;
    pthread_once(&once, one_thread);
    if (!(f = calloc(1, sizeof *f)))
        return fm_fail_nomem(err, "head", sizeof *f);
    f->t = *t;
    f->seed = seed;
    f->stream = stream;
    rc = look_at_rows(f, spec, spec->n_choices > 0 || spec->kind == FM_HEAD_SVM || with_inner, err);
    if (rc != 0) {
        fm_fitting_destroy(f);
        return rc;
    }
    *out = f;
    return 0;
}

/* The standardised copy of the rows, if there is none yet. */
static int get_rows(fm_fitting *f, fm_err *err)
{
    size_t n = f->rows.n, d = f->rows.d;
    float *x = f->x ? NULL : malloc((n + 1) * d * sizeof *x);
    int rc;

    if (f->x)
        return 0;
    if (!x)
        return fm_fail_nomem(err, "rows to train on", n * d * sizeof *x);
    for (size_t i = 0; i < n; i++)
        memcpy(x + i * d, fm_codes_row(&f->t.codes, i), d * sizeof *x);
    rc = standardise(f->head, x, n, err);
    if (rc != 0) {
        free(x);
        return rc;
    }
    f->x = x;
    f->rows.x = x;
    return 0;
}

static bool is_fc(const fm_fitting *f)
{
    return f->head->spec.kind == FM_HEAD_FC;
}

size_t fm_fitting_parts(const fm_fitting *f)
{
    return is_fc(f) ? f->rows.folds : fm_linear_parts(&f->head->spec, f->rows.classes);
}

size_t fm_fitting_part_values(const fm_fitting *f, size_t part)
{
    return is_fc(f) ? fm_fc_part_values(&f->head->spec, &f->rows, (uint32_t)part)
                    : fm_linear_part_values(&f->head->spec, &f->rows, part);
}

size_t fm_fitting_values(const fm_fitting *f)
{
    size_t n = 0;

    for (size_t i = 0; i < fm_fitting_parts(f); i++)
        n += fm_fitting_part_values(f, i);
    return n;
}

int fm_fitting_part(fm_fitting *f, size_t part, double *values, fm_err *err)
{
    const fm_head_spec *spec = &f->head->spec;
    int rc = get_rows(f, err);

    if (rc == 0 && is_fc(f))
        return fm_fc_part(spec, &f->rows, f->seed, f->stream, (uint32_t)part, values, err);
    if (rc == 0 && !f->linear)
        rc = fm_linear_create(spec, &f->rows, &f->linear, err);
    return rc == 0 ? fm_linear_part(f->linear, part, values, err) : rc;
}

int fm_fitting_finish(fm_fitting *f, double *parts, double *inner_prob, fm_head **out, fm_err *err)
{
    const fm_head_spec spec = f->head->spec;
    fm_head *h = f->head;
    int rc = get_rows(f, err);

    if (rc == 0 && !is_fc(f))
        rc = fm_linear_finish(&spec, &f->rows, parts, h->weight, &h->spec.C, inner_prob, err);
    if (rc == 0 && is_fc(f) && f->rows.folds)
        rc = fm_fc_choose(&spec, &f->rows, parts, &h->spec.epochs, inner_prob, err);
    if (rc == 0 && is_fc(f))
        rc = fm_fc_train(&h->fc, &h->spec, &f->rows, f->seed, f->stream, NULL, err);
    if (rc == 0) {
        *out = h;
        f->head = NULL;
    }
    return rc;
}

static int train(fm_fitting *f, double *inner_prob, fm_head **out, fm_err *err)
{
    size_t n = fm_fitting_values(f);
    double *values = malloc((n + 1) * sizeof *values), *to = values;
    int rc = values ? 0 : fm_fail_nomem(err, "head", n * sizeof *values);

    for (size_t i = 0; rc == 0 && i < fm_fitting_parts(f); i++) {
        rc = fm_fitting_part(f, i, to, err);
        to += fm_fitting_part_values(f, i);
    }
    if (rc == 0)
        rc = fm_fitting_finish(f, values, inner_prob, out, err);
    free(values);
    return rc;
}

int fm_head_train(const fm_head_spec *spec, const fm_training *t, uint64_t seed, uint64_t stream, double *inner_prob,
                  fm_head **out, fm_err *err)
{
    fm_fitting *f = NULL;
    int rc = fm_fitting_create(spec, t, seed, stream, inner_prob != NULL, &f, err);

    if (rc == 0)
        rc = train(f, inner_prob, out, err);
    fm_fitting_destroy(f);
    return rc;
}

/* The FC head: forward, backward, Adam.
 *
 * A batch's products are OpenBLAS's; everything else is a plain loop over
 * contiguous floats that a compiler turns into vector code.  Scoring has no
 * OpenBLAS in it: its kernels add in another order for another number of rows,
 * and a row's probabilities must not depend on its neighbours.  Always: one order
 * of drawing random numbers: weights, then per epoch the order of rows, then per
 * batch the dropped units. */
#include "coordinator/learn/fc.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define BETA1 0.9
#define BETA2 0.999
#define EPSILON 1e-8f

int fm_fc_init(fm_fc *net, size_t d, size_t hidden, size_t classes, fm_err *err)
{
    fm_fc f = {.d = d, .hidden = hidden, .classes = classes};

    if (d >= FM_FC_PARAMS_MAX / hidden || classes >= FM_FC_PARAMS_MAX / hidden)
        return fm_fail(err, -EINVAL, "FC head of %zu columns, %zu hidden units and %zu classes is larger than %zu "
                       "parameters; use fewer hidden units", d, hidden, classes, FM_FC_PARAMS_MAX);
    f.w2 = d * hidden + hidden;
    f.b2 = f.w2 + hidden * classes;
    f.n = f.b2 + classes;
    f.param = calloc(f.n, sizeof *f.param);
    if (!f.param)
        return fm_fail_nomem(err, "FC head", f.n * sizeof *f.param);
    *net = f;
    return 0;
}

void fm_fc_fini(fm_fc *net)
{
    free(net->param);
    net->param = NULL;
}

int fm_fc_batch_init(fm_fc_batch *b, const fm_fc *net, size_t rows_max, fm_err *err)
{
    *b = (fm_fc_batch){.n = rows_max};
    b->x = calloc(rows_max, net->d * sizeof *b->x);
    b->label = calloc(rows_max, sizeof *b->label);
    b->keep = calloc(rows_max, net->hidden * sizeof *b->keep);
    b->hidden = calloc(rows_max, net->hidden * sizeof *b->hidden);
    b->back = calloc(rows_max, net->hidden * sizeof *b->back);
    b->out = calloc(rows_max, net->classes * sizeof *b->out);
    if (b->x && b->label && b->keep && b->hidden && b->back && b->out)
        return 0;
    fm_fc_batch_fini(b);
    return fm_fail_nomem(err, "a batch of rows", rows_max * (net->d + 3 * net->hidden + net->classes) * sizeof *b->x);
}

void fm_fc_batch_fini(fm_fc_batch *b)
{
    free(b->x);
    free(b->label);
    free(b->keep);
    free(b->hidden);
    free(b->back);
    free(b->out);
    *b = (fm_fc_batch){0};
}

/* c [rows, columns] = a [rows, inner] b [inner, columns] + beta c, each side turned as said. */
static void multiply(CBLAS_TRANSPOSE turn_a, CBLAS_TRANSPOSE turn_b, size_t rows, size_t columns, size_t inner,
                     const float *a, const float *b, float beta, float *c)
{
    cblas_sgemm(CblasRowMajor, turn_a, turn_b, (int)rows, (int)columns, (int)inner, 1.0f, a,
                (int)(turn_a == CblasNoTrans ? inner : rows), b, (int)(turn_b == CblasNoTrans ? columns : inner), beta,
                c, (int)columns);
}

static void copy_to_rows(float *out, const float *row, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * width, row, width * sizeof *row);
}

static void sum_of_rows(float *restrict sum, const float *restrict x, size_t n, size_t width)
{
    memset(sum, 0, width * sizeof *sum);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < width; k++)
            sum[k] += x[i * width + k];
}

/* Logits to the gradient of the mean weighted cross-entropy; returns the sum of losses. */
static double softmax_gradient(float *out, const int32_t *label, const float *weight, size_t n, size_t classes)
{
    double loss = 0.0;

    for (size_t i = 0; i < n; i++) {
        float *o = out + i * classes, most = o[0], sum = 0.0f, wanted, w = weight ? weight[label[i]] : 1.0f;

        for (size_t c = 1; c < classes; c++)
            most = fmaxf(most, o[c]);
        wanted = o[label[i]] - most;
        for (size_t c = 0; c < classes; c++)
            sum += o[c] = expf(o[c] - most);
        for (size_t c = 0; c < classes; c++)
            o[c] = w * (o[c] / sum - ((int32_t)c == label[i])) / (float)n;
        loss += (double)(w * (logf(sum) - wanted));
    }
    return loss;
}

static void relu_and_drop(float *restrict hidden, const float *restrict keep, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hidden[i] = (hidden[i] > 0.0f ? hidden[i] : 0.0f) * keep[i];
}

static void back_through_relu(float *restrict back, const float *restrict hidden, const float *restrict keep, size_t n)
{
    for (size_t i = 0; i < n; i++)
        back[i] = hidden[i] > 0.0f ? back[i] * keep[i] : 0.0f;
}

double fm_fc_gradient(const fm_fc *net, fm_fc_batch *b, float *grad)
{
    size_t d = net->d, hidden = net->hidden, classes = net->classes, n = b->n;
    const float *w1 = net->param, *w2 = net->param + net->w2;
    double loss;

    copy_to_rows(b->hidden, w2 - hidden, n, hidden);
    multiply(CblasNoTrans, CblasNoTrans, n, hidden, d, b->x, w1, 1.0f, b->hidden);
    relu_and_drop(b->hidden, b->keep, n * hidden);
    copy_to_rows(b->out, net->param + net->b2, n, classes);
    multiply(CblasNoTrans, CblasNoTrans, n, classes, hidden, b->hidden, w2, 1.0f, b->out);
    loss = softmax_gradient(b->out, b->label, b->weight, n, classes);

    multiply(CblasTrans, CblasNoTrans, hidden, classes, n, b->hidden, b->out, 0.0f, grad + net->w2);
    sum_of_rows(grad + net->b2, b->out, n, classes);
    multiply(CblasNoTrans, CblasTrans, n, hidden, classes, b->out, w2, 0.0f, b->back);
    back_through_relu(b->back, b->hidden, b->keep, n * hidden);
    multiply(CblasTrans, CblasNoTrans, d, hidden, n, b->x, b->back, 0.0f, grad);
    sum_of_rows(grad + net->w2 - hidden, b->back, n, hidden);
    return loss / (double)n;
}

int fm_adam_init(fm_adam *a, const fm_fc *net, fm_err *err)
{
    *a = (fm_adam){calloc(net->n, sizeof *a->m), calloc(net->n, sizeof *a->v), 1.0, 1.0};
    if (a->m && a->v)
        return 0;
    fm_adam_fini(a);
    return fm_fail_nomem(err, "Adam's moments", 2 * net->n * sizeof *a->m);
}

void fm_adam_fini(fm_adam *a)
{
    free(a->m);
    free(a->v);
    a->m = a->v = NULL;
}

typedef struct {
    float rate, unbias2;    /* rate over 1 - beta1^t; 1 over the root of 1 - beta2^t */
} adam_scale;

static void adam_run(float *restrict p, const float *restrict grad, float *restrict m, float *restrict v, size_t n,
                     adam_scale s, float l2)
{
    const float b1 = (float)BETA1, b2 = (float)BETA2, c1 = (float)(1.0 - BETA1), c2 = (float)(1.0 - BETA2);

    for (size_t i = 0; i < n; i++) {
        float g = grad[i] + l2 * p[i];

        m[i] = b1 * m[i] + c1 * g;
        v[i] = b2 * v[i] + c2 * g * g;
        p[i] -= s.rate * m[i] / (sqrtf(v[i]) * s.unbias2 + EPSILON);
    }
}

void fm_adam_step(fm_adam *a, fm_fc *net, const float *grad, double rate, double l2)
{
    const size_t part[5] = {0, net->w2 - net->hidden, net->w2, net->b2, net->n};
    adam_scale s;

    a->beta1_t *= BETA1;
    a->beta2_t *= BETA2;
    s = (adam_scale){(float)(rate / (1.0 - a->beta1_t)), (float)(1.0 / sqrt(1.0 - a->beta2_t))};
    for (int i = 0; i < 4; i++)
        adam_run(net->param + part[i], grad + part[i], a->m + part[i], a->v + part[i], part[i + 1] - part[i], s,
                 i % 2 == 0 ? (float)l2 : 0.0f);
}

static void start_weights(fm_fc *net, fm_rng *rng)
{
    double scale1 = sqrt(2.0 / (double)net->d), scale2 = sqrt(1.0 / (double)net->hidden);

    for (size_t i = 0; i < net->d * net->hidden; i++)
        net->param[i] = (float)(scale1 * fm_rng_normal(rng));
    for (size_t i = net->w2; i < net->b2; i++)
        net->param[i] = (float)(scale2 * fm_rng_normal(rng));
}

static void drop_units(float *keep, size_t n, double dropout, fm_rng *rng)
{
    uint32_t least = (uint32_t)(dropout * 4294967296.0);
    float scale = (float)(1.0 / (1.0 - dropout));

    for (size_t i = 0; i < n; i++)
        keep[i] = fm_rng_u32(rng) >= least ? scale : 0.0f;
}

static void fill_batch(fm_fc_batch *b, const fm_rows *rows, const uint32_t *order)
{
    for (size_t i = 0; i < b->n; i++) {
        memcpy(b->x + i * rows->d, rows->x + order[i] * rows->d, rows->d * sizeof *b->x);
        b->label[i] = rows->labels[order[i]];
    }
}

typedef struct {
    fm_fc_batch batch;
    fm_adam adam;
    float *grad;            /* f32 [net->n] */
    uint32_t *order;        /* u32 [n] */
} trainer;

static int train_epoch(fm_fc *net, trainer *t, const fm_head_spec *spec, const fm_rows *rows, fm_rng *rng)
{
    size_t batch = t->batch.n;
    bool finite = true;

    fm_rng_shuffle(rng, t->order, rows->n);
    for (size_t at = 0; finite && at < rows->n; at += batch) {
        t->batch.n = batch < rows->n - at ? batch : rows->n - at;
        fill_batch(&t->batch, rows, t->order + at);
        drop_units(t->batch.keep, t->batch.n * net->hidden, spec->dropout, rng);
        finite = isfinite(fm_fc_gradient(net, &t->batch, t->grad));
        fm_adam_step(&t->adam, net, t->grad, spec->learning_rate, spec->l2);
    }
    t->batch.n = batch;
    for (size_t i = 0; finite && i < net->n; i++)
        finite = isfinite(net->param[i]);
    return finite ? 0 : -EDOM;
}

static int train_epochs(fm_fc *net, trainer *t, const fm_head_spec *spec, const fm_rows *rows, fm_rng *rng,
                        const fm_fc_watch *watch, fm_err *err)
{
    for (uint32_t epoch = 1; epoch <= spec->epochs; epoch++) {
        if (train_epoch(net, t, spec, rows, rng) != 0)
            return fm_fail(err, -EDOM, "FC head: training went out of range in epoch %u; use a smaller learning rate "
                           "than %g", epoch, spec->learning_rate);
        if (watch)
            watch->after_epoch(watch->ctx, net, epoch);
    }
    return 0;
}

int fm_fc_train(fm_fc *net, const fm_head_spec *spec, const fm_rows *rows, uint64_t seed, uint64_t stream,
                const fm_fc_watch *watch, fm_err *err)
{
    trainer t = {.grad = malloc(net->n * sizeof *t.grad), .order = malloc(rows->n * sizeof *t.order)};
    fm_rng rng = fm_rng_init(seed, stream);
    int rc = 0;

    if (!t.grad || !t.order)
        rc = fm_fail_nomem(err, "training", net->n * sizeof *t.grad + rows->n * sizeof *t.order);
    if (rc == 0)
        rc = fm_fc_batch_init(&t.batch, net, spec->batch < rows->n ? spec->batch : rows->n, err);
    if (rc == 0)
        rc = fm_adam_init(&t.adam, net, err);
    if (rc == 0) {
        t.batch.weight = rows->weight;
        for (size_t i = 0; i < rows->n; i++)
            t.order[i] = (uint32_t)i;
        start_weights(net, &rng);
        rc = train_epochs(net, &t, spec, rows, &rng, watch, err);
    }
    fm_adam_fini(&t.adam);
    fm_fc_batch_fini(&t.batch);
    free(t.order);
    free(t.grad);
    return rc;
}

/* out [columns] += x [rows] w [rows, columns]: across columns, so that it is vector code in one order of addition. */
static void add_product(float *restrict out, const float *restrict x, const float *restrict w, size_t rows,
                        size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++)
            out[k] += x[i] * w[i * columns + k];
}

void fm_fc_score(const fm_fc *net, const float *x, float *hidden, float *logit, double *prob)
{
    const float *w2 = net->param + net->w2;
    double sum = 0.0;
    float most;

    memcpy(hidden, w2 - net->hidden, net->hidden * sizeof *hidden);
    add_product(hidden, x, net->param, net->d, net->hidden);
    for (size_t i = 0; i < net->hidden; i++)
        hidden[i] = hidden[i] > 0.0f ? hidden[i] : 0.0f;
    memcpy(logit, net->param + net->b2, net->classes * sizeof *logit);
    add_product(logit, hidden, w2, net->hidden, net->classes);
    most = logit[0];
    for (size_t c = 1; c < net->classes; c++)
        most = fmaxf(most, logit[c]);
    for (size_t c = 0; c < net->classes; c++)
        sum += prob[c] = exp((double)(logit[c] - most));
    for (size_t c = 0; c < net->classes; c++)
        prob[c] /= sum;
}

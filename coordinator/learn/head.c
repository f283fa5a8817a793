/* Heads: what all kinds share - values and their ranges, standardising, bytes.
 *
 * The training rows are copied once into a contiguous, standardised matrix; the
 * kinds (fc.c, logistic.c) see nothing else.  A column that is constant in
 * training says nothing and counts as 0 ever after, rather than passing what a
 * test row has there through weights that nothing has trained.  Always: all that
 * a head holds is finite. */
#include "coordinator/learn/head.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/fc.h"
#include "coordinator/learn/logistic.h"

#define MAGIC 0x44484d46u       /* "FMHD" */
#define VERSION 1
#define CLASSES_MAX 65536
#define WIDTH_MAX (1u << 20)
#define UNITS_MAX 65536u

struct fm_head {
    fm_head_spec spec;
    size_t d;
    int classes;
    double *mean, *scale;   /* f64 [d]; scale is 1 / standard deviation, 0 for a constant column */
    fm_fc fc;               /* FC */
    double *weight;         /* LOGISTIC: f64 [d + 1, scores] */
};

static const char *const kinds[] = {
    [FM_HEAD_FC] = "fc",
    [FM_HEAD_LOGISTIC] = "logistic",
    [FM_HEAD_SVM] = "svm",
};

void fm_head_spec_default(fm_head_spec *spec)
{
    *spec = (fm_head_spec){.kind = FM_HEAD_FC, .hidden = 64, .batch = 10, .epochs = 5, .dropout = 0.25, .l2 = 1e-3,
                           .learning_rate = 1e-3, .C = 1.0};
}

const char *fm_head_kind_name(int kind)
{
    return kind >= 0 && (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind] : "unknown";
}

static bool finite_over(double v, double least)
{
    return isfinite(v) && v > least;
}

int fm_head_spec_check(const fm_head_spec *spec, fm_err *err)
{
    if (spec->kind > FM_HEAD_SVM)
        return fm_fail(err, -EINVAL, "head: kind %u is unknown, expected fc or logistic", spec->kind);
    if (spec->kind == FM_HEAD_SVM)
        return fm_fail(err, -ENOTSUP, "head: svm is not in this version; use fc or logistic");
    if (spec->hidden < 1 || spec->hidden > UNITS_MAX)
        return fm_fail(err, -EINVAL, "head: %u hidden units, expected 1 to %u", spec->hidden, UNITS_MAX);
    if (spec->batch < 1 || spec->epochs < 1)
        return fm_fail(err, -EINVAL, "head: batches of %u rows and %u epochs, expected at least 1 of each",
                       spec->batch, spec->epochs);
    if (!(spec->dropout >= 0 && spec->dropout < 1))
        return fm_fail(err, -EINVAL, "head: dropout %g, expected at least 0 and less than 1", spec->dropout);
    if (!(isfinite(spec->l2) && spec->l2 >= 0))
        return fm_fail(err, -EINVAL, "head: l2 %g, expected at least 0", spec->l2);
    if (!finite_over(spec->learning_rate, 0))
        return fm_fail(err, -EINVAL, "head: learning rate %g, expected more than 0", spec->learning_rate);
    if (!finite_over(spec->C, 0))
        return fm_fail(err, -EINVAL, "head: C %g, expected more than 0", spec->C);
    return 0;
}

static int head_create(const fm_head_spec *spec, size_t d, int classes, fm_head **out, fm_err *err)
{
    fm_head *h = calloc(1, sizeof *h);
    int rc = 0;

    if (!h)
        return fm_fail_nomem(err, "head", sizeof *h);
    h->spec = *spec;
    h->d = d;
    h->classes = classes;
    h->mean = calloc(d, sizeof *h->mean);
    h->scale = calloc(d, sizeof *h->scale);
    if (spec->kind == FM_HEAD_FC)
        rc = fm_fc_init(&h->fc, d, spec->hidden, (size_t)classes, err);
    else
        h->weight = calloc(d + 1, fm_logistic_scores(classes) * sizeof *h->weight);
    if (rc == 0 && (!h->mean || !h->scale || (spec->kind != FM_HEAD_FC && !h->weight)))
        rc = fm_fail_nomem(err, "head", d * (2 + (size_t)classes) * sizeof *h->mean);
    if (rc != 0) {
        fm_head_destroy(h);
        return rc;
    }
    *out = h;
    return 0;
}

void fm_head_destroy(fm_head *head)
{
    if (!head)
        return;
    free(head->mean);
    free(head->scale);
    free(head->weight);
    fm_fc_fini(&head->fc);
    free(head);
}

static int check_labels(const int32_t *labels, size_t n, int classes, fm_err *err)
{
    size_t *rows = calloc((size_t)classes, sizeof *rows);
    int rc = 0;

    if (!rows)
        return fm_fail_nomem(err, "counts of classes", (size_t)classes * sizeof *rows);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (labels[i] < 0 || labels[i] >= classes)
            rc = fm_fail(err, -EINVAL, "head: row %zu has label %d, expected 0 to %d", i, (int)labels[i], classes - 1);
        else
            rows[labels[i]]++;
    }
    for (int c = 0; rc == 0 && c < classes; c++)
        if (rows[c] == 0)
            rc = fm_fail(err, -EINVAL, "head: none of %zu rows to train on is of class %d", n, c);
    free(rows);
    return rc;
}

static const float *row_of(const fm_codes *codes, size_t i)
{
    return codes->x + (codes->rows ? codes->rows[i] : i) * codes->stride;
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

/* A process's OpenBLAS, which liblinear's products end up in, too, runs on the thread
 * that calls it: ranks share out the cores, and a product cut over threads would
 * add in another order. */
static void one_thread(void)
{
    openblas_set_num_threads(1);
}

int fm_head_train(const fm_head_spec *spec, const fm_codes *codes, const int32_t *labels, int classes,
                  uint64_t seed, uint64_t stream, fm_head **out, fm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    fm_head *h = NULL;
    float *x = NULL;
    int rc = fm_head_spec_check(spec, err);

    if (rc != 0)
        return rc;
    pthread_once(&once, one_thread);
    if (classes < 2 || classes > CLASSES_MAX || codes->d < 1 || codes->d > WIDTH_MAX || codes->n > UINT32_MAX)
        return fm_fail(err, -EINVAL, "head: %zu rows of %zu columns in %d classes, expected at most %u rows, 1 to %u "
                       "columns, 2 to %d classes", codes->n, codes->d, classes, UINT32_MAX, WIDTH_MAX, CLASSES_MAX);
    rc = check_labels(labels, codes->n, classes, err);
    if (rc == 0)
        rc = head_create(spec, codes->d, classes, &h, err);
    if (rc != 0)
        goto done;
    x = calloc(codes->n, codes->d * sizeof *x);
    if (!x) {
        rc = fm_fail_nomem(err, "rows to train on", codes->n * codes->d * sizeof *x);
        goto done;
    }
    for (size_t i = 0; i < codes->n; i++)
        memcpy(x + i * codes->d, row_of(codes, i), codes->d * sizeof *x);
    rc = standardise(h, x, codes->n, err);
    if (rc == 0 && spec->kind == FM_HEAD_FC)
        rc = fm_fc_train(&h->fc, spec, x, labels, codes->n, seed, stream, err);
    else if (rc == 0)
        rc = fm_logistic_train(x, codes->n, codes->d, labels, classes, spec->C, h->weight, err);
    if (rc == 0) {
        *out = h;
        h = NULL;
    }
done:
    free(x);
    fm_head_destroy(h);
    return rc;
}

size_t fm_head_width(const fm_head *head)
{
    return head->d;
}

int fm_head_classes(const fm_head *head)
{
    return head->classes;
}

const fm_head_spec *fm_head_spec_of(const fm_head *head)
{
    return &head->spec;
}

static int score_row(const fm_head *h, const float *x, float *z, double *prob)
{
    bool finite = true;

    for (size_t k = 0; k < h->d; k++) {
        z[k] = (float)(((double)x[k] - h->mean[k]) * h->scale[k]);
        finite &= isfinite(z[k]) != 0;
    }
    if (!finite)
        return -EDOM;
    if (h->spec.kind == FM_HEAD_FC)
        fm_fc_score(&h->fc, z, z + h->d, z + h->d + h->fc.hidden, prob);
    else
        fm_logistic_score(h->weight, h->d, h->classes, z, prob);
    for (int c = 0; c < h->classes; c++)
        finite &= isfinite(prob[c]) != 0;
    return finite ? 0 : -EDOM;
}

int fm_head_score(const fm_head *head, const fm_codes *codes, double *prob, fm_err *err)
{
    float *z;
    int rc = 0;

    if (codes->d != head->d)
        return fm_fail(err, -EINVAL, "head: codes have %zu columns, but it was trained on %zu", codes->d, head->d);
    z = malloc((head->d + head->fc.hidden + head->fc.classes) * sizeof *z);
    if (!z)
        return fm_fail_nomem(err, "a row of codes", head->d * sizeof *z);
    for (size_t i = 0; rc == 0 && i < codes->n; i++)
        if (score_row(head, row_of(codes, i), z, prob + i * (size_t)head->classes) != 0)
            rc = fm_fail(err, -EDOM, "head: row %zu of the codes holds NaN, infinity, or a number far out of the range "
                         "it was trained on; verify the store", i);
    free(z);
    return rc;
}

void fm_head_spec_encode(const fm_head_spec *spec, fm_buf *out)
{
    fm_buf_u8(out, spec->kind);
    fm_buf_u32(out, spec->hidden);
    fm_buf_u32(out, spec->batch);
    fm_buf_u32(out, spec->epochs);
    fm_buf_f64(out, spec->dropout);
    fm_buf_f64(out, spec->l2);
    fm_buf_f64(out, spec->learning_rate);
    fm_buf_f64(out, spec->C);
}

void fm_head_spec_decode(fm_reader *in, fm_head_spec *out)
{
    memset(out, 0, sizeof *out);
    out->kind = fm_reader_u8(in);
    out->hidden = fm_reader_u32(in);
    out->batch = fm_reader_u32(in);
    out->epochs = fm_reader_u32(in);
    out->dropout = fm_reader_f64(in);
    out->l2 = fm_reader_f64(in);
    out->learning_rate = fm_reader_f64(in);
    out->C = fm_reader_f64(in);
}

void fm_head_encode(const fm_head *head, fm_buf *out)
{
    size_t weights = (head->d + 1) * fm_logistic_scores(head->classes);

    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_head_spec_encode(&head->spec, out);
    fm_buf_u32(out, (uint32_t)head->d);
    fm_buf_u32(out, (uint32_t)head->classes);
    for (size_t k = 0; k < head->d; k++) {
        fm_buf_f64(out, head->mean[k]);
        fm_buf_f64(out, head->scale[k]);
    }
    for (size_t i = 0; i < head->fc.n; i++)
        fm_buf_f32(out, head->fc.param[i]);
    for (size_t i = 0; head->weight && i < weights; i++)
        fm_buf_f64(out, head->weight[i]);
}

/* Bytes that follow the sizes; UINT64_MAX when they are out of range. */
static uint64_t bytes_of(const fm_head_spec *spec, uint64_t d, uint64_t classes)
{
    uint64_t hidden = spec->hidden;

    if (d < 1 || d > WIDTH_MAX || classes < 2 || classes > CLASSES_MAX)
        return UINT64_MAX;
    if (spec->kind == FM_HEAD_FC)
        return d * 16 + 4 * (d * hidden + hidden + hidden * classes + classes);
    return d * 16 + 8 * (d + 1) * fm_logistic_scores((int)classes);
}

/* Numbers into a fresh head; false when one is not finite. */
static bool read_numbers(fm_reader *in, fm_head *h)
{
    size_t weights = (h->d + 1) * fm_logistic_scores(h->classes);
    bool finite = true;

    for (size_t k = 0; k < h->d; k++) {
        h->mean[k] = fm_reader_f64(in);
        h->scale[k] = fm_reader_f64(in);
        finite &= isfinite(h->mean[k]) && isfinite(h->scale[k]);
    }
    for (size_t i = 0; i < h->fc.n; i++) {
        h->fc.param[i] = fm_reader_f32(in);
        finite &= isfinite(h->fc.param[i]) != 0;
    }
    for (size_t i = 0; h->weight && i < weights; i++) {
        h->weight[i] = fm_reader_f64(in);
        finite &= isfinite(h->weight[i]) != 0;
    }
    return finite;
}

int fm_head_decode(const void *bytes, size_t n, fm_head **out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in), d, classes;
    fm_head_spec spec;
    fm_err cause = FM_ERR_INIT;
    fm_head *h;
    int rc;

    fm_head_spec_decode(&in, &spec);
    d = fm_reader_u32(&in);
    classes = fm_reader_u32(&in);
    if (in.failed || magic != MAGIC || version != VERSION)
        return fm_fail(err, -EBADMSG, "head: not a head, cut short, or of another version than %u", VERSION);
    if (fm_head_spec_check(&spec, &cause) != 0)
        return fm_fail(err, -EBADMSG, "head: damaged: %s", cause.text);
    if (fm_reader_left(&in) != bytes_of(&spec, d, classes))
        return fm_fail(err, -EBADMSG, "head: %zu bytes are not what %u columns and %u classes need", n, d, classes);
    rc = head_create(&spec, d, (int)classes, &h, &cause);
    if (rc != 0)
        return rc == -ENOMEM ? fm_fail(err, rc, "%s", cause.text) : fm_fail(err, -EBADMSG, "head: damaged: %s", cause.text);
    if (!read_numbers(&in, h)) {
        fm_head_destroy(h);
        return fm_fail(err, -EBADMSG, "head: damaged: a number is not finite");
    }
    *out = h;
    return 0;
}

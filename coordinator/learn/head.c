/* Heads: what all kinds share - values and their ranges, scoring, bytes.  How they
 * are trained is in fitting.c.  Always: all that a head holds is finite. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/head_parts.h"
#include "coordinator/learn/linear.h"

#define MAGIC 0x44484d46u       /* "FMHD" */
#define VERSION 2
#define UNITS_MAX 65536u
#define EPOCHS_MAX 1000000u

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

static int check_fc(const fm_head_spec *spec, fm_err *err)
{
    if (spec->hidden < 1 || spec->hidden > UNITS_MAX)
        return fm_fail(err, -EINVAL, "head: %u hidden units, expected 1 to %u", spec->hidden, UNITS_MAX);
    if (spec->batch < 1)
        return fm_fail(err, -EINVAL, "head: batches of %u rows, expected at least 1", spec->batch);
    if (spec->epochs < 1 || spec->epochs > EPOCHS_MAX)
        return fm_fail(err, -EINVAL, "head: %u epochs, expected 1 to %u", spec->epochs, EPOCHS_MAX);
    if (!(spec->dropout >= 0 && spec->dropout < 1))
        return fm_fail(err, -EINVAL, "head: dropout %g, expected at least 0 and less than 1", spec->dropout);
    if (!(isfinite(spec->l2) && spec->l2 >= 0))
        return fm_fail(err, -EINVAL, "head: l2 %g, expected at least 0", spec->l2);
    if (!finite_over(spec->learning_rate, 0))
        return fm_fail(err, -EINVAL, "head: learning rate %g, expected more than 0", spec->learning_rate);
    return 0;
}

static int check_choices(const fm_head_spec *spec, fm_err *err)
{
    bool fc = spec->kind == FM_HEAD_FC;

    if (spec->n_choices > FM_HEAD_CHOICES_MAX)
        return fm_fail(err, -EINVAL, "head: %u values to choose from, expected at most %d", spec->n_choices,
                       FM_HEAD_CHOICES_MAX);
    for (uint32_t i = 0; i < spec->n_choices; i++) {
        double v = spec->choice[i];

        if (!finite_over(v, i ? spec->choice[i - 1] : 0))
            return fm_fail(err, -EINVAL, "head: value %u to choose from is %g, expected rising values over 0", i, v);
        if (fc && (v != floor(v) || v > EPOCHS_MAX))
            return fm_fail(err, -EINVAL, "head: %g epochs, expected a whole number, 1 to %u", v, EPOCHS_MAX);
    }
    return 0;
}

int fm_head_spec_check(const fm_head_spec *spec, fm_err *err)
{
    int rc;

    if (spec->kind > FM_HEAD_SVM)
        return fm_fail(err, -EINVAL, "head: kind %u is unknown, expected fc, logistic or svm", spec->kind);
    if (spec->class_weight > FM_CLASS_WEIGHT_BALANCED)
        return fm_fail(err, -EINVAL, "head: class weight %u is unknown, expected none or balanced", spec->class_weight);
    rc = check_fc(spec, err);
    if (rc == 0)
        rc = check_choices(spec, err);
    if (rc != 0)
        return rc;
    if (!finite_over(spec->C, 0))
        return fm_fail(err, -EINVAL, "head: C %g, expected more than 0", spec->C);
    return 0;
}

int fm_head_create(const fm_head_spec *spec, size_t d, int classes, fm_head **out, fm_err *err)
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
        h->weight = calloc(d + 1, fm_linear_scores(classes) * sizeof *h->weight);
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

double fm_head_chosen(const fm_head *head)
{
    const fm_head_spec *s = &head->spec;

    return s->n_choices == 0 ? (double)NAN : s->kind == FM_HEAD_FC ? (double)s->epochs : s->C;
}

const float *fm_codes_row(const fm_codes *codes, size_t i)
{
    return codes->x + (codes->rows ? codes->rows[i] : i) * codes->stride;
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
        fm_linear_score(h->weight, h->d, h->classes, z, prob);
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
        if (score_row(head, fm_codes_row(codes, i), z, prob + i * (size_t)head->classes) != 0)
            rc = fm_fail(err, -EDOM, "head: row %zu of the codes holds NaN, infinity, or a number far out of the range "
                         "it was trained on; verify the store", i);
    free(z);
    return rc;
}

void fm_head_spec_encode(const fm_head_spec *spec, fm_buf *out)
{
    fm_buf_u8(out, spec->kind);
    fm_buf_u8(out, spec->class_weight);
    fm_buf_u32(out, spec->hidden);
    fm_buf_u32(out, spec->batch);
    fm_buf_u32(out, spec->epochs);
    fm_buf_f64(out, spec->dropout);
    fm_buf_f64(out, spec->l2);
    fm_buf_f64(out, spec->learning_rate);
    fm_buf_f64(out, spec->C);
    fm_buf_u32(out, spec->n_choices);
    for (uint32_t i = 0; i < spec->n_choices; i++)
        fm_buf_f64(out, spec->choice[i]);
}

void fm_head_spec_decode(fm_reader *in, fm_head_spec *out)
{
    memset(out, 0, sizeof *out);
    out->kind = fm_reader_u8(in);
    out->class_weight = fm_reader_u8(in);
    out->hidden = fm_reader_u32(in);
    out->batch = fm_reader_u32(in);
    out->epochs = fm_reader_u32(in);
    out->dropout = fm_reader_f64(in);
    out->l2 = fm_reader_f64(in);
    out->learning_rate = fm_reader_f64(in);
    out->C = fm_reader_f64(in);
    out->n_choices = fm_reader_u32(in);
    for (uint32_t i = 0; i < out->n_choices && i < FM_HEAD_CHOICES_MAX; i++)
        out->choice[i] = fm_reader_f64(in);
}

void fm_head_encode(const fm_head *head, fm_buf *out)
{
    size_t weights = (head->d + 1) * fm_linear_scores(head->classes);

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

    if (d < 1 || d > FM_HEAD_WIDTH_MAX || classes < 2 || classes > FM_HEAD_CLASSES_MAX)
        return UINT64_MAX;
    if (spec->kind == FM_HEAD_FC)
        return d * 16 + 4 * (d * hidden + hidden + hidden * classes + classes);
    return d * 16 + 8 * (d + 1) * fm_linear_scores((int)classes);
}

/* Numbers into a fresh head; false when one is not finite. */
static bool read_numbers(fm_reader *in, fm_head *h)
{
    size_t weights = (h->d + 1) * fm_linear_scores(h->classes);
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
    rc = fm_head_create(&spec, d, (int)classes, &h, &cause);
    if (rc != 0)
        return rc == -ENOMEM ? fm_fail(err, rc, "%s", cause.text) : fm_fail(err, -EBADMSG, "head: damaged: %s", cause.text);
    if (!read_numbers(&in, h)) {
        fm_head_destroy(h);
        return fm_fail(err, -EBADMSG, "head: damaged: a number is not finite");
    }
    *out = h;
    return 0;
}

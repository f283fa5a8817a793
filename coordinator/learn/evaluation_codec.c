/* An evaluation as bytes: settings, arrays, then a digest over all before it.
 *
 * The digest tells damage from a result; the sizes are still compared with the
 * bytes there are before memory is asked for, because bytes that were made up can
 * carry a right digest.  Always: NaN is written as one pattern, whatever sign the
 * arithmetic left it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "coordinator/learn/evaluation.h"
#include "coordinator/learn/threshold.h"

#define MAGIC 0x56454d46u       /* "FMEV" */
#define VERSION 2
#define FOLD_BYTES (2 * 4 + 4 * 8 + FM_METRIC_COUNT * 8)
#define FILE_MAX ((size_t)1 << 36)
#define COUNT_MAX 65536

static void put_number(fm_buf *out, double v)
{
    fm_buf_f64(out, isnan(v) ? (double)NAN : v);
}

static void put_numbers(fm_buf *out, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_number(out, v[i]);
}

static void put_rows(const fm_evaluation *e, fm_buf *out)
{
    for (size_t i = 0; i < e->n; i++) {
        fm_buf_i32(out, e->label[i]);
        fm_buf_u32(out, e->sample[i]);
        fm_buf_u32(out, e->subject[i]);
    }
    for (size_t i = 0; i < e->repeats * e->n; i++)
        fm_buf_i32(out, e->test_fold[i]);
    put_numbers(out, e->prob, e->repeats * e->n * e->classes);
}

static void put_findings(const fm_evaluation *e, fm_buf *out)
{
    for (size_t i = 0; i < (size_t)e->repeats * e->folds; i++) {
        fm_buf_u32(out, e->fold[i].repeat);
        fm_buf_u32(out, e->fold[i].fold);
        fm_buf_u64(out, e->fold[i].n_train);
        fm_buf_u64(out, e->fold[i].n_test);
        put_number(out, e->fold[i].chosen);
        put_number(out, e->by_threshold ? e->fold[i].threshold : (double)NAN);
        put_numbers(out, e->fold[i].metrics.v, FM_METRIC_COUNT);
    }
    for (size_t i = 0; i < (size_t)e->classes * e->classes; i++)
        fm_buf_u64(out, e->confusion[i]);
    for (int k = 0; k < FM_METRIC_COUNT; k++) {
        put_number(out, e->metrics[k].value);
        put_number(out, e->metrics[k].low);
        put_number(out, e->metrics[k].high);
    }
    fm_buf_put(out, e->head, e->head_size);
}

void fm_evaluation_encode(const fm_evaluation *e, fm_buf *out)
{
    size_t start = out->size;
    fm_digest d;

    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_put(out, e->plan.b, FM_DIGEST_BYTES);
    fm_buf_put(out, e->codes.b, FM_DIGEST_BYTES);
    fm_buf_u64(out, e->n);
    fm_buf_u32(out, e->classes);
    fm_buf_u32(out, e->repeats);
    fm_buf_u32(out, e->folds);
    fm_buf_u32(out, e->bootstrap);
    fm_buf_u64(out, e->head_size);
    fm_buf_f64(out, e->prevalence);
    fm_buf_u32(out, e->top_k);
    fm_buf_u8(out, e->by_threshold);
    put_number(out, e->by_threshold ? e->threshold : (double)NAN);
    put_rows(e, out);
    put_findings(e, out);
    if (out->failed)
        return;
    fm_digest_of(out->data + start, out->size - start, &d);
    fm_buf_put(out, d.b, FM_DIGEST_BYTES);
}

static void get_digest(fm_reader *in, fm_digest *out)
{
    const uint8_t *b = fm_reader_get(in, FM_DIGEST_BYTES);

    if (b)
        memcpy(out->b, b, FM_DIGEST_BYTES);
}

static void get_header(fm_reader *in, fm_evaluation *e)
{
    get_digest(in, &e->plan);
    get_digest(in, &e->codes);
    e->n = fm_reader_u64(in);
    e->classes = fm_reader_u32(in);
    e->repeats = fm_reader_u32(in);
    e->folds = fm_reader_u32(in);
    e->bootstrap = fm_reader_u32(in);
    e->head_size = fm_reader_u64(in);
    e->prevalence = fm_reader_f64(in);
    e->top_k = fm_reader_u32(in);
    e->by_threshold = fm_reader_u8(in);
    e->threshold = fm_reader_f64(in);
}

/* left minus count * each, or -1 when there are fewer. */
static long long take(long long left, uint64_t count, uint64_t each)
{
    if (left < 0 || (each && count > (uint64_t)left / each))
        return -1;
    return left - (long long)(count * each);
}

/* The sizes in the header ask for exactly the bytes that follow it. */
static int sizes_fit(const fm_evaluation *e, size_t bytes)
{
    long long left = (long long)bytes;

    if (e->classes < 2 || e->classes > COUNT_MAX || e->repeats < 1 || e->repeats > COUNT_MAX || e->folds < 1 ||
        e->n > UINT32_MAX || (e->by_threshold && e->classes != 2) || !isnan(e->threshold) != e->by_threshold)
        return 0;
    left = take(left, e->n, 12 + 4 * (uint64_t)e->repeats);
    left = take(left, e->n * e->repeats, 8 * (uint64_t)e->classes);
    left = take(left, (uint64_t)e->repeats * e->folds, FOLD_BYTES);
    left = take(left, (uint64_t)e->classes * e->classes, 8);
    left = take(left, FM_METRIC_COUNT, 24);
    left = take(left, e->head_size, 1);
    return left == 0;
}

/* A probability is there exactly where a fold tested the row. */
static int get_predictions(fm_reader *in, fm_evaluation *e)
{
    int sound = e->prevalence >= 0.0 && e->prevalence < 1.0;

    for (size_t i = 0; i < e->n; i++) {
        e->label[i] = fm_reader_i32(in);
        e->sample[i] = fm_reader_u32(in);
        e->subject[i] = fm_reader_u32(in);
        sound &= e->label[i] >= 0 && (uint32_t)e->label[i] < e->classes;
    }
    for (size_t i = 0; i < e->repeats * e->n; i++) {
        e->test_fold[i] = fm_reader_i32(in);
        sound &= e->test_fold[i] >= -1 && e->test_fold[i] < (int64_t)e->folds;
    }
    for (size_t i = 0; i < e->repeats * e->n * e->classes; i++) {
        double p = e->prob[i] = fm_reader_f64(in);

        sound &= e->test_fold[i / e->classes] < 0 ? isnan(p) : p >= 0.0 && p <= 1.0;
    }
    return sound;
}

static int get_findings(fm_reader *in, fm_evaluation *e)
{
    int sound = 1;

    for (size_t i = 0; i < (size_t)e->repeats * e->folds; i++) {
        fm_fold_result *f = &e->fold[i];

        f->repeat = fm_reader_u32(in);
        f->fold = fm_reader_u32(in);
        f->n_train = fm_reader_u64(in);
        f->n_test = fm_reader_u64(in);
        f->chosen = fm_reader_f64(in);
        f->threshold = fm_reader_f64(in);
        sound &= !isnan(f->threshold) == e->by_threshold;
        for (int k = 0; k < FM_METRIC_COUNT; k++)
            f->metrics.v[k] = fm_reader_f64(in);
        sound &= f->repeat == i / e->folds && f->fold == i % e->folds;
        sound &= f->n_train <= e->n && f->n_test <= e->n;
    }
    for (size_t i = 0; i < (size_t)e->classes * e->classes; i++)
        e->confusion[i] = fm_reader_u64(in);
    for (int k = 0; k < FM_METRIC_COUNT; k++) {
        e->metrics[k].value = fm_reader_f64(in);
        e->metrics[k].low = fm_reader_f64(in);
        e->metrics[k].high = fm_reader_f64(in);
    }
    return sound;
}

/* Calls are not written: they follow from probabilities and thresholds. */
static void call(fm_evaluation *e)
{
    for (size_t i = 0; e->called && i < e->repeats * e->n; i++) {
        e->called[i] = -1;
        if (e->test_fold[i] >= 0)
            fm_threshold_call(e->prob + 2 * i, 1, e->fold[i / e->n * e->folds + (size_t)e->test_fold[i]].threshold,
                              &e->called[i]);
    }
}

static int get_head(fm_reader *in, fm_evaluation *e, fm_err *err)
{
    const uint8_t *head = fm_reader_get(in, e->head_size);

    if (e->head_size == 0 || !head)
        return 0;
    e->head = malloc(e->head_size);
    if (!e->head)
        return fm_fail_nomem(err, "head", e->head_size);
    memcpy(e->head, head, e->head_size);
    return 0;
}

int fm_evaluation_decode(const void *bytes, size_t n, fm_evaluation *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n < FM_DIGEST_BYTES ? 0 : n - FM_DIGEST_BYTES);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    fm_evaluation e = {0};
    fm_digest d;
    int rc, sound = 0;

    get_header(&in, &e);
    if (in.failed || magic != MAGIC || version != VERSION)
        return fm_fail(err, -EBADMSG, "evaluation: not an evaluation, cut short, or of another version than %u",
                       VERSION);
    fm_digest_of(bytes, n - FM_DIGEST_BYTES, &d);
    if (memcmp(d.b, (const uint8_t *)bytes + n - FM_DIGEST_BYTES, FM_DIGEST_BYTES) != 0 ||
        !sizes_fit(&e, fm_reader_left(&in)))
        return fm_fail(err, -EBADMSG, "evaluation: damaged or cut short; evaluate again");
    rc = fm_evaluation_room(&e, err);
    if (rc == 0) {
        sound = get_predictions(&in, &e);
        sound &= get_findings(&in, &e);
        rc = get_head(&in, &e, err);
    }
    if (rc == 0 && sound)
        call(&e);
    if (rc == 0 && !sound)
        rc = fm_fail(err, -EBADMSG, "evaluation: damaged: a value is out of range; evaluate again");
    if (rc != 0) {
        fm_evaluation_fini(&e);
        return rc;
    }
    *out = e;
    return 0;
}

int fm_evaluation_read(const char *path, fm_evaluation *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = fm_file_read(path, FILE_MAX, &b, err);

    if (rc == 0) {
        rc = fm_evaluation_decode(b.data, b.size, out, err);
        if (rc != 0)
            fm_fail_in(err, rc, "%s", path);
    }
    fm_buf_fini(&b);
    return rc;
}

/* Some folds' values as bytes: whose they are, which, the numbers, a digest over all
 * before it.  The plan's digest stands for everything that shaped them, so that what an
 * earlier study left is told from this one's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/evaluation.h"

#define MAGIC 0x50464d46u       /* "FMFP" */
#define VERSION 1

void fm_evaluation_part_encode(const fm_evaluation *e, size_t part, size_t parts, const double *values, fm_buf *out)
{
    size_t start = out->size;
    fm_digest d;

    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_put(out, e->plan.b, FM_DIGEST_BYTES);
    for (size_t i = part; i < (size_t)e->repeats * e->folds; i += parts) {
        size_t n = fm_evaluation_values(e, e->fold[i].repeat, e->fold[i].fold);

        fm_buf_u64(out, i);
        for (size_t k = 0; k < n; k++)
            fm_buf_f64(out, *values++);
    }
    if (out->failed)
        return;
    fm_digest_of(out->data + start, out->size - start, &d);
    fm_buf_put(out, d.b, FM_DIGEST_BYTES);
}

static int damaged(fm_err *err)
{
    return fm_fail(err, -EBADMSG, "folds of a job array: damaged, cut short, or of another plan or version");
}

int fm_evaluation_part_place(const void *bytes, size_t n, fm_evaluation *e, uint8_t *placed, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n < FM_DIGEST_BYTES ? 0 : n - FM_DIGEST_BYTES);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    const uint8_t *plan = fm_reader_get(&in, FM_DIGEST_BYTES);
    fm_digest d;

    if (in.failed || magic != MAGIC || version != VERSION || memcmp(plan, e->plan.b, FM_DIGEST_BYTES) != 0)
        return damaged(err);
    fm_digest_of(bytes, n - FM_DIGEST_BYTES, &d);
    if (memcmp(d.b, (const uint8_t *)bytes + n - FM_DIGEST_BYTES, FM_DIGEST_BYTES) != 0)
        return damaged(err);
    while (fm_reader_left(&in) > 0) {
        uint64_t i = fm_reader_u64(&in);
        size_t count;
        double *values;

        if (in.failed || i >= (uint64_t)e->repeats * e->folds)
            return damaged(err);
        count = fm_evaluation_values(e, e->fold[i].repeat, e->fold[i].fold);
        if (fm_reader_left(&in) / sizeof *values < count)
            return damaged(err);
        if (!(values = malloc((count + 1) * sizeof *values)))
            return fm_fail_nomem(err, "values of a fold", count * sizeof *values);
        for (size_t k = 0; k < count; k++)
            values[k] = fm_reader_f64(&in);
        fm_evaluation_place(e, e->fold[i].repeat, e->fold[i].fold, values);
        free(values);
        placed[i] = 1;
    }
    return 0;
}

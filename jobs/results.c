/* Results as files.  What belongs together is checked once, before anything is
 * written: the evaluation comes from a file that another process wrote. */
#include "jobs/results.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

int fm_results_check(const fm_results *r, fm_err *err)
{
    const fm_evaluation *e = r->evaluation;

    if (e->classes < 2 || e->classes != (uint32_t)r->samples->n_classes)
        return fm_fail(err, -EINVAL, "the evaluation has %u classes, the study %d: evaluate again", e->classes,
                       r->samples->n_classes);
    for (size_t i = 0; i < e->n; i++) {
        if (e->sample[i] >= r->samples->n)
            return fm_fail(err, -EINVAL, "row %zu of the evaluation is of photograph %u, the study has %zu: evaluate "
                           "again", i, e->sample[i], r->samples->n);
        if (e->label[i] < 0 || (uint32_t)e->label[i] >= e->classes)
            return fm_fail(err, -EINVAL, "row %zu of the evaluation has class %d of %u: evaluate again", i,
                           e->label[i], e->classes);
    }
    return 0;
}

static void put_header(const fm_results *r, fm_buf *b)
{
    fm_buf_printf(b, "sample\tsubject\trepeat\tfold\tlabel");
    for (int c = 0; c < r->samples->n_classes; c++) {
        fm_buf_printf(b, "\tp_");
        fm_tsv_field(b, r->samples->classes[c]);
    }
    fm_buf_printf(b, "\tprediction\n");
}

static void put_row(const fm_results *r, size_t row, uint32_t repeat, fm_buf *b)
{
    const fm_evaluation *e = r->evaluation;
    const fm_sample *x = &r->samples->v[e->sample[row]];
    const double *prob = e->prob + ((size_t)repeat * e->n + row) * e->classes;

    fm_tsv_field(b, x->name);
    fm_buf_u8(b, '\t');
    fm_tsv_field(b, x->subject);
    fm_buf_printf(b, "\t%u\t%d\t", repeat, e->test_fold[(size_t)repeat * e->n + row]);
    fm_tsv_field(b, r->samples->classes[e->label[row]]);
    for (uint32_t c = 0; c < e->classes; c++)
        fm_buf_printf(b, "\t%.17g", prob[c]);
    fm_buf_u8(b, '\t');
    fm_tsv_field(b, r->samples->classes[fm_evaluation_called(e, repeat, row)]);
    fm_buf_u8(b, '\n');
}

int fm_results_predictions(const fm_results *r, fm_buf *out, fm_err *err)
{
    const fm_evaluation *e = r->evaluation;
    int rc = fm_results_check(r, err);

    if (rc != 0)
        return rc;
    put_header(r, out);
    for (size_t i = 0; i < e->n; i++)
        for (uint32_t repeat = 0; repeat < e->repeats; repeat++)
            if (e->test_fold[(size_t)repeat * e->n + i] >= 0)
                put_row(r, i, repeat, out);
    return out->failed ? fm_fail_nomem(err, "predictions.tsv", out->size) : 0;
}

static int write_one(const fm_results *r, int (*make)(const fm_results *, fm_buf *, fm_err *), const char *dir,
                     const char *name, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    int rc = make(r, &b, err);

    if (rc == 0)
        rc = fm_path_join(path, sizeof path, dir, name, err);
    if (rc == 0)
        rc = fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

int fm_results_write(const fm_results *r, const char *dir, fm_err *err)
{
    int rc = write_one(r, fm_results_predictions, dir, "predictions.tsv", err);

    return rc ? rc : write_one(r, fm_results_json, dir, "results.json", err);
}

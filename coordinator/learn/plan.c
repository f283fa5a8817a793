/* The plan of an evaluation as bytes.
 *
 * One body is both what a plan file holds and what the digest is taken of; only
 * the store's folder, which says where and not what, stands outside it.  Always:
 * the number of rows is compared with the bytes that are left before memory is
 * asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/evaluation.h"

#define MAGIC 0x4c504d46u       /* "FMPL" */
#define VERSION 2
#define ROW_BYTES (FM_DIGEST_BYTES + 5 * 4)
#define CLASSES_MAX 65536
#define WIDTH_MAX (1u << 20)

void fm_plan_init(fm_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->code_offset = 128;
    plan->code_width = 256;
    plan->classes = 2;
    plan->bootstrap = 2000;
    fm_head_spec_default(&plan->head);
    fm_folds_spec_default(&plan->folds);
}

void fm_plan_fini(fm_plan *plan)
{
    free(plan->rows);
    plan->rows = NULL;
    plan->n = 0;
}

static void put_body(const fm_plan *p, fm_buf *out)
{
    fm_buf_u32(out, p->code_offset);
    fm_buf_u32(out, p->code_width);
    fm_buf_u32(out, p->classes);
    fm_buf_u64(out, p->seed);
    fm_buf_u32(out, p->bootstrap);
    fm_buf_f64(out, p->prevalence);
    fm_buf_u32(out, p->top_k);
    fm_head_spec_encode(&p->head, out);
    fm_buf_u8(out, p->folds.kind);
    fm_buf_u32(out, p->folds.folds);
    fm_buf_u32(out, p->folds.repeats);
    fm_buf_f64(out, p->folds.test_fraction);
    fm_buf_u8(out, p->call.kind);
    fm_buf_f64(out, p->call.sensitivity);
    fm_buf_u64(out, p->n);
    for (size_t i = 0; i < p->n; i++) {
        const fm_plan_row *r = &p->rows[i];

        fm_buf_put(out, r->code.b, FM_DIGEST_BYTES);
        fm_buf_u32(out, r->face);
        fm_buf_u32(out, r->sample);
        fm_buf_u32(out, r->subject);
        fm_buf_i32(out, r->label);
        fm_buf_i32(out, r->fold);
    }
}

void fm_plan_encode(const fm_plan *plan, fm_buf *out)
{
    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_str(out, plan->store_dir);
    put_body(plan, out);
}

int fm_plan_digest(const fm_plan *plan, fm_digest *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    fm_buf_u32(&b, MAGIC);
    fm_buf_u32(&b, VERSION);
    put_body(plan, &b);
    if (b.failed)
        rc = fm_fail_nomem(err, "plan", b.size);
    else
        fm_digest_of(b.data, b.size, out);
    fm_buf_fini(&b);
    return rc;
}

static int check_call(const fm_plan *p, fm_err *err)
{
    if (p->call.kind > FM_CALL_SENSITIVITY)
        return fm_fail(err, -EINVAL, "plan: threshold %u is unknown, expected none, youden or sensitivity",
                       p->call.kind);
    if (p->call.kind != FM_CALL_LARGER && p->classes != 2)
        return fm_fail(err, -EINVAL, "plan: a threshold is for two classes, here are %u; use threshold: none",
                       p->classes);
    if (p->call.kind == FM_CALL_SENSITIVITY && !(p->call.sensitivity > 0 && p->call.sensitivity <= 1))
        return fm_fail(err, -EINVAL, "plan: sensitivity %g, expected over 0 and at most 1", p->call.sensitivity);
    return 0;
}

int fm_plan_check(const fm_plan *p, fm_err *err)
{
    int rc = fm_head_spec_check(&p->head, err);

    if (rc == 0)
        rc = fm_folds_spec_check(&p->folds, err);
    if (rc == 0)
        rc = check_call(p, err);
    if (rc != 0)
        return rc;
    if (p->classes < 2 || p->classes > CLASSES_MAX)
        return fm_fail(err, -EINVAL, "plan: %u classes, expected 2 to %d", p->classes, CLASSES_MAX);
    if (p->code_width < 1 || p->code_width > WIDTH_MAX || p->code_offset > WIDTH_MAX)
        return fm_fail(err, -EINVAL, "plan: columns %u to %u of a code, expected at least one and none beyond %u",
                       p->code_offset, p->code_offset + p->code_width, 2 * WIDTH_MAX);
    if (!(p->prevalence >= 0.0 && p->prevalence < 1.0))
        return fm_fail(err, -EINVAL, "plan: prevalence %g, expected between 0 and 1, or 0 for none", p->prevalence);
    if (p->n > UINT32_MAX)
        return fm_fail(err, -EINVAL, "plan: %zu rows, expected at most %u", p->n, UINT32_MAX);
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].label < 0 || (uint32_t)p->rows[i].label >= p->classes)
            return fm_fail(err, -EINVAL, "plan: row %zu has label %d, expected 0 to %u", i, (int)p->rows[i].label,
                           p->classes - 1);
    return 0;
}

static void get_settings(fm_reader *in, fm_plan *p)
{
    p->code_offset = fm_reader_u32(in);
    p->code_width = fm_reader_u32(in);
    p->classes = fm_reader_u32(in);
    p->seed = fm_reader_u64(in);
    p->bootstrap = fm_reader_u32(in);
    p->prevalence = fm_reader_f64(in);
    p->top_k = fm_reader_u32(in);
    fm_head_spec_decode(in, &p->head);
    p->folds.kind = fm_reader_u8(in);
    p->folds.folds = fm_reader_u32(in);
    p->folds.repeats = fm_reader_u32(in);
    p->folds.test_fraction = fm_reader_f64(in);
    p->call.kind = fm_reader_u8(in);
    p->call.sensitivity = fm_reader_f64(in);
}

static void get_row(fm_reader *in, fm_plan_row *r)
{
    const uint8_t *key = fm_reader_get(in, FM_DIGEST_BYTES);

    if (key)
        memcpy(r->code.b, key, FM_DIGEST_BYTES);
    r->face = fm_reader_u32(in);
    r->sample = fm_reader_u32(in);
    r->subject = fm_reader_u32(in);
    r->label = fm_reader_i32(in);
    r->fold = fm_reader_i32(in);
}

int fm_plan_decode(const void *bytes, size_t n, fm_plan *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    fm_err cause = FM_ERR_INIT;
    fm_plan p;
    uint64_t rows;

    fm_plan_init(&p);
    fm_reader_str(&in, p.store_dir, sizeof p.store_dir);
    get_settings(&in, &p);
    rows = fm_reader_u64(&in);
    if (in.failed || magic != MAGIC || version != VERSION || fm_reader_left(&in) % ROW_BYTES != 0 ||
        rows != fm_reader_left(&in) / ROW_BYTES)
        return fm_fail(err, -EBADMSG, "plan: not a plan, cut short, or of another version than %u", VERSION);
    p.n = (size_t)rows;
    p.rows = calloc(p.n + 1, sizeof *p.rows);
    if (!p.rows)
        return fm_fail_nomem(err, "plan", p.n * sizeof *p.rows);
    for (size_t i = 0; i < p.n; i++)
        get_row(&in, &p.rows[i]);
    if (fm_plan_check(&p, &cause) != 0) {
        fm_plan_fini(&p);
        return fm_fail(err, -EBADMSG, "plan: a value is out of range: %s", cause.text);
    }
    *out = p;
    return 0;
}

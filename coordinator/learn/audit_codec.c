/* Audit plans and what comes of them, as bytes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/audit.h"

#define PLAN_MAGIC 0x50414d46u      /* "FMAP" */
#define RESULT_MAGIC 0x52414d46u    /* "FMAR" */
#define VERSION 2u
#define ROW_BYTES (FM_DIGEST_BYTES + sizeof(uint64_t) + sizeof(uint32_t))

int fm_audit_plan_init(fm_audit_plan *a, const fm_plan *plan, fm_err *err)
{
    memset(a, 0, sizeof *a);
    a->photo = calloc(plan->n + 1, sizeof *a->photo);
    a->file_bytes = calloc(plan->n + 1, sizeof *a->file_bytes);
    a->stratum = calloc(plan->n + 1, sizeof *a->stratum);
    if (!a->photo || !a->file_bytes || !a->stratum) {
        free(a->photo);
        free(a->file_bytes);
        free(a->stratum);
        memset(a, 0, sizeof *a);
        return fm_fail_nomem(err, "audit plan", plan->n * sizeof *a->photo);
    }
    a->plan = *plan;
    return 0;
}

void fm_audit_plan_fini(fm_audit_plan *a)
{
    fm_plan_fini(&a->plan);
    free(a->photo);
    free(a->file_bytes);
    free(a->stratum);
    a->photo = NULL;
    a->file_bytes = NULL;
    a->stratum = NULL;
}

static void put_own(const fm_audit_plan *a, fm_buf *out)
{
    fm_buf_u32(out, PLAN_MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_u32(out, a->nulls);
    fm_buf_u32(out, a->seeds);
    fm_buf_u32(out, a->permutations);
    fm_buf_f64(out, a->chip_padding);
    fm_buf_put(out, a->fill, sizeof a->fill);
    fm_buf_u64(out, a->plan.n);
    for (size_t i = 0; i < a->plan.n; i++) {
        fm_buf_put(out, a->photo[i].b, FM_DIGEST_BYTES);
        fm_buf_u64(out, a->file_bytes[i]);
        fm_buf_u32(out, a->stratum[i]);
    }
}

void fm_audit_plan_encode(const fm_audit_plan *a, fm_buf *out)
{
    put_own(a, out);
    fm_plan_encode(&a->plan, out);
}

int fm_audit_plan_digest(const fm_audit_plan *a, fm_digest *out, fm_err *err)
{
    fm_digest plan;
    fm_buf b = FM_BUF_INIT;
    int rc = fm_plan_digest(&a->plan, &plan, err);

    put_own(a, &b);
    fm_buf_put(&b, plan.b, sizeof plan.b);
    if (rc == 0 && b.failed)
        rc = fm_fail_nomem(err, "audit plan", b.size);
    if (rc == 0)
        fm_digest_of(b.data, b.size, out);
    fm_buf_fini(&b);
    return rc;
}

static int get_rows(fm_reader *in, fm_audit_plan *a, fm_err *err)
{
    fm_plan plan;
    size_t own = a->plan.n * ROW_BYTES;     /* the plan follows the rows' own part */
    int rc = fm_plan_decode(in->at + own, fm_reader_left(in) - own, &plan, err);
    fm_audit_plan got;

    if (rc != 0)
        return rc;
    if (plan.n != a->plan.n || (rc = fm_audit_plan_init(&got, &plan, err)) != 0) {
        fm_plan_fini(&plan);
        return rc ? rc : fm_fail(err, -EBADMSG, "audit plan: its rows are not the plan's");
    }
    for (size_t i = 0; i < plan.n; i++) {
        memcpy(got.photo[i].b, fm_reader_get(in, FM_DIGEST_BYTES), FM_DIGEST_BYTES);
        got.file_bytes[i] = fm_reader_u64(in);
        got.stratum[i] = fm_reader_u32(in);
    }
    got.nulls = a->nulls;
    got.seeds = a->seeds;
    got.permutations = a->permutations;
    got.chip_padding = a->chip_padding;
    memcpy(got.fill, a->fill, sizeof got.fill);
    *a = got;
    return 0;
}

int fm_audit_plan_decode(const void *bytes, size_t n, fm_audit_plan *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    fm_audit_plan a = {.nulls = fm_reader_u32(&in)};
    const uint8_t *fill;
    int rc;

    a.seeds = fm_reader_u32(&in);
    a.permutations = fm_reader_u32(&in);
    a.chip_padding = fm_reader_f64(&in);
    if ((fill = fm_reader_get(&in, sizeof a.fill)))
        memcpy(a.fill, fill, sizeof a.fill);
    a.plan.n = (size_t)fm_reader_u64(&in);
    if (in.failed || magic != PLAN_MAGIC || version != VERSION)
        return fm_fail(err, -EBADMSG, "not an audit plan of this version");
    if (a.nulls > FM_AUDIT_RUNS_MAX || a.seeds > FM_AUDIT_RUNS_MAX || a.permutations > FM_AUDIT_RUNS_MAX ||
        !(a.chip_padding >= 0 && a.chip_padding <= 2) || a.plan.n > fm_reader_left(&in) / ROW_BYTES)
        return fm_fail(err, -EBADMSG, "audit plan: a value is out of range");
    if ((rc = get_rows(&in, &a, err)) != 0)
        return rc;
    *out = a;
    return 0;
}

int fm_audit_begin(const fm_audit_plan *a, fm_audit *out, fm_err *err)
{
    fm_audit r = {.n = fm_audit_tasks(a)};
    int rc = fm_audit_plan_digest(a, &r.plan, err);

    if (rc != 0)
        return rc;
    for (int k = 0; k < FM_AUDIT_KINDS; k++)
        r.count[k] = fm_audit_count(a, (fm_audit_kind)k);
    if (!(r.v = calloc(r.n + 1, sizeof *r.v)))
        return fm_fail_nomem(err, "figures of audits", r.n * sizeof *r.v);
    *out = r;
    return 0;
}

void fm_audit_fini(fm_audit *a)
{
    free(a->v);
    a->v = NULL;
    a->n = 0;
}

const fm_audit_figure *fm_audit_figures(const fm_audit *a, fm_audit_kind kind)
{
    const fm_audit_figure *v = a->v;

    for (int k = 0; k < (int)kind; k++)
        v += a->count[k];
    return v;
}

void fm_audit_encode(const fm_audit *a, fm_buf *out)
{
    size_t start = out->size;
    fm_digest d;

    fm_buf_u32(out, RESULT_MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_put(out, a->plan.b, FM_DIGEST_BYTES);
    for (int k = 0; k < FM_AUDIT_KINDS; k++)
        fm_buf_u64(out, a->count[k]);
    for (size_t i = 0; i < a->n; i++) {
        fm_buf_f64(out, a->v[i].auc);
        fm_buf_f64(out, a->v[i].low);
        fm_buf_f64(out, a->v[i].high);
        fm_buf_f64(out, a->v[i].subjects);
    }
    if (!out->failed) {
        fm_digest_of(out->data + start, out->size - start, &d);
        fm_buf_put(out, d.b, FM_DIGEST_BYTES);
    }
}

static int get_figures(fm_reader *in, fm_audit *a, fm_err *err)
{
    a->n = 0;
    for (int k = 0; k < FM_AUDIT_KINDS; k++) {
        uint64_t count = fm_reader_u64(in);

        if (count > FM_AUDIT_RUNS_MAX)
            return fm_fail(err, -EBADMSG, "audits: %llu figures of a kind", (unsigned long long)count);
        a->count[k] = (size_t)count;
        a->n += a->count[k];
    }
    if (in->failed || fm_reader_left(in) != a->n * 32 || a->count[FM_AUDIT_CONFOUND] != FM_AUDIT_CONFOUNDS ||
        a->count[FM_AUDIT_CURVE_POINT] != FM_AUDIT_CURVE)
        return fm_fail(err, -EBADMSG, "audits: cut short, or of another make");
    if (!(a->v = calloc(a->n + 1, sizeof *a->v)))
        return fm_fail_nomem(err, "figures of audits", a->n * sizeof *a->v);
    for (size_t i = 0; i < a->n; i++) {
        a->v[i].auc = fm_reader_f64(in);
        a->v[i].low = fm_reader_f64(in);
        a->v[i].high = fm_reader_f64(in);
        a->v[i].subjects = fm_reader_f64(in);
    }
    return 0;
}

int fm_audit_decode(const void *bytes, size_t n, fm_audit *out, fm_err *err)
{
    const uint8_t *b = bytes;
    fm_reader in = fm_reader_init(bytes, n < FM_DIGEST_BYTES ? 0 : n - FM_DIGEST_BYTES);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    const uint8_t *plan = fm_reader_get(&in, FM_DIGEST_BYTES);
    fm_audit a = {.n = 0};
    fm_digest d;
    int rc;

    if (in.failed || magic != RESULT_MAGIC || version != VERSION)
        return fm_fail(err, -EBADMSG, "not the audits of this version");
    fm_digest_of(bytes, n - FM_DIGEST_BYTES, &d);
    if (memcmp(d.b, b + n - FM_DIGEST_BYTES, FM_DIGEST_BYTES) != 0)
        return fm_fail(err, -EBADMSG, "audits: a bit has changed");
    memcpy(a.plan.b, plan, FM_DIGEST_BYTES);
    if ((rc = get_figures(&in, &a, err)) != 0)
        return rc;
    *out = a;
    return 0;
}

double fm_audit_p(const fm_audit *a)
{
    const fm_audit_figure *p = fm_audit_figures(a, FM_AUDIT_PERMUTATION);
    size_t at_least = 0, made = 0;
    double reference;

    if (a->count[FM_AUDIT_CURVE_POINT] < FM_AUDIT_CURVE)
        return NAN;
    reference = fm_audit_figures(a, FM_AUDIT_CURVE_POINT)[FM_AUDIT_CURVE - 1].auc;
    for (size_t i = 0; i < a->count[FM_AUDIT_PERMUTATION]; i++) {
        made += !isnan(p[i].auc);
        at_least += p[i].auc >= reference;
    }
    return made && !isnan(reference) ? (double)(1 + at_least) / (double)(1 + made) : NAN;
}

#include "cluster/explain_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/explain.h"
#include "worker/occlude.h"

#define MAGIC 0x50584d46u       /* "FMXP" */
#define VERSION 1u

void fm_explain_plan_fini(fm_explain_plan *p)
{
    fm_plan_fini(&p->plan);
    free(p->photo);
    p->photo = NULL;
}

/* What decides the result, but for the study's plan. */
static void put_own(const fm_explain_plan *p, fm_buf *out)
{
    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_u32(out, p->faces);
    fm_buf_u32(out, p->grid);
    fm_buf_u32(out, p->permutations);
    fm_buf_f64(out, p->chip_padding);
    fm_encoding_encode(&p->encoding, out);
    fm_buf_u64(out, p->plan.n);
    for (size_t i = 0; i < p->plan.n; i++)
        fm_buf_put(out, p->photo[i].b, FM_DIGEST_BYTES);
}

void fm_explain_plan_encode(const fm_explain_plan *p, fm_buf *out)
{
    put_own(p, out);
    fm_join_model_encode(&p->detector, out);
    fm_join_model_encode(&p->landmarks, out);
    fm_join_model_encode(&p->encoder, out);
    fm_plan_encode(&p->plan, out);
}

int fm_explain_plan_digest(const fm_explain_plan *p, fm_digest *out, fm_err *err)
{
    fm_digest plan;
    fm_buf b = FM_BUF_INIT;
    int rc = fm_plan_digest(&p->plan, &plan, err);

    put_own(p, &b);
    fm_buf_put(&b, plan.b, sizeof plan.b);
    if (rc == 0 && b.failed)
        rc = fm_fail_nomem(err, "explain plan", b.size);
    if (rc == 0)
        fm_digest_of(b.data, b.size, out);
    fm_buf_fini(&b);
    return rc;
}

static int get_keys(fm_reader *in, fm_explain_plan *p, uint64_t *count, fm_err *err)
{
    uint64_t n = *count = fm_reader_u64(in);

    if (n > fm_reader_left(in) / FM_DIGEST_BYTES)
        return fm_fail(err, -EBADMSG, "explain plan: cut short");
    if (!(p->photo = malloc((n + 1) * sizeof *p->photo)))
        return fm_fail_nomem(err, "explain plan", n * sizeof *p->photo);
    for (uint64_t i = 0; i < n; i++)
        memcpy(p->photo[i].b, fm_reader_get(in, FM_DIGEST_BYTES), FM_DIGEST_BYTES);
    return 0;
}

static int get_own(fm_reader *in, fm_explain_plan *p, uint64_t *keys, fm_err *err)
{
    uint32_t magic = fm_reader_u32(in), version = fm_reader_u32(in);
    int rc;

    p->faces = fm_reader_u32(in);
    p->grid = fm_reader_u32(in);
    p->permutations = fm_reader_u32(in);
    p->chip_padding = fm_reader_f64(in);
    if (in->failed || magic != MAGIC || version != VERSION)
        return fm_fail(err, -EBADMSG, "not an explain plan of this version");
    if (p->faces < 1 || p->faces > FM_EXPLAIN_FACES_MAX || p->grid < FM_OCCLUDE_GRID_MIN || p->grid > FM_OCCLUDE_GRID_MAX ||
        p->permutations > FM_EXPLAIN_PERMUTATIONS_MAX || !(p->chip_padding >= 0 && p->chip_padding <= 2))
        return fm_fail(err, -EBADMSG, "explain plan: a value is out of range");
    if ((rc = fm_encoding_decode(in, &p->encoding, err)) != 0)
        return rc;
    return get_keys(in, p, keys, err);
}

int fm_explain_plan_decode(const void *bytes, size_t n, fm_explain_plan *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n);
    uint64_t keys = 0;
    int rc;

    memset(out, 0, sizeof *out);
    rc = get_own(&in, out, &keys, err);
    fm_join_model_decode(&in, &out->detector);
    fm_join_model_decode(&in, &out->landmarks);
    fm_join_model_decode(&in, &out->encoder);
    if (rc == 0 && in.failed)
        rc = fm_fail(err, -EBADMSG, "explain plan: cut short");
    if (rc == 0)
        rc = fm_plan_decode(in.at, fm_reader_left(&in), &out->plan, err);
    if (rc == 0 && out->plan.n != keys)
        rc = fm_fail(err, -EBADMSG, "explain plan: its rows are not the plan's");
    return rc;
}

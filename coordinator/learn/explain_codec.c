/* Explanations as bytes, closed by a digest over all before it. */
#include "coordinator/learn/explain_parts.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x58454d46u       /* "FMEX" */
#define VERSION 1u
#define VALUE_BYTES 32

static void put_value(const fm_explain_value *v, fm_buf *out)
{
    fm_buf_f64(out, v->fall);
    fm_buf_f64(out, v->se);
    fm_buf_f64(out, v->t);
    fm_buf_f64(out, v->p);
}

static fm_explain_value get_value(fm_reader *in)
{
    fm_explain_value v = {.fall = fm_reader_f64(in)};

    v.se = fm_reader_f64(in);
    v.t = fm_reader_f64(in);
    v.p = fm_reader_f64(in);
    return v;
}

static void put_map(const fm_explanation *x, const fm_explain_map *m, fm_buf *out)
{
    fm_buf_u64(out, m->faces);
    fm_buf_u64(out, m->subjects);
    fm_buf_f64(out, m->base);
    for (uint32_t k = 0; k < x->grid * x->grid; k++)
        put_value(&m->cell[k], out);
    for (uint32_t k = 0; k < x->regions; k++)
        put_value(&m->region[k], out);
}

static void get_map(const fm_explanation *x, fm_explain_map *m, fm_reader *in)
{
    m->faces = fm_reader_u64(in);
    m->subjects = fm_reader_u64(in);
    m->base = fm_reader_f64(in);
    for (uint32_t k = 0; k < x->grid * x->grid; k++)
        m->cell[k] = get_value(in);
    for (uint32_t k = 0; k < x->regions; k++)
        m->region[k] = get_value(in);
}

void fm_explanation_encode(const fm_explanation *x, fm_buf *out)
{
    size_t start = out->size;
    fm_digest d;

    fm_buf_u32(out, MAGIC);
    fm_buf_u32(out, VERSION);
    fm_buf_put(out, x->plan.b, FM_DIGEST_BYTES);
    fm_buf_u32(out, x->grid);
    fm_buf_u32(out, x->classes);
    fm_buf_u32(out, x->permutations);
    fm_buf_u32(out, x->regions);
    fm_buf_f64(out, x->threshold);
    fm_buf_f64(out, x->region_threshold);
    for (int i = 0; i < 2 * FM_EXPLAIN_POINTS; i++)
        fm_buf_f64(out, x->points[i / 2][i % 2]);
    for (uint32_t c = 0; c <= x->classes; c++)
        put_map(x, &x->map[c], out);
    if (out->failed)
        return;
    fm_digest_of(out->data + start, out->size - start, &d);
    fm_buf_put(out, d.b, FM_DIGEST_BYTES);
}

/* Sizes are held against the bytes that are there before anything is allocated for them. */
static int get_all(fm_reader *in, fm_explanation *x, fm_err *err)
{
    size_t each;
    int rc;

    x->grid = fm_reader_u32(in);
    x->classes = fm_reader_u32(in);
    x->permutations = fm_reader_u32(in);
    x->regions = fm_reader_u32(in);
    x->threshold = fm_reader_f64(in);
    x->region_threshold = fm_reader_f64(in);
    for (int i = 0; i < 2 * FM_EXPLAIN_POINTS; i++)
        x->points[i / 2][i % 2] = fm_reader_f64(in);
    each = 24 + VALUE_BYTES * ((size_t)x->grid * x->grid + x->regions);
    if (in->failed || x->grid < 1 || x->grid > FM_EXPLAIN_GRID_MAX || (x->regions && x->regions != FM_EXPLAIN_REGIONS) ||
        x->classes < 2 || fm_reader_left(in) % each != 0 || fm_reader_left(in) / each != 1 + (uint64_t)x->classes) {
        x->classes = 0;
        return fm_fail(err, -EBADMSG, "explanation: cut short, or a value is out of range");
    }
    rc = fm_explain_room(x, err);
    for (uint32_t c = 0; rc == 0 && c <= x->classes; c++)
        get_map(x, &x->map[c], in);
    return rc;
}

int fm_explanation_decode(const void *bytes, size_t n, fm_explanation *out, fm_err *err)
{
    fm_reader in = fm_reader_init(bytes, n < FM_DIGEST_BYTES ? 0 : n - FM_DIGEST_BYTES);
    uint32_t magic = fm_reader_u32(&in), version = fm_reader_u32(&in);
    const uint8_t *plan = fm_reader_get(&in, FM_DIGEST_BYTES);
    fm_explanation x = {.classes = 0};
    fm_digest d;
    int rc;

    if (in.failed || magic != MAGIC || version != VERSION)
        return fm_fail(err, -EBADMSG, "not an explanation of this version");
    fm_digest_of(bytes, n - FM_DIGEST_BYTES, &d);
    if (memcmp(d.b, (const uint8_t *)bytes + n - FM_DIGEST_BYTES, FM_DIGEST_BYTES) != 0)
        return fm_fail(err, -EBADMSG, "explanation: a bit has changed");
    memcpy(x.plan.b, plan, FM_DIGEST_BYTES);
    rc = get_all(&in, &x, err);
    if (rc == 0)
        *out = x;
    else
        fm_explanation_fini(&x);
    return rc;
}

/* Pad: every element of the output is one of the input's, or a value. */
#include <errno.h>
#include <string.h>

#include "worker/net/op_tables.h"

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE };

static int pad_value(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *t = g->opset >= 11 ? fm_node_in(g, n, 2) : NULL;

    n->p.alpha = 0;
    if (g->opset < 11)
        return fm_attr_float(n, "value", &n->p.alpha, err);
    if (t && (!t->data || t->type != FM_F32 || fm_tensor_count(t) != 1))
        return fm_node_fail(err, -ENOTSUP, n, "its value is not a constant float32 number");
    if (t)
        n->p.alpha = *fm_tensor_f32(t);
    return 0;
}

static int pad_mode(fm_node *n, fm_err *err)
{
    static const char *const names[] = {"constant", "reflect", "edge"};
    const char *s = names[0];
    int rc = fm_attr_string(n, "mode", &s, err);

    for (int i = 0; rc == 0 && i < 3; i++)
        if (strcmp(s, names[i]) == 0) {
            n->p.mode = i;
            return 0;
        }
    return rc ? rc : fm_node_fail(err, -ENOTSUP, n, "mode \"%.40s\"; supported are constant, reflect, edge", s);
}

static int pad_axis(fm_node *n, fm_tensor *t, int axis, int64_t before, int64_t after, fm_err *err)
{
    int64_t size = t->dims[axis];

    if (before < -size || after < -size || before + after < -size || before > 1 << 24 || after > 1 << 24)
        return fm_node_fail(err, -ENOTSUP, n, "pads of %lld and %lld on %lld", (long long)before, (long long)after,
                            (long long)size);
    if ((n->p.mode == PAD_REFLECT && (before >= size || after >= size)) || (n->p.mode == PAD_EDGE && size == 0))
        return fm_node_fail(err, -ENOTSUP, n, "pads of %lld and %lld of a size of %lld", (long long)before,
                            (long long)after, (long long)size);
    n->p.starts[axis] = before;
    t->dims[axis] += before + after;
    return 0;
}

static int infer_pad(fm_graph *g, fm_node *n, fm_err *err)
{
    fm_tensor t = *fm_node_in(g, n, 0);
    const int64_t *pads, *axes = NULL;
    int64_t count, n_axes = -1, named;
    size_t attrs = 0;
    int rc = fm_need_type(g, n, 0, FM_F32, err), axis;

    if (rc != 0 || (rc = pad_mode(n, err)) != 0 || (rc = pad_value(g, n, err)) != 0 ||
        (rc = fm_need_ints(g, n, 1, &pads, &count, err)) != 0 || (rc = fm_need_ints(g, n, 3, &axes, &n_axes, err)) != 0 ||
        (count < 0 && (rc = fm_attr_ints(n, "pads", &pads, &attrs, err)) != 0))
        return rc;
    count = count < 0 ? (int64_t)attrs : count;
    named = axes ? n_axes : t.rank;
    if (named > t.rank || count != 2 * named)
        return fm_node_fail(err, -EBADMSG, n, "%lld pads for %lld axes", (long long)count, (long long)named);
    memset(n->p.starts, 0, sizeof n->p.starts);
    for (int64_t i = 0; i < named; i++)
        if ((rc = fm_need_axis(n, axes ? axes[i] : i, t.rank, &axis, err)) != 0 ||
            (rc = pad_axis(n, &t, axis, pads[i], pads[named + i], err)) != 0)
            return rc;
    return fm_set_out(g, n, 0, &t, err);
}

/* Which element of the input stands at index i of the output along an axis; -1: the value. */
static int64_t pad_source(int mode, int64_t i, int64_t size)
{
    if (i >= 0 && i < size)
        return i;
    if (mode == PAD_CONSTANT || size == 0)
        return -1;
    if (mode == PAD_EDGE)
        return i < 0 ? 0 : size - 1;
    return i < 0 ? -i : 2 * (size - 1) - i;
}

static void pad_line(const fm_call *c, int axis, const float *in, float **out)
{
    const fm_tensor *x = c->in[0], *y = c->out[0];
    const fm_params *p = &c->n->p;
    int64_t stride = 1;

    for (int i = axis + 1; i < x->rank; i++)
        stride *= x->dims[i];
    for (int64_t i = 0; i < y->dims[axis]; i++) {
        int64_t from = in ? pad_source(p->mode, i - p->starts[axis], x->dims[axis]) : -1;
        const float *line = from < 0 ? NULL : in + from * stride;

        if (axis + 1 < x->rank)
            pad_line(c, axis + 1, line, out);
        else
            *(*out)++ = line ? *line : p->alpha;
    }
}

static void run_pad(const fm_call *c)
{
    float *out = c->out[0]->data;

    if (c->in[0]->rank == 0)
        *out = *fm_tensor_f32(c->in[0]);
    else if (fm_tensor_count(c->out[0]))
        pad_line(c, 0, c->in[0]->data, &out);
}

const fm_op fm_op_pad = {"Pad", "mode pads value ", 1, 4, 1, FM_LAYOUT_AXES, true, false, infer_pad, run_pad,
                         fm_permute_ranges, NULL, NULL, NULL};

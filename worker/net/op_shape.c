/* Operators that bring constants into being: what is known about shapes, and numbers in the file. */
#include <errno.h>
#include <string.h>

#include "worker/net/onnx.h"
#include "worker/net/op_tables.h"

/* A constant output: data in the arena at once. */
static int set_constant(fm_graph *g, fm_node *n, const fm_tensor *t, const void *data, fm_err *err)
{
    size_t bytes;
    void *to;
    int rc = fm_set_out(g, n, 0, t, err);

    if (rc != 0)
        return rc;
    bytes = fm_tensor_bytes(t);
    to = fm_arena_get(&g->arena, bytes);
    if (!to)
        return fm_graph_nomem(g, err);
    if (bytes)
        memcpy(to, data, bytes);
    g->values[n->out[0]].t.data = to;
    return 0;
}

static int infer_shape(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int64_t start = 0, end = x->rank;
    fm_tensor t = {.type = FM_I64, .rank = 1};
    int rc;

    if ((rc = fm_attr_int(n, "start", &start, err)) != 0 || (rc = fm_attr_int(n, "end", &end, err)) != 0)
        return rc;
    start += start < 0 ? x->rank : 0;
    end += end < 0 ? x->rank : 0;
    start = start < 0 ? 0 : start > x->rank ? x->rank : start;
    end = end < start ? start : end > x->rank ? x->rank : end;
    t.dims[0] = end - start;
    return set_constant(g, n, &t, x->dims + start, err);
}

static int infer_constant(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_attr *a = n->n_attrs == 1 ? &n->attrs[0] : NULL;
    fm_tensor t = {.type = FM_F32};
    int rc;

    if (!a)
        return fm_node_fail(err, -EBADMSG, n, "it has %d attributes, expected one", n->n_attrs);
    if (strcmp(a->name, "value") == 0 && a->type == FM_ATTR_TENSOR) {
        if ((rc = fm_onnx_tensor_read(a->tensor, n->name, &g->arena, &t, err)) != 0)
            return fm_fail_in(err, rc, "node \"%.100s\" (Constant)", n->name);
        g->values[n->out[0]].t = t;
        g->values[n->out[0]].known = true;
        return 0;
    }
    if (strcmp(a->name, "value_float") == 0 && a->type == FM_ATTR_FLOAT)
        return set_constant(g, n, &t, &a->f, err);
    t.rank = a->type == FM_ATTR_FLOATS || a->type == FM_ATTR_INTS;
    t.dims[0] = (int64_t)a->n;
    if (strcmp(a->name, "value_floats") == 0 && a->type == FM_ATTR_FLOATS)
        return set_constant(g, n, &t, a->floats, err);
    t.type = FM_I64;
    if (strcmp(a->name, "value_int") == 0 && a->type == FM_ATTR_INT)
        return set_constant(g, n, &t, &a->i, err);
    if (strcmp(a->name, "value_ints") == 0 && a->type == FM_ATTR_INTS)
        return set_constant(g, n, &t, a->ints, err);
    return fm_node_fail(err, -ENOTSUP, n, "attribute \"%.40s\"; supported are value, value_float(s), value_int(s)", a->name);
}

static int infer_constant_of_shape(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_attr *a = fm_attr_find(n, "value");
    fm_tensor value = {.type = FM_F32}, t;
    float zero = 0;
    const int64_t *shape;
    int64_t count;
    int rc = fm_need_ints(g, n, 0, &shape, &count, err);

    value.data = &zero;
    if (rc != 0)
        return rc;
    if (a && (rc = fm_onnx_tensor_read(a->tensor, n->name, &g->arena, &value, err)) != 0)
        return fm_fail_in(err, rc, "node \"%.100s\" (ConstantOfShape)", n->name);
    if (count > FM_RANK_MAX || fm_tensor_count(&value) != 1)
        return fm_node_fail(err, -ENOTSUP, n, "%lld dimensions; supported are up to %d", (long long)count, FM_RANK_MAX);
    t = (fm_tensor){.type = value.type, .rank = (int)count};
    if (count > 0)
        memcpy(t.dims, shape, (size_t)count * sizeof *shape);
    if ((rc = fm_set_out(g, n, 0, &t, err)) != 0)
        return rc;
    t.data = fm_arena_get(&g->arena, fm_tensor_bytes(&t));
    if (!t.data)
        return fm_graph_nomem(g, err);
    for (size_t i = 0, all = fm_tensor_count(&t); i < all; i++)
        if (t.type == FM_F32)
            fm_tensor_f32(&t)[i] = *fm_tensor_f32(&value);
        else
            fm_tensor_i64(&t)[i] = *fm_tensor_i64(&value);
    g->values[n->out[0]].t = t;
    return 0;
}

#define SHAPE(op, attrs, min, max, infer) \
    {op, attrs, min, max, 1, FM_LAYOUT_ROWS, false, false, infer, NULL, NULL, NULL, NULL, NULL}

const fm_op fm_ops_shape[] = {
    SHAPE("Shape", "start end ", 1, 1, infer_shape),
    {"Constant", "value value_float value_floats value_int value_ints ", 0, -1, 1, FM_LAYOUT_ROWS, false, false,
     infer_constant, NULL, NULL, NULL, NULL, NULL},
    SHAPE("ConstantOfShape", "value ", 1, 1, infer_constant_of_shape),
};
const size_t fm_ops_shape_n = sizeof fm_ops_shape / sizeof *fm_ops_shape;

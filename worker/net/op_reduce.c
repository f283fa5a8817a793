/* Softmax and the Reduce operators. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/op_tables.h"

static int infer_softmax(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int64_t axis = g->opset < 13 ? 1 : -1;
    int rc = fm_need_f32(g, n, err);

    if (rc != 0 || (rc = fm_attr_int(n, "axis", &axis, err)) != 0)
        return rc;
    if (g->opset < 13 && axis == x->rank)
        axis--;
    if ((rc = fm_need_axis(n, axis, x->rank, &n->p.axis, err)) != 0)
        return rc;
    n->p.flags[0] = g->opset < 13;      /* over all axes from there on */
    return fm_set_out(g, n, 0, x, err);
}

/* count numbers, stride apart. */
static void softmax_line(const fm_call *c, const float *in, float *out, size_t count, size_t stride)
{
    float *line = (float *)(void *)c->scratch, largest = -INFINITY;
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        largest = in[i * stride] > largest ? in[i * stride] : largest;
    for (size_t i = 0; i < count; i++)
        line[i] = in[i * stride] - largest;
    c->lanes->exps(line, line, count);
    for (size_t i = 0; i < count; i++)
        sum += line[i];
    for (size_t i = 0; i < count; i++)
        out[i * stride] = (float)(line[i] / sum);
}

static void run_softmax(const fm_call *c)
{
    const fm_tensor *x = c->in[0];
    size_t before = 1, count = 1, after = 1;

    for (int i = 0; i < x->rank; i++)
        *(i < c->n->p.axis ? &before : i == c->n->p.axis || c->n->p.flags[0] ? &count : &after) *= (size_t)x->dims[i];
    for (size_t b = 0; b < before; b++)
        for (size_t a = 0; a < after; a++)
            softmax_line(c, fm_tensor_f32(x) + b * count * after + a,
                         fm_tensor_f32(c->out[0]) + b * count * after + a, count, after);
}

static size_t scratch_softmax(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    size_t count = 1;

    (void)lanes;
    for (int i = n->p.axis; i < x->rank; i++)
        count *= i == n->p.axis || n->p.flags[0] ? (size_t)x->dims[i] : 1;
    return count * sizeof(float);
}

static int reduced_axes(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int64_t count, nothing = 0;
    const int64_t *v;
    size_t attrs = 0;
    int rc = fm_need_ints(g, n, 1, &v, &count, err), axis;

    if (rc != 0 || (rc = fm_attr_int(n, "noop_with_empty_axes", &nothing, err)) != 0 ||
        (count < 0 && (rc = fm_attr_ints(n, "axes", &v, &attrs, err)) != 0))
        return rc;
    count = count < 0 ? (int64_t)attrs : count;
    for (int i = 0; i < x->rank; i++)
        n->p.axes[i] = count == 0 && !nothing;
    for (int64_t i = 0; i < count; i++) {
        if ((rc = fm_need_axis(n, v[i], x->rank, &axis, err)) != 0)
            return rc;
        n->p.axes[axis] = 1;
    }
    return 0;
}

static int infer_reduce(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    fm_tensor t = {.type = FM_F32};
    int64_t keep = 1;
    int rc = fm_need_type(g, n, 0, FM_F32, err);

    if (rc != 0 || (rc = fm_attr_int(n, "keepdims", &keep, err)) != 0 || (rc = reduced_axes(g, n, err)) != 0)
        return rc;
    n->p.flags[0] = keep != 0;
    for (int i = 0; i < x->rank; i++)
        if (!n->p.axes[i] || keep)
            t.dims[t.rank++] = n->p.axes[i] ? 1 : x->dims[i];
    return fm_set_out(g, n, 0, &t, err);
}

/* Sums in double precision, in the order of the input. */
static void sum_axis(const fm_call *c, int axis, const float **in, double *out, const int64_t *strides)
{
    const fm_tensor *x = c->in[0];

    if (axis == x->rank || axis == FM_RANK_MAX) {
        *out += *(*in)++;
        return;
    }
    if (axis == x->rank - 1) {
        const float *line = *in;
        int64_t n = x->dims[axis];
        double sum = *out;

        if (c->n->p.axes[axis]) {
            for (int64_t i = 0; i < n; i++)
                sum += line[i];
            *out = sum;
        } else {
            for (int64_t i = 0; i < n; i++)
                out[i] += line[i];
        }
        *in += n;
        return;
    }
    for (int64_t i = 0; i < x->dims[axis]; i++)
        sum_axis(c, axis + 1, in, c->n->p.axes[axis] ? out : out + i * strides[axis], strides);
}

static void reduce(const fm_call *c, bool mean)
{
    const fm_tensor *x = c->in[0];
    int64_t strides[FM_RANK_MAX], s = 1, each = 1;
    double *sums = (double *)(void *)c->scratch;
    const float *in = x->data;
    size_t count = fm_tensor_count(c->out[0]);

    for (int i = x->rank - 1; i >= 0; i--) {
        strides[i] = s;
        s *= c->n->p.axes[i] ? 1 : x->dims[i];
        each *= c->n->p.axes[i] ? x->dims[i] : 1;
    }
    memset(sums, 0, count * sizeof *sums);
    sum_axis(c, 0, &in, sums, strides);
    for (size_t i = 0; i < count; i++)
        fm_tensor_f32(c->out[0])[i] = (float)(mean ? sums[i] / (double)each : sums[i]);
}

static void run_reduce_mean(const fm_call *c) { reduce(c, true); }
static void run_reduce_sum(const fm_call *c) { reduce(c, false); }

static size_t scratch_reduce(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    (void)lanes;
    return fm_tensor_count(fm_node_out(g, n, 0)) * sizeof(double);
}

#define REDUCE(op, run) \
    {op, "axes keepdims noop_with_empty_axes ", 1, 2, 1, FM_LAYOUT_ROWS, false, false, infer_reduce, run, NULL, NULL, \
     scratch_reduce, NULL}

const fm_op fm_ops_reduce[] = {
    {"Softmax", "axis ", 1, 1, 1, FM_LAYOUT_ROWS, false, false, infer_softmax, run_softmax, NULL, NULL,
     scratch_softmax, NULL},
    REDUCE("ReduceMean", run_reduce_mean),
    REDUCE("ReduceSum", run_reduce_sum),
};
const size_t fm_ops_reduce_n = sizeof fm_ops_reduce / sizeof *fm_ops_reduce;

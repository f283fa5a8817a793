/* Pooling, Resize and LRN on pictures with channels last. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/op_tables.h"
#include "worker/net/windows.h"

static int infer_pool(fm_graph *g, fm_node *n, fm_err *err)
{
    int64_t ceil = 0, include = 0, order = 0;
    int rc = fm_need_f32(g, n, err);

    if (rc != 0 || (rc = fm_attr_int(n, "ceil_mode", &ceil, err)) != 0 ||
        (rc = fm_attr_int(n, "count_include_pad", &include, err)) != 0 ||
        (rc = fm_attr_int(n, "storage_order", &order, err)) != 0)
        return rc;
    if (!fm_attr_find(n, "kernel_shape"))
        return fm_node_fail(err, -EBADMSG, n, "kernel_shape is missing");
    if (n->n_out > 1 && n->out[1] >= 0 && g->values[n->out[1]].uses > 0)
        return fm_node_fail(err, -ENOTSUP, n, "its indices are used; supported is its first output");
    n->p.flags[0] = include != 0;
    if ((rc = fm_windows_attrs(g, n, NULL, err)) != 0)
        return rc;
    return fm_windows_infer(g, n, ceil != 0, fm_node_in(g, n, 0)->dims[1], err);
}

static int infer_global(fm_graph *g, fm_node *n, fm_err *err)
{
    fm_tensor t = *fm_node_in(g, n, 0);
    int rc = fm_need_f32(g, n, err);

    if (rc != 0)
        return rc;
    if (t.rank < 3 || t.rank > 4)
        return fm_node_fail(err, -ENOTSUP, n, "its input has rank %d; supported are 3 and 4 (pictures)", t.rank);
    for (int i = 0; i < 2; i++) {
        int64_t side = t.rank == 4 ? t.dims[2 + i] : i ? t.dims[2] : 1;

        if (side < 1 || side > 1 << 15)
            return fm_node_fail(err, -ENOTSUP, n, "a picture of %lld pixels a side", (long long)side);
        n->p.kernel[i] = (int)side;
        n->p.stride[i] = n->p.dilation[i] = 1;
    }
    for (int i = 2; i < t.rank; i++)
        t.dims[i] = 1;
    return fm_set_out(g, n, 0, &t, err);
}

static size_t scratch_pool(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    (void)g;
    (void)lanes;
    return (size_t)n->p.kernel[0] * (size_t)n->p.kernel[1] * sizeof(float *);
}

static void run_largest(const fm_call *c)
{
    fm_windows w = fm_windows_of(c->n, c->in[0], c->out[0]);
    const float **list = (const float **)(void *)c->scratch;
    float *out = c->out[0]->data;

    for (int64_t i = 0, all = w.n * w.out_y * w.out_x; i < all; i++, out += w.out_c) {
        fm_windows_list(&w, &c->n->p, c->in[0]->data, c->lowest, i, 1, 1, list);
        c->lanes->largest(list, w.taps, (int)w.out_c, out);
    }
    fm_act_output(c, NULL);
}

/* Pixels of one side of a window that count: all that lie in the picture with its padding, or in the picture alone. */
static int64_t counted(int64_t at, const fm_params *p, int side, int64_t in)
{
    int64_t low = p->flags[0] ? -p->pads[side] : 0, high = p->flags[0] ? in + p->pads[2 + side] : in, n = 0;

    for (int k = 0; k < p->kernel[side]; k++) {
        int64_t i = at * p->stride[side] - p->pads[side] + (int64_t)k * p->dilation[side];

        n += i >= low && i < high;
    }
    return n;
}

static void run_mean(const fm_call *c)
{
    fm_windows w = fm_windows_of(c->n, c->in[0], c->out[0]);
    const float **list = (const float **)(void *)c->scratch;
    const fm_params *p = &c->n->p;
    float *out = c->out[0]->data;

    for (int64_t i = 0, all = w.n * w.out_y * w.out_x; i < all; i++, out += w.out_c) {
        int64_t n = counted(i / w.out_x % w.out_y, p, 0, w.in_y) * counted(i % w.out_x, p, 1, w.in_x);

        fm_windows_list(&w, p, c->in[0]->data, c->zeros, i, 1, 1, list);
        c->lanes->mean(list, w.taps, (int)w.out_c, n ? 1.0f / (float)n : 0, out);
    }
    fm_act_output(c, NULL);
}

static double flops_pool(const fm_graph *g, const fm_node *n)
{
    return (double)fm_tensor_count(fm_node_out(g, n, 0)) * n->p.kernel[0] * n->p.kernel[1];
}

static int infer_lrn(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int64_t size = 0;
    int rc = fm_need_f32(g, n, err);

    n->p.alpha = 1e-4f;
    n->p.beta = 0.75f;
    n->p.bias = 1;
    if (rc != 0 || (rc = fm_attr_int(n, "size", &size, err)) != 0 ||
        (rc = fm_attr_float(n, "alpha", &n->p.alpha, err)) != 0 ||
        (rc = fm_attr_float(n, "beta", &n->p.beta, err)) != 0 || (rc = fm_attr_float(n, "bias", &n->p.bias, err)) != 0)
        return rc;
    if (size < 1 || size > 4096 || x->rank < 2)
        return fm_node_fail(err, -ENOTSUP, n, "size %lld of rank %d; supported are 1 to 4096", (long long)size, x->rank);
    n->p.axis = (int)size;
    return fm_set_out(g, n, 0, x, err);
}

static void run_lrn(const fm_call *c)
{
    const fm_tensor *x = c->in[0];
    const fm_params *p = &c->n->p;
    int64_t channels = x->dims[x->rank - 1], before = (p->axis - 1) / 2, after = p->axis - 1 - before;
    const float *in = x->data;
    float *out = c->out[0]->data;

    for (size_t i = 0, count = fm_tensor_count(x); i < count; i += (size_t)channels, in += channels, out += channels)
        for (int64_t k = 0; k < channels; k++) {
            int64_t low = k - before < 0 ? 0 : k - before, high = k + after < channels ? k + after : channels - 1;
            float sum = 0, scale;

            for (int64_t s = low; s <= high; s++)
                sum += in[s] * in[s];
            scale = p->bias + p->alpha / (float)p->axis * sum;
            out[k] = in[k] / (p->beta == 0.75f && scale > 0 ? sqrtf(scale * sqrtf(scale)) : powf(scale, p->beta));
        }
    fm_act_output(c, NULL);
}

#define WINDOW "kernel_shape strides pads auto_pad ceil_mode dilations "
#define POOL(op, attrs, outs, infer, run) \
    {op, attrs, 1, 1, outs, FM_LAYOUT_PICTURE, false, false, infer, run, NULL, NULL, scratch_pool, flops_pool}

const fm_op fm_ops_pool[] = {
    POOL("MaxPool", WINDOW "storage_order ", 2, infer_pool, run_largest),
    POOL("AveragePool", WINDOW "count_include_pad ", 1, infer_pool, run_mean),
    POOL("GlobalMaxPool", "", 1, infer_global, run_largest),
    POOL("GlobalAveragePool", "", 1, infer_global, run_mean),
    {"LRN", "size alpha beta bias ", 1, 1, 1, FM_LAYOUT_PICTURE, false, false, infer_lrn, run_lrn, NULL, NULL, NULL, NULL},
};
const size_t fm_ops_pool_n = sizeof fm_ops_pool / sizeof *fm_ops_pool;

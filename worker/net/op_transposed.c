/* ConvTranspose on pictures with channels last: the product of pixels with all
 * taps at once, each added where its tap points. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/conv.h"
#include "worker/net/op_tables.h"

/* Pads that give an output of that size along a side; upper: the odd one goes behind. */
static int pads_for(fm_node *n, int side, int64_t whole, int64_t size, bool upper, fm_err *err)
{
    int64_t pads = whole - size;

    if (size < 1 || pads < 0 || pads > 1 << 20)
        return fm_node_fail(err, -ENOTSUP, n, "output_shape %lld where its taps reach %lld", (long long)size, (long long)whole);
    n->p.pads[side] = (int)(upper ? pads / 2 : pads - pads / 2);
    n->p.pads[2 + side] = (int)(pads - n->p.pads[side]);
    return 0;
}

typedef struct {
    const int64_t *extra, *shape;       /* output_padding, output_shape; NULL: not given */
    bool same, upper;                   /* auto_pad is SAME_*; odd pads go behind */
} transpose_sizes;

static int read_sizes(fm_node *n, size_t spatial, transpose_sizes *s, fm_err *err)
{
    const char *mode = "NOTSET";
    size_t extras, sides;
    int rc;

    if ((rc = fm_attr_ints(n, "output_padding", &s->extra, &extras, err)) != 0 ||
        (rc = fm_attr_ints(n, "output_shape", &s->shape, &sides, err)) != 0 ||
        (rc = fm_attr_string(n, "auto_pad", &mode, err)) != 0)
        return rc;
    s->upper = strcmp(mode, "SAME_UPPER") == 0;
    s->same = s->upper || strcmp(mode, "SAME_LOWER") == 0;
    if ((s->extra && extras != spatial) || (s->shape && sides != spatial))
        return fm_node_fail(err, -EBADMSG, n, "output_padding or output_shape for another number of sides");
    if (!s->same && strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0)
        return fm_node_fail(err, -EBADMSG, n, "auto_pad \"%.40s\"", mode);
    if (strcmp(mode, "VALID") == 0)
        memset(n->p.pads, 0, sizeof n->p.pads);
    return 0;
}

static int transpose_out(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0), *w = fm_node_in(g, n, 1);
    fm_tensor out = *x;
    transpose_sizes s;
    int spatial = x->rank - 2, rc = read_sizes(n, (size_t)spatial, &s, err);

    out.dims[1] = w->dims[1] * n->p.group;
    for (int i = 0; rc == 0 && i < spatial; i++) {
        int side = 2 - spatial + i;
        int64_t more = s.extra ? s.extra[i] : 0, stride = n->p.stride[side], whole;

        if (more < 0 || more >= stride + n->p.dilation[side] || x->dims[2 + i] > 1 << 20)
            return fm_node_fail(err, -EBADMSG, n, "output_padding %lld", (long long)more);
        whole = stride * (x->dims[2 + i] - 1) + more + (int64_t)n->p.dilation[side] * (n->p.kernel[side] - 1) + 1;
        if (s.shape || s.same)
            rc = pads_for(n, side, whole, s.shape ? s.shape[i] : stride * x->dims[2 + i], s.upper, err);
        out.dims[2 + i] = whole - n->p.pads[side] - n->p.pads[2 + side];
        if (rc == 0 && out.dims[2 + i] < 1)
            return fm_node_fail(err, -EBADMSG, n, "its pads leave nothing of the result");
    }
    return rc ? rc : fm_set_out(g, n, 0, &out, err);
}

static int infer_transpose(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0), *w = fm_node_in(g, n, 1);
    int rc = fm_conv_infer_weights(g, n, err);

    if (rc != 0)
        return rc;
    if (w->dims[0] != x->dims[1])
        return fm_node_fail(err, -EBADMSG, n, "weights for %lld channels, its input has %lld", (long long)w->dims[0],
                            (long long)x->dims[1]);
    rc = fm_conv_check_bias(g, n, w->dims[1] * n->p.group, err);
    return rc ? rc : transpose_out(g, n, err);
}

typedef struct {
    int64_t in, out, columns;       /* channels of a group; taps * out */
    size_t weights, bias, list, sums;   /* bytes */
    int block;
} transposed;

static transposed transposed_of(const fm_node *n, const fm_tensor *w, const fm_lanes *lanes)
{
    transposed t = {.in = w->dims[0] / n->p.group, .out = w->dims[1]};
    fm_product p = {.taps = 1, .depth = (int)t.in};

    t.columns = t.out * n->p.kernel[0] * n->p.kernel[1];
    t.block = fm_product_rows(&p, lanes);
    t.weights = fm_aligned((size_t)n->p.group * fm_product_floats(t.in, t.columns, lanes) * sizeof(float));
    t.bias = fm_aligned(fm_product_bias_floats(t.columns, lanes) * sizeof(float));
    t.list = fm_aligned((size_t)t.block * sizeof(float *));
    t.sums = fm_aligned((size_t)t.block * (size_t)t.columns * sizeof(float));
    return t;
}

/* [in][out][taps] to columns of taps, then channels. */
static void pack_transposed(const fm_node *n, const fm_tensor *w, const transposed *t, const fm_lanes *lanes, float *to)
{
    int taps = n->p.kernel[0] * n->p.kernel[1];

    for (int64_t g = 0; g < n->p.group; g++) {
        const float *from = fm_tensor_f32(w) + g * t->in * t->columns;

        for (int64_t first = 0; first < t->columns; first += lanes->columns)
            for (int64_t i = 0; i < t->in; i++)
                for (int64_t k = first; k < first + lanes->columns; k++)
                    *to++ = k < t->columns ? from[i * t->columns + k % t->out * taps + k / t->out] : 0;
    }
}

static int prepare_transposed(fm_graph *g, fm_node *n, const fm_lanes *lanes, fm_err *err)
{
    const fm_tensor *w = fm_node_in(g, n, FM_CONV_W);
    transposed t = transposed_of(n, w, lanes);

    n->kernel = "product and scatter";
    if (!w->data)
        return 0;
    n->prepared = fm_arena_get(&g->arena, t.weights);
    if (!n->prepared)
        return fm_graph_nomem(g, err);
    pack_transposed(n, w, &t, lanes, n->prepared);
    return 0;
}

static size_t scratch_transposed(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    transposed t = transposed_of(n, fm_node_in(g, n, FM_CONV_W), lanes);

    return (n->prepared ? 0 : t.weights) + t.bias + t.list + t.sums;
}

/* Adds the sums of input pixel at to the output pixels its taps point at. */
static void scatter(const fm_call *c, const fm_windows *w, const transposed *t, int64_t at, int64_t g, const float *sums)
{
    const fm_params *p = &c->n->p;
    int64_t x = at % w->in_x, y = at / w->in_x % w->in_y, image = at / (w->in_x * w->in_y);

    for (int tap = 0; tap < w->taps; tap++, sums += t->out) {
        int64_t oy = y * p->stride[0] - p->pads[0] + (int64_t)(tap / p->kernel[1]) * p->dilation[0];
        int64_t ox = x * p->stride[1] - p->pads[1] + (int64_t)(tap % p->kernel[1]) * p->dilation[1];
        float *out;

        if (oy < 0 || oy >= w->out_y || ox < 0 || ox >= w->out_x)
            continue;
        out = fm_tensor_f32(c->out[0]) + ((image * w->out_y + oy) * w->out_x + ox) * w->out_c + g * t->out;
        c->lanes->binary(FM_ADD, out, 1, sums, 1, out, (size_t)t->out);
    }
}

static void fill_bias(const fm_call *c, int64_t channels)
{
    const float *bias = c->n->n_in > FM_CONV_B && c->in[FM_CONV_B] ? c->in[FM_CONV_B]->data : NULL;
    float *out = c->out[0]->data;

    for (size_t i = 0, count = fm_tensor_count(c->out[0]); i < count; i += (size_t)channels)
        for (int64_t k = 0; k < channels; k++)
            out[i + (size_t)k] = bias ? bias[k] : 0;
}

static void run_transposed(const fm_call *c)
{
    fm_windows w = fm_windows_of(c->n, c->in[0], c->out[0]);
    transposed t = transposed_of(c->n, c->in[FM_CONV_W], c->lanes);
    char *at = c->scratch;
    float *bias = (float *)(void *)fm_carve(&at, t.bias), *sums = (float *)(void *)fm_carve(&at, t.sums), *packed;
    const float **list = (const float **)(void *)fm_carve(&at, t.list);
    fm_product p = {.taps = 1, .depth = (int)t.in, .columns = (int)t.columns, .bias = bias, .c = sums,
                    .c_stride = t.columns, .low = -INFINITY, .high = INFINITY};
    int64_t all = w.n * w.in_y * w.in_x;

    packed = c->n->prepared ? c->n->prepared : (float *)(void *)at;
    if (!c->n->prepared)
        pack_transposed(c->n, c->in[FM_CONV_W], &t, c->lanes, packed);
    memset(bias, 0, t.bias);
    fill_bias(c, w.out_c);
    for (int64_t first = 0; first < all; first += t.block) {
        int rows = (int)(all - first < t.block ? all - first : t.block);

        for (int r = 0; r < rows; r++)
            list[r] = fm_tensor_f32(c->in[0]) + (first + r) * w.in_c;
        for (int64_t g = 0; g < c->n->p.group; g++) {
            p.a_offset = g * t.in;
            p.b = packed + g * (int64_t)fm_product_floats(t.in, t.columns, c->lanes);
            fm_product_run(&p, rows, list, c->lanes);
            for (int r = 0; r < rows; r++)
                scatter(c, &w, &t, first + r, g, sums + r * t.columns);
        }
    }
    fm_act_output(c, fm_conv_slope(c));
}

static double flops_transposed(const fm_graph *g, const fm_node *n)
{
    const fm_tensor *x = fm_node_in(g, n, 0), *w = fm_node_in(g, n, 1);

    return 2.0 * (double)fm_tensor_count(x) * (double)fm_tensor_count(w) / (double)w->dims[0];
}

const fm_op fm_ops_conv[] = {
    {"ConvTranspose", FM_CONV_ATTRS "output_padding output_shape ", 2, 3, 1, FM_LAYOUT_PICTURE, false, false,
     infer_transpose, run_transposed, NULL, prepare_transposed, scratch_transposed, flops_transposed},
};
const size_t fm_ops_conv_n = sizeof fm_ops_conv / sizeof *fm_ops_conv;

/* Makes fewer nodes of many, on ONNX's order of axes: factors and sums a channel
 * go into the weights before them, activations and additions into what computes
 * their operand.  A node is only taken into another when nobody else reads what
 * lies between. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/conv.h"

static bool named(const fm_node *n, const char *name)
{
    return strcmp(n->op_name, name) == 0;
}

/* What made input i of n, when n is all that reads it; NULL otherwise. */
static fm_node *maker(fm_graph *g, const fm_node *n, int i)
{
    int v = i < n->n_in ? n->in[i] : -1, by = v < 0 ? -1 : g->values[v].made_by;

    return by >= 0 && g->values[v].uses == 1 && !g->values[v].t.data && !g->nodes[by].dead ? &g->nodes[by] : NULL;
}

/* n's work is done by maker from now on. */
static void absorb(fm_graph *g, fm_node *by, fm_node *n)
{
    by->out[0] = n->out[0];
    g->values[n->out[0]].made_by = (int)(by - g->nodes);
    n->dead = true;
}

/* Identity and Dropout disappear, unless they give an output of the network. */
static void skip_identities(fm_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        fm_node *n = &g->nodes[i];

        for (int k = 0; !n->dead && k < n->n_in; k++)
            while (n->in[k] >= 0 && g->values[n->in[k]].made_by >= 0) {
                const fm_node *by = &g->nodes[g->values[n->in[k]].made_by];

                if (g->values[n->in[k]].t.data || by->dead || !(named(by, "Identity") || named(by, "Dropout")))
                    break;
                n->in[k] = by->in[0];
            }
    }
    fm_graph_sweep(g);
}

/* A constant tensor as one number a channel of x (logical axis 1): the numbers, stride 0 or 1; NULL: it is not one. */
static const float *per_channel(const fm_tensor *t, const fm_tensor *x, int *stride)
{
    int axis = t->rank - (x->rank - 1);     /* of t, where x has its channels */

    if (!t->data || t->type != FM_F32 || x->rank < 2 || t->rank > x->rank)
        return NULL;
    *stride = 0;
    if (fm_tensor_count(t) == 1)
        return t->data;
    *stride = 1;
    return axis >= 0 && fm_tensor_count(t) == (size_t)x->dims[1] && t->dims[axis] == x->dims[1] ? t->data : NULL;
}

/* y = scale[c] * x + shift[c], that a node after x computes; either NULL: 1, 0. */
typedef struct {
    const float *scale, *shift;
    int scale_stride, shift_stride;
} scaling;

static bool scaling_of_norm(fm_graph *g, const fm_node *n, scaling *s)
{
    size_t channels = fm_tensor_count(fm_node_in(g, n, 1));
    const float *p[4];
    float *scale, *shift;

    for (int i = 0; i < 4; i++)
        if (!(p[i] = fm_node_in(g, n, 1 + i)->data))
            return false;
    scale = fm_arena_get(&g->arena, channels * sizeof *scale);
    shift = fm_arena_get(&g->arena, channels * sizeof *shift);
    if (!scale || !shift)
        return false;
    for (size_t c = 0; c < channels; c++) {
        double factor = p[0][c] / sqrt((double)p[3][c] + n->p.alpha);

        scale[c] = (float)factor;
        shift[c] = (float)(p[1][c] - p[2][c] * factor);
    }
    *s = (scaling){scale, shift, 1, 1};
    return true;
}

/* Which input of n is x when n is a factor or sum a channel of it; -1: it is not. */
static int scaling_of(fm_graph *g, const fm_node *n, scaling *s)
{
    bool mul = named(n, "Mul"), add = named(n, "Add");

    memset(s, 0, sizeof *s);
    if (named(n, "BatchNormalization"))
        return scaling_of_norm(g, n, s) ? 0 : -1;
    for (int i = 0; (mul || add) && n->n_in == 2 && i < 2; i++) {
        const fm_tensor *x = fm_node_in(g, n, i), *t = fm_node_in(g, n, 1 - i);
        int stride = 0;
        const float *v = per_channel(t, x, &stride);

        if (!v || !fm_tensor_same_dims(x, fm_node_out(g, n, 0)))
            continue;
        if (mul)
            *s = (scaling){v, NULL, stride, 0};
        else
            *s = (scaling){NULL, v, 0, stride};
        return i;
    }
    return -1;
}

/* A new constant of count numbers a channel: scaled by s, moved when shifted. */
static int scaled(fm_graph *g, const char *name, const fm_tensor *shape, const float *from, const scaling *s, bool shifted)
{
    int v = fm_graph_constant(g, name, shape);
    size_t channels = (size_t)shape->dims[0], each = v < 0 ? 0 : fm_tensor_count(shape) / channels;

    for (size_t i = 0; v >= 0 && i < channels * each; i++) {
        size_t c = i / each;
        float scale = s->scale ? s->scale[c * (size_t)s->scale_stride] : 1;
        float shift = s->shift && shifted ? s->shift[c * (size_t)s->shift_stride] : 0;

        fm_tensor_f32(&g->values[v].t)[i] = (from ? from[i] * scale : 0) + shift;
    }
    return v;
}

/* Room for the inputs that only fusion gives a convolution. */
static bool widen(fm_graph *g, fm_node *n)
{
    int *in;

    if (n->n_in == FM_CONV_INPUTS)
        return true;
    in = fm_arena_get(&g->arena, FM_CONV_INPUTS * sizeof *in);
    if (!in)
        return false;
    for (int i = 0; i < FM_CONV_INPUTS; i++)
        in[i] = i < n->n_in ? n->in[i] : -1;
    n->in = in;
    n->n_in = FM_CONV_INPUTS;
    return true;
}

static bool plain(const fm_node *n)
{
    return n->p.act.kind == FM_ACT_NONE;
}

/* A convolution followed by s: new weights and bias. */
static bool scale_conv(fm_graph *g, fm_node *conv, const scaling *s)
{
    const fm_tensor *w = fm_node_in(g, conv, FM_CONV_W), *b = fm_node_in(g, conv, FM_CONV_B);
    fm_tensor bias = {.type = FM_F32, .rank = 1};
    int nw, nb;

    if (!w->data || (b && !b->data) || !plain(conv) || !widen(g, conv) || conv->in[FM_CONV_ADD] >= 0)
        return false;
    bias.dims[0] = w->dims[0];
    nb = scaled(g, conv->name, &bias, b ? b->data : NULL, s, true);
    w = fm_node_in(g, conv, FM_CONV_W);
    nw = s->scale ? scaled(g, conv->name, &(fm_tensor){.type = FM_F32, .rank = w->rank,
                           .dims = {w->dims[0], w->dims[1], w->dims[2], w->dims[3]}}, w->data, s, false)
                  : conv->in[FM_CONV_W];
    if (nb < 0 || nw < 0)
        return false;
    conv->in[FM_CONV_W] = nw;
    conv->in[FM_CONV_B] = nb;
    return true;
}

/* A norm followed by s: new scale and shift. */
static bool scale_norm(fm_graph *g, fm_node *norm, const scaling *s)
{
    fm_tensor shape = *fm_node_in(g, norm, 1);
    int scale, shift;

    if (!plain(norm) || !shape.data || !fm_node_in(g, norm, 2)->data)
        return false;
    scale = scaled(g, norm->name, &shape, shape.data, s, false);
    shift = scaled(g, norm->name, &shape, fm_node_in(g, norm, 2)->data, s, true);
    if (scale < 0 || shift < 0)
        return false;
    norm->in[1] = scale;
    norm->in[2] = shift;
    return true;
}

static bool fuse_scaling(fm_graph *g, fm_node *n)
{
    scaling s;
    int x = scaling_of(g, n, &s);
    fm_node *by = x < 0 ? NULL : maker(g, n, x);
    bool done = by && ((named(by, "Conv") && scale_conv(g, by, &s)) ||
                       (named(by, "BatchNormalization") && scale_norm(g, by, &s)));

    if (done) {
        by->p.act = n->p.act;
        absorb(g, by, n);
    }
    return done;
}

/* Operators that apply an activation to what they give. */
static bool takes_act(const fm_node *n)
{
    static const char *const names[] = {"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "Add", "Sub",
                                        "Mul", "Div", "Sum", "MaxPool", "AveragePool", "GlobalAveragePool",
                                        "GlobalMaxPool", "LRN"};

    for (size_t i = 0; plain(n) && i < sizeof names / sizeof *names; i++)
        if (named(n, names[i]))
            return true;
    return false;
}

static bool is_act(const fm_node *n)
{
    static const char *const names[] = {"Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (named(n, names[i]))
            return true;
    return false;
}

static bool fuse_act(fm_graph *g, fm_node *n)
{
    fm_node *by = is_act(n) ? maker(g, n, 0) : NULL;

    if (!by || !takes_act(by) || g->values[n->out[0]].t.type != FM_F32)
        return false;
    by->p.act = n->p.act;
    absorb(g, by, n);
    return true;
}

static bool fuse_prelu(fm_graph *g, fm_node *n)
{
    fm_node *by = named(n, "PRelu") ? maker(g, n, 0) : NULL;
    const fm_tensor *x;
    int stride, v;

    if (!by || !plain(by) || !named(by, "Conv"))
        return false;
    x = fm_node_in(g, n, 0);
    if (!per_channel(fm_node_in(g, n, 1), x, &stride) || !stride || !widen(g, by))
        return false;
    v = fm_graph_value(g, n->name);
    if (v < 0)
        return false;
    g->values[v].known = true;
    g->values[v].t = (fm_tensor){.type = FM_F32, .rank = 1, .dims = {fm_node_in(g, n, 0)->dims[1]},
                                 .data = fm_node_in(g, n, 1)->data};
    by->in[FM_CONV_SLOPE] = v;
    by->p.act.kind = FM_ACT_PRELU;
    absorb(g, by, n);
    return true;
}

/* The convolution moves to where the sum is, as only there its other operand is sure to be ready. */
static bool fuse_add(fm_graph *g, fm_node *n)
{
    fm_node *best = NULL, was = *n;
    int other = -1;

    if (!(named(n, "Add") || named(n, "Sum")) || n->n_in != 2 || n->in[0] == n->in[1] || !plain(n))
        return false;
    for (int i = 0; i < 2; i++) {
        fm_node *by = maker(g, n, i);

        if (by && named(by, "Conv") && plain(by) && (by->n_in <= FM_CONV_ADD || by->in[FM_CONV_ADD] < 0) &&
            !g->values[n->in[1 - i]].t.data &&
            fm_tensor_same_dims(fm_node_in(g, n, 0), fm_node_in(g, n, 1)) && (!best || by > best)) {
            best = by;
            other = n->in[1 - i];
        }
    }
    if (!best || !widen(g, best))
        return false;
    *n = *best;
    n->out = was.out;
    n->in[FM_CONV_ADD] = other;
    best->dead = true;
    return true;
}

int fm_graph_fuse(fm_graph *g, fm_err *err)
{
    skip_identities(g);
    for (int i = 0; i < g->n_nodes; i++) {
        fm_node *n = &g->nodes[i];

        if (n->dead || g->values[n->out[0]].t.type != FM_F32)
            continue;
        (void)(fuse_scaling(g, n) || fuse_act(g, n) || fuse_prelu(g, n) || fuse_add(g, n));
    }
    if (g->arena.failed)
        return fm_graph_nomem(g, err);
    fm_graph_sweep(g);
    return 0;
}

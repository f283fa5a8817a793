/* Operators that work element by element: activations, arithmetic with
 * broadcasting, Cast, and BatchNormalization, which is a factor and a sum a channel. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/op_tables.h"

static int infer_same(fm_graph *g, fm_node *n, fm_err *err)
{
    return fm_set_out(g, n, 0, fm_node_in(g, n, 0), err);
}

static int infer_f32(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc = fm_need_f32(g, n, err);

    return rc ? rc : infer_same(g, n, err);
}

static void run_act(const fm_call *c)
{
    c->lanes->act(&c->n->p.act, NULL, c->in[0]->data, c->out[0]->data, 1, fm_tensor_count(c->in[0]));
}

static int infer_relu(fm_graph *g, fm_node *n, fm_err *err)
{
    n->p.act = (fm_act){FM_ACT_CLAMP, 0, INFINITY};
    return infer_f32(g, n, err);
}

static int infer_leaky(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc;

    n->p.act = (fm_act){FM_ACT_LEAKY, 0.01f, 0};
    rc = fm_attr_float(n, "alpha", &n->p.act.low, err);
    return rc ? rc : infer_f32(g, n, err);
}

static int infer_hard_sigmoid(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc;

    n->p.act = (fm_act){FM_ACT_HARD_SIGMOID, 0.2f, 0.5f};
    if ((rc = fm_attr_float(n, "alpha", &n->p.act.low, err)) != 0 ||
        (rc = fm_attr_float(n, "beta", &n->p.act.high, err)) != 0)
        return rc;
    return infer_f32(g, n, err);
}

static int infer_hard_swish(fm_graph *g, fm_node *n, fm_err *err)
{
    n->p.act.kind = FM_ACT_HARD_SWISH;
    return infer_f32(g, n, err);
}

static int infer_sigmoid(fm_graph *g, fm_node *n, fm_err *err)
{
    n->p.act.kind = FM_ACT_SIGMOID;
    return infer_f32(g, n, err);
}

static int infer_tanh(fm_graph *g, fm_node *n, fm_err *err)
{
    n->p.act.kind = FM_ACT_TANH;
    return infer_f32(g, n, err);
}

/* A bound of Clip: an attribute before operator set 11, an input after. */
static int clip_bound(fm_graph *g, fm_node *n, int input, const char *attr, float *bound, fm_err *err)
{
    const fm_tensor *t = fm_node_in(g, n, input);

    if (g->opset < 11)
        return fm_attr_float(n, attr, bound, err);
    if (!t)
        return 0;
    if (!t->data || fm_tensor_count(t) != 1)
        return fm_node_fail(err, -ENOTSUP, n, "its bounds are not known at load; supported are constant numbers");
    *bound = *fm_tensor_f32(t);
    return 0;
}

static int infer_clip(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc = fm_need_f32(g, n, err);

    n->p.act = (fm_act){FM_ACT_CLAMP, -INFINITY, INFINITY};
    if (rc != 0 || (rc = clip_bound(g, n, 1, "min", &n->p.act.low, err)) != 0 ||
        (rc = clip_bound(g, n, 2, "max", &n->p.act.high, err)) != 0)
        return rc;
    return infer_same(g, n, err);
}

/* Functions of one number that no activation stands for. */
#define UNARY(name, expression)                                                                   \
    static void run_##name(const fm_call *c)                                                      \
    {                                                                                             \
        const float *in = c->in[0]->data;                                                         \
        float *out = c->out[0]->data;                                                             \
                                                                                                  \
        for (size_t i = 0, count = fm_tensor_count(c->in[0]); i < count; i++) {                   \
            float v = in[i];                                                                      \
                                                                                                  \
            out[i] = (expression);                                                                \
        }                                                                                         \
    }
UNARY(sqrt, sqrtf(v))
UNARY(neg, -v)
UNARY(abs, fabsf(v))

static void run_exp(const fm_call *c)
{
    c->lanes->exps(c->in[0]->data, c->out[0]->data, fm_tensor_count(c->in[0]));
}

/* Identity and Dropout; a plan that can do so gives them no memory of their own. */
static void run_copy(const fm_call *c)
{
    if (c->out[0]->data != c->in[0]->data)
        memcpy(c->out[0]->data, c->in[0]->data, fm_tensor_bytes(c->in[0]));
}

/* In inference it changes nothing; the mask, should anyone want it, is of a type that is not supported. */
static int infer_dropout(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *training = fm_node_in(g, n, 2);

    if (training)
        return fm_node_fail(err, -ENOTSUP, n, "it has a training mode; supported is inference");
    if (n->n_out > 1 && n->out[1] >= 0 && g->values[n->out[1]].uses > 0)
        return fm_node_fail(err, -ENOTSUP, n, "its mask is used; supported is its first output");
    return infer_same(g, n, err);
}

static int infer_cast(fm_graph *g, fm_node *n, fm_err *err)
{
    fm_tensor t = *fm_node_in(g, n, 0);
    int64_t to = 0;
    int rc = fm_attr_int(n, "to", &to, err);

    if (rc != 0)
        return rc;
    if (to != FM_F32 && to != FM_I64)
        return fm_node_fail(err, -ENOTSUP, n, "to data type %d; supported are float32 (1) and int64 (7)", (int)to);
    t.type = (fm_type)to;
    return fm_set_out(g, n, 0, &t, err);
}

static int64_t to_int(float v)
{
    return v >= 9.2e18f ? INT64_MAX : v <= -9.2e18f ? INT64_MIN : v == v ? (int64_t)v : 0;
}

static void run_cast(const fm_call *c)
{
    const fm_tensor *in = c->in[0], *out = c->out[0];
    size_t count = fm_tensor_count(in);

    if (in->type == out->type)
        run_copy(c);
    else if (out->type == FM_F32)
        for (size_t i = 0; i < count; i++)
            fm_tensor_f32(out)[i] = (float)fm_tensor_i64(in)[i];
    else
        for (size_t i = 0; i < count; i++)
            fm_tensor_i64(out)[i] = to_int(fm_tensor_f32(in)[i]);
}

/* Dimension i of out, counted from the last. */
static int64_t dim_from_end(const fm_tensor *t, int i)
{
    return i < t->rank ? t->dims[t->rank - 1 - i] : 1;
}

static int broadcast(const fm_node *n, fm_tensor *out, const fm_tensor *with, fm_err *err)
{
    int rank = out->rank > with->rank ? out->rank : with->rank;
    char a[96], b[96];
    fm_tensor t = {.type = out->type, .rank = rank};

    for (int i = 0; i < rank; i++) {
        int64_t x = dim_from_end(out, i), y = dim_from_end(with, i);

        if (x != y && x != 1 && y != 1)
            return fm_node_fail(err, -EBADMSG, n, "%s and %s do not broadcast", fm_tensor_text(out, a, sizeof a),
                                fm_tensor_text(with, b, sizeof b));
        t.dims[rank - 1 - i] = x == 1 ? y : x;
    }
    *out = t;
    return 0;
}

/* Another view of constant input 1, with ones behind its dimensions. */
static int lengthen(fm_graph *g, fm_node *n, int rank, fm_err *err)
{
    int v = fm_graph_value(g, g->values[n->in[1]].name);

    if (v < 0)
        return fm_graph_nomem(g, err);
    g->values[v].t = g->values[n->in[1]].t;
    g->values[v].known = true;
    while (g->values[v].t.rank < rank)
        g->values[v].t.dims[g->values[v].t.rank++] = 1;
    n->in[1] = v;
    return 0;
}

/* Before operator set 7 the second operand's dimensions started at an axis of the first's. */
static int old_broadcast(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *a = fm_node_in(g, n, 0), *b = fm_node_in(g, n, 1);
    int64_t axis = -1;
    int rc = fm_attr_int(n, "axis", &axis, err), at;

    if (rc != 0 || g->opset >= 7 || !fm_attr_find(n, "axis") || !a || !b)
        return rc;
    if ((rc = fm_need_axis(n, axis, a->rank, &at, err)) != 0)
        return rc;
    if (at + b->rank > a->rank)
        return fm_node_fail(err, -EBADMSG, n, "axis %d leaves no room for the second input", at);
    if (at + b->rank == a->rank)
        return 0;
    if (!b->data)
        return fm_node_fail(err, -ENOTSUP, n, "broadcasting along axis %d; supported when the second input is constant", at);
    return lengthen(g, n, a->rank - at, err);
}

static int infer_binary(fm_graph *g, fm_node *n, fm_err *err)
{
    fm_tensor out = *fm_node_in(g, n, 0);
    fm_type type = out.type;
    int rc = old_broadcast(g, n, err);

    for (int i = 1; rc == 0 && i < n->n_in; i++) {
        const fm_tensor *t = fm_node_in(g, n, i);

        if (!t)
            return fm_node_fail(err, -EBADMSG, n, "input %d is missing", i + 1);
        if ((rc = fm_need_type(g, n, i, type, err)) == 0)
            rc = broadcast(n, &out, t, err);
    }
    return rc ? rc : fm_set_out(g, n, 0, &out, err);
}

static int infer_binary_f32(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc = fm_need_f32(g, n, err);

    return rc ? rc : infer_binary(g, n, err);
}

/* A loop over out with at most FM_RANK_MAX dimensions, neighbours merged where both operands allow it. */
typedef struct {
    int rank;
    int64_t dims[FM_RANK_MAX], a[FM_RANK_MAX], b[FM_RANK_MAX];
} loop;

static void broadcast_strides(const fm_tensor *t, int rank, int64_t *strides)
{
    int64_t s = 1;

    for (int i = 0; i < rank; i++) {
        int64_t d = dim_from_end(t, i);

        strides[rank - 1 - i] = d == 1 ? 0 : s;
        s *= d;
    }
}

static loop loop_of(const fm_tensor *a, const fm_tensor *b, const fm_tensor *out)
{
    int64_t sa[FM_RANK_MAX], sb[FM_RANK_MAX];
    loop l = {.rank = 0};

    broadcast_strides(a, out->rank, sa);
    broadcast_strides(b, out->rank, sb);
    for (int i = 0; i < out->rank; i++) {
        int k = l.rank - 1;
        int64_t d = out->dims[i];

        if (d == 1)
            continue;
        if (k >= 0 && l.a[k] == sa[i] * d && l.b[k] == sb[i] * d) {
            l.dims[k] *= d;
            l.a[k] = sa[i];
            l.b[k] = sb[i];
        } else {
            l.dims[l.rank] = d;
            l.a[l.rank] = sa[i];
            l.b[l.rank++] = sb[i];
        }
    }
    if (l.rank == 0) {
        l.dims[0] = 1;
        l.a[0] = l.b[0] = 0;
        l.rank = 1;
    }
    return l;
}

#define LINE 4096

typedef struct {
    const fm_call *call;
    fm_binary kind;
    const loop *l;
    const fm_act *act;
} binary_job;

static int64_t int_of(fm_binary kind, int64_t a, int64_t b)
{
    switch (kind) {
    case FM_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
    case FM_SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
    case FM_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
    case FM_DIV: return b == 0 ? 0 : b == -1 ? (int64_t)-(uint64_t)a : a / b;
    case FM_MAX: return a > b ? a : b;
    default: return a < b ? a : b;
    }
}

static void int_loop(fm_binary kind, const loop *l, int d, const int64_t *a, const int64_t *b, int64_t **out)
{
    if (d == l->rank) {
        *(*out)++ = int_of(kind, *a, *b);
        return;
    }
    for (int64_t i = 0; i < l->dims[d]; i++)
        int_loop(kind, l, d + 1, a + i * l->a[d], b + i * l->b[d], out);
}

/* The innermost line in pieces that stay in the first-level cache until the activation is done. */
static void float_line(const binary_job *j, const float *a, const float *b, float *out)
{
    int d = j->l->rank - 1;
    int64_t n = j->l->dims[d];

    for (int64_t at = 0; at < n; at += LINE) {
        size_t piece = (size_t)(n - at < LINE ? n - at : LINE);

        j->call->lanes->binary(j->kind, a + at * j->l->a[d], (int)j->l->a[d], b + at * j->l->b[d], (int)j->l->b[d],
                               out + at, piece);
        if (j->act->kind != FM_ACT_NONE)
            j->call->lanes->act(j->act, NULL, out + at, out + at, 1, piece);
    }
}

static void float_loop(const binary_job *j, int d, const float *a, const float *b, float **out)
{
    const loop *l = j->l;

    if (d == l->rank - 1) {
        float_line(j, a, b, *out);
        *out += l->dims[d];
        return;
    }
    for (int64_t i = 0; i < l->dims[d]; i++)
        float_loop(j, d + 1, a + i * l->a[d], b + i * l->b[d], out);
}

static void binary(const fm_call *c, fm_binary kind, const fm_tensor *a, const fm_tensor *b, const fm_act *act)
{
    loop l = loop_of(a, b, c->out[0]);

    if (fm_tensor_count(c->out[0]) == 0)
        return;
    if (c->out[0]->type == FM_I64) {
        int64_t *out = c->out[0]->data;

        int_loop(kind, &l, 0, a->data, b->data, &out);
    } else {
        binary_job j = {c, kind, &l, act};
        float *out = c->out[0]->data;

        float_loop(&j, 0, a->data, b->data, &out);
    }
}

/* The first two, then each further one; the activation comes with the last.  A single operand is copied. */
static void many(const fm_call *c, fm_binary kind)
{
    static const fm_act none;

    if (c->n->n_in == 1)
        run_copy(c);
    if (c->n->n_in == 1 && c->n->p.act.kind != FM_ACT_NONE)
        c->lanes->act(&c->n->p.act, NULL, c->out[0]->data, c->out[0]->data, 1, fm_tensor_count(c->out[0]));
    for (int i = 1; i < c->n->n_in; i++)
        binary(c, kind, i == 1 ? c->in[0] : c->out[0], c->in[i], i == c->n->n_in - 1 ? &c->n->p.act : &none);
}

static void run_add(const fm_call *c) { many(c, FM_ADD); }
static void run_sub(const fm_call *c) { many(c, FM_SUB); }
static void run_mul(const fm_call *c) { many(c, FM_MUL); }
static void run_div(const fm_call *c) { many(c, FM_DIV); }
static void run_max(const fm_call *c) { many(c, FM_MAX); }
static void run_min(const fm_call *c) { many(c, FM_MIN); }
static void run_pow(const fm_call *c) { many(c, FM_POW); }
static void run_slope(const fm_call *c) { many(c, FM_SLOPE); }

/* The slope broadcasts to the input, never the other way round. */
static int infer_prelu(fm_graph *g, fm_node *n, fm_err *err)
{
    int rc = fm_need_f32(g, n, err);
    const fm_tensor *x = fm_node_in(g, n, 0), *slope = fm_node_in(g, n, 1);

    /* before operator set 7 a list of slopes was one a channel */
    if (rc == 0 && g->opset < 7 && slope->rank == 1 && x->rank > 2 && slope->data)
        rc = lengthen(g, n, x->rank - 1, err);
    if (rc == 0)
        rc = infer_binary(g, n, err);
    if (rc == 0 && !fm_tensor_same_dims(fm_node_in(g, n, 0), fm_node_out(g, n, 0)))
        return fm_node_fail(err, -EBADMSG, n, "its slope has more elements than its input");
    return rc;
}

static int infer_batch_norm(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int64_t training = 0, spatial = 1;
    int rc = fm_need_f32(g, n, err);

    n->p.alpha = 1e-5f;
    if (rc != 0 || (rc = fm_attr_float(n, "epsilon", &n->p.alpha, err)) != 0 ||
        (rc = fm_attr_int(n, "training_mode", &training, err)) != 0 || (rc = fm_attr_int(n, "spatial", &spatial, err)) != 0)
        return rc;
    if (training || !spatial || x->rank < 2)
        return fm_node_fail(err, -ENOTSUP, n, "training mode, or statistics of each pixel; supported is inference by channel");
    for (int i = 1; i < n->n_out; i++)
        if (n->out[i] >= 0 && g->values[n->out[i]].uses > 0)
            return fm_node_fail(err, -ENOTSUP, n, "its statistics are used; supported is its first output");
    for (int i = 1; i < 5; i++) {
        const fm_tensor *t = fm_node_in(g, n, i);

        if (!t || t->rank != 1 || t->dims[0] != x->dims[1])
            return fm_node_fail(err, -EBADMSG, n, "input %d is not one number a channel", i + 1);
    }
    return infer_same(g, n, err);
}

/* Inputs scale, shift, mean, variance; the channels are the last axis here. */
static void run_batch_norm(const fm_call *c)
{
    size_t channels = fm_tensor_count(c->in[1]);
    const float *gamma = c->in[1]->data, *beta = c->in[2]->data, *mean = c->in[3]->data, *variance = c->in[4]->data;
    float *scale = (float *)(void *)c->scratch, *shift = scale + channels;

    for (size_t i = 0; i < channels; i++) {
        scale[i] = (float)(gamma[i] / sqrt((double)variance[i] + c->n->p.alpha));
        shift[i] = (float)(beta[i] - (double)mean[i] * scale[i]);
    }
    if (channels)
        c->lanes->affine(c->in[0]->data, scale, shift, c->out[0]->data, fm_tensor_count(c->in[0]) / channels, channels);
    fm_act_output(c, NULL);
}

static size_t scratch_batch_norm(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    (void)lanes;
    return 2 * fm_tensor_bytes(fm_node_in(g, n, 1)) + 64;
}

bool fm_act_is_cut(const fm_act *act, float *low, float *high)
{
    bool clamp = act->kind == FM_ACT_CLAMP;

    *low = clamp ? act->low : -INFINITY;
    *high = clamp ? act->high : INFINITY;
    return clamp || act->kind == FM_ACT_NONE;
}

void fm_act_output(const fm_call *c, const float *slope)
{
    const fm_tensor *t = c->out[0];
    size_t count = fm_tensor_count(t), channels = t->rank ? (size_t)t->dims[t->rank - 1] : 1;

    if (c->n->p.act.kind != FM_ACT_NONE && count)
        c->lanes->act(&c->n->p.act, slope, t->data, t->data, count / channels, channels);
}

#define ACT(op, attrs, infer) {op, attrs, 1, 1, 1, FM_LAYOUT_ANY, true, false, infer, run_act, NULL, NULL, NULL, NULL}
#define ONE(op, run) {op, "", 1, 1, 1, FM_LAYOUT_ANY, true, false, infer_f32, run, NULL, NULL, NULL, NULL}
#define TWO(op, attrs, infer, run) {op, attrs, 2, 2, 1, FM_LAYOUT_ANY, true, false, infer, run, NULL, NULL, NULL, NULL}
#define MANY(op, run) {op, "", 1, 0, 1, FM_LAYOUT_ANY, true, false, infer_binary_f32, run, NULL, NULL, NULL, NULL}
#define OLD "axis broadcast consumed_inputs "

const fm_op fm_ops_elementwise[] = {
    ACT("Relu", "consumed_inputs ", infer_relu),
    ACT("LeakyRelu", "alpha consumed_inputs ", infer_leaky),
    ACT("Sigmoid", "consumed_inputs ", infer_sigmoid),
    ACT("HardSigmoid", "alpha beta consumed_inputs ", infer_hard_sigmoid),
    ACT("HardSwish", "", infer_hard_swish),
    ACT("Tanh", "consumed_inputs ", infer_tanh),
    {"Clip", "min max consumed_inputs ", 1, 3, 1, FM_LAYOUT_ANY, true, false, infer_clip, run_act, NULL, NULL, NULL, NULL},
    ONE("Sqrt", run_sqrt), ONE("Exp", run_exp), ONE("Neg", run_neg), ONE("Abs", run_abs),
    {"Identity", "", 1, 1, 1, FM_LAYOUT_ANY, true, true, infer_same, run_copy, NULL, NULL, NULL, NULL},
    {"Dropout", "ratio seed is_test consumed_inputs ", 1, 3, 2, FM_LAYOUT_ANY, true, true, infer_dropout, run_copy, NULL,
     NULL, NULL, NULL},
    {"Cast", "to saturate round_mode ", 1, 1, 1, FM_LAYOUT_ANY, true, false, infer_cast, run_cast, NULL, NULL, NULL, NULL},
    TWO("Add", OLD, infer_binary, run_add), TWO("Sub", OLD, infer_binary, run_sub),
    TWO("Mul", OLD, infer_binary, run_mul), TWO("Div", OLD, infer_binary, run_div),
    TWO("Pow", OLD, infer_binary_f32, run_pow), TWO("PRelu", "consumed_inputs ", infer_prelu, run_slope),
    MANY("Sum", run_add), MANY("Max", run_max), MANY("Min", run_min),
    {"BatchNormalization", "epsilon momentum spatial training_mode is_test consumed_inputs ", 5, 5, 5, FM_LAYOUT_PICTURE,
     false, false, infer_batch_norm, run_batch_norm, NULL, NULL, scratch_batch_norm, NULL},
};
const size_t fm_ops_elementwise_n = sizeof fm_ops_elementwise / sizeof *fm_ops_elementwise;

/* Gemm and MatMul. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/op_tables.h"
#include "worker/net/product.h"

typedef struct {
    const float *b, *bias;      /* packed; bias NULL: zeros, and what is to be added comes later */
} packed_product;

static int block_rows(int64_t k, const fm_lanes *lanes)
{
    fm_product p = {.taps = 1, .depth = (int)k};

    return fm_product_rows(&p, lanes);
}

/* out [m][n] = a [m][k] * b, both with their own bias and cut; list: room for a block's pointers. */
static void multiply(const fm_call *c, const float *a, int64_t m, int64_t k, int64_t n, const packed_product *b,
                     const float **list, float *out)
{
    int64_t block = block_rows(k, c->lanes);
    fm_product p = {.taps = 1, .depth = (int)k, .columns = (int)n, .b = b->b, .bias = b->bias, .c_stride = n,
                    .low = -INFINITY, .high = INFINITY};

    for (int64_t first = 0; first < m; first += block) {
        int rows = (int)(m - first < block ? m - first : block);

        for (int r = 0; r < rows; r++)
            list[r] = a + (first + r) * k;
        p.c = out + first * n;
        fm_product_run(&p, rows, list, c->lanes);
    }
}

static bool too_large(int64_t m, int64_t k, int64_t n)
{
    return m < 1 || k < 1 || n < 1 || k > 1 << 28 || n > 1 << 28;
}

/* ---- Gemm ---- */

typedef struct {
    int64_t m, k, n;
    bool a_turned, b_turned;
} gemm_shape;

static gemm_shape gemm_of(const fm_node *n, const fm_tensor *a, const fm_tensor *b)
{
    bool ta = n->p.flags[0], tb = n->p.flags[1];

    return (gemm_shape){a->dims[ta], a->dims[!ta], b->dims[!tb], ta, tb};
}

static int infer_gemm(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *a = fm_node_in(g, n, 0), *b = fm_node_in(g, n, 1), *c = fm_node_in(g, n, 2);
    int64_t ta = 0, tb = 0;
    fm_tensor t = {.type = FM_F32, .rank = 2};
    gemm_shape s;
    int rc = fm_need_f32(g, n, err);

    n->p.alpha = n->p.beta = 1;
    if (rc != 0 || (rc = fm_attr_int(n, "transA", &ta, err)) != 0 || (rc = fm_attr_int(n, "transB", &tb, err)) != 0 ||
        (rc = fm_attr_float(n, "alpha", &n->p.alpha, err)) != 0 || (rc = fm_attr_float(n, "beta", &n->p.beta, err)) != 0)
        return rc;
    if (a->rank != 2 || b->rank != 2)
        return fm_node_fail(err, -EBADMSG, n, "inputs of rank %d and %d, expected 2", a->rank, b->rank);
    n->p.flags[0] = ta != 0;
    n->p.flags[1] = tb != 0;
    s = gemm_of(n, a, b);
    if (b->dims[s.b_turned] != s.k || too_large(s.m, s.k, s.n))
        return fm_node_fail(err, -EBADMSG, n, "%lld columns times %lld rows", (long long)s.k, (long long)b->dims[s.b_turned]);
    t.dims[0] = s.m;
    t.dims[1] = s.n;
    for (int i = 0; c && i < c->rank; i++) {
        int64_t d = c->dims[c->rank - 1 - i], want = i < 2 ? t.dims[1 - i] : 1;

        if (d != want && d != 1)
            return fm_node_fail(err, -EBADMSG, n, "its third input does not broadcast to the result");
    }
    return fm_set_out(g, n, 0, &t, err);
}

/* One number a column, or one for all, and constant: it becomes the bias of the product. */
static bool is_bias(const fm_tensor *c, int64_t n)
{
    size_t count = c ? fm_tensor_count(c) : 0;

    return c && c->data && (count == 1 || (count == (size_t)n && c->dims[c->rank - 1] == n));
}

static void pack_gemm(const fm_node *n, const gemm_shape *s, const fm_tensor *b, const fm_lanes *lanes, float *to)
{
    size_t count = fm_product_floats(s->k, s->n, lanes);

    fm_product_pack(b->data, s->b_turned ? 1 : s->n, s->b_turned ? s->k : 1, s->k, s->n, lanes, to);
    for (size_t i = 0; n->p.alpha != 1 && i < count; i++)
        to[i] *= n->p.alpha;
}

static void pack_gemm_bias(const fm_node *n, const gemm_shape *s, const fm_tensor *c, const fm_lanes *lanes, float *to)
{
    bool one = c && fm_tensor_count(c) == 1;

    fm_product_pack_bias(c && !one ? c->data : NULL, n->p.beta, s->n, lanes, to);
    for (int64_t i = 0; one && i < s->n; i++)
        to[i] = n->p.beta * *fm_tensor_f32(c);
}

static int prepare_gemm(fm_graph *g, fm_node *n, const fm_lanes *lanes, fm_err *err)
{
    const fm_tensor *b = fm_node_in(g, n, 1), *c = fm_node_in(g, n, 2);
    gemm_shape s = gemm_of(n, fm_node_in(g, n, 0), b);
    packed_product *packed;
    float *weights, *bias;

    n->kernel = "product";
    if (!b->data)
        return 0;
    packed = fm_arena_get(&g->arena, sizeof *packed);
    weights = fm_arena_get(&g->arena, fm_product_floats(s.k, s.n, lanes) * sizeof *weights);
    bias = fm_arena_get(&g->arena, fm_product_bias_floats(s.n, lanes) * sizeof *bias);
    if (g->arena.failed)
        return fm_graph_nomem(g, err);
    pack_gemm(n, &s, b, lanes, weights);
    pack_gemm_bias(n, &s, is_bias(c, s.n) ? c : NULL, lanes, bias);
    *packed = (packed_product){weights, bias};
    n->prepared = packed;
    return 0;
}

typedef struct {
    size_t list, turned, weights, bias;
} gemm_parts;

static gemm_parts gemm_scratch(const fm_node *n, const gemm_shape *s, const fm_lanes *lanes)
{
    return (gemm_parts){fm_aligned((size_t)block_rows(s->k, lanes) * sizeof(float *)),
                        s->a_turned ? fm_aligned((size_t)(s->m * s->k) * sizeof(float)) : 0,
                        n->prepared ? 0 : fm_aligned(fm_product_floats(s->k, s->n, lanes) * sizeof(float)),
                        n->prepared ? 0 : fm_aligned(fm_product_bias_floats(s->n, lanes) * sizeof(float))};
}

static size_t scratch_gemm(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    gemm_shape s = gemm_of(n, fm_node_in(g, n, 0), fm_node_in(g, n, 1));
    gemm_parts p = gemm_scratch(n, &s, lanes);

    return p.list + p.turned + p.weights + p.bias;
}

static void add_c(const fm_call *c, const gemm_shape *s, const fm_tensor *t)
{
    int64_t columns = t->rank > 0 ? t->dims[t->rank - 1] : 1, rows = t->rank > 1 ? t->dims[t->rank - 2] : 1;
    float *out = c->out[0]->data;

    for (int64_t i = 0; i < s->m; i++)
        for (int64_t k = 0; k < s->n; k++)
            out[i * s->n + k] += c->n->p.beta * fm_tensor_f32(t)[(rows > 1 ? i : 0) * columns + (columns > 1 ? k : 0)];
}

static void run_gemm(const fm_call *c)
{
    gemm_shape s = gemm_of(c->n, c->in[0], c->in[1]);
    gemm_parts parts = gemm_scratch(c->n, &s, c->lanes);
    const fm_tensor *add = c->n->n_in > 2 ? c->in[2] : NULL;
    const float **list = (const float **)(void *)c->scratch, *a = c->in[0]->data;
    float *turned = (float *)(void *)(c->scratch + parts.list), *weights = turned + parts.turned / sizeof(float);
    float *bias = weights + parts.weights / sizeof(float);
    packed_product packed = {weights, bias};

    for (int64_t i = 0; s.a_turned && i < s.m * s.k; i++)
        turned[i] = a[i % s.k * s.m + i / s.k];
    if (c->n->prepared) {
        packed = *(const packed_product *)c->n->prepared;
    } else {
        pack_gemm(c->n, &s, c->in[1], c->lanes, weights);
        memset(bias, 0, parts.bias);
    }
    multiply(c, s.a_turned ? turned : a, s.m, s.k, s.n, &packed, list, c->out[0]->data);
    if (add && !(c->n->prepared && is_bias(add, s.n)))
        add_c(c, &s, add);
    fm_act_output(c, NULL);
}

static double flops_gemm(const fm_graph *g, const fm_node *n)
{
    gemm_shape s = gemm_of(n, fm_node_in(g, n, 0), fm_node_in(g, n, 1));

    return 2.0 * (double)s.m * (double)s.k * (double)s.n;
}

/* ---- MatMul: Gemm over all but the last two dimensions, which broadcast ---- */

typedef struct {
    int64_t m, k, n, batches;
    bool shared;                /* one b for all: a's rows are one long matrix */
} matmul_shape;

static matmul_shape matmul_of(const fm_tensor *a, const fm_tensor *b, const fm_tensor *out)
{
    matmul_shape s = {.k = a->dims[a->rank - 1], .m = a->rank > 1 ? a->dims[a->rank - 2] : 1,
                      .n = b->rank > 1 ? b->dims[b->rank - 1] : 1};
    size_t count = fm_tensor_count(out);

    s.batches = (int64_t)count / (s.m * s.n);
    s.shared = fm_tensor_count(b) == (size_t)(s.k * s.n) && fm_tensor_count(a) == (size_t)(s.batches * s.m * s.k);
    if (s.shared) {
        s.m *= s.batches;
        s.batches = 1;
    }
    return s;
}

static int infer_matmul(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *a = fm_node_in(g, n, 0), *b = fm_node_in(g, n, 1);
    fm_tensor t = {.type = FM_F32};
    int most = a->rank > b->rank ? a->rank : b->rank, rc = fm_need_f32(g, n, err);

    if (rc != 0)
        return rc;
    if (a->rank < 1 || b->rank < 1 || a->dims[a->rank - 1] != b->dims[b->rank > 1 ? b->rank - 2 : 0])
        return fm_node_fail(err, -EBADMSG, n, "its inputs' inner dimensions differ");
    for (int i = 0; i < most - 2; i++) {
        int ia = i - (most - a->rank), ib = i - (most - b->rank);
        int64_t x = ia < 0 ? 1 : a->dims[ia], y = ib < 0 ? 1 : b->dims[ib];

        if (x != y && x != 1 && y != 1)
            return fm_node_fail(err, -EBADMSG, n, "its inputs' outer dimensions do not broadcast");
        t.dims[t.rank++] = x == 1 ? y : x;
    }
    if (a->rank > 1)
        t.dims[t.rank++] = a->dims[a->rank - 2];
    if (b->rank > 1)
        t.dims[t.rank++] = b->dims[b->rank - 1];
    if (fm_tensor_valid(&t) && too_large((int64_t)fm_tensor_count(&t), a->dims[a->rank - 1], b->dims[b->rank - 1]))
        return fm_node_fail(err, -ENOTSUP, n, "empty or very large inputs");
    return fm_set_out(g, n, 0, &t, err);
}

static int prepare_matmul(fm_graph *g, fm_node *n, const fm_lanes *lanes, fm_err *err)
{
    const fm_tensor *b = fm_node_in(g, n, 1);
    matmul_shape s = matmul_of(fm_node_in(g, n, 0), b, fm_node_out(g, n, 0));
    packed_product *packed;
    float *weights, *bias;

    n->kernel = "product";
    if (!b->data || !s.shared)
        return 0;
    packed = fm_arena_get(&g->arena, sizeof *packed);
    weights = fm_arena_get(&g->arena, fm_product_floats(s.k, s.n, lanes) * sizeof *weights);
    bias = fm_arena_get(&g->arena, fm_product_bias_floats(s.n, lanes) * sizeof *bias);
    if (g->arena.failed)
        return fm_graph_nomem(g, err);
    fm_product_pack(b->data, s.n, 1, s.k, s.n, lanes, weights);
    *packed = (packed_product){weights, bias};
    n->prepared = packed;
    return 0;
}

static size_t scratch_matmul(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    matmul_shape s = matmul_of(fm_node_in(g, n, 0), fm_node_in(g, n, 1), fm_node_out(g, n, 0));

    return fm_aligned((size_t)block_rows(s.k, lanes) * sizeof(float *)) +
           fm_aligned(fm_product_floats(s.k, s.n, lanes) * sizeof(float)) +
           fm_aligned(fm_product_bias_floats(s.n, lanes) * sizeof(float));
}

/* Which of t's matrices belongs to the result's matrix at. */
static int64_t matrix_of(const fm_tensor *t, const fm_tensor *out, int outer, int64_t at)
{
    int64_t k = 0, step = 1;

    for (int i = 0; i < outer; i++) {
        int axis = t->rank - 3 - i;
        int64_t size = out->dims[outer - 1 - i], here = at % size;

        at /= size;
        if (axis < 0)
            continue;
        k += t->dims[axis] == 1 ? 0 : here * step;
        step *= t->dims[axis];
    }
    return k;
}

static void run_matmul(const fm_call *c)
{
    const fm_tensor *a = c->in[0], *b = c->in[1], *out = c->out[0];
    matmul_shape s = matmul_of(a, b, out);
    int outer = (a->rank > b->rank ? a->rank : b->rank) - 2;
    const float **list = (const float **)(void *)c->scratch;
    float *weights = (float *)(void *)(c->scratch + fm_aligned((size_t)block_rows(s.k, c->lanes) * sizeof *list));
    float *bias = weights + fm_aligned(fm_product_floats(s.k, s.n, c->lanes) * sizeof *bias) / sizeof *bias;
    packed_product packed = {weights, bias};

    memset(bias, 0, fm_product_bias_floats(s.n, c->lanes) * sizeof *bias);
    for (int64_t i = 0; i < s.batches; i++) {
        int64_t at_a = s.shared ? 0 : matrix_of(a, out, outer, i), at_b = s.shared ? 0 : matrix_of(b, out, outer, i);

        if (c->n->prepared)
            packed = *(const packed_product *)c->n->prepared;
        else
            fm_product_pack(fm_tensor_f32(b) + at_b * s.k * s.n, s.n, 1, s.k, s.n, c->lanes, weights);
        multiply(c, fm_tensor_f32(a) + at_a * s.m * s.k, s.m, s.k, s.n, &packed, list, fm_tensor_f32(out) + i * s.m * s.n);
    }
    fm_act_output(c, NULL);
}

static double flops_matmul(const fm_graph *g, const fm_node *n)
{
    matmul_shape s = matmul_of(fm_node_in(g, n, 0), fm_node_in(g, n, 1), fm_node_out(g, n, 0));

    return 2.0 * (double)s.batches * (double)s.m * (double)s.k * (double)s.n;
}

const fm_op fm_ops_product[] = {
    {"Gemm", "alpha beta transA transB broadcast ", 2, 3, 1, FM_LAYOUT_ROWS, false, false, infer_gemm, run_gemm, NULL,
     prepare_gemm, scratch_gemm, flops_gemm},
    {"MatMul", "", 2, 2, 1, FM_LAYOUT_ROWS, false, false, infer_matmul, run_matmul, NULL, prepare_matmul,
     scratch_matmul, flops_matmul},
};
const size_t fm_ops_product_n = sizeof fm_ops_product / sizeof *fm_ops_product;

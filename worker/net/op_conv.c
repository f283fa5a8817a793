/* Conv on pictures with channels last.
 *
 * A convolution is a matrix product whose rows are windows; pointers to the runs
 * of channels in each window take the place of a copied matrix, so that padding,
 * strides, dilations and groups cost nothing extra. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/conv.h"
#include "worker/net/op_tables.h"

#define FRAME_BELOW 16          /* channels */
#define BAND_FLOATS (56 * 1024) /* of rows that one convolution hands to the next: they stay in the second-level cache */

static int64_t group_of(const fm_node *n, int64_t channels)
{
    return channels / n->p.group;
}

int fm_conv_infer_weights(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0), *w = fm_node_in(g, n, 1);
    int rc = fm_need_f32(g, n, err);

    n->p.group = 1;
    if (rc != 0 || (rc = fm_attr_int(n, "group", &n->p.group, err)) != 0)
        return rc;
    if (x->rank < 3 || x->rank > 4 || w->rank != x->rank)
        return fm_node_fail(err, -ENOTSUP, n, "input of rank %d and weights of rank %d; supported are 3 and 4, both the same",
                            x->rank, w->rank);
    for (int i = 0; i < w->rank; i++)
        if (w->dims[i] < 1 || w->dims[i] > 1 << 24)
            return fm_node_fail(err, -EBADMSG, n, "weights with a dimension of %lld", (long long)w->dims[i]);
    if (n->p.group < 1 || x->dims[1] % n->p.group != 0 || w->dims[0] % n->p.group != 0)
        return fm_node_fail(err, -EBADMSG, n, "%lld groups do not divide its channels", (long long)n->p.group);
    return fm_windows_attrs(g, n, w->dims + 2, err);
}

int fm_conv_check_bias(fm_graph *g, fm_node *n, int64_t channels, fm_err *err)
{
    const fm_tensor *b = fm_node_in(g, n, 2);

    if (b && (b->rank != 1 || b->dims[0] != channels))
        return fm_node_fail(err, -EBADMSG, n, "its bias is not one number for each of %lld channels", (long long)channels);
    return 0;
}

static int infer_conv(fm_graph *g, fm_node *n, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0), *w = fm_node_in(g, n, 1);
    int rc = fm_conv_infer_weights(g, n, err);

    if (rc != 0)
        return rc;
    if (w->dims[1] != group_of(n, x->dims[1]))
        return fm_node_fail(err, -EBADMSG, n, "weights for %lld channels a group, its input has %lld",
                            (long long)w->dims[1], (long long)group_of(n, x->dims[1]));
    rc = fm_conv_check_bias(g, n, w->dims[0], err);
    return rc ? rc : fm_windows_infer(g, n, false, w->dims[0], err);
}

/* fixed: weights and bias are constant, so that a costly transform is paid once. */
static fm_conv_method method_of(const fm_node *n, const fm_tensor *x, const fm_tensor *w, const fm_tensor *y, bool fixed)
{
    int64_t in = x->dims[x->rank - 1], out = w->dims[0];
    fm_windows win = fm_windows_of(n, x, y);

    if (n->p.group == in && out == in && in > 1)
        return FM_CONV_DEPTHWISE;
    if (fixed && fm_winograd_fits(&n->p, in, out, win.out_y, win.out_x))
        return FM_CONV_WINOGRAD;
    if (n->p.group == 1 && in < FRAME_BELOW && win.taps > 1 && n->p.dilation[1] == 1)
        return FM_CONV_FRAMED;
    return FM_CONV_WINDOWS;
}

static size_t weight_floats(const fm_node *n, const fm_tensor *w, fm_conv_method method, const fm_lanes *lanes)
{
    int64_t k = w->dims[1] * n->p.kernel[0] * n->p.kernel[1];

    if (method == FM_CONV_DEPTHWISE)
        return fm_tensor_count(w);
    if (method == FM_CONV_WINOGRAD)
        return fm_winograd_floats(w->dims[1], w->dims[0], lanes);
    return (size_t)n->p.group * fm_product_floats(k, group_of(n, w->dims[0]), lanes);
}

static size_t bias_floats(const fm_node *n, const fm_tensor *w, const fm_lanes *lanes)
{
    return (size_t)n->p.group * fm_product_bias_floats(group_of(n, w->dims[0]), lanes);
}

/* [out][in][taps] to [taps][in] for each panel of out: rows of the product's k are taps, then channels. */
static void pack_group(const float *w, int64_t in, int64_t out, int taps, const fm_lanes *lanes, float *to)
{
    for (int64_t first = 0; first < out; first += lanes->columns)
        for (int t = 0; t < taps; t++)
            for (int64_t i = 0; i < in; i++)
                for (int64_t o = first; o < first + lanes->columns; o++)
                    *to++ = o < out ? w[(o * in + i) * taps + t] : 0;
}

static void pack_conv(const fm_node *n, const fm_tensor *w, const fm_tensor *b, fm_conv_method method,
                      const fm_lanes *lanes, float *weights, float *bias)
{
    int64_t in = w->dims[1], out = group_of(n, w->dims[0]);
    int taps = n->p.kernel[0] * n->p.kernel[1];
    const float *from = w->data;

    for (int64_t k = 0; method == FM_CONV_DEPTHWISE && k < taps * w->dims[0]; k++)
        weights[k] = from[k % w->dims[0] * taps + k / w->dims[0]];
    if (method == FM_CONV_WINOGRAD)
        fm_winograd_pack(from, in, out, lanes, weights);
    for (int64_t g = 0; g < n->p.group; g++) {
        float *to = method == FM_CONV_DEPTHWISE ? bias + g * out : bias + g * (int64_t)fm_product_bias_floats(out, lanes);

        if (method == FM_CONV_WINDOWS || method == FM_CONV_FRAMED)
            pack_group(from + g * out * in * taps, in, out, taps, lanes,
                       weights + g * (int64_t)fm_product_floats(in * taps, out, lanes));
        if (method == FM_CONV_DEPTHWISE)
            *to = b ? fm_tensor_f32(b)[g] : 0;
        else
            fm_product_pack_bias(b ? fm_tensor_f32(b) + g * out : NULL, 1, out, lanes, to);
    }
}

static int prepare_conv(fm_graph *g, fm_node *n, const fm_lanes *lanes, fm_err *err)
{
    static const char *const names[] = {"windows", "framed", "depthwise", "winograd 4x4"};
    const fm_tensor *w = fm_node_in(g, n, FM_CONV_W), *b = fm_node_in(g, n, FM_CONV_B);
    bool fixed = w->data && (!b || b->data);
    fm_conv_method method = method_of(n, fm_node_in(g, n, 0), w, fm_node_out(g, n, 0), fixed);
    fm_conv_packed *packed;
    float *weights, *bias;

    n->kernel = n->p.kernel[0] * n->p.kernel[1] == 1 && method == FM_CONV_WINDOWS ? "product" : names[method];
    if (!fixed)
        return 0;
    packed = fm_arena_get(&g->arena, sizeof *packed);
    weights = fm_arena_get(&g->arena, weight_floats(n, w, method, lanes) * sizeof *weights);
    bias = fm_arena_get(&g->arena, bias_floats(n, w, lanes) * sizeof *bias);
    if (g->arena.failed)
        return fm_graph_nomem(g, err);
    pack_conv(n, w, b, method, lanes, weights, bias);
    *packed = (fm_conv_packed){method, weights, bias};
    n->prepared = packed;
    return 0;
}

/* Bytes of the parts of scratch: pointers, a picture in a frame, weights that are packed at each call. */
typedef struct {
    size_t list, framed, weights, bias, winograd;
} parts;

static size_t framed_floats(const fm_windows *w, const fm_params *p)
{
    return (size_t)((w->in_y + p->pads[0] + p->pads[2]) * (w->in_x + p->pads[1] + p->pads[3]) * w->in_c);
}

static int block_rows(const fm_node *n, const fm_tensor *w, const fm_lanes *lanes)
{
    fm_product p = {.taps = n->p.kernel[0] * n->p.kernel[1], .depth = (int)w->dims[1]};

    return fm_product_rows(&p, lanes);
}

static parts parts_of(const fm_node *n, const fm_windows *win, const fm_tensor *w, fm_conv_method method, bool packed,
                      const fm_lanes *lanes)
{
    parts s = {.list = fm_aligned((size_t)block_rows(n, w, lanes) * (size_t)win->taps * sizeof(float *))};

    if (method == FM_CONV_FRAMED)
        s.framed = fm_aligned(framed_floats(win, &n->p) * sizeof(float));
    if (!packed) {
        s.weights = fm_aligned(weight_floats(n, w, method, lanes) * sizeof(float));
        s.bias = fm_aligned(bias_floats(n, w, lanes) * sizeof(float));
    }
    if (method == FM_CONV_WINOGRAD)
        s.winograd = fm_aligned(fm_winograd_scratch(w->dims[1], w->dims[0], lanes));
    return s;
}

static size_t scratch_conv(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    const fm_tensor *w = fm_node_in(g, n, FM_CONV_W);
    bool fixed = n->prepared != NULL;
    fm_windows win = fm_windows_of(n, fm_node_in(g, n, 0), fm_node_out(g, n, 0));
    parts s = parts_of(n, &win, w, method_of(n, fm_node_in(g, n, 0), w, fm_node_out(g, n, 0), fixed), fixed, lanes);

    return s.list + s.framed + s.weights + s.bias + s.winograd;
}

typedef struct {
    const fm_call *c;
    fm_windows w;
    fm_conv_packed packed;
    const float **list;
    float *framed;
    int64_t in, out;                /* channels of a group */
    int64_t top;                    /* row of a picture that its memory starts with, where it does not hold all */
    int block;
} conv_job;

/* Few channels make short runs: a picture is copied into a frame of zeros, where each row of a window's taps is one run. */
static void frame(const conv_job *j, int64_t image)
{
    const fm_params *p = &j->c->n->p;
    int64_t width = (j->w.in_x + p->pads[1] + p->pads[3]) * j->w.in_c, line = j->w.in_x * j->w.in_c;
    const float *from = fm_tensor_f32(j->c->in[FM_CONV_X]) + image * j->w.in_y * line;

    memset(j->framed, 0, framed_floats(&j->w, p) * sizeof *j->framed);
    for (int64_t y = 0; y < j->w.in_y; y++, from += line)
        memcpy(j->framed + (y + p->pads[0]) * width + p->pads[1] * j->w.in_c, from, (size_t)line * sizeof *from);
}

/* Rows of the windows first .. first + count - 1 of the picture in the frame. */
static void list_framed(const conv_job *j, int64_t first, int count, int stride, const float **list)
{
    const fm_params *p = &j->c->n->p;
    int64_t width = (j->w.in_x + p->pads[1] + p->pads[3]) * j->w.in_c;

    for (int i = 0; i < count; i++) {
        int64_t x = (first + i) % j->w.out_x, y = (first + i) / j->w.out_x;

        for (int k = 0; k < p->kernel[0]; k++)
            list[k * stride + i] = j->framed + (y * p->stride[0] + (int64_t)k * p->dilation[0]) * width +
                                   x * p->stride[1] * j->w.in_c;
    }
}

/* Pointers to the windows of rows of the result; in a frame, of one picture's. */
static void point_at_rows(const conv_job *j, int64_t first, int rows, int taps)
{
    int tile = j->c->lanes->rows;

    for (int r = 0; r < rows; r += tile) {
        int count = rows - r < tile ? rows - r : tile;
        const float **list = j->list + (ptrdiff_t)r * taps;

        if (j->packed.method == FM_CONV_FRAMED)
            list_framed(j, first + r, count, tile, list);
        else
            fm_windows_list(&j->w, &j->c->n->p, j->c->in[FM_CONV_X]->data, j->c->zeros, first + r, count, tile, list);
    }
}

const float *fm_conv_slope(const fm_call *c)
{
    return c->n->n_in > FM_CONV_SLOPE && c->in[FM_CONV_SLOPE] ? c->in[FM_CONV_SLOPE]->data : NULL;
}

static const float *added_of(const fm_call *c)
{
    return c->n->n_in > FM_CONV_ADD && c->in[FM_CONV_ADD] ? c->in[FM_CONV_ADD]->data : NULL;
}

/* Rows first .. first + rows - 1 of the result, counted from the picture at base, to out. */
static void conv_block(const conv_job *j, int64_t base, int64_t first, int rows, float *out)
{
    const fm_call *c = j->c;
    const fm_lanes *lanes = c->lanes;
    ptrdiff_t at = (base + first) * j->w.out_c;
    const float *add = added_of(c);
    fm_product p = {.taps = j->w.taps, .depth = (int)j->in, .columns = (int)j->out, .c_stride = j->w.out_c};
    bool cut = fm_act_is_cut(&c->n->p.act, &p.low, &p.high);

    if (j->packed.method == FM_CONV_FRAMED) {
        p.taps = c->n->p.kernel[0];
        p.depth *= c->n->p.kernel[1];
    }
    point_at_rows(j, first, rows, p.taps);
    for (int64_t g = 0; g < c->n->p.group; g++) {
        p.a_offset = g * j->in;
        p.b = j->packed.weights + g * (int64_t)fm_product_floats((int64_t)p.taps * p.depth, j->out, lanes);
        p.bias = j->packed.bias + g * (int64_t)fm_product_bias_floats(j->out, lanes);
        p.c = out + g * j->out;
        p.add = add ? add + at + g * j->out : NULL;
        fm_product_run(&p, rows, j->list, lanes);
    }
    if (!cut)
        lanes->act(&c->n->p.act, fm_conv_slope(c), out, out, (size_t)rows, (size_t)j->w.out_c);
}

/* Taps of a window at that place that lie in the picture: first, and how many. */
static int taps_inside(const fm_params *p, int side, int64_t at, int64_t in, int *first)
{
    int64_t start = at * p->stride[side] - p->pads[side];
    int end = p->kernel[side];

    for (*first = 0; *first < end && start + (int64_t)*first * p->dilation[side] < 0;)
        ++*first;
    while (end > *first && start + (int64_t)(end - 1) * p->dilation[side] >= in)
        end--;
    return end - *first;
}

/* Pixels x to end of a row, whose windows all have the same taps in the picture. */
static void depthwise_run(const conv_job *j, fm_depthwise *d, const float *picture, int64_t y, int64_t x, int64_t end)
{
    const fm_params *p = &j->c->n->p;
    int64_t channels = j->w.in_c;
    int ky, kx;

    d->taps_y = taps_inside(p, 0, y, j->w.in_y, &ky);
    d->taps_x = taps_inside(p, 1, x, j->w.in_x, &kx);
    d->in = picture;
    if (d->taps_y && d->taps_x)
        d->in += ((y * p->stride[0] - p->pads[0] + (int64_t)ky * p->dilation[0] - j->top) * j->w.in_x +
                  x * p->stride[1] - p->pads[1] + (int64_t)kx * p->dilation[1]) * channels;
    d->w = j->packed.weights + ((int64_t)ky * p->kernel[1] + kx) * channels;
    d->pixels = (int)(end - x);
    j->c->lanes->depthwise(d);
    d->out += d->pixels * channels;
}

/* The first pixels and the last, whose windows reach over the edge, one by one; those between at once. */
static void depthwise_row(const conv_job *j, fm_depthwise *d, const float *picture, int64_t y)
{
    const fm_params *p = &j->c->n->p;
    int64_t reach = (int64_t)(p->kernel[1] - 1) * p->dilation[1], low, high, x = 0;

    low = (p->pads[1] + p->stride[1] - 1) / p->stride[1];
    high = j->w.in_x - 1 - reach + p->pads[1] < 0 ? 0 : (j->w.in_x - 1 - reach + p->pads[1]) / p->stride[1] + 1;
    low = low < j->w.out_x ? low : j->w.out_x;
    high = high < j->w.out_x ? high : j->w.out_x;
    for (; x < low; x++)
        depthwise_run(j, d, picture, y, x, x + 1);
    if (x < high) {
        depthwise_run(j, d, picture, y, x, high);
        x = high;
    }
    for (; x < j->w.out_x; x++)
        depthwise_run(j, d, picture, y, x, x + 1);
}

/* Rows y to end of an image. */
static void depthwise_rows(const conv_job *j, const float *picture, int64_t image, int64_t y, int64_t end)
{
    const fm_call *c = j->c;
    const fm_params *p = &c->n->p;
    const float *add = added_of(c);
    int64_t count = j->w.out_x * j->w.out_c, at = (image * j->w.out_y + y) * count;
    fm_depthwise d = {.row = (ptrdiff_t)p->dilation[0] * j->w.in_x * j->w.in_c, .tap = p->dilation[1] * j->w.in_c,
                      .pixel = p->stride[1] * j->w.in_c, .w_row = p->kernel[1] * j->w.in_c, .bias = j->packed.bias,
                      .out = fm_tensor_f32(c->out[0]) + at, .channels = (int)j->w.out_c};
    bool cut = fm_act_is_cut(&p->act, &d.low, &d.high) && !add;

    if (!cut) {
        d.low = -INFINITY;
        d.high = INFINITY;
    }
    for (; y < end; y++, at += count) {
        float *out = d.out;

        depthwise_row(j, &d, picture, y);
        if (add)
            c->lanes->binary(FM_ADD, out, 1, add + at, 1, out, (size_t)count);
        if (!cut)
            c->lanes->act(&p->act, fm_conv_slope(c), out, out, (size_t)j->w.out_x, (size_t)j->w.out_c);
    }
}

static void depthwise_all(const conv_job *j)
{
    for (int64_t image = 0; image < j->w.n; image++)
        depthwise_rows(j, fm_tensor_f32(j->c->in[0]) + image * j->w.in_y * j->w.in_x * j->w.in_c, image, 0, j->w.out_y);
}

static void job_start(conv_job *j, const fm_call *c, char **scratch)
{
    const fm_tensor *w = c->in[FM_CONV_W];
    bool fixed = c->n->prepared != NULL;
    fm_conv_method method = method_of(c->n, c->in[0], w, c->out[0], fixed);
    fm_windows win = fm_windows_of(c->n, c->in[0], c->out[0]);
    parts s = parts_of(c->n, &win, w, method, fixed, c->lanes);

    *j = (conv_job){.c = c, .w = win, .in = w->dims[1], .out = group_of(c->n, w->dims[0]),
                    .block = block_rows(c->n, w, c->lanes)};
    j->list = (const float **)(void *)fm_carve(scratch, s.list);
    j->framed = (float *)(void *)fm_carve(scratch, s.framed);
    if (c->n->prepared) {
        j->packed = *(const fm_conv_packed *)c->n->prepared;
    } else {
        float *weights = (float *)(void *)fm_carve(scratch, s.weights), *bias = (float *)(void *)fm_carve(scratch, s.bias);

        pack_conv(c->n, w, c->n->n_in > FM_CONV_B ? c->in[FM_CONV_B] : NULL, method, c->lanes, weights, bias);
        j->packed = (fm_conv_packed){method, weights, bias};
    }
}

static void conv_rows(const conv_job *j, int64_t base, int64_t first, int64_t end, float *out)
{
    for (; first < end; first += j->block, out += j->block * j->w.out_c)
        conv_block(j, base, first, (int)(end - first < j->block ? end - first : j->block), out);
}

bool fm_conv_feeds(const fm_graph *g, const fm_node *a, const fm_node *b)
{
    const fm_conv_packed *pa = a->prepared, *pb = b->prepared;
    const fm_params *p = &a->p;

    return a->op == &fm_op_conv && b->op == &fm_op_conv && pa && pb && pa->method == FM_CONV_WINDOWS &&
           pb->method == FM_CONV_DEPTHWISE && b->in[FM_CONV_X] == a->out[0] && g->values[a->out[0]].uses == 1 &&
           (a->n_in <= FM_CONV_ADD || a->in[FM_CONV_ADD] < 0) && p->group == 1 && p->kernel[0] == 1 && p->kernel[1] == 1 &&
           fm_node_in(g, a, 0)->rank == 4 && fm_tensor_count(fm_node_in(g, a, 0)) / (size_t)fm_node_in(g, a, 0)->dims[3] ==
           fm_tensor_count(fm_node_out(g, a, 0)) / (size_t)fm_node_out(g, a, 0)->dims[3];
}

/* One picture of a convolution and of the one that slides over its result.  Some rows at a time, the first ones in the
 * place of the whole result; those that the next windows need again move to the front. */
static void run_bands(const conv_job *a, conv_job *b, int64_t image)
{
    const fm_params *p = &b->c->n->p;
    int64_t line = a->w.out_x * a->w.out_c, reach = (int64_t)(p->kernel[0] - 1) * p->dilation[0] + 1, bottom = 0;
    int64_t band = (BAND_FLOATS / line - reach) / p->stride[0] + 1;
    float *rows = a->c->out[0]->data;

    band = band < 2 ? 2 : band;
    b->top = 0;
    for (int64_t y = 0; y < b->w.out_y; y += band) {
        int64_t end = y + band < b->w.out_y ? y + band : b->w.out_y, first = y * p->stride[0] - p->pads[0];
        int64_t need = (end - 1) * p->stride[0] - p->pads[0] + reach, base = image * a->w.out_y * a->w.out_x;

        first = first < 0 ? 0 : first < bottom ? first : bottom;
        need = need < a->w.out_y ? need : a->w.out_y;
        memmove(rows, rows + (first - b->top) * line, (size_t)((bottom - first) * line) * sizeof *rows);
        b->top = first;
        if (need > bottom) {
            conv_rows(a, 0, base + bottom * a->w.out_x, base + need * a->w.out_x, rows + (bottom - first) * line);
            bottom = need;
        }
        depthwise_rows(b, rows, image, y, end);
    }
}

static void run_fed(const conv_job *a, char *scratch)
{
    conv_job b;

    job_start(&b, a->c->feeds, &scratch);
    for (int64_t image = 0; image < a->w.n; image++)
        run_bands(a, &b, image);
}

static void run_conv(const fm_call *c)
{
    char *scratch = c->scratch;
    float *out = c->out[0]->data;
    int64_t each;
    conv_job j;

    if (c->fed)
        return;
    job_start(&j, c, &scratch);
    each = j.w.out_y * j.w.out_x;
    if (c->feeds)
        run_fed(&j, scratch);
    else if (j.packed.method == FM_CONV_WINOGRAD)
        fm_winograd_run(c, &j.w, &j.packed, scratch);
    else if (j.packed.method == FM_CONV_DEPTHWISE)
        depthwise_all(&j);
    else if (j.packed.method == FM_CONV_FRAMED)
        for (int64_t image = 0; image < j.w.n; image++, out += each * j.w.out_c) {
            frame(&j, image);
            conv_rows(&j, image * each, 0, each, out);
        }
    else
        conv_rows(&j, 0, 0, j.w.n * each, out);
}

static double flops_conv(const fm_graph *g, const fm_node *n)
{
    const fm_tensor *w = fm_node_in(g, n, 1);

    return 2.0 * (double)fm_tensor_count(fm_node_out(g, n, 0)) * (double)fm_tensor_count(w) / (double)w->dims[0];
}

const fm_op fm_op_conv = {"Conv", FM_CONV_ATTRS, 2, 3, 1, FM_LAYOUT_PICTURE, false, false, infer_conv, run_conv, NULL,
                          prepare_conv, scratch_conv, flops_conv};

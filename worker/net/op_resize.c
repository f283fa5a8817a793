/* Resize and Upsample of pictures with channels last: nearest and linear. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "worker/net/op_tables.h"
#include "worker/net/windows.h"

enum { NEAREST, LINEAR };
enum { HALF_PIXEL, PYTORCH_HALF_PIXEL, ALIGN_CORNERS, ASYMMETRIC, HALF_PIXEL_SYMMETRIC };
enum { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL };

/* Which of n words an attribute is. */
static int word_of(const fm_node *n, const char *attr, const char *const *words, int n_words, int *out, fm_err *err)
{
    const char *s = NULL;
    int rc = fm_attr_string(n, attr, &s, err);

    if (rc != 0 || !s)
        return rc;
    for (int i = 0; i < n_words; i++)
        if (strcmp(s, words[i]) == 0) {
            *out = i;
            return 0;
        }
    return fm_node_fail(err, -ENOTSUP, n, "%s \"%.40s\"; supported are %s%s%s%s", attr, s, words[0],
                        n_words > 1 ? ", " : "", n_words > 1 ? words[1] : "", n_words > 2 ? " and others" : "");
}

static int resize_attrs(fm_graph *g, fm_node *n, fm_err *err)
{
    static const char *const modes[] = {"nearest", "linear"};
    static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
                                              "half_pixel_symmetric"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    static const char *const policies[] = {"stretch"};
    int64_t antialias = 0, exclude = 0;
    int ignored, rc;

    n->p.coordinates = g->opset < 11 ? ASYMMETRIC : HALF_PIXEL;
    n->p.nearest = g->opset < 11 ? FLOOR : PREFER_FLOOR;
    if ((rc = word_of(n, "mode", modes, 2, &n->p.mode, err)) != 0 ||
        (rc = word_of(n, "coordinate_transformation_mode", coordinates, 5, &n->p.coordinates, err)) != 0 ||
        (rc = word_of(n, "nearest_mode", nearest, 4, &n->p.nearest, err)) != 0 ||
        (rc = word_of(n, "keep_aspect_ratio_policy", policies, 1, &ignored, err)) != 0 ||
        (rc = fm_attr_int(n, "antialias", &antialias, err)) != 0 ||
        (rc = fm_attr_int(n, "exclude_outside", &exclude, err)) != 0)
        return rc;
    if (antialias || exclude)
        return fm_node_fail(err, -ENOTSUP, n, "antialias or exclude_outside; supported is without");
    return 0;
}

/* Scales from an attribute (Upsample before 9) or an input: numbers, and for which axes. */
static int resize_scales(fm_graph *g, fm_node *n, int input, const float **v, int64_t *count, fm_err *err)
{
    const fm_tensor *t = fm_node_in(g, n, input);
    const fm_attr *a = fm_attr_find(n, "scales");

    *v = NULL;
    *count = 0;
    if (a && a->type == FM_ATTR_FLOATS) {
        *v = a->floats;
        *count = (int64_t)a->n;
    } else if (t && fm_tensor_count(t) > 0) {
        if (!t->data || t->type != FM_F32 || t->rank != 1)
            return fm_node_fail(err, -ENOTSUP, n, "its scales are not constant float32 numbers");
        *v = t->data;
        *count = t->dims[0];
    }
    return 0;
}

static int set_axis(fm_node *n, fm_tensor *t, int axis, const float *scale, const int64_t *size, fm_err *err)
{
    double out = size ? (double)*size : floor((double)t->dims[axis] * *scale);

    if (!(out >= 1 && out <= 1 << 20) || t->dims[axis] < 1)
        return fm_node_fail(err, -ENOTSUP, n, "to %g pixels; supported are 1 to 2^20", out);
    if (axis < 2 && (int64_t)out != t->dims[axis])
        return fm_node_fail(err, -ENOTSUP, n, "it changes the batch or the channels; supported are pictures");
    n->p.scales[axis] = size ? (float)(out / (double)t->dims[axis]) : *scale;
    t->dims[axis] = (int64_t)out;
    return 0;
}

static int infer_resize(fm_graph *g, fm_node *n, fm_err *err)
{
    bool upsample = strcmp(n->op_name, "Upsample") == 0;
    fm_tensor t = *fm_node_in(g, n, 0);
    const int64_t *sizes = NULL, *axes;
    int64_t n_scales, n_sizes = -1, count;
    const float *scales;
    size_t n_axes;
    int rc = fm_need_type(g, n, 0, FM_F32, err), axis;

    if (rc != 0 || (rc = resize_attrs(g, n, err)) != 0 || (rc = fm_attr_ints(n, "axes", &axes, &n_axes, err)) != 0 ||
        (rc = resize_scales(g, n, upsample || g->opset < 11 ? 1 : 2, &scales, &n_scales, err)) != 0 ||
        (!upsample && g->opset >= 11 && (rc = fm_need_ints(g, n, 3, &sizes, &n_sizes, err)) != 0))
        return rc;
    if (t.rank < 3 || t.rank > 4)
        return fm_node_fail(err, -ENOTSUP, n, "its input has rank %d; supported are 3 and 4 (pictures)", t.rank);
    count = axes ? (int64_t)n_axes : t.rank;
    if ((scales ? n_scales : n_sizes) != count)
        return fm_node_fail(err, -EBADMSG, n, "it has neither scales nor sizes for its axes");
    for (int i = 0; i < t.rank; i++)
        n->p.scales[i] = 1;
    for (int i = 0; i < count; i++)
        if ((rc = fm_need_axis(n, axes ? axes[i] : i, t.rank, &axis, err)) != 0 ||
            (rc = set_axis(n, &t, axis, scales ? scales + i : NULL, scales ? NULL : sizes + i, err)) != 0)
            return rc;
    return fm_set_out(g, n, 0, &t, err);
}

/* Where pixel x of the result lies in the input; as in ONNX's reference, the result's size is not rounded here. */
static double source_of(const fm_params *p, float scale, int64_t x, int64_t in, int64_t out)
{
    double s = scale, at = (double)x, size = (double)in * s;

    switch (p->coordinates) {
    case PYTORCH_HALF_PIXEL:
        return size > 1 ? (at + 0.5) / s - 0.5 : 0;
    case ALIGN_CORNERS:
        return size > 1 ? at * (double)(in - 1) / (size - 1) : 0;
    case ASYMMETRIC:
        return at / s;
    case HALF_PIXEL_SYMMETRIC:
        return (double)in / 2 * (1 - (double)out / size) + (at + 0.5) / s - 0.5;
    default:
        return (at + 0.5) / s - 0.5;
    }
}

/* A pixel of the result is (1 - share) of the input's pixel low and share of high, along one side. */
typedef struct {
    int32_t low, high;
    float share;
} blend;

static blend blend_of(const fm_params *p, float scale, int64_t x, int64_t in, int64_t out)
{
    double at = source_of(p, scale, x, in, out), last = (double)(in - 1);
    blend b = {0};

    if (p->mode == NEAREST) {
        switch (p->nearest) {
        case PREFER_FLOOR: at = ceil(at - 0.5); break;
        case PREFER_CEIL: at = floor(at + 0.5); break;
        case FLOOR: at = floor(at); break;
        default: at = ceil(at);
        }
    }
    at = at < 0 ? 0 : at > last ? last : at;
    b.low = (int32_t)at;
    b.high = b.low < in - 1 ? b.low + 1 : b.low;
    b.share = (float)(at - b.low);
    return b;
}

static size_t scratch_resize(const fm_graph *g, const fm_node *n, const fm_lanes *lanes)
{
    fm_windows w = fm_windows_of(n, fm_node_in(g, n, 0), fm_node_out(g, n, 0));

    (void)lanes;
    return (size_t)(w.out_x + w.out_y) * sizeof(blend);
}

static void linear_pixel(const float *const corner[4], float right, float down, int64_t channels, float *out)
{
    for (int64_t i = 0; i < channels; i++) {
        float top = corner[0][i] + (corner[1][i] - corner[0][i]) * right;
        float bottom = corner[2][i] + (corner[3][i] - corner[2][i]) * right;

        out[i] = top + (bottom - top) * down;
    }
}

static void run_resize(const fm_call *c)
{
    fm_windows w = fm_windows_of(c->n, c->in[0], c->out[0]);
    const fm_params *p = &c->n->p;
    int rank = c->in[0]->rank;
    blend *across = (blend *)(void *)c->scratch, *down = across + w.out_x;
    float *out = c->out[0]->data;

    for (int64_t x = 0; x < w.out_x; x++)
        across[x] = blend_of(p, p->scales[rank - 1], x, w.in_x, w.out_x);
    for (int64_t y = 0; y < w.out_y; y++)
        down[y] = blend_of(p, rank == 4 ? p->scales[2] : 1, y, w.in_y, w.out_y);
    for (int64_t i = 0; i < w.n; i++)
        for (int64_t y = 0; y < w.out_y; y++) {
            const float *picture = fm_tensor_f32(c->in[0]) + i * w.in_y * w.in_x * w.in_c;
            const float *low = picture + down[y].low * w.in_x * w.in_c, *high = picture + down[y].high * w.in_x * w.in_c;

            for (int64_t x = 0; x < w.out_x; x++, out += w.out_c) {
                int64_t left = across[x].low * w.in_c, right = across[x].high * w.in_c;
                const float *corner[4] = {low + left, low + right, high + left, high + right};

                if (p->mode == NEAREST)
                    memcpy(out, corner[0], (size_t)w.out_c * sizeof *out);
                else
                    linear_pixel(corner, across[x].share, down[y].share, w.out_c, out);
            }
        }
}

#define RESIZE(op, attrs, min, max) \
    {op, attrs, min, max, 1, FM_LAYOUT_PICTURE, false, false, infer_resize, run_resize, NULL, NULL, scratch_resize, NULL}

const fm_op fm_ops_resize[] = {
    RESIZE("Resize",
           "mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside extrapolation_value antialias "
           "axes keep_aspect_ratio_policy ", 1, 4),
    RESIZE("Upsample", "mode scales ", 1, 2),
};
const size_t fm_ops_resize_n = sizeof fm_ops_resize / sizeof *fm_ops_resize;

#include "worker/net/windows.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define REACH_MAX (1 << 20)     /* of kernels, strides and pads: far more than any picture here, far less than overflow */

/* n numbers of an attribute into out's last ones; before: what pictures of rank 3 have there. */
static int read_sides(const fm_node *n, const char *name, int spatial, int low, int *out, fm_err *err)
{
    const int64_t *v;
    size_t count;
    int rc = fm_attr_ints(n, name, &v, &count, err);

    if (rc != 0 || !v)
        return rc;
    if (count != (size_t)spatial)
        return fm_node_fail(err, -EBADMSG, n, "%s has %zu numbers, expected %d", name, count, spatial);
    for (int i = 0; i < spatial; i++) {
        if (v[i] < low || v[i] > REACH_MAX)
            return fm_node_fail(err, -ENOTSUP, n, "%s %" PRId64 "; supported are %d to %d", name, v[i], low, REACH_MAX);
        out[2 - spatial + i] = (int)v[i];
    }
    return 0;
}

static int read_pads(const fm_node *n, int spatial, int *pads, fm_err *err)
{
    const int64_t *v;
    size_t count;
    int rc = fm_attr_ints(n, "pads", &v, &count, err);

    if (rc != 0 || !v)
        return rc;
    if (count != 2 * (size_t)spatial)
        return fm_node_fail(err, -EBADMSG, n, "pads has %zu numbers, expected %d", count, 2 * spatial);
    for (int i = 0; i < 2 * spatial; i++) {
        int side = i % spatial + 2 - spatial;

        if (v[i] < 0 || v[i] > REACH_MAX)
            return fm_node_fail(err, -ENOTSUP, n, "pads of %" PRId64 "; supported are 0 to %d", v[i], REACH_MAX);
        pads[i / spatial * 2 + side] = (int)v[i];
    }
    return 0;
}

int fm_windows_attrs(fm_graph *g, fm_node *n, const int64_t *kernel, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    int spatial = x->rank - 2, rc;
    fm_params *p = &n->p;

    if (spatial < 1 || spatial > 2)
        return fm_node_fail(err, -ENOTSUP, n, "its input has rank %d; supported are 3 and 4 (pictures)", x->rank);
    for (int i = 0; i < 2; i++)
        p->kernel[i] = p->stride[i] = p->dilation[i] = 1;
    memset(p->pads, 0, sizeof p->pads);
    for (int i = 0; kernel && i < spatial; i++) {
        if (kernel[i] < 1 || kernel[i] > REACH_MAX)
            return fm_node_fail(err, -ENOTSUP, n, "a kernel of %" PRId64 "; supported are 1 to %d", kernel[i], REACH_MAX);
        p->kernel[2 - spatial + i] = (int)kernel[i];
    }
    if ((rc = read_sides(n, "kernel_shape", spatial, 1, p->kernel, err)) != 0 ||
        (rc = read_sides(n, "strides", spatial, 1, p->stride, err)) != 0 ||
        (rc = read_sides(n, "dilations", spatial, 1, p->dilation, err)) != 0 ||
        (rc = read_pads(n, spatial, p->pads, err)) != 0)
        return rc;
    for (int i = 0; kernel && i < spatial; i++)
        if (p->kernel[2 - spatial + i] != kernel[i])
            return fm_node_fail(err, -EBADMSG, n, "kernel_shape is not the shape of its weights");
    if (p->kernel[0] > REACH_MAX / p->kernel[1])
        return fm_node_fail(err, -ENOTSUP, n, "a kernel of %d x %d", p->kernel[0], p->kernel[1]);
    return 0;
}

typedef enum { PAD_GIVEN, PAD_SAME_UPPER, PAD_SAME_LOWER, PAD_VALID } auto_pad;

static int read_auto_pad(const fm_node *n, auto_pad *out, fm_err *err)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    const char *s = names[0];
    int rc = fm_attr_string(n, "auto_pad", &s, err);

    for (int i = 0; rc == 0 && i < 4; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (auto_pad)i;
            return 0;
        }
    return rc ? rc : fm_node_fail(err, -EBADMSG, n, "auto_pad \"%.40s\"", s);
}

/* Windows along one side; sets that side's pads when the file leaves them to a rule. */
static int64_t along(fm_params *p, int side, int64_t in, auto_pad mode, bool ceil)
{
    int64_t reach = (int64_t)p->dilation[side] * (p->kernel[side] - 1) + 1, stride = p->stride[side], all, out;

    if (mode == PAD_SAME_UPPER || mode == PAD_SAME_LOWER) {
        int64_t pad = ((in + stride - 1) / stride - 1) * stride + reach - in;

        pad = pad < 0 ? 0 : pad;
        p->pads[side] = (int)(mode == PAD_SAME_UPPER ? pad / 2 : (pad + 1) / 2);
        p->pads[2 + side] = (int)(pad - p->pads[side]);
        return (in + stride - 1) / stride;
    }
    all = in + p->pads[side] + p->pads[2 + side];
    if (all < reach)
        return 0;
    out = (all - reach + (ceil ? stride - 1 : 0)) / stride + 1;
    /* a window that would start in the padding behind the picture is left out */
    if (ceil && (out - 1) * stride >= in + p->pads[side])
        out--;
    return out;
}

int fm_windows_infer(fm_graph *g, fm_node *n, bool ceil, int64_t out_channels, fm_err *err)
{
    const fm_tensor *x = fm_node_in(g, n, 0);
    fm_tensor out = *x;
    auto_pad mode = PAD_GIVEN;
    int rc = read_auto_pad(n, &mode, err);

    if (rc != 0)
        return rc;
    if (mode == PAD_VALID)
        memset(n->p.pads, 0, sizeof n->p.pads);
    out.dims[1] = out_channels;
    for (int i = 2; i < x->rank; i++) {
        int side = i - x->rank + 2;

        if (x->dims[i] > REACH_MAX)
            return fm_node_fail(err, -ENOTSUP, n, "a picture of %" PRId64 " pixels a side", x->dims[i]);
        out.dims[i] = along(&n->p, side, x->dims[i], mode, ceil);
        if (out.dims[i] < 1)
            return fm_node_fail(err, -EBADMSG, n, "its window is larger than the picture with its padding");
    }
    return fm_set_out(g, n, 0, &out, err);
}

fm_windows fm_windows_of(const fm_node *n, const fm_tensor *in, const fm_tensor *out)
{
    fm_windows w = {.n = in->dims[0], .in_y = 1, .out_y = 1};

    if (in->rank == 4) {
        w.in_y = in->dims[1];
        w.out_y = out->dims[1];
    }
    w.in_x = in->dims[in->rank - 2];
    w.in_c = in->dims[in->rank - 1];
    w.out_x = out->dims[out->rank - 2];
    w.out_c = out->dims[out->rank - 1];
    w.taps = n->p.kernel[0] * n->p.kernel[1];
    return w;
}

void fm_windows_list(const fm_windows *w, const fm_params *p, const float *in, const float *outside, int64_t first,
                     int count, int stride, const float **list)
{
    int64_t x = first % w->out_x, y = first / w->out_x % w->out_y, image = first / (w->out_x * w->out_y);

    if (w->taps == 1 && w->in_x == w->out_x && w->in_y == w->out_y) {
        for (int i = 0; i < count; i++)
            list[i] = in + (first + i) * w->in_c;
        return;
    }
    for (int i = 0; i < count; i++) {
        const float *picture = in + image * w->in_y * w->in_x * w->in_c;
        int64_t top = y * p->stride[0] - p->pads[0], left = x * p->stride[1] - p->pads[1];
        const float **to = list + i;

        for (int ky = 0; ky < p->kernel[0]; ky++) {
            int64_t iy = top + (int64_t)ky * p->dilation[0];

            for (int kx = 0; kx < p->kernel[1]; kx++, to += stride) {
                int64_t ix = left + (int64_t)kx * p->dilation[1];
                bool inside = iy >= 0 && iy < w->in_y && ix >= 0 && ix < w->in_x;

                *to = inside ? picture + (iy * w->in_x + ix) * w->in_c : outside;
            }
        }
        if (++x == w->out_x) {
            x = 0;
            if (++y == w->out_y) {
                y = 0;
                image++;
            }
        }
    }
}

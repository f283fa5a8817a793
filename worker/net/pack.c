/* From the .dat file to a packed image.  The affine layer after a convolution
 * is folded into its weights, and the filters of SAME convolutions are
 * transformed for F(4 x 4, 3 x 3) (Lavin and Gray 2016, "Fast Algorithms for
 * Convolutional Neural Networks"), both in double precision and rounded once:
 * the numbers are the same for every instruction set, only their order is not. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "worker/net/encoder.h"
#include "worker/net/kernels.h"
#include "worker/net/packed.h"

#define TAPS 9

/* Rows: evaluation of a filter at 0, 1, -1, 2, -2 and infinity, scaled as the transform of pixels needs it. */
static const double filter_rows[FM_TILE_SIDE + 2][3] = {
    {1 / 4., 0, 0},           {-1 / 6., -1 / 6., -1 / 6.},  {-1 / 6., 1 / 6., -1 / 6.},
    {1 / 24., 1 / 12., 1 / 6.}, {1 / 24., -1 / 12., 1 / 6.}, {0, 0, 1}};

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static size_t weight_floats(int c)
{
    const fm_conv_shape *s = &fm_resnet_shapes[c];
    int side = fm_conv_side(s->kind), per_pair = side * side;

    if (s->kind == FM_CONV_SAME)
        per_pair = c == FM_RESNET_CONVS - 1 ? 1 : FM_TILE_POINTS;
    return (size_t)per_pair * (size_t)s->in * (size_t)s->out;
}

fm_packed_layout fm_packed_layout_of(void)
{
    fm_packed_layout l;
    size_t at = aligned(sizeof(fm_packed_header));

    for (int c = 0; c < FM_RESNET_CONVS; c++) {
        l.weights[c] = at;
        l.bias[c] = at += aligned(weight_floats(c) * sizeof(float));
        at += aligned((size_t)fm_resnet_shapes[c].out * sizeof(float));
    }
    l.fc = at;
    l.bytes = at + FM_ENCODER_POOLED * FM_ENCODER_EMBEDDING * sizeof(float);
    return l;
}

/* Where weight (k, out) is in panels of depth k_count. */
static size_t in_panels(int panel, int k_count, int k, int out)
{
    return ((size_t)(out / panel) * (size_t)k_count + (size_t)k) * (size_t)panel + (size_t)(out % panel);
}

static void filter_transform(const double tap[TAPS], double out[FM_TILE_POINTS])
{
    const int n = FM_TILE_SIDE + 2;
    double rows[FM_TILE_SIDE + 2][3];

    for (int i = 0; i < n; i++)
        for (int x = 0; x < 3; x++)
            rows[i][x] = filter_rows[i][0] * tap[x] + filter_rows[i][1] * tap[3 + x] + filter_rows[i][2] * tap[6 + x];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            out[i * n + j] = rows[i][0] * filter_rows[j][0] + rows[i][1] * filter_rows[j][1] +
                             rows[i][2] * filter_rows[j][2];
}

/* The filter from channel in to channel out of convolution c, with the affine layer's factor. */
static void filter_read(const fm_resnet_conv *conv, int inputs, int taps, int out, int in, double *tap)
{
    double gamma = fm_resnet_number(conv->gamma, (size_t)out);

    for (int t = 0; t < taps; t++)
        tap[t] = gamma * fm_resnet_number(conv->filters, ((size_t)out * (size_t)inputs + (size_t)in) * (size_t)taps + (size_t)t);
}

static void pack_filters(const fm_resnet_conv *conv, int c, int panel, float *to)
{
    const fm_conv_shape *s = &fm_resnet_shapes[c];
    int side = fm_conv_side(s->kind), taps = side * side;
    size_t pairs = (size_t)s->in * (size_t)s->out;
    double tap[7 * 7], point[FM_TILE_POINTS];

    for (int out = 0; out < s->out; out++)
        for (int in = 0; in < s->in; in++) {
            filter_read(conv, s->in, taps, out, in, tap);
            if (s->kind != FM_CONV_SAME) {
                for (int t = 0; t < taps; t++)
                    to[in_panels(panel, taps * s->in, t * s->in + in, out)] = (float)tap[t];
            } else if (c == FM_RESNET_CONVS - 1) {
                to[in_panels(panel, s->in, in, out)] = (float)tap[TAPS / 2];
            } else {
                filter_transform(tap, point);
                for (int p = 0; p < FM_TILE_POINTS; p++)
                    to[(size_t)p * pairs + in_panels(panel, s->in, in, out)] = (float)point[p];
            }
        }
}

static void pack_bias(const fm_resnet_conv *conv, int n, float *to)
{
    for (size_t i = 0; i < (size_t)n; i++)
        to[i] = (float)((double)fm_resnet_number(conv->gamma, i) * fm_resnet_number(conv->bias, i) +
                        fm_resnet_number(conv->beta, i));
}

static void pack_fc(const uint8_t *weights, int panel, float *to)
{
    for (int k = 0; k < FM_ENCODER_POOLED; k++)
        for (int out = 0; out < FM_ENCODER_EMBEDDING; out++)
            to[in_panels(panel, FM_ENCODER_POOLED, k, out)] =
                fm_resnet_number(weights, (size_t)(k * FM_ENCODER_EMBEDDING + out));
}

static bool all_finite(const float *v, size_t n)
{
    bool ok = true;

    for (size_t i = 0; i < n; i++)
        ok &= isfinite(v[i]) != 0;
    return ok;
}

int fm_encoder_pack(const void *file, size_t n, fm_isa isa, fm_buf *out, fm_err *err)
{
    fm_packed_layout l = fm_packed_layout_of();
    fm_packed_header h = {FM_PACKED_MAGIC, (uint32_t)isa, (uint32_t)fm_net_kernels_for(isa)->panel, {0}, l.bytes};
    size_t start = l.weights[0];
    fm_resnet net;
    uint8_t *at;
    int rc = fm_resnet_read(file, n, &net, err);

    if (rc != 0)
        return rc;
    at = fm_buf_add(out, l.bytes);
    if (!at)
        return fm_fail_nomem(err, "the packed encoder", l.bytes);
    memset(at, 0, l.bytes);
    memcpy(h.mean, net.mean, sizeof h.mean);
    memcpy(at, &h, sizeof h);
    for (int c = 0; c < FM_RESNET_CONVS; c++) {
        pack_filters(&net.conv[c], c, (int)h.panel, (float *)(void *)(at + l.weights[c]));
        pack_bias(&net.conv[c], fm_resnet_shapes[c].out, (float *)(void *)(at + l.bias[c]));
    }
    pack_fc(net.fc, (int)h.panel, (float *)(void *)(at + l.fc));
    if (!all_finite(h.mean, 3) || !all_finite((float *)(void *)(at + start), (l.bytes - start) / sizeof(float))) {
        out->size -= l.bytes;
        return fm_fail(err, -EBADMSG, "encoder: a weight is not a number; fetch the model again with ./setup");
    }
    return 0;
}

/* From the .dat file to a packed image.  The affine layer after a convolution
 * is folded into its weights, and the filters of SAME convolutions are
 * transformed for tiles (Lavin and Gray 2016, "Fast Algorithms for
 * Convolutional Neural Networks"), both in double precision and rounded once:
 * the numbers are the same for every instruction set, only their order is not. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "worker/net/encoder.h"
#include "worker/net/kernels.h"
#include "worker/net/packed.h"

#define CENTRE 4        /* of nine taps */
#define POINTS_MAX 8

/* A filter of up to four taps evaluated at 0, 1, -1, 2, -2, (1/2, -1/2,) infinity: factor of its first tap, and by what
 * that of each further one is multiplied; at infinity only the last tap counts. */
static const struct { double factor, x; } at_point[2][POINTS_MAX - 1] = {
    {{1 / 4., 0}, {-1 / 6., 1}, {-1 / 6., -1}, {1 / 24., 2}, {1 / 24., -2}},
    {{1, 0}, {-2 / 9., 1}, {-2 / 9., -1}, {1 / 90., 2}, {1 / 90., -2}, {32 / 45., 1 / 2.}, {32 / 45., -1 / 2.}}};

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

int fm_packed_points(int conv)
{
    const fm_conv_shape *s = &fm_resnet_shapes[conv];

    if (s->kind == FM_CONV_DOWN || conv == FM_RESNET_CONVS - 1)
        return 0;
    return s->out <= 64 ? 8 : 6;    /* larger tiles save more, but not on pictures that they do not fill */
}

static size_t weight_floats(int conv)
{
    const fm_conv_shape *s = &fm_resnet_shapes[conv];
    size_t points = (size_t)fm_packed_points(conv), in = s->kind == FM_CONV_STEM ? FM_FOLDED : (size_t)s->in;
    size_t per_pair = points ? points * points : s->kind == FM_CONV_DOWN ? 9 : 1;

    return per_pair * in * (size_t)s->out;
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

/* n taps, step apart, to their values at the points. */
static void evaluate(const double *tap, int n, int step, int points, double *out, int out_step)
{
    for (int i = 0; i < points - 1; i++) {
        double factor = at_point[points == POINTS_MAX][i].factor, sum = 0;

        for (int t = 0; t < n; t++, factor *= at_point[points == POINTS_MAX][i].x)
            sum += factor * tap[t * step];
        out[i * out_step] = sum;
    }
    out[(points - 1) * out_step] = tap[(n - 1) * step];
}

/* A filter of n x n taps, at points x points. */
static void filter_transform(const double *tap, int n, int points, double *out)
{
    double rows[POINTS_MAX * 4];

    for (int x = 0; x < n; x++)
        evaluate(tap + x, n, n, points, rows + x, n);
    for (int y = 0; y < points; y++)
        evaluate(rows + y * n, n, 1, points, out + y * points, 1);
}

/* The filter from channel in to channel out, with the affine layer's factor. */
static void filter_read(const fm_resnet_conv *conv, const fm_conv_shape *s, int out, int in, double *tap)
{
    size_t taps = (size_t)(fm_conv_side(s->kind) * fm_conv_side(s->kind));
    size_t first = ((size_t)out * (size_t)s->in + (size_t)in) * taps;
    double gamma = fm_resnet_number(conv->gamma, (size_t)out);

    for (size_t t = 0; t < taps; t++)
        tap[t] = gamma * fm_resnet_number(conv->filters, first + t);
}

/* What a 7 x 7 filter that takes every second pixel does with one of four pixels taken two by two. */
static void filter_fold(const double tap[7 * 7], int quarter, double out[4 * 4])
{
    for (int i = 0; i < 4 * 4; i++) {
        int y = i / 4 * 2 + quarter / 2, x = i % 4 * 2 + quarter % 2;

        out[i] = y < 7 && x < 7 ? tap[7 * y + x] : 0;
    }
}

static void put_points(const double *point, int n, size_t pairs, float *to)
{
    for (int p = 0; p < n; p++)
        to[(size_t)p * pairs] = (float)point[p];
}

static void pack_filters(const fm_resnet_conv *conv, int c, int panel, float *to)
{
    const fm_conv_shape *s = &fm_resnet_shapes[c];
    int points = fm_packed_points(c);
    double tap[7 * 7], folded[4 * 4], point[POINTS_MAX * POINTS_MAX];

    for (int out = 0; out < s->out; out++)
        for (int in = 0; in < s->in; in++) {
            filter_read(conv, s, out, in, tap);
            for (int q = 0; s->kind == FM_CONV_STEM && q < 4; q++) {
                filter_fold(tap, q, folded);
                filter_transform(folded, 4, points, point);
                put_points(point, points * points, (size_t)(FM_FOLDED * s->out),
                           to + in_panels(panel, FM_FOLDED, 3 * q + in, out));
            }
            if (s->kind == FM_CONV_SAME && points) {
                filter_transform(tap, 3, points, point);
                put_points(point, points * points, (size_t)(s->in * s->out), to + in_panels(panel, s->in, in, out));
            }
            for (int t = 0; s->kind == FM_CONV_DOWN && t < 9; t++)
                to[in_panels(panel, 9 * s->in, t * s->in + in, out)] = (float)tap[t];
            if (c == FM_RESNET_CONVS - 1)
                to[in_panels(panel, s->in, in, out)] = (float)tap[CENTRE];
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

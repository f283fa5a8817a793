/* Rows first, then columns; the weights of each output pixel are made once. */
#include "worker/image/resample.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define SIDE_MAX 4096

typedef struct {
    int first, n;           /* input pixels */
    const float *weight;    /* [n], they sum to 1 */
} taps;

struct fm_resampler {
    int from, to;
    taps *taps;             /* [to] */
    float *weights;
    float *rows;            /* f32 [from, to, 3] */
};

static int reach(int from, int to)
{
    return 2 * ((from + to - 1) / to) + 3;
}

/* Weights of output pixel i, for which there is room at w. */
static taps place(int from, int to, int i, float *w)
{
    double step = (double)from / to, wide = step > 1 ? step : 1, centre = (i + 0.5) * step, sum = 0;
    int first = (int)floor(centre - wide), end = (int)ceil(centre + wide);
    taps t = {.weight = w};

    first = first < 0 ? 0 : first;
    end = end > from ? from : end;
    t.first = first;
    for (int k = first; k < end; k++) {
        double share = 1 - fabs(k + 0.5 - centre) / wide;

        w[t.n++] = share > 0 ? (float)share : 0;
        sum += w[t.n - 1];
    }
    for (int k = 0; k < t.n; k++)
        w[k] = (float)(w[k] / sum);
    return t;
}

int fm_resampler_create(int from, int to, fm_resampler **out, fm_err *err)
{
    size_t each;
    fm_resampler *r;

    if (from < 1 || to < 1 || from > SIDE_MAX || to > SIDE_MAX)
        return fm_fail(err, -EINVAL, "a picture of %d pixels a side cannot be made one of %d: 1 to %d can", from, to,
                       SIDE_MAX);
    each = (size_t)reach(from, to);
    if (!(r = calloc(1, sizeof *r)))
        return fm_fail_nomem(err, "resampler", sizeof *r);
    r->from = from;
    r->to = to;
    r->taps = calloc((size_t)to, sizeof *r->taps);
    r->weights = calloc((size_t)to * each, sizeof *r->weights);
    r->rows = calloc(3 * (size_t)from * (size_t)to, sizeof *r->rows);
    if (!r->taps || !r->weights || !r->rows) {
        fm_resampler_destroy(r);
        return fm_fail_nomem(err, "resampler", 3 * (size_t)from * (size_t)to * sizeof(float));
    }
    for (int i = 0; i < to; i++)
        r->taps[i] = place(from, to, i, r->weights + (size_t)i * each);
    *out = r;
    return 0;
}

void fm_resampler_destroy(fm_resampler *r)
{
    if (!r)
        return;
    free(r->taps);
    free(r->weights);
    free(r->rows);
    free(r);
}

static void along_row(const fm_resampler *r, const uint8_t *in, float *out)
{
    for (int x = 0; x < r->to; x++, out += 3) {
        const taps *t = &r->taps[x];
        const uint8_t *p = in + 3 * t->first;

        out[0] = out[1] = out[2] = 0;
        for (int k = 0; k < t->n; k++, p += 3)
            for (int c = 0; c < 3; c++)
                out[c] += t->weight[k] * p[c];
    }
}

void fm_resample(fm_resampler *r, const uint8_t *in, float *out)
{
    int line = 3 * r->to;

    for (int y = 0; y < r->from; y++)
        along_row(r, in + (size_t)y * 3 * (size_t)r->from, r->rows + (size_t)y * (size_t)line);
    for (int y = 0; y < r->to; y++, out += line) {
        const taps *t = &r->taps[y];

        for (int i = 0; i < line; i++)
            out[i] = 0;
        for (int k = 0; k < t->n; k++) {
            const float *row = r->rows + (size_t)(t->first + k) * (size_t)line;

            for (int i = 0; i < line; i++)
                out[i] += t->weight[k] * row[i];
        }
    }
}

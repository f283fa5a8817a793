/* Winograd's F(4 x 4, 3 x 3) for convolutions with stride 1: 36 products of tiles
 * instead of nine of pixels, a quarter of the multiplications (Lavin and Gray
 * 2016, "Fast Algorithms for Convolutional Neural Networks").  Taken where there
 * are channels enough to pay for the transforms. */
#include <math.h>
#include <string.h>

#include "worker/net/conv.h"

enum { TILE = 4, SIDE = TILE + 2, POINTS = SIDE * SIDE, TAPS = 9 };

/* Rows: evaluation of a filter at 0, 1, -1, 2, -2 and infinity, scaled as the transform of pixels needs it. */
static const double filter_rows[SIDE][3] = {{1 / 4., 0, 0},
                                            {-1 / 6., -1 / 6., -1 / 6.},
                                            {-1 / 6., 1 / 6., -1 / 6.},
                                            {1 / 24., 1 / 12., 1 / 6.},
                                            {1 / 24., -1 / 12., 1 / 6.},
                                            {0, 0, 1}};

/* The widest vectors decide for all: were it each processor's own, a network would give other bits elsewhere. */
enum { VECTOR_MAX = 16, COLUMNS_MAX = 32 };

bool fm_winograd_fits(const fm_params *p, int64_t in, int64_t out, int64_t out_y, int64_t out_x)
{
    for (int i = 0; i < 2; i++)
        if (p->kernel[i] != 3 || p->stride[i] != 1 || p->dilation[i] != 1)
            return false;
    return p->group == 1 && in >= 32 && out >= 32 && in % VECTOR_MAX == 0 && out % COLUMNS_MAX == 0 && out_y >= TILE &&
           out_x >= TILE;
}

size_t fm_winograd_floats(int64_t in, int64_t out, const fm_lanes *lanes)
{
    return POINTS * fm_product_floats(in, out, lanes);
}

static void transform_filter(const float *tap, float *out, ptrdiff_t stride)
{
    double rows[SIDE][3];

    for (int i = 0; i < SIDE; i++)
        for (int x = 0; x < 3; x++)
            rows[i][x] = filter_rows[i][0] * tap[x] + filter_rows[i][1] * tap[3 + x] + filter_rows[i][2] * tap[6 + x];
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++)
            out[(i * SIDE + k) * stride] = (float)(rows[i][0] * filter_rows[k][0] + rows[i][1] * filter_rows[k][1] +
                                                   rows[i][2] * filter_rows[k][2]);
}

void fm_winograd_pack(const float *w, int64_t in, int64_t out, const fm_lanes *lanes, float *packed)
{
    ptrdiff_t stride = (ptrdiff_t)fm_product_floats(in, out, lanes);

    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < in; i++)
            transform_filter(w + (o * in + i) * TAPS,
                             packed + (o / lanes->columns * in + i) * lanes->columns + o % lanes->columns, stride);
}

/* Tiles done at a time: few while everything stays in the second-level cache, many where the weights do not. */
static int64_t tiles_of(int64_t in, int64_t out, const fm_lanes *lanes)
{
    int64_t pairs = in * out;

    return lanes->rows * (pairs <= 64 * 64 ? 4 : pairs <= 128 * 128 ? 8 : 20);
}

size_t fm_winograd_scratch(int64_t in, int64_t out, const fm_lanes *lanes)
{
    size_t tiles = (size_t)tiles_of(in, out, lanes);

    return tiles * (POINTS * (size_t)(in + out) * sizeof(float) + sizeof(float *)) +
           fm_product_bias_floats(out, lanes) * sizeof(float) + 64;
}

typedef struct {
    const fm_call *c;
    const fm_windows *w;
    const fm_conv_packed *packed;
    int64_t in, out, across, per_image;
    float *points, *sums, *zero;
    const float **list;
} job;

static void tile_in(const job *j, int64_t tile, int64_t at, int64_t tiles)
{
    const fm_params *p = &j->c->n->p;
    int64_t image = tile / j->per_image, top = tile % j->per_image / j->across * TILE - p->pads[0];
    int64_t left = tile % j->across * TILE - p->pads[1];
    const float *picture = fm_tensor_f32(j->c->in[0]) + image * j->w->in_y * j->w->in_x * j->in, *a[POINTS];

    for (int i = 0; i < POINTS; i++) {
        int64_t y = top + i / SIDE, x = left + i % SIDE;
        bool inside = y >= 0 && y < j->w->in_y && x >= 0 && x < j->w->in_x;

        a[i] = inside ? picture + (y * j->w->in_x + x) * j->in : j->c->zeros;
    }
    j->c->lanes->wino_in(a, (int)j->in, j->points + at * j->in, tiles * j->in);
}

static void tile_out(const job *j, int64_t tile, int64_t at, int64_t tiles)
{
    int64_t image = tile / j->per_image, y = tile % j->per_image / j->across * TILE, x = tile % j->across * TILE;
    ptrdiff_t from = ((image * j->w->out_y + y) * j->w->out_x + x) * j->out;
    const fm_tensor *add = j->c->n->n_in > FM_CONV_ADD ? j->c->in[FM_CONV_ADD] : NULL;
    fm_tile to = {.c = fm_tensor_f32(j->c->out[0]) + from, .c_stride = j->out, .depth = (int)j->out,
                  .rows = (int)(j->w->out_y - y < TILE ? j->w->out_y - y : TILE),
                  .columns = (int)(j->w->out_x - x < TILE ? j->w->out_x - x : TILE), .bias = j->packed->bias,
                  .add = add ? fm_tensor_f32(add) + from : NULL};

    fm_act_is_cut(&j->c->n->p.act, &to.low, &to.high);
    j->c->lanes->wino_out(j->sums + at * j->out, tiles * j->out, &to, j->w->out_x * j->out);
}

static void multiply(const job *j, int64_t tiles)
{
    const fm_lanes *lanes = j->c->lanes;
    size_t floats = fm_product_floats(j->in, j->out, lanes);
    fm_product p = {.taps = 1, .depth = (int)j->in, .columns = (int)j->out, .bias = j->zero, .c_stride = j->out,
                    .low = -INFINITY, .high = INFINITY};

    for (int64_t t = 0; t < tiles; t++)
        j->list[t] = j->points + t * j->in;
    for (int i = 0; i < POINTS; i++) {
        p.a_offset = i * tiles * j->in;
        p.b = j->packed->weights + (size_t)i * floats;
        p.c = j->sums + i * tiles * j->out;
        fm_product_run(&p, (int)tiles, j->list, lanes);
    }
}

void fm_winograd_run(const fm_call *c, const fm_windows *w, const fm_conv_packed *packed, char *scratch)
{
    job j = {.c = c, .w = w, .packed = packed, .in = w->in_c, .out = w->out_c, .across = (w->out_x + TILE - 1) / TILE};
    int64_t each = tiles_of(j.in, j.out, c->lanes), all;
    float low, high;

    j.points = (float *)(void *)scratch;
    j.sums = j.points + each * POINTS * j.in;
    j.zero = j.sums + each * POINTS * j.out;
    j.list = (const float **)(void *)(j.zero + fm_product_bias_floats(j.out, c->lanes));
    memset(j.zero, 0, fm_product_bias_floats(j.out, c->lanes) * sizeof *j.zero);
    j.per_image = j.across * ((w->out_y + TILE - 1) / TILE);
    all = w->n * j.per_image;
    for (int64_t first = 0; first < all; first += each) {
        int64_t tiles = all - first < each ? all - first : each;

        for (int64_t t = 0; t < tiles; t++)
            tile_in(&j, first + t, t, tiles);
        multiply(&j, tiles);
        for (int64_t t = 0; t < tiles; t++)
            tile_out(&j, first + t, t, tiles);
    }
    if (!fm_act_is_cut(&c->n->p.act, &low, &high))
        fm_act_output(c, fm_conv_slope(c));
}

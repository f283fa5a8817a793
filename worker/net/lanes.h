/* The network runtime's kernels, one table for each instruction set, compiled
 * from one source (lanes.inc, tile.inc).
 *
 * Pictures are f32 [n, y, x, channels]: whatever slides over a picture reads
 * runs of channels, and a list of pointers says where each run is.  A run
 * outside the picture is a pointer to zeros (or, for the largest, to -infinity). */
#ifndef FM_WORKER_NET_LANES_H
#define FM_WORKER_NET_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "worker/net/graph.h"

/* c[r][n] = sum over taps t and k of a[t][r][k] * b[t][k][n], for any number of rows and up to a tile's columns. */
typedef struct {
    const float *const *a;          /* [rows / tile rows, rounded up][taps][tile rows]; only taps of each that count */
    int a_row;                      /* taps there are in a; 1: rows may be dealt out otherwise than in whole tiles */
    ptrdiff_t a_offset;             /* floats to add to each pointer */
    int taps, depth;
    const float *b;                 /* [taps][depth][tile columns], 64-byte aligned */
    float *c;
    ptrdiff_t c_stride;             /* floats from a row to the next */
    int rows, columns;
    const float *next;              /* what b will be next: fetched meanwhile */
    const float *bias;              /* [tile columns]; NULL: add to what c holds */
    const float *add;               /* rows as c's, added at the end; NULL: none */
    float low, high;                /* what comes out is cut to; -INFINITY and INFINITY: as it is */
} fm_tile;

/* Pixels of a row: out[p][c] = bias[c] + sum over taps (y, x) of in[y * row + x * tap + p * pixel + c] * w[y * w_row +
 * x * channels + c], cut.  Taps outside the picture are left out by whoever asks. */
typedef struct {
    const float *in;
    ptrdiff_t row, tap, pixel;      /* floats */
    int taps_y, taps_x;
    const float *w, *bias;
    ptrdiff_t w_row;
    float *out;                     /* [pixels][channels] */
    int pixels, channels;
    float low, high;
} fm_depthwise;

typedef enum { FM_ADD, FM_SUB, FM_MUL, FM_DIV, FM_MAX, FM_MIN, FM_POW, FM_SLOPE } fm_binary;

typedef struct {
    int rows, columns;              /* of a tile */
    void (*tile)(const fm_tile *t);
    void (*depthwise)(const fm_depthwise *d);
    /* out[c] = the largest of a[t][c], or their sum times scale. */
    void (*largest)(const float *const *a, int taps, int channels, float *out);
    void (*mean)(const float *const *a, int taps, int channels, float scale, float *out);
    /* Strides 0 or 1; FM_SLOPE is a < 0 ? a * b : a. */
    void (*binary)(fm_binary kind, const float *a, int a_stride, const float *b, int b_stride, float *out, size_t n);
    /* out[r][c] = in[r][c] * scale[c] + shift[c] */
    void (*affine)(const float *in, const float *scale, const float *shift, float *out, size_t rows, size_t channels);
    /* in may be out; slope [channels] for FM_ACT_PRELU. */
    void (*act)(const fm_act *act, const float *slope, const float *in, float *out, size_t rows, size_t channels);
    void (*exps)(const float *in, float *out, size_t n);
    /* Winograd F(4 x 4, 3 x 3): the transform of 6 x 6 pixels, and back to at most 4 x 4 with bias, addition and cut.
     * points [36], each point_stride floats from the next; channels a multiple of columns / 2. */
    void (*wino_in)(const float *const a[36], int channels, float *points, ptrdiff_t point_stride);
    void (*wino_out)(const float *points, ptrdiff_t point_stride, const fm_tile *to, ptrdiff_t row_stride);
} fm_lanes;

const fm_lanes *fm_lanes_for(fm_isa isa);

extern const fm_lanes fm_lanes_plain, fm_lanes_avx2, fm_lanes_avx512;

#endif

/* The encoder's kernels, one table for each instruction set, compiled from one
 * source.  Whatever the width of its vectors, an output is computed by the same
 * operations in the same order (products fused with sums, k ascending), so that
 * all tables give the same bits.
 *
 * Activations are f32, row-major [y][x][channel]; channels are a multiple of 16. */
#ifndef FM_WORKER_NET_KERNELS_H
#define FM_WORKER_NET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* c[r][n] = bias[n] + sum over k of a[r][k] * b[k][n], negative results 0; k in
 * segments, so that a row of a can be the window of a convolution. */
typedef struct {
    const float *a;
    const int32_t *a_at;            /* [rows] where in a each row starts, floats */
    int rows;                       /* at least 1 */
    int segments, segment;          /* k = segments * segment */
    ptrdiff_t segment_stride;       /* floats from a segment to the next */
    const float *b;                 /* [columns / panel][k][panel] */
    const float *bias;              /* [columns] */
    int columns;                    /* a multiple of panel */
    float *c;
    const int32_t *c_at;            /* [rows] */
} fm_gemm;

/* For each point c[p] = a[p] * b[p], a product of rows x in with in x out numbers. */
typedef struct {
    int points, rows;               /* at least 1 */
    int in, out;                    /* multiples of 4 and of panel */
    int stride;                     /* floats from a row of a to the next, at least in */
    const float *a;                 /* [points][rows][stride] */
    const float *b;                 /* [points][out / panel][in][panel] */
    float *c;                       /* [points][rows][out] */
} fm_products;

/* Winograd's transforms between a tile of side x side pixels and its points x points sums. */
typedef struct {
    int side, points;
    /* The points x points pixels at in.
     * row_stride    floats from a row to the next.
     * out           [points * points], point p at out + p * point_stride. */
    void (*in)(const float *in, ptrdiff_t row_stride, int channels, float *out, ptrdiff_t point_stride);
    /* Back to rows x columns (at most side x side) pixels at out, with bias, what out held (when add), no negatives. */
    void (*out)(const float *in, ptrdiff_t point_stride, int channels, const float *bias, float *out,
                ptrdiff_t row_stride, int rows, int columns, bool add);
} fm_tile_kernels;

typedef struct {
    int panel;                      /* columns computed at once: 8, 16 or 32 */
    void (*gemm)(const fm_gemm *g);
    void (*products)(const fm_products *m);
    fm_tile_kernels four, six;      /* for 3 x 3 filters */
    fm_tile_kernels five;           /* for 4 x 4 filters */
    /* A chip's pixels, two by two: out[y][x] = {(0,0), (0,1), (1,0), (1,1)}, RGB each, less mean, by 256; 16 floats
     * of which the last four are anything.
     * chip  u8 [side][side][3].   row_stride  floats from a row of out to the next. */
    void (*fold)(const uint8_t *chip, int side, const float mean[3], float *out, ptrdiff_t row_stride);
    /* n pixels, each the mean of 2 x 2: every second column of two rows. */
    void (*average)(const float *in, ptrdiff_t row_stride, int channels, int n, float *out, ptrdiff_t out_stride);
    /* n pixels, each the largest of 3 x 3: every second column of three rows. */
    void (*largest)(const float *const rows[3], int channels, int n, float *out);
} fm_net_kernels;

const fm_net_kernels *fm_net_kernels_for(fm_isa isa);

extern const fm_net_kernels fm_net_plain, fm_net_avx2, fm_net_avx512;

#endif

/* The encoder's kernels, one table for each instruction set, compiled from one
 * source.  Whatever the width of its vectors, an output is computed by the same
 * operations in the same order (products fused with sums, k ascending), so that
 * all tables give the same bits.
 *
 * Activations are f32, row-major [y][x][channel]; channels are a multiple of 32. */
#ifndef FM_WORKER_NET_KERNELS_H
#define FM_WORKER_NET_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"

/* c[r][n] = bias[n] + sum over k of a[r][k] * b[k][n], k in segments, so that a
 * row of a can be the window of a convolution. */
typedef struct {
    const float *a;
    const int32_t *a_at;            /* [rows] where in a each row starts, floats */
    int rows;
    int segments, segment;          /* k = segments * segment */
    ptrdiff_t segment_stride;       /* floats from a segment to the next */
    const float *b;                 /* [columns / panel][k][panel] */
    const float *bias;              /* [columns] */
    int columns;                    /* a multiple of panel */
    float *c;
    const int32_t *c_at;            /* [rows] */
    bool relu;                      /* negative results become 0 */
} fm_gemm;

typedef struct {
    int panel;                      /* columns computed at once: 8, 16 or 32 */
    void (*gemm)(const fm_gemm *g);
    /* Winograd's transform of the 6 x 6 pixels at in.
     * row_stride    floats from a row to the next.
     * out           [36], point p at out + p * point_stride. */
    void (*tile_in)(const float *in, ptrdiff_t row_stride, int channels, float *out, ptrdiff_t point_stride);
    /* Back to rows x columns (at most 4 x 4) pixels at out, with bias, what out held (when add), and no negatives. */
    void (*tile_out)(const float *in, ptrdiff_t point_stride, int channels, const float *bias, float *out,
                     ptrdiff_t row_stride, int rows, int columns, bool add);
    /* n pixels, each the mean of 2 x 2: every second column of two rows. */
    void (*average)(const float *in, ptrdiff_t row_stride, int channels, int n, float *out, ptrdiff_t out_stride);
    /* n pixels, each the largest of 3 x 3: every second column of three rows. */
    void (*largest)(const float *const rows[3], int channels, int n, float *out);
} fm_net_kernels;

const fm_net_kernels *fm_net_kernels_for(fm_isa isa);

extern const fm_net_kernels fm_net_plain, fm_net_avx2, fm_net_avx512;

#endif

/* Matrix products as networks have them: rows that are windows of a picture or
 * lines of a matrix, times weights packed for a tile. */
#ifndef FM_WORKER_NET_PRODUCT_H
#define FM_WORKER_NET_PRODUCT_H

#include "worker/net/lanes.h"

typedef struct {
    int taps, depth;                /* a row of a: taps runs of depth floats */
    int columns;
    ptrdiff_t a_offset;
    const float *b, *bias;          /* as fm_product_pack left them; bias [columns, rounded up to tiles] */
    float *c;
    ptrdiff_t c_stride;
    const float *add;               /* rows as c's; or NULL */
    float low, high;
} fm_product;

/* Floats that packed weights take: [columns / tile columns, rounded up][taps * depth][tile columns]. */
size_t fm_product_floats(int64_t k, int64_t columns, const fm_lanes *lanes);
/* b(k, n) is at b[k * k_stride + n * n_stride]. */
void fm_product_pack(const float *b, ptrdiff_t k_stride, ptrdiff_t n_stride, int64_t k, int64_t columns,
                     const fm_lanes *lanes, float *out);
/* columns numbers (NULL: zeros) and zeros up to whole tiles. */
void fm_product_pack_bias(const float *bias, float factor, int64_t columns, const fm_lanes *lanes, float *out);
size_t fm_product_bias_floats(int64_t columns, const fm_lanes *lanes);

/* How many rows to do at a time, so that they stay in the second-level cache. */
int fm_product_rows(const fm_product *p, const fm_lanes *lanes);
/* rows: at most fm_product_rows(); list: [rows / tile rows, rounded up][taps][tile rows] pointers. */
void fm_product_run(const fm_product *p, int rows, const float *const *list, const fm_lanes *lanes);

#endif

/* Loops around a tile, from the outside: runs of k that keep a panel of weights
 * in the first-level cache, panels of columns, tiles of rows. */
#include "worker/net/product.h"

#include <math.h>
#include <string.h>

enum { K_RUN = 512, CACHE_FLOATS = 48 * 1024, ROWS_MAX = 1024 };

static int64_t panels(int64_t columns, const fm_lanes *lanes)
{
    return (columns + lanes->columns - 1) / lanes->columns;
}

size_t fm_product_floats(int64_t k, int64_t columns, const fm_lanes *lanes)
{
    return (size_t)(panels(columns, lanes) * k * lanes->columns);
}

size_t fm_product_bias_floats(int64_t columns, const fm_lanes *lanes)
{
    return (size_t)(panels(columns, lanes) * lanes->columns);
}

void fm_product_pack(const float *b, ptrdiff_t k_stride, ptrdiff_t n_stride, int64_t k, int64_t columns,
                     const fm_lanes *lanes, float *out)
{
    for (int64_t first = 0; first < columns; first += lanes->columns)
        for (int64_t i = 0; i < k; i++)
            for (int64_t n = first; n < first + lanes->columns; n++)
                *out++ = n < columns ? b[i * k_stride + n * n_stride] : 0;
}

void fm_product_pack_bias(const float *bias, float factor, int64_t columns, const fm_lanes *lanes, float *out)
{
    size_t all = fm_product_bias_floats(columns, lanes);

    for (size_t n = 0; n < all; n++)
        out[n] = bias && n < (size_t)columns ? factor * bias[n] : 0;
}

int fm_product_rows(const fm_product *p, const fm_lanes *lanes)
{
    int64_t k = (int64_t)p->taps * p->depth, run = k < K_RUN ? k : K_RUN, rows = CACHE_FLOATS / (run ? run : 1);

    rows = rows > ROWS_MAX ? ROWS_MAX : rows;
    rows -= rows % lanes->rows;
    return (int)(rows < lanes->rows ? lanes->rows : rows);
}

/* Taps first .. first + taps - 1, and of each k .. k + depth - 1. */
typedef struct {
    int tap, taps, k, depth;
} run;

static void tiles(const fm_product *p, int rows, const float *const *list, const fm_lanes *lanes, const run *r)
{
    int64_t all = (int64_t)p->taps * p->depth, at = (int64_t)r->tap * p->depth + r->k;
    bool first = at == 0, last = at + (int64_t)r->taps * r->depth == all;

    for (int n = 0; n < p->columns; n += lanes->columns) {
        fm_tile t = {.a = list + (ptrdiff_t)r->tap * lanes->rows, .a_row = p->taps, .a_offset = p->a_offset + r->k,
                     .taps = r->taps, .depth = r->depth, .b = p->b + (n / lanes->columns * all + at) * lanes->columns,
                     .c = p->c + n, .c_stride = p->c_stride, .rows = rows,
                     .columns = p->columns - n < lanes->columns ? p->columns - n : lanes->columns,
                     .bias = first ? p->bias + n : NULL, .add = last && p->add ? p->add + n : NULL,
                     .low = last ? p->low : -INFINITY, .high = last ? p->high : INFINITY};

        t.next = t.b + all * lanes->columns;
        lanes->tile(&t);
    }
}

void fm_product_run(const fm_product *p, int rows, const float *const *list, const fm_lanes *lanes)
{
    int each = p->depth < K_RUN ? K_RUN / (p->depth ? p->depth : 1) : 1;

    for (int tap = 0; tap < p->taps; tap += each) {
        run r = {tap, p->taps - tap < each ? p->taps - tap : each, 0, 0};

        /* more than one tap at a time only where each is taken whole */
        for (; r.k < p->depth; r.k += r.depth) {
            r.depth = r.taps > 1 || p->depth - r.k < K_RUN + K_RUN / 2 ? p->depth - r.k : K_RUN;
            tiles(p, rows, list, lanes, &r);
        }
    }
}

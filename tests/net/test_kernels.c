/* The matrix kernels against the sums they promise, for every number of rows:
 * the same bits, as the order of the operations is part of the promise. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/check.h"
#include "worker/net/kernels.h"

enum { IN = 12, OUT = 64, ROWS = 2 * 8 * 8 + 5, POINTS = 2, STRIDE = 16 };

static float a[POINTS * ROWS * STRIDE], b[POINTS * IN * OUT], bias[OUT];

static void fill(fm_rng *r, float *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)fm_rng_below(r, 20001) / 1e4f - 1;
}

/* b in the order that a kernel with this panel reads it. */
static void to_panels(int panel, float *packed)
{
    for (int p = 0; p < POINTS; p++)
        for (int k = 0; k < IN; k++)
            for (int n = 0; n < OUT; n++)
                packed[(p * OUT / panel + n / panel) * IN * panel + k * panel + n % panel] = b[(p * IN + k) * OUT + n];
}

static float expected(float start, int point, int row, int column, int rows)
{
    float sum = start;

    for (int k = 0; k < IN; k++)
        sum = fmaf(a[(point * rows + row) * STRIDE + k], b[(point * IN + k) * OUT + column], sum);
    return sum;
}

static void check_gemm(const fm_net_kernels *k, const float *packed, int rows)
{
    static float c[ROWS * OUT];
    int32_t a_at[ROWS], c_at[ROWS];
    fm_gemm g = {.a = a, .a_at = a_at, .rows = rows, .segments = 3, .segment = 4, .segment_stride = 4, .b = packed,
                 .bias = bias, .columns = OUT, .c = c, .c_at = c_at};
    int wrong = 0;

    for (int i = 0; i < rows; i++) {
        a_at[i] = i * STRIDE;
        c_at[i] = (rows - 1 - i) * OUT;
    }
    k->gemm(&g);
    for (int i = 0; i < rows * OUT; i++) {
        float want = expected(bias[i % OUT], 0, rows - 1 - i / OUT, i % OUT, rows);

        wrong += c[i] != (want > 0 ? want : 0);
    }
    CHECK_INT(wrong, 0);
}

static void check_products(const fm_net_kernels *k, const float *packed, int rows)
{
    static float c[POINTS * ROWS * OUT];
    fm_products m = {.points = POINTS, .rows = rows, .in = IN, .out = OUT, .stride = STRIDE, .a = a, .b = packed, .c = c};
    int wrong = 0;

    k->products(&m);
    for (int i = 0; i < POINTS * rows * OUT; i++)
        wrong += c[i] != expected(0, i / OUT / rows, i / OUT % rows, i % OUT, rows);
    CHECK_INT(wrong, 0);
}

static void matrix_kernels_keep_to_their_order(void)
{
    static float packed[POINTS * IN * OUT];
    fm_rng r = fm_rng_init(11, 1);

    fill(&r, a, sizeof a / sizeof *a);
    fill(&r, b, sizeof b / sizeof *b);
    fill(&r, bias, OUT);
    for (int isa = FM_ISA_PLAIN; isa <= (int)fm_cpu_isa(); isa++) {
        const fm_net_kernels *k = fm_net_kernels_for((fm_isa)isa);

        to_panels(k->panel, packed);
        for (int rows = 1; rows <= ROWS; rows += rows < 24 ? 1 : 7) {
            check_gemm(k, packed, rows);
            check_products(k, packed, rows);
        }
    }
}

static void chips_are_folded(void)
{
    enum { SIDE = 6 };
    static const float mean[3] = {1, 2, 3};
    uint8_t *chip = malloc(SIDE * SIDE * 3);    /* of exactly that size: reading on is found */
    float out[SIDE / 2][SIDE / 2][16];

    REQUIRE(chip != NULL);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        chip[i] = (uint8_t)(7 * i);
    for (int isa = FM_ISA_PLAIN; isa <= (int)fm_cpu_isa(); isa++) {
        memset(out, 0, sizeof out);
        fm_net_kernels_for((fm_isa)isa)->fold(chip, SIDE, mean, out[0][0], sizeof out[0] / sizeof(float));
        for (int i = 0; i < SIDE * SIDE * 3; i++) {
            int y = i / (SIDE * 3), x = i / 3 % SIDE;

            CHECK(out[y / 2][x / 2][y % 2 * 6 + x % 2 * 3 + i % 3] == ((float)chip[i] - mean[i % 3]) / 256);
        }
    }
    free(chip);
}

CHECK_MAIN(CHECK_CASE(matrix_kernels_keep_to_their_order), CHECK_CASE(chips_are_folded))

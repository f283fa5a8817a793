/* With weights w = u (W + e) and features f = v (F + d), where W and F are what
 * the integers hold, an answer differs from u v sum(W F) by at most
 *
 *     v / 2 sum |u W|  +  |u e| |f|,
 *
 * since no |d| is above 1/2, and by Cauchy and Schwarz.  The length |f| of a
 * window's features is at most that of ten times the strongest cell of each of
 * its rows.  Norms of what is left out of a partial sum bound too little to stop
 * early: background windows lie 3 below the thresholds, and |w| |f| is 25. */
#include "worker/face/screen.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MOST = 127, ROOM = 32767, BYTE_MOST = 39, TEXTURE_MOST = 83 };

#define SLACK 1.001             /* for what the bounds themselves round */
#define FILTER_ROUNDS 2e-4      /* 3,100 fused multiply-adds round each by up to 2^-24 of the sum of absolute products */

/* Strong planes beside weak ones, as two neighbours' sums must fit 16 bits: found by trying swaps. */
const uint8_t fm_screen_order[4 * FM_HOG_QUADS] = {27, 21, 18, 11, 13, 5,  9,  6,  26, 24, 19, 2,  0,  20, 7, 3,
                                                   22, 12, 4,  23, 29, 31, 16, 30, 1,  10, 17, 25, 15, 14, 8, 28};

static float weight(const float *weights, int plane, int row, int column, int f)
{
    return plane < FM_HOG_PLANES
               ? weights[((plane * FM_HOG_SIDE + row) * FM_HOG_SIDE + column) * FM_HOG_FILTERS + f] : 0;
}

static int8_t *rounded(fm_screen *s, int place, int row, int column, int f)
{
    return s->weights + (((place / 4 * FM_HOG_SIDE + row) * FM_HOG_SIDE + column) * FM_HOG_FILTERS + f) * 4 + place % 4;
}

/* Rounds a filter's weights to multiples of unit; false when sums of 16 bits could overflow. */
static bool round_filter(fm_screen *s, const float *weights, int f, double unit)
{
    int most = 0, plus[2], minus[2];

    for (int q = 0; q < 4 * FM_HOG_QUADS; q += 4)
        for (int r = 0; r < FM_HOG_SIDE; r += 2) {
            memset(plus, 0, sizeof plus);
            memset(minus, 0, sizeof minus);
            for (int i = 0; i < 8 * FM_HOG_SIDE; i++) {
                int place = q + i % 4, p = fm_screen_order[place], row = r + i / 4 % 2, column = i / 8;
                int w = unit > 0 ? (int)lround(weight(weights, p, row, column, f) / unit) : 0;
                int lane = i / 2 % 2, top = p < 27 ? BYTE_MOST : TEXTURE_MOST;

                *rounded(s, place, row, column, f) = (int8_t)w;
                plus[lane] += w > 0 ? w * top : 0;
                minus[lane] -= w < 0 ? w * top : 0;
            }
            for (int lane = 0; lane < 2; lane++) {
                most = plus[lane] > most ? plus[lane] : most;
                most = minus[lane] > most ? minus[lane] : most;
            }
        }
    return most <= ROOM;
}

static void bounds(fm_screen *s, const float *weights, int f, double unit)
{
    double error = 0, squares = 0, sum = 0;

    for (int place = 0; place < 4 * FM_HOG_QUADS; place++)
        for (int r = 0; r < FM_HOG_SIDE; r++)
            for (int c = 0; c < FM_HOG_SIDE; c++) {
                double w = weight(weights, fm_screen_order[place], r, c, f), q = unit * *rounded(s, place, r, c, f);

                error += (w - q) * (w - q);
                squares += w * w;
                sum += fabs(q);
            }
    s->unit[f] = unit / (double)FM_HOG_STEPS;
    s->bytes_off[f] = SLACK * 0.5 / (double)FM_HOG_STEPS * sum;
    s->weights_off[f] = SLACK * (sqrt(error) + FILTER_ROUNDS * sqrt(squares));
}

void fm_screen_init(fm_screen *s, const float *weights)
{
    for (int f = 0; f < FM_HOG_FILTERS; f++) {
        double largest = 0, unit;

        for (int i = f; i < FM_HOG_PLANES * FM_HOG_SIDE * FM_HOG_SIDE * FM_HOG_FILTERS; i += FM_HOG_FILTERS)
            largest = fmax(largest, fabs((double)weights[i]));
        for (unit = largest / MOST; !round_filter(s, weights, f, unit); unit *= 1.05)
            ;
        bounds(s, weights, f, unit);
    }
}

void fm_screen_limits(const fm_screen *s, const double threshold[FM_HOG_FILTERS], const float energy[FM_HOG_SIDE],
                      int32_t limit[FM_HOG_FILTERS])
{
    double squares = 0, length;

    for (int r = 0; r < FM_HOG_SIDE; r++)
        squares += (double)energy[r];
    length = sqrt(FM_HOG_SIDE * squares);
    for (int f = 0; f < FM_HOG_FILTERS; f++) {
        double low = (threshold[f] - s->bytes_off[f] - s->weights_off[f] * length) / s->unit[f];

        /* of what is no number, every window is filtered */
        limit[f] = low > INT32_MIN + 2.0 ? low < INT32_MAX ? (int32_t)floor(low) : INT32_MAX : INT32_MIN + 1;
    }
}

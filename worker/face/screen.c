/* With weights w = W + e and features f = F + d, where W and F are what whole
 * numbers stand for, an answer differs from sum(W F) + sum(e c), c any, by at most
 *
 *     |w| |d| + |e| |F - c|
 *
 * by Cauchy and Schwarz.  Both lengths are measured window by window, together:
 * with |F - c|^2 + g |d|^2 = L^2 it is at most L sqrt(|e|^2 + |w|^2 / g).  c is what
 * cells are like on the average, so that |F - c| is two thirds of |F|.
 *
 * Norms of what is left out of a partial sum bound too little to stop early:
 * background windows lie 3 below the thresholds, and |w| |f - c| is 20.  Separable
 * filters save as much as sums for four windows do, but round in between. */
#include "worker/face/screen.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MOST = 127, ROOM = 32767, BYTE_MOST = 22, TEXTURE_MOST = 48 };
enum { SIGNED_MEAN = 5, UNSIGNED_MEAN = 9, TEXTURE_MEAN = 10, UNSIGNED = 18, TEXTURES = 27 };

#define SLACK 1.001             /* for what the bounds themselves round */
#define FILTER_ROUNDS 2e-4      /* 3,100 fused multiply-adds round each by up to 2^-24 of the sum of absolute products */
#define SUM_ROUNDS 8            /* of sums in single precision, up to 2^26 */

/* Strong planes beside weak ones, as two neighbours' sums must fit 16 bits: found by trying swaps. */
const uint8_t fm_screen_order[4 * FM_HOG_QUADS] = {27, 21, 18, 11, 13, 5,  9,  6,  26, 24, 19, 2,  0,  20, 7, 3,
                                                   22, 12, 4,  23, 29, 31, 16, 30, 1,  10, 17, 25, 15, 14, 8, 28};

/* A part's rows of cells, even or odd, and what of them: along rows and down columns a pair of weights (g, h) over
 * cells (a, b, c) is a g + b h = (a - b) g + b (g + h) and b g + c h = b (g + h) - (b - c) h. */
static const struct {
    int row, kind;
} parts[FM_HOG_PARTS] = {{0, FM_HOG_BOTH_EVEN},   {0, FM_HOG_DOWN_ODD}, {0, FM_HOG_BOTH_ODD},
                         {1, FM_HOG_ACROSS_EVEN}, {1, FM_HOG_ODD},      {1, FM_HOG_ACROSS_ODD},
                         {1, FM_HOG_BOTH_EVEN},   {1, FM_HOG_DOWN_ODD}, {1, FM_HOG_BOTH_ODD}};

/* What a part's weights of one pair are: the first, their sum, the second. */
static const int pair[3][2] = {{1, 0}, {1, 1}, {0, 1}};

static int most(int plane)
{
    return plane < TEXTURES ? BYTE_MOST : TEXTURE_MOST;
}

static int mean(int plane)
{
    return plane < UNSIGNED ? SIGNED_MEAN : plane < TEXTURES ? UNSIGNED_MEAN : plane < FM_HOG_PLANES ? TEXTURE_MEAN : 0;
}

/* How many times a plane's most a part's bytes reach, and the offset in them. */
static int reaches(int part)
{
    return part == 4 ? 2 : (part / 3 == 1 ? 1 : 2) * (part % 3 == 1 ? 1 : 2);
}

static int offset(int part)
{
    return part == 4 ? 0 : reaches(part) / 2;
}

typedef struct {
    int at[FM_HOG_SIDE][FM_HOG_SIDE];       /* one plane's weights, whole */
} whole_plane;

static float weight(const float *weights, int plane, int row, int column, int f)
{
    return plane < FM_HOG_PLANES
               ? weights[((plane * FM_HOG_SIDE + row) * FM_HOG_SIDE + column) * FM_HOG_FILTERS + f] : 0;
}

/* Rounds weights to multiples of unit, such that four which are added up have an even sum: half of it is multiplied. */
static void round_plane(const float *weights, int plane, int f, double unit, whole_plane *w)
{
    for (int r = 0; r < FM_HOG_SIDE; r += 2)
        for (int c = 0; c < FM_HOG_SIDE; c += 2) {
            double farthest = 0;
            int sum = 0, *turn = &w->at[r][c];

            for (int i = 0; i < 4; i++) {
                double v = (double)weight(weights, plane, r + i / 2, c + i % 2, f) / unit, off;
                int *to = &w->at[r + i / 2][c + i % 2];

                *to = (int)lround(v);
                sum += *to;
                off = v - *to;
                if (fabs(off) > fabs(farthest)) {
                    farthest = off;
                    turn = to;
                }
            }
            if (sum % 2)
                *turn += farthest < 0 ? -1 : 1;
        }
}

static int part_weight(const whole_plane *w, int part, int r, int c)
{
    int sum = 0;

    for (int i = 0; i < 4; i++)
        sum += pair[part / 3][i / 2] * pair[part % 3][i % 2] * w->at[2 * r + i / 2][2 * c + i % 2];
    return part == 4 ? sum / 2 : sum;
}

static int8_t *place_of(fm_screen *s, int part, int place, int r, int c, int f)
{
    return s->weights[part] + (((place / 4 * FM_HOG_HALF + r) * FM_HOG_HALF + c) * FM_HOG_FILTERS + f) * 4 + place % 4;
}

/* A part's weights of two planes that share a lane; false when they or their sums of 16 bits could overflow. */
static bool put_part(fm_screen *s, const whole_plane w[2], int part, int place, int f)
{
    for (int r = 0; r < FM_HOG_HALF; r += 2) {
        int plus = 0, minus = 0;

        for (int i = 0; i < (r + 1 < FM_HOG_HALF ? 4 : 2) * FM_HOG_HALF; i++) {
            int k = i % 2, c = i / 2 % FM_HOG_HALF, row = r + i / 2 / FM_HOG_HALF;
            int v = part_weight(&w[k], part, row, c), top = reaches(part) * most(fm_screen_order[place + k]);

            if (v < -MOST || v > MOST)
                return false;
            *place_of(s, part, place + k, row, c, f) = (int8_t)v;
            plus += v > 0 ? v * top : 0;
            minus -= v < 0 ? v * top : 0;
        }
        if (plus > ROOM || minus > ROOM)
            return false;
    }
    return true;
}

typedef struct {
    double error, squares, mean;    /* |e|^2, |w|^2, sum(e c) */
} differences;

static void add_differences(const float *weights, int plane, int f, double unit, const whole_plane *w, differences *d)
{
    for (int r = 0; r < FM_HOG_SIDE; r++)
        for (int c = 0; c < FM_HOG_SIDE; c++) {
            double v = weight(weights, plane, r, c, f), e = v - unit * w->at[r][c];

            d->error += e * e;
            d->squares += v * v;
            d->mean += e * mean(plane) / (double)FM_HOG_STEPS;
        }
}

static bool round_filter(fm_screen *s, const float *weights, int f, double unit, differences *d)
{
    *d = (differences){0, 0, 0};
    for (int place = 0; place < 4 * FM_HOG_QUADS; place += 2) {
        whole_plane w[2];

        for (int k = 0; k < 2; k++) {
            round_plane(weights, fm_screen_order[place + k], f, unit, &w[k]);
            add_differences(weights, fm_screen_order[place + k], f, unit, &w[k], d);
        }
        for (int part = 0; part < FM_HOG_PARTS; part++)
            if (!put_part(s, w, part, place, f))
                return false;
    }
    return true;
}

/* What a part's offsets add to its sum. */
static double part_offset(fm_screen *s, int part, int f)
{
    double sum = 0;

    for (int place = 0; place < 4 * FM_HOG_QUADS; place++)
        for (int i = 0; i < FM_HOG_HALF * FM_HOG_HALF; i++)
            sum += offset(part) * most(fm_screen_order[place]) *
                   *place_of(s, part, place, i / FM_HOG_HALF, i % FM_HOG_HALF, f);
    return sum;
}

static void offsets(fm_screen *s, int f)
{
    double p[FM_HOG_PARTS];

    for (int part = 0; part < FM_HOG_PARTS; part++)
        p[part] = part_offset(s, part, f);
    s->offset[f][0] = p[0] + p[1] + p[3] + p[4];
    s->offset[f][1] = p[1] - p[2] + p[4] - p[5];
    s->offset[f][2] = p[3] + p[4] - p[6] - p[7];
    s->offset[f][3] = p[4] - p[5] - p[7] + p[8];
}

void fm_screen_init(fm_screen *s, const float *weights)
{
    double means = 0;

    for (int p = 0; p < FM_HOG_PLANES; p++)
        means += FM_HOG_SIDE * FM_HOG_SIDE * mean(p) * mean(p);
    means = sqrt(means) / (double)FM_HOG_STEPS;
    for (int f = 0; f < FM_HOG_FILTERS; f++) {
        double largest = 0, unit, rounds;
        differences d;

        for (int i = f; i < FM_HOG_PLANES * FM_HOG_SIDE * FM_HOG_SIDE * FM_HOG_FILTERS; i += FM_HOG_FILTERS)
            largest = fmax(largest, fabs((double)weights[i]));
        for (unit = largest > 0 ? largest / MOST : 1; !round_filter(s, weights, f, unit, &d); unit *= 1.02)
            ;
        offsets(s, f);
        rounds = FILTER_ROUNDS * sqrt(d.squares);
        s->unit[f] = unit / (double)FM_HOG_STEPS;
        s->mean_off[f] = d.mean + rounds * means;
        s->reach[f] = SLACK / (double)FM_HOG_STEPS *
                      (2 * rounds + sqrt(d.error + d.squares / (double)FM_HOG_OFF_WEIGHS));
    }
}

void fm_screen_set_limits(const fm_screen *s, const double threshold[FM_HOG_FILTERS], fm_screen_limits *l)
{
    for (int f = 0; f < FM_HOG_FILTERS; f++) {
        l->reach[f] = (float)(s->reach[f] / s->unit[f]);
        for (int i = 0; i < 4; i++) {
            double low = (threshold[f] - s->mean_off[f]) / s->unit[f] + s->offset[f][i] - SUM_ROUNDS;

            l->limit[f][i] = (float)low;
            if (!isfinite(l->limit[f][i]) || !isfinite(l->reach[f])) {      /* every window is filtered */
                l->limit[f][i] = -INFINITY;
                l->reach[f] = 0;
            }
        }
    }
}

static uint8_t *cut(uint8_t *memory, size_t *at, size_t bytes)
{
    uint8_t *here = memory ? memory + *at : NULL;

    *at += (bytes + 63) / 64 * 64;
    return here;
}

size_t fm_screened_init(fm_screened *s, int nx, int ny, uint8_t *memory)
{
    size_t half, row, at = 0;

    *s = (fm_screened){.blocks = (nx + FM_HOG_BLOCK - 1) / FM_HOG_BLOCK, .rows = (ny + 1) / 2 * 2 + FM_HOG_PAD};
    half = ((size_t)(nx + 4 + FM_HOG_MARGIN) / 2 + 31) / 16 * 16;
    s->half = (int64_t)half;
    s->sums_stride = (int64_t)half + 64;
    row = 4 * FM_HOG_QUADS * half;
    s->cells = cut(memory, &at, (size_t)s->rows * FM_HOG_KINDS * row + 4 * 128);
    s->bytes = cut(memory, &at, 2 * 2 * row + 64);
    s->energy = (float *)(void *)cut(memory, &at, ((size_t)s->rows * 2 * half + 64) * sizeof(float));
    s->columns = (float *)(void *)cut(memory, &at, (2 * half + 64) * sizeof(float));
    s->lengths = (float *)(void *)cut(memory, &at, (4 * half + 64) * sizeof(float));
    s->sums = (int32_t *)(void *)cut(memory, &at, FM_HOG_PARTS * FM_HOG_FILTERS * (size_t)s->sums_stride * sizeof(int32_t));
    s->hits = cut(memory, &at, 2 * half + 64);
    return at;
}

static void by_place(int (*of)(int plane), uint8_t out[4 * FM_HOG_QUADS])
{
    for (int i = 0; i < 4 * FM_HOG_QUADS; i++)
        out[i] = (uint8_t)of(fm_screen_order[i]);
}

static uint8_t *kinds_of(const fm_screened *s, int row)
{
    return s->cells + (int64_t)row * FM_HOG_KINDS * 4 * FM_HOG_QUADS * s->half;
}

void fm_screened_row(fm_screened *s, const fm_hog_kernels *k, int row, const float *const planes[FM_HOG_PLANES])
{
    const float *ordered[4 * FM_HOG_QUADS];
    uint8_t means[4 * FM_HOG_QUADS], tops[4 * FM_HOG_QUADS];
    uint8_t *bytes = s->bytes + row % 2 * 8 * FM_HOG_QUADS * s->half;
    const uint8_t *before = s->bytes + (row + 1) % 2 * 8 * FM_HOG_QUADS * s->half;
    int n = FM_HOG_BLOCK * s->blocks + FM_HOG_PAD + 1;

    by_place(mean, means);
    by_place(most, tops);
    for (int i = 0; i < 4 * FM_HOG_QUADS; i++)
        ordered[i] = fm_screen_order[i] < FM_HOG_PLANES ? planes[fm_screen_order[i]] : NULL;
    k->pack(ordered, means, n, s->half, bytes, s->energy + 2 * row * s->half);
    if (row > 0)
        k->differences(before, bytes, row % 2 == 0, (n - 1) / 2, s->half, tops, kinds_of(s, row - 1));
}

void fm_screened_pair(fm_screened *s, const fm_screen *screen, const fm_hog_kernels *k, const fm_screen_limits *l, int y)
{
    const int64_t quad = 4 * s->half, kind = FM_HOG_QUADS * quad, row = FM_HOG_KINDS * kind;
    int n = FM_HOG_BLOCK / 2 * s->blocks;

    for (int i = 0; i < 2; i++)
        k->lengths(s->energy + 2 * (y + i) * s->half, s->half, n, s->columns, s->lengths + 2 * i * s->half);
    for (int p = 0; p < FM_HOG_PARTS; p++)
        k->correlate(kinds_of(s, y + parts[p].row) + parts[p].kind * kind, quad, 2 * row, screen->weights[p], n,
                     s->sums + p * FM_HOG_FILTERS * s->sums_stride, s->sums_stride);
    k->hits(s->sums, s->sums_stride, s->lengths, s->half, l->limit, l->reach, n, s->hits, s->half);
}

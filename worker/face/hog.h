/* The detector's kernels, one table for each instruction set.  The plain table
 * is the reference; the others are compiled from the same source with wider
 * vectors and agree with it bit for bit, so that scores, which are stored, do not
 * depend on the node. */
#ifndef FM_WORKER_FACE_HOG_H
#define FM_WORKER_FACE_HOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu.h"

enum {
    FM_HOG_CELL = 8,        /* pixels */
    FM_HOG_BINS = 18,       /* signed orientations */
    FM_HOG_PLANES = 31,     /* 18 signed, 9 unsigned, 4 textures */
    FM_HOG_SIDE = 10,       /* a filter's rows and columns, cells */
    FM_HOG_FILTERS = 5,
    FM_HOG_PAD = 9,         /* zero cells around the features: 4 before, 5 after */
    FM_HOG_MARGIN = 16,     /* zero cells after a row's features, at least */
    FM_HOG_SLACK = 80,      /* floats readable after each row of features */
    FM_HOG_QUADS = 8,       /* planes four by four, one of them empty */
    FM_HOG_BLOCK = 8,       /* columns that are screened together */
    FM_HOG_HALF = 5,        /* every other of a filter's rows or columns */
    FM_HOG_PARTS = 9,       /* sums that four windows' answers are made of */
    FM_HOG_STRIP = 256,     /* columns of pixels that vote together */
    FM_HOG_STRIP_ROW = FM_HOG_STRIP + 16
};

#define FM_HOG_STEPS 56.0f      /* steps of a feature's byte from 0 to 1: 0.4, the largest of most planes, becomes 22 */
#define FM_HOG_OFF_WEIGHS 930.0f        /* in pack's lengths; about what makes the screen's bounds least */

/* What the screen multiplies: cells, or by how much they are above their neighbours. */
enum { FM_HOG_ODD, FM_HOG_ACROSS_EVEN, FM_HOG_ACROSS_ODD, FM_HOG_DOWN_ODD, FM_HOG_BOTH_EVEN, FM_HOG_BOTH_ODD, FM_HOG_KINDS };

typedef struct {
    /* A row's colours apart: rgb u8 [width, 3] to planes u8 [3], plane_stride from one to the next. */
    void (*split)(const uint8_t *rgb, int width, uint8_t *planes, int64_t plane_stride);
    /* Gradient of the strongest colour at n pixels.
     * above, row, below  u8, their first colour; the others plane_stride and twice that further; readable from -1 to
     *                    n + 16.
     * later_wins         ties between colours go to the later, or the earlier.
     * magnitude          f32 [n], squared lengths' roots.   at  u16 [n], 4 times the orientation, 0 .. 17; up to 15
     *                    more of both are overwritten.  The orientation of no gradient is any. */
    void (*gradient)(const uint8_t *above, const uint8_t *row, const uint8_t *below, int64_t plane_stride, int n,
                     int later_wins, float *magnitude, uint16_t *at);
    /* Add the votes of FM_HOG_STRIP columns of FM_HOG_CELL rows of pixels, which two cells side by side and two
     * above each other share by distance.
     * magnitude, at  [8][FM_HOG_STRIP_ROW], as gradient gives them; pixel i of a row lies between cells i / 8 and
     *                i / 8 + 1.
     * upper, lower   f32 [18][stride], orientation histograms of two rows of cells. */
    void (*vote)(const float *magnitude, const uint16_t *at, float *upper, float *lower, int64_t stride);
    /* Squared lengths of cells' unsigned orientation histograms.
     * bins  f32 [18][stride]; stride a multiple of 16.   norm  f32 [stride]. */
    void (*norms)(const float *bins, int64_t stride, float *norm);
    /* Features of one row of n cells, and zeros behind them.
     * bins   f32 [18][stride], orientation histograms of the row's cells.
     * norm   f32, three rows (above, this, below), each readable from -1 to n + FM_HOG_MARGIN, as bins are.
     * out    [31] rows of the feature planes, [n + FM_HOG_MARGIN] each. */
    void (*features)(const float *bins, int64_t stride, const float *const norm[3], int n, float *const out[FM_HOG_PLANES]);
    /* One row of the five filters' answers.
     * planes   f32 feature planes, plane p row r at planes + p * plane_stride + r * row_stride; FM_HOG_SLACK
     *          floats after a row's end are readable.
     * weights  f32 [31][10][10][5].   out f32 [5][out_stride]; columns 0 .. n - 1, up to 63 more are overwritten. */
    void (*filter)(const float *planes, int64_t plane_stride, int64_t row_stride, const float *weights, int n,
                   float *out, int64_t out_stride);
    /* Bytes of a row's features, by FM_HOG_STEPS, rounded: for the screen.  Columns of even numbers lie apart from odd
     * ones.
     * planes  [32] rows of feature planes in the order they are packed, one NULL: zeros.  n columns are packed, up
     *         to 31 more read and packed too.
     * mean    [32] steps.
     * out     u8 [2][8 quads][half], four planes of a cell side by side.
     * energy  f32 [2][half]: a cell's squared differences to the mean, in steps, and FM_HOG_OFF_WEIGHS times those
     *         that rounding made. */
    void (*pack)(const float *const planes[4 * FM_HOG_QUADS], const uint8_t mean[4 * FM_HOG_QUADS], int n, int64_t half,
                 uint8_t *out, float *energy);
    /* What the screen multiplies, of a row and the one below.
     * row, below  as packed; the column after the last of n halves is read too.
     * odd         whether all six kinds are wanted, or those of even rows: FM_HOG_DOWN_ODD, FM_HOG_BOTH_EVEN and _ODD.
     * most        [32] the largest byte of each plane; four times that is a byte, too.
     * out         u8 [6][8 quads][half] by kind: FM_HOG_ODD twice the odd columns' bytes; ACROSS a column less the next,
     *             plus most; DOWN a row less the next, plus most; BOTH a column's DOWN less the next's, plus twice
     *             most.  Up to 15 halves more are overwritten. */
    void (*differences)(const uint8_t *row, const uint8_t *below, bool odd, int n, int64_t half,
                        const uint8_t most[4 * FM_HOG_QUADS], uint8_t *out);
    /* Sums of a filter's half, five of its rows and columns, at n places for all filters, in whole numbers.
     * cells    u8, quad q row r at cells + r * row_stride + q * quad_stride; 64 places after the last can be read.
     * weights  i8 [8 quads][5 rows][5 columns][5 filters][4 planes]; rows' 0 and 1, 2 and 3, and 4 positive (negative)
     *          ones of two planes side by side, times their bytes, sum to less than 2^15.
     * sums     i32 [5][sums_stride]; up to 63 more are overwritten. */
    void (*correlate)(const uint8_t *cells, int64_t quad_stride, int64_t row_stride, const int8_t *weights, int n,
                      int32_t *sums, int64_t sums_stride);
    /* Square roots of windows' energies, of a row of them.
     * energy   f32 [10][2][half]; n + 5 of each.   columns  f32 [2][half], for its own use.
     * lengths  f32 [2][half]; up to 15 more are overwritten, of columns as well. */
    void (*lengths)(const float *energy, int64_t half, int n, float *columns, float *lengths);
    /* Which blocks of two rows of windows may hold a face.  Four windows, two beside and two above each other, are put
     * together from nine sums; one may when sum + reach * length is at least that filter's limit.
     * sums     i32 [9][5][stride].   lengths  f32 [2 rows][2][half].   limit  by filter and window.
     * n        windows in half a row, a multiple of 4.
     * hits     u8 [2][hits_stride], a block's 1 or 0; up to 3 more are overwritten. */
    void (*hits)(const int32_t *sums, int64_t stride, const float *lengths, int64_t half,
                 const float limit[FM_HOG_FILTERS][4], const float reach[FM_HOG_FILTERS], int n, uint8_t *hits,
                 int64_t hits_stride);
    /* n pixels between two rows of a photograph, the same bits whatever the instruction set.
     * top, bottom  u8 [3], plane from colour to colour; 16 bytes from any pixel on are readable.
     * left         [n] the pixels to the left, ascending; the next is in the row too.
     * pick         u8 [n / 8][16], where eight of them and those to their right lie, from the first on; 16 and more
     *              when they lie too far apart for one vector.
     * fraction     [n] how far to the right of it, 0 to 1.   down  how far below top, 0 to 1.
     * out          u8 [3], out_plane from colour to colour: cut, not rounded. */
    void (*blend)(const uint8_t *top, const uint8_t *bottom, int64_t plane, const int *left, const uint8_t *pick,
                  const float *fraction, double down, int n, uint8_t *out, int64_t out_plane);
} fm_hog_kernels;

const fm_hog_kernels *fm_hog_kernels_for(fm_isa isa);

extern const fm_hog_kernels fm_hog_plain, fm_hog_avx2, fm_hog_avx512;

#endif

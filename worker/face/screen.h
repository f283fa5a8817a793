/* A screen before the detector's filters: their sums over bytes, in whole
 * numbers, many times as fast as in floating point.  It never decides: windows
 * whose sum comes near enough to the threshold, by a bound on all that rounding
 * can do, are filtered exactly, and only the others, most of them, are done. */
#ifndef FM_WORKER_FACE_SCREEN_H
#define FM_WORKER_FACE_SCREEN_H

#include <stddef.h>
#include <stdint.h>

#include "worker/face/hog.h"

enum { FM_SCREEN_PART = FM_HOG_QUADS * FM_HOG_HALF * FM_HOG_HALF * FM_HOG_FILTERS * 4 };

/* Where planes are packed; 31 is the empty one. */
extern const uint8_t fm_screen_order[4 * FM_HOG_QUADS];

typedef struct {
    int8_t weights[FM_HOG_PARTS][FM_SCREEN_PART];   /* as fm_hog_kernels.correlate takes them */
    double unit[FM_HOG_FILTERS];        /* what 1 in an answer's sum stands for */
    double offset[FM_HOG_FILTERS][4];   /* what the four windows' sums hold besides */
    double mean_off[FM_HOG_FILTERS];    /* the most that rounding moves an answer of cells all like the mean */
    double reach[FM_HOG_FILTERS];       /* and of any, for each 1 of fm_hog_kernels.lengths */
} fm_screen;

/* weights  f32 [31][10][10][5], finite. */
void fm_screen_init(fm_screen *s, const float *weights);

typedef struct {
    float limit[FM_HOG_FILTERS][4], reach[FM_HOG_FILTERS];      /* as fm_hog_kernels.hits takes them */
} fm_screen_limits;

/* Windows whose answer, as fm_hog_kernels.filter computes it, is at least threshold[f] are hit. */
void fm_screen_set_limits(const fm_screen *s, const double threshold[FM_HOG_FILTERS], fm_screen_limits *l);

/* A level's cells as the screen takes them. */
typedef struct {
    int blocks;             /* of windows in a row */
    int rows;               /* of cells; those around the features that the last windows reach, too */
    int64_t half, sums_stride;
    uint8_t *cells;         /* [rows][FM_HOG_KINDS][8][half][4] */
    uint8_t *bytes;         /* [2 rows][2][8][half][4], by turns */
    float *energy;          /* [rows][2][half] */
    float *columns;         /* [2][half] */
    float *lengths;         /* [2 rows][2][half] */
    int32_t *sums;          /* [FM_HOG_PARTS][5][sums_stride] */
    uint8_t *hits;          /* [2 rows][half] */
} fm_screened;

/* Lays out memory for nx x ny windows.  Returns the bytes that are wanted, a multiple of 64; memory NULL: that alone. */
size_t fm_screened_init(fm_screened *s, int nx, int ny, uint8_t *memory);

/* Takes a row of cells, the first being 0; all must be given in order.
 * planes  [31] the row in each plane of features, the four zeros before them and FM_HOG_MARGIN behind. */
void fm_screened_row(fm_screened *s, const fm_hog_kernels *k, int row,
                     const float *const planes[FM_HOG_PLANES]);

/* Screens the windows of rows y, which is even, and y + 1: s->hits has a row's blocks, FM_HOG_BLOCK columns each, that may
 * hold a face.  All rows up to y + 10 must be there. */
void fm_screened_pair(fm_screened *s, const fm_screen *screen, const fm_hog_kernels *k, const fm_screen_limits *l, int y);

#endif

/* A screen before the detector's filters: their sums over bytes, in whole
 * numbers, four times as fast as in floating point.  It never decides: windows
 * whose sum comes near enough to the threshold, by a bound on all that rounding
 * can do, are filtered exactly, and only the others, most of them, are done. */
#ifndef FM_WORKER_FACE_SCREEN_H
#define FM_WORKER_FACE_SCREEN_H

#include <stdint.h>

#include "worker/face/hog.h"

enum { FM_SCREEN_WEIGHTS = FM_HOG_QUADS * FM_HOG_SIDE * FM_HOG_SIDE * FM_HOG_FILTERS * 4 };

/* Where planes are packed; 31 is the empty one. */
extern const uint8_t fm_screen_order[4 * FM_HOG_QUADS];

typedef struct {
    int8_t weights[FM_SCREEN_WEIGHTS];      /* as fm_hog_kernels.screen takes them */
    double unit[FM_HOG_FILTERS];            /* what 1 in a sum stands for */
    double bytes_off[FM_HOG_FILTERS];       /* the most that rounded features move an answer */
    double weights_off[FM_HOG_FILTERS];     /* the same of rounded weights, for features of length 1 */
} fm_screen;

/* weights  f32 [31][10][10][5], finite. */
void fm_screen_init(fm_screen *s, const float *weights);

/* Sums below limit[f] belong to windows whose answer, as fm_hog_kernels.filter computes it, is below threshold[f].
 * energy  [10] what pack returned for the windows' rows of cells. */
void fm_screen_limits(const fm_screen *s, const double threshold[FM_HOG_FILTERS], const float energy[FM_HOG_SIDE],
                      int32_t limit[FM_HOG_FILTERS]);

#endif

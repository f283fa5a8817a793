/* Losses of linear classifiers, a run of rows at a time. */
#ifndef FM_COORDINATOR_LEARN_LOSS_H
#define FM_COORDINATOR_LEARN_LOSS_H

#include <stddef.h>

typedef enum { FM_LOSS_LOGISTIC, FM_LOSS_SQUARED_HINGE } fm_loss;

#define FM_LOSS_ROWS 512    /* at most, in one call */

/* Rows with scores z, classes y (-1 or 1) and weights cost, each f32 [n]; n at most FM_LOSS_ROWS.
 * slope  f32 [n], caller's: derivative of each row's weighted loss by z.
 * Returns the sum of weighted losses, always added in the same order. */
double fm_loss_run(fm_loss loss, const float *z, const float *y, const float *cost, size_t n, float *slope);

/* curve  f32 [n], caller's: second derivative by z, at least 0 (of the squared hinge: a generalised one). */
void fm_loss_curve(fm_loss loss, const float *z, const float *y, const float *cost, size_t n, float *curve);

#endif

/* Probabilities from scores: Platt 1999, fitted as Lin, Lin and Weng 2007 do. */
#ifndef FM_COORDINATOR_LEARN_PLATT_H
#define FM_COORDINATOR_LEARN_PLATT_H

#include <stddef.h>

/* The sigmoid 1 / (1 + exp(-(a z + b))) that fits y best, towards targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2).
 * z  f32 [n], scores of rows by a classifier that was not trained on them.
 * y  f32 [n], -1 or 1.  cost  f32 [n], over 0: what a row counts, in N+ and N- too. */
void fm_platt_fit(const float *z, const float *y, const float *cost, size_t n, double *a, double *b);

#endif

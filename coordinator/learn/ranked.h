/* Predictions ranked once and weighed many times: what the point estimate and
 * the bootstrap share.  A metric of a resample is a metric in which each unit (a
 * group, or a row alone) counts as often as it was drawn. */
#ifndef FM_COORDINATOR_LEARN_RANKED_H
#define FM_COORDINATOR_LEARN_RANKED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/learn/metrics.h"

typedef struct fm_ranked fm_ranked;

/* Arguments as fm_metrics_point; everything is copied.
 * Errors: -EINVAL (a label or call out of range, a probability that is not in [0, 1]), -ENOMEM. */
int fm_ranked_create(const fm_predictions *p, const uint32_t *rows, size_t n_rows, int repeat, int fold,
                     fm_ranked **out, fm_err *err);
void fm_ranked_destroy(fm_ranked *r);

/* Groups that have a prediction, numbered 0 .. units-1 by ascending group number. */
size_t fm_ranked_units(const fm_ranked *r);
/* u64 numbers that fm_ranked_metrics needs as scratch. */
size_t fm_ranked_scratch(const fm_ranked *r);
/* weight   u32 [units], how often each unit counts.
 * scratch  u64 [fm_ranked_scratch(r)], caller's, one a thread.
 * Sums of weights stay below 2^32.  Threads: any number on one r. */
void fm_ranked_metrics(const fm_ranked *r, const uint32_t *weight, uint64_t *scratch, fm_metric_values *out);

/* What is called positive down to some score: of class 1, and of class 0. */
typedef struct { uint64_t right, wrong; } fm_ranked_point;

/* Two classes: the points of the first of its repeats, from none called to all, one a distinct score.
 * weight   as above.  points  caller's, room for fm_ranked_points_max(r).  Returns how many; 1 when there is no row. */
size_t fm_ranked_points(const fm_ranked *r, const uint32_t *weight, fm_ranked_point *points);
size_t fm_ranked_points_max(const fm_ranked *r);

#endif

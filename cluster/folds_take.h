/* What the jobs of an array left of a plan's folds (cluster/folds.h), put in place of
 * training. */
#ifndef FM_CLUSTER_FOLDS_TAKE_H
#define FM_CLUSTER_FOLDS_TAKE_H

#include <stdbool.h>

#include "cluster/stage.h"
#include "coordinator/learn/evaluation.h"

/* Place what is in DIR.  *all: no fold of this plan is missing; else e is as fm_evaluation_begin left it but for
 * some folds' values.  Files of other plans are passed over.
 * Errors: -ENOMEM, -EIO.  Ranks: collective; all return the same. */
int fm_folds_take(const fm_ranks *on, const char *dir, fm_evaluation *e, bool *all, fm_err *err);

#endif

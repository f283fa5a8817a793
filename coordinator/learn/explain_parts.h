/* What the files of learn/explain.h share. */
#ifndef FM_COORDINATOR_LEARN_EXPLAIN_PARTS_H
#define FM_COORDINATOR_LEARN_EXPLAIN_PARTS_H

#include "coordinator/learn/explain.h"

/* Numbers a face has: base, cells, regions. */
size_t fm_explain_columns(const fm_explain_view *v);

/* A face's log odds and falls under a labelling, from heads that were trained under it.
 * label  i32 [plan->n].
 * out    f64 [n, columns]; the caller's to free.
 * Errors: as fm_head_train and fm_head_score; -ENOMEM. */
int fm_explain_falls(const fm_explain_view *v, const int32_t *label, double **out, fm_err *err);

/* Mean and standard error of each column.
 * only      a class; -1: the mean over classes that have faces.
 * mean, se  caller's, f64 [columns]; NaN where there are no faces, se NaN of one subject. */
int fm_explain_sum(const fm_explain_view *v, const int32_t *label, int only, const double *falls, double *mean, double *se,
                   fm_err *err);

/* 0 where nothing is known of the error: what cannot be told from 0. */
double fm_explain_t(double fall, double se);

/* Maps for the grid and classes that x holds, zeroed. */
int fm_explain_room(fm_explanation *x, fm_err *err);

#endif

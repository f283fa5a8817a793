/* What a head is made of, for what trains heads (fitting.c) and what reads them (head.c). */
#ifndef FM_COORDINATOR_LEARN_HEAD_PARTS_H
#define FM_COORDINATOR_LEARN_HEAD_PARTS_H

#include "coordinator/learn/fc.h"
#include "coordinator/learn/head.h"

#define FM_HEAD_CLASSES_MAX 65536
#define FM_HEAD_WIDTH_MAX (1u << 20)

struct fm_head {
    fm_head_spec spec;
    size_t d;
    int classes;
    double *mean, *scale;   /* f64 [d]; scale is 1 / standard deviation, 0 for a constant column */
    fm_fc fc;               /* FC */
    double *weight;         /* LOGISTIC, SVM: f64 [d + 1, scores] */
};

/* All numbers 0.  Errors: -EINVAL (sizes), -ENOMEM. */
int fm_head_create(const fm_head_spec *spec, size_t d, int classes, fm_head **out, fm_err *err);
/* The i-th chosen row; borrowed. */
const float *fm_codes_row(const fm_codes *codes, size_t i);

#endif

/* The FC head's network: FC1 with ReLU and dropout, FC2 with softmax. */
#ifndef FM_COORDINATOR_LEARN_FC_H
#define FM_COORDINATOR_LEARN_FC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/learn/head.h"
#include "coordinator/learn/inner.h"

/* Parameters lie one after the other in f32 [n]:
 * w1 [d, hidden], b1 [hidden], w2 [hidden, classes], b2 [classes], row-major. */
typedef struct {
    size_t d, hidden, classes;
    size_t w2;              /* where w2 starts; b1 is the hidden numbers before it */
    size_t b2;              /* where b2 starts */
    size_t n;
    float *param;           /* owned */
} fm_fc;

#define FM_FC_PARAMS_MAX ((size_t)1 << 26)

/* All parameters 0.  Errors: -EINVAL (more than FM_FC_PARAMS_MAX parameters), -ENOMEM. */
int fm_fc_init(fm_fc *net, size_t d, size_t hidden, size_t classes, fm_err *err);
void fm_fc_fini(fm_fc *net);

/* Called after each epoch; epochs  how many have passed. */
typedef struct {
    void (*after_epoch)(void *ctx, const fm_fc *net, uint32_t epochs);
    void *ctx;
} fm_fc_watch;

/* Train.  net is the caller's, from fm_fc_init; rows' folds are not looked at.
 * watch  NULL: nobody.  Training for more epochs begins with the very same ones.
 * Errors: -EDOM (it went out of range), -ENOMEM. */
int fm_fc_train(fm_fc *net, const fm_head_spec *spec, const fm_rows *rows, uint64_t seed, uint64_t stream,
                const fm_fc_watch *watch, fm_err *err);

/* A choice by inner folds, in parts that may be worked out anywhere: one an inner fold.
 * How many numbers that of a fold leaves behind; rows' x is not looked at. */
size_t fm_fc_part_values(const fm_head_spec *spec, const fm_rows *rows, uint32_t fold);
/* Train without the fold, for the most epochs there are to choose from.
 * rows    folds over 0.
 * values  caller's; f64 [choices, held-out rows, classes]: their probabilities after each choice of epochs.
 * Errors: as fm_fc_train. */
int fm_fc_part(const fm_head_spec *spec, const fm_rows *rows, uint64_t seed, uint64_t stream, uint32_t fold,
               double *values, fm_err *err);
/* What the inner folds say: the choice of epochs with the least log loss on held-out rows, ties to fewer.
 * parts       all parts' values, one behind the other.
 * epochs      the choice; the spec's own when it has none.
 * inner_prob  caller's; f64 [n, classes], each row's by the head without its inner fold; or NULL.
 * Errors: -ENOMEM. */
int fm_fc_choose(const fm_head_spec *spec, const fm_rows *rows, const double *parts, uint32_t *epochs,
                 double *inner_prob, fm_err *err);

/* Class probabilities of one row.
 * x  f32 [d], standardised.  hidden, logit  f32 [hidden], [classes], caller's scratch.  prob  f64 [classes]. */
void fm_fc_score(const fm_fc *net, const float *x, float *hidden, float *logit, double *prob);

/* --- steps of training, for tests --- */

/* One batch and what is worked out on it, all owned: rows x, labels, dropout's factors. */
typedef struct {
    size_t n;               /* rows */
    const float *weight;    /* f32 [classes], borrowed: what a row of each class counts; NULL: 1 */
    float *x;               /* f32 [n, d] */
    int32_t *label;         /* i32 [n] */
    float *keep;            /* f32 [n, hidden]: 0 dropped, 1 / (1 - dropout) kept */
    float *hidden, *back;   /* f32 [n, hidden] */
    float *out;             /* f32 [n, classes] */
} fm_fc_batch;

int fm_fc_batch_init(fm_fc_batch *b, const fm_fc *net, size_t rows_max, fm_err *err);
void fm_fc_batch_fini(fm_fc_batch *b);

/* Mean over rows of their class's weight times their cross-entropy; its gradient without the L2 term into
 * grad f32 [net->n]. */
double fm_fc_gradient(const fm_fc *net, fm_fc_batch *b, float *grad);

typedef struct {
    float *m, *v;           /* f32 [net->n], owned; 0 before the first step */
    double beta1_t, beta2_t;    /* powers of the decay rates; 1 before the first step */
} fm_adam;

int fm_adam_init(fm_adam *a, const fm_fc *net, fm_err *err);
void fm_adam_fini(fm_adam *a);
/* One step.  l2 adds l2 * w to the gradient of weights; biases have none. */
void fm_adam_step(fm_adam *a, fm_fc *net, const float *grad, double rate, double l2);

#endif

/* Heads: small classifiers trained on codes.
 *
 * FC        the head of Liang et al. 2020 (JMIR 22(4):e17234): codes
 *           standardised with the training rows' mean and standard deviation,
 *           FC1 with ReLU and dropout 0.25, FC2 with softmax, cross-entropy with
 *           L2 1e-3, learning rate 1e-3, batches of 10, 5 epochs.
 *           What the paper leaves open is chosen so: Adam (Kingma and Ba 2015;
 *           0.9, 0.999, 1e-8); L2 is the loss term l2 / 2 * |W|^2 over both
 *           weight matrices and no bias, its gradient going through Adam, as
 *           deep-learning toolkits call "weight decay" in their Adam; weights
 *           start normal with variance 2 / inputs (He et al. 2015) in FC1 and
 *           1 / inputs in FC2, biases at 0; the last, shorter batch counts as a
 *           batch; dropout scales what is kept by 1 / (1 - dropout).
 * LOGISTIC  L2-regularised logistic regression on standardised codes, by
 *           liblinear (Fan et al. 2008; trust region Newton, tolerance 1e-4) with
 *           its cost C; the bias is regularised too, as liblinear does.  More
 *           than two classes: one against the rest, probabilities divided by
 *           their sum.
 *
 * A column that is constant in training counts as 0 from then on.
 *
 * A head is a pure function of (spec, rows in order, labels, seed, stream):
 * the same bytes at any number of ranks, given one build of OpenBLAS on one
 * kind of processor. */
#ifndef FM_COORDINATOR_LEARN_HEAD_H
#define FM_COORDINATOR_LEARN_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

typedef enum {
    FM_HEAD_FC,
    FM_HEAD_LOGISTIC,
    FM_HEAD_SVM         /* known to the contract, not in this version: -ENOTSUP */
} fm_head_kind;

typedef struct {
    uint8_t kind;           /* fm_head_kind */
    uint32_t hidden;        /* FC: units of FC1, 1 to 65,536 */
    uint32_t batch;         /* FC: rows a step, at least 1 */
    uint32_t epochs;        /* FC: passes over the rows, at least 1 */
    double dropout;         /* FC: part of FC1's units dropped in training, [0, 1) */
    double l2;              /* FC: at least 0 */
    double learning_rate;   /* FC: over 0 */
    double C;               /* LOGISTIC: cost of a row's loss against half the weights' norm, over 0 */
} fm_head_spec;

/* Liang et al. 2020: fc, 64 hidden, batch 10, 5 epochs, dropout 0.25, l2 1e-3, rate 1e-3; C 1. */
void fm_head_spec_default(fm_head_spec *spec);
const char *fm_head_kind_name(int kind);    /* "fc", "logistic", "svm" */
/* Errors: -EINVAL (which value, and its range), -ENOTSUP. */
int fm_head_spec_check(const fm_head_spec *spec, fm_err *err);
/* Canonical bytes, as part of another record; what is read is still to be checked. */
void fm_head_spec_encode(const fm_head_spec *spec, fm_buf *out);
void fm_head_spec_decode(fm_reader *in, fm_head_spec *out);

/* Rows of a code matrix, chosen by index; borrowed throughout.  A view of a code
 * (embedding or pooled) is x moved to its first column. */
typedef struct {
    const float *x;         /* f32 [.., stride], row-major */
    size_t stride;          /* floats from one row to the next, at least d */
    size_t d;               /* columns used */
    const uint32_t *rows;   /* [n] row numbers in x; NULL: 0 .. n-1 */
    size_t n;
} fm_codes;

typedef struct fm_head fm_head;

/* Train a head.
 * labels   i32 [n], class of codes' i-th chosen row, 0 .. classes-1; every class present.
 * classes  2 to 65,536.
 * seed, stream  see base/rng.h; callers use fm_rng_stream("head", repeat, fold).
 * *out     the caller's, fm_head_destroy; set only on success.
 * Errors: -EINVAL (spec, a label out of range, a class without rows), -EDOM (NaN or
 * infinity in the codes, or training went out of range: smaller learning rate), -ENOTSUP, -ENOMEM.
 * Ranks: local.  Threads: any number of calls at once, each on one thread; the first
 * call sets the process's OpenBLAS to one thread. */
int fm_head_train(const fm_head_spec *spec, const fm_codes *codes, const int32_t *labels, int classes,
                  uint64_t seed, uint64_t stream, fm_head **out, fm_err *err);
void fm_head_destroy(fm_head *head);

size_t fm_head_width(const fm_head *head);      /* columns of the codes it was trained on */
int fm_head_classes(const fm_head *head);
const fm_head_spec *fm_head_spec_of(const fm_head *head);   /* borrowed from the head */

/* Class probabilities.
 * prob  caller's; f64 [n, classes], row-major, each row sums to 1.
 * Each row's result depends on that row alone.
 * Errors: -EINVAL (codes->d is not the head's width), -EDOM (NaN or infinity in the codes), -ENOMEM.
 * On an error prob's content is undefined.  Threads: any number on one head. */
int fm_head_score(const fm_head *head, const fm_codes *codes, double *prob, fm_err *err);

/* Canonical bytes: equal heads give equal bytes.  Sets out->failed when memory runs out. */
void fm_head_encode(const fm_head *head, fm_buf *out);
/* Errors: -EBADMSG (not a head, cut short, sizes or values out of range), -ENOMEM. */
int fm_head_decode(const void *bytes, size_t n, fm_head **out, fm_err *err);

#endif

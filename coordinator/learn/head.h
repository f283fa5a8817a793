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
 * LOGISTIC  L2-regularised logistic regression on standardised codes: what
 *           liblinear's solver 0 minimises (Fan et al. 2008) with its cost C, to
 *           probabilities within 1e-3 of the minimum's; the bias is regularised
 *           too, as liblinear does.  More than two classes: one against the rest,
 *           probabilities divided by their sum.
 * SVM       linear, L2-regularised, L2-loss: what liblinear's solver 2 minimises;
 *           scores become probabilities by Platt's sigmoid (1999; Lin et al. 2007)
 *           fitted to the scores of inner folds' held-out rows.  Classes as above.
 *
 * A column that is constant in training counts as 0 from then on.
 *
 * Choices (of C; FC: of epochs) are made on inner folds of the training rows alone:
 * five, grouped, stratified, on codes standardised with all training rows, by log
 * loss (learn/inner.h says why).  The head is then trained on all training rows.
 *
 * A head is a pure function of (spec, rows in order, labels, seed, stream):
 * the same bytes at any number of ranks, given one build of OpenBLAS on one
 * kind of processor. */
#ifndef FM_COORDINATOR_LEARN_HEAD_H
#define FM_COORDINATOR_LEARN_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

typedef enum {
    FM_HEAD_FC,
    FM_HEAD_LOGISTIC,
    FM_HEAD_SVM
} fm_head_kind;

typedef enum {
    FM_CLASS_WEIGHT_NONE,
    FM_CLASS_WEIGHT_BALANCED    /* a row of class c counts n / (classes * n_c) */
} fm_class_weight;

#define FM_HEAD_CHOICES_MAX 32

typedef struct {
    uint8_t kind;           /* fm_head_kind */
    uint8_t class_weight;   /* fm_class_weight */
    uint32_t hidden;        /* FC: units of FC1, 1 to 65,536 */
    uint32_t batch;         /* FC: rows a step, at least 1 */
    uint32_t epochs;        /* FC: passes over the rows, 1 to 1,000,000; of a trained head: those chosen */
    double dropout;         /* FC: part of FC1's units dropped in training, [0, 1) */
    double l2;              /* FC: at least 0 */
    double learning_rate;   /* FC: over 0 */
    double C;               /* LOGISTIC, SVM: cost of a row's loss against half the weights' norm, over 0; of
                             * a trained head: the one chosen */
    uint32_t n_choices;     /* 0: C or epochs stand as they are */
    double choice[FM_HEAD_CHOICES_MAX];     /* rising: what inner folds choose C (FC: epochs) from */
} fm_head_spec;

/* Liang et al. 2020: fc, 64 hidden, batch 10, 5 epochs, dropout 0.25, l2 1e-3, rate 1e-3; C 1. */
void fm_head_spec_default(fm_head_spec *spec);
const char *fm_head_kind_name(int kind);    /* "fc", "logistic", "svm" */
/* Errors: -EINVAL (which value, and its range). */
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

typedef struct {
    fm_codes codes;
    const int32_t *labels;  /* i32 [codes.n], class of codes' i-th chosen row, 0 .. classes-1; every class present */
    const uint32_t *groups; /* u32 [codes.n], the same way: equal numbers share an inner fold; NULL: each row alone */
    int classes;            /* 2 to 65,536 */
} fm_training;

/* Train a head.
 * t           borrowed.
 * seed, stream  see base/rng.h; callers use fm_rng_stream("head", repeat, fold).
 * inner_prob  caller's; f64 [codes.n, classes]: each row's probabilities by a head trained without the row's
 *             inner fold, for what else is to be decided on training rows (thresholds); NULL: not wanted.
 * *out        the caller's, fm_head_destroy; set only on success.
 * Errors: -EINVAL (spec, a label out of range, a class without rows, or of one group where inner folds are
 * needed), -EDOM (NaN or infinity in the codes, or training went out of range), -ENOMEM.
 * Ranks: local.  Threads: any number of calls at once, each on one thread; the first
 * call sets the process's OpenBLAS to one thread. */
int fm_head_train(const fm_head_spec *spec, const fm_training *t, uint64_t seed, uint64_t stream, double *inner_prob,
                  fm_head **out, fm_err *err);
void fm_head_destroy(fm_head *head);

/* The same in parts, which may be worked out on any machine and in any order: fits to inner folds, of which those
 * to all rows come out, too, where heads are linear.  fm_head_train is these, one after the other. */
typedef struct fm_fitting fm_fitting;

/* As fm_head_train, but nothing is trained yet.  with_inner  inner_prob will be wanted.
 * t  borrowed with all it points to; must outlive the result.  Cheap: codes are not looked at before a part or
 * the end asks for them. */
int fm_fitting_create(const fm_head_spec *spec, const fm_training *t, uint64_t seed, uint64_t stream, bool with_inner,
                      fm_fitting **out, fm_err *err);
void fm_fitting_destroy(fm_fitting *f);
size_t fm_fitting_parts(const fm_fitting *f);                       /* may be 0 */
size_t fm_fitting_part_values(const fm_fitting *f, size_t part);    /* how many numbers it leaves behind */
size_t fm_fitting_values(const fm_fitting *f);                      /* all parts together */
/* values  caller's; f64 [fm_fitting_part_values].  Errors: -EDOM, -ENOMEM as above. */
int fm_fitting_part(fm_fitting *f, size_t part, double *values, fm_err *err);
/* parts  all parts' values, one behind the other; overwritten.  Otherwise as fm_head_train. */
int fm_fitting_finish(fm_fitting *f, double *parts, double *inner_prob, fm_head **out, fm_err *err);

size_t fm_head_width(const fm_head *head);      /* columns of the codes it was trained on */
int fm_head_classes(const fm_head *head);
const fm_head_spec *fm_head_spec_of(const fm_head *head);   /* borrowed from the head */
double fm_head_chosen(const fm_head *head);     /* the C or epochs that inner folds chose; NaN: there was no choice */

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

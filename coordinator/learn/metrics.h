/* How good predictions are, and how sure one can be of it.
 *
 * Two classes: class 1 is the positive one; a row is called positive when its
 * probability is over 0.5 (the larger of the two; a tie goes to class 0).
 * More classes: the most probable one is called (ties: the lowest number), and
 * sensitivity, specificity, PPV, NPV, F1, AUC and average precision are means over the classes, each
 * against the rest (macro); a class for which one is undefined is left out of its mean.
 *
 *   auc                Mann-Whitney: part of (positive, negative) pairs ranked
 *                      rightly, ties half (Hanley and McNeil 1982)
 *   average_precision  sum over distinct scores of the gain in recall times the
 *                      precision there, without interpolation
 *   ppv_at_prevalence, npv_at_prevalence  from sensitivity and specificity by
 *                      Bayes' rule at p->prevalence; two classes only
 *   mcc                phi coefficient (Matthews 1975); more classes: Gorodkin 2004
 *   top_k_accuracy     part of rows whose class is among the fm_top_k() most
 *                      probable (ties: the lowest number first)
 *   log_loss           mean of -ln of the true class's probability, which is kept
 *                      within [eps, 1 - eps], eps = 2^-52
 *   brier              mean of (p - y)^2 of class 1; more classes: mean over rows
 *                      of the sum over classes of it (Brier 1950)
 *   ece                expected calibration error of the called class's
 *                      probability, 15 bins of equal width, (low, high]
 *                      (Guo et al. 2017)
 *   balanced_accuracy  mean recall of the classes that have rows
 * The rest are as everybody defines them. */
#ifndef FM_COORDINATOR_LEARN_METRICS_H
#define FM_COORDINATOR_LEARN_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FM_METRICS(X)                                   \
    X(ACCURACY, "accuracy")                             \
    X(AUC, "auc")                                       \
    X(AVERAGE_PRECISION, "average_precision")           \
    X(SENSITIVITY, "sensitivity")                       \
    X(SPECIFICITY, "specificity")                       \
    X(PPV, "ppv")                                       \
    X(NPV, "npv")                                       \
    X(PPV_AT_PREVALENCE, "ppv_at_prevalence")           \
    X(NPV_AT_PREVALENCE, "npv_at_prevalence")           \
    X(F1, "f1")                                         \
    X(MCC, "mcc")                                       \
    X(BALANCED_ACCURACY, "balanced_accuracy")           \
    X(TOP_K_ACCURACY, "top_k_accuracy")                 \
    X(BRIER, "brier")                                   \
    X(LOG_LOSS, "log_loss")                             \
    X(ECE, "ece")

typedef enum {
#define FM_X(id, name) FM_METRIC_##id,
    FM_METRICS(FM_X)
#undef FM_X
    FM_METRIC_COUNT
} fm_metric_id;

const char *fm_metric_name(int metric);
/* Why a metric is NaN (a class without rows, nothing called positive, ...), one sentence, static storage. */
const char *fm_metric_why_undefined(int metric);

/* Predictions: every row with its class and probabilities, once a repeat.  Borrowed throughout. */
typedef struct {
    size_t n;
    int classes;
    uint32_t repeats;
    const int32_t *label;       /* i32 [n] */
    const uint32_t *group;      /* u32 [n]; rows of one group are resampled together; NULL: each row alone */
    const int32_t *test_fold;   /* i32 [repeats, n]; negative: no prediction in that repeat; NULL: all have one */
    const double *prob;         /* f64 [repeats, n, classes] */
    const int32_t *called;      /* i32 [repeats, n], classes called by other means than the largest probability, such
                                 * as a threshold; NULL: by the largest */
    double prevalence;          /* of class 1 where the classifier is to be used; 0: not stated */
    uint32_t top_k;             /* 0: 5 where there are more than 5 classes, else none */
} fm_predictions;

typedef struct { double v[FM_METRIC_COUNT]; } fm_metric_values;    /* NaN where undefined */

/* Metrics of all predictions.  With several repeats: mean over repeats of each
 * repeat's pooled metric, over the repeats in which it is defined.
 * rows  u32 [n_rows], a choice of rows (a subgroup); NULL: all.
 * fold  only predictions of this fold; -1: all.
 * repeat  only this repeat; -1: all.
 * Errors: -ENOMEM, -EINVAL (a label or call out of range, a probability that is not in [0, 1]). */
int fm_metrics_point(const fm_predictions *p, const uint32_t *rows, size_t n_rows, int repeat, int fold,
                     fm_metric_values *out, fm_err *err);

/* The k of top-k accuracy: what is asked for, where it is below the number of classes; 0: there is none. */
uint32_t fm_top_k(uint32_t classes, uint32_t asked);

/* Is this metric one of p's?  Values at a prevalence need one that is stated, and two classes; top-k accuracy a k.  What
 * is not is NaN and need not be shown. */
bool fm_metric_applies(const fm_predictions *p, int metric);

/* Called class of a row's probabilities. */
int fm_called_class(const double *prob, int classes);

/* confusion  u64 [classes, classes], caller's: row is the true class, column the called one; all repeats added up.
 * Labels must be in range, as fm_metrics_point checks. */
void fm_confusion(const fm_predictions *p, uint64_t *confusion);

/* Cluster bootstrap (Efron and Tibshirani 1993; groups as units, Field and Welsh
 * 2007): resample b draws as many groups as there are, with replacement, with
 * numbers that depend on (seed, b) only.  Scores are sorted once; a resample is
 * one pass with multiplicities. */
typedef struct fm_bootstrap fm_bootstrap;

/* weight u32 [units], caller's: how often each unit is in a resample. */
void fm_bootstrap_draw(uint64_t seed, uint64_t resample, uint32_t *weight, size_t units);

/* rows as in fm_metrics_point.  p is copied: it may go afterwards.  Errors: as fm_metrics_point. */
int fm_bootstrap_create(const fm_predictions *p, const uint32_t *rows, size_t n_rows, fm_bootstrap **out, fm_err *err);
void fm_bootstrap_destroy(fm_bootstrap *b);
/* Metrics of resamples first .. first + count - 1 into out f64 [count, FM_METRIC_COUNT], caller's.
 * Errors: -ENOMEM.  Threads: any number on one bootstrap. */
int fm_bootstrap_run(const fm_bootstrap *b, uint64_t seed, uint64_t first, uint64_t count, double *out, fm_err *err);

typedef struct {
    double value, low, high;    /* 95 % interval; NaN where undefined */
} fm_metric;

/* Percentile interval (2.5 and 97.5 %, linear between order statistics) of one value.
 * resamples  f64 [count]; sorted in place, NaN last.
 * The interval is undefined when the value is, or when more than a tenth of the resamples are. */
fm_metric fm_bootstrap_interval(double value, double *resamples, uint64_t count);

/* fm_bootstrap_interval of each metric.
 * resamples  f64 [count, FM_METRIC_COUNT]; sorted in place, column by column. */
int fm_bootstrap_intervals(const fm_metric_values *point, double *resamples, uint64_t count,
                           fm_metric out[FM_METRIC_COUNT], fm_err *err);

/* Point, resamples and intervals in one call, on this thread. count 0: no intervals. */
int fm_metrics_with_intervals(const fm_predictions *p, const uint32_t *rows, size_t n_rows, uint64_t seed,
                              uint64_t count, fm_metric out[FM_METRIC_COUNT], fm_err *err);

#endif

/* An evaluation: what is to be evaluated (a plan), the work cut into tasks that
 * depend on nothing but the plan and the codes, and what comes out.
 *
 * The pieces are pure and local; cluster/evaluate.h spreads them over ranks, and
 * fm_evaluate_local() runs them one after the other.  Both give the same bytes. */
#ifndef FM_COORDINATOR_LEARN_EVALUATION_H
#define FM_COORDINATOR_LEARN_EVALUATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "coordinator/learn/folds.h"
#include "coordinator/learn/head.h"
#include "coordinator/learn/metrics.h"

/* One face that takes part. */
typedef struct {
    fm_digest code;     /* key of the CODE record that holds it */
    uint32_t face;      /* which row of that record */
    uint32_t sample;    /* the study's number of the photograph */
    uint32_t subject;   /* number of its group: folds and intervals keep a group together */
    int32_t label;      /* class, 0 .. classes-1 */
    int32_t fold;       /* as given by the study, -1: none */
} fm_plan_row;

#define FM_PLAN_STORE_MAX 4096

/* What calls a row class 1 of two: its probability being the larger one, or at or over a threshold that is
 * chosen, head by head, on the inner folds of the head's own training rows (learn/threshold.h). */
typedef enum { FM_CALL_LARGER, FM_CALL_YOUDEN, FM_CALL_SENSITIVITY } fm_call_kind;

typedef struct {
    uint8_t kind;           /* fm_call_kind */
    double sensitivity;     /* SENSITIVITY: at least this much, (0, 1] */
} fm_call_spec;

typedef struct {
    char store_dir[FM_PLAN_STORE_MAX];  /* where the CODE records are; absolute */
    uint32_t code_offset, code_width;   /* columns of a code: embedding 0, 128; pooled 128, 256 */
    uint32_t classes;
    uint64_t seed;
    uint32_t bootstrap;                 /* resamples; 0: no intervals */
    double prevalence;                  /* as in fm_predictions */
    uint32_t top_k;
    fm_head_spec head;
    fm_folds_spec folds;
    fm_call_spec call;                  /* two classes, or LARGER */
    size_t n;
    fm_plan_row *rows;                  /* [n]; in the study's order; owned */
} fm_plan;

void fm_plan_init(fm_plan *plan);       /* default head, 5 folds, pooled, two classes, 2,000 resamples, no rows */
void fm_plan_fini(fm_plan *plan);
/* Canonical bytes.  Sets out->failed when memory runs out. */
void fm_plan_encode(const fm_plan *plan, fm_buf *out);
/* Errors: -EBADMSG (not a plan of this version, cut short, values out of range), -ENOMEM. */
int fm_plan_decode(const void *bytes, size_t n, fm_plan *out, fm_err *err);
/* Errors: -EINVAL (which value, and its range), -ENOTSUP. */
int fm_plan_check(const fm_plan *plan, fm_err *err);
/* Digest of everything that decides the result: all but store_dir. */
int fm_plan_digest(const fm_plan *plan, fm_digest *out, fm_err *err);

typedef struct {
    uint32_t repeat, fold;
    uint64_t n_train, n_test;
    double chosen;                      /* C or epochs its inner folds chose; NaN: there was no choice */
    double threshold;                   /* chosen on its inner folds; NaN: rows are called by the larger probability */
    fm_metric_values metrics;           /* of its test rows */
} fm_fold_result;

typedef struct {
    fm_digest plan;                     /* fm_plan_digest of what was evaluated */
    fm_digest codes;                    /* digest of the gathered code matrix */
    size_t n;
    uint32_t classes, repeats, folds;
    int32_t *label;                     /* i32 [n] */
    uint32_t *sample, *subject;         /* u32 [n], as in the plan */
    int32_t *test_fold;                 /* i32 [repeats, n]; -1 not tested */
    double *prob;                       /* f64 [repeats, n, classes]; NaN where not tested */
    bool by_threshold;
    int32_t *called;                    /* i32 [repeats, n], by the fold's threshold; -1 where not tested; NULL: by the
                                         * larger probability */
    fm_fold_result *fold;               /* [repeats * folds], repeat by repeat */
    uint64_t *confusion;                /* u64 [classes, classes], all repeats; row: true, column: called */
    fm_metric metrics[FM_METRIC_COUNT]; /* pooled over folds, mean over repeats, interval by subject */
    uint32_t bootstrap;
    double prevalence;                  /* as in the plan */
    uint32_t top_k;
    double threshold;                   /* the final head's; NaN: none */
    uint8_t *head;                      /* the final head, trained on all rows: fm_head_encode's bytes */
    size_t head_size;
} fm_evaluation;

/* All arrays but head for the sizes that e holds, zeroed.  -ENOMEM; what was allocated is then still e's. */
int fm_evaluation_room(fm_evaluation *e, fm_err *err);
void fm_evaluation_fini(fm_evaluation *e);
/* Canonical bytes, closed by their digest: equal evaluations give equal bytes. */
void fm_evaluation_encode(const fm_evaluation *e, fm_buf *out);
/* Errors: -EBADMSG (damaged, cut short, another version), -ENOMEM.  out is written only on success. */
int fm_evaluation_decode(const void *bytes, size_t n, fm_evaluation *out, fm_err *err);
int fm_evaluation_read(const char *path, fm_evaluation *out, fm_err *err);
/* Called class of a row that was tested in that repeat. */
int fm_evaluation_called(const fm_evaluation *e, uint32_t repeat, size_t row);
/* Borrowed from e; valid as long as it is. */
fm_predictions fm_evaluation_predictions(const fm_evaluation *e);

/* The whole of it on this thread.
 * x  f32 [plan->n, plan->code_width], row-major, row i for plan row i.
 * Errors: -EINVAL (folds that cannot be made, head's values), -EDOM (NaN in x), -ENOMEM, ... */
int fm_evaluate_local(const fm_plan *plan, const float *x, fm_evaluation *out, fm_err *err);

/* --- the pieces, for cluster/evaluate.c --- */

/* Check the plan, make its folds, allocate; everything known before training is set. */
int fm_evaluation_begin(const fm_plan *plan, fm_evaluation *out, fm_err *err);
/* How many numbers a fold leaves behind. */
size_t fm_evaluation_values(const fm_evaluation *e, uint32_t repeat, uint32_t fold);
/* Train on one fold's training rows and put what it leaves behind into the caller's
 * values f64 [fm_evaluation_values]: the probabilities of its test rows [n_test, classes] in
 * ascending order of rows, then what its inner folds chose: C or epochs, threshold. */
int fm_evaluation_fold(const fm_plan *plan, const fm_evaluation *e, const float *x, uint32_t repeat, uint32_t fold,
                       double *values, fm_err *err);
/* The head of that fold, as fm_evaluation_fold trains it; fm_head_destroy. */
int fm_evaluation_fold_head(const fm_plan *plan, const fm_evaluation *e, const float *x, uint32_t repeat, uint32_t fold,
                            fm_head **out, fm_err *err);
/* Put them where they belong in e. */
void fm_evaluation_place(fm_evaluation *e, uint32_t repeat, uint32_t fold, const double *values);
/* Folds that another job trained, for one file: every parts-th fold from `part` on.
 * values  f64, fold after fold, as fm_evaluation_fold left them. */
void fm_evaluation_part_encode(const fm_evaluation *e, size_t part, size_t parts, const double *values, fm_buf *out);
/* Place the folds of such bytes; placed u8 [repeats * folds] of these are set to 1.
 * Errors: -EBADMSG (damaged, cut short, another plan's); e may then hold some of them. */
int fm_evaluation_part_place(const void *bytes, size_t n, fm_evaluation *e, uint8_t *placed, fm_err *err);
/* Train the final head on all rows; sets the codes' digest, too, because it sees them all. */
int fm_evaluation_head(const fm_plan *plan, const float *x, fm_evaluation *e, fm_err *err);

/* The same in parts: training a head is a job, 0 the final one, 1 + i the i-th fold's.  What is created
 * costs little (learn/head.h); e and what else is passed are borrowed and must outlive it. */
typedef struct fm_evaluation_job fm_evaluation_job;

size_t fm_evaluation_jobs(const fm_evaluation *e);
/* Errors: as fm_head_train. */
int fm_evaluation_job_create(const fm_plan *plan, const fm_evaluation *e, const float *x, size_t job,
                             fm_evaluation_job **out, fm_err *err);
void fm_evaluation_job_destroy(fm_evaluation_job *j);
fm_fitting *fm_evaluation_job_fitting(const fm_evaluation_job *j);     /* how many parts there are, how large; borrowed */
int fm_evaluation_job_part(fm_evaluation_job *j, size_t part, double *values, fm_err *err);
/* parts  as fm_fitting_finish takes them.  The final head goes into e (values NULL), what a fold leaves
 * behind into values (e NULL). */
int fm_evaluation_job_finish(fm_evaluation_job *j, double *parts, fm_evaluation *e, double *values, fm_err *err);

/* After all folds are placed: metrics, confusion, and intervals from
 * resamples f64 [bootstrap, FM_METRIC_COUNT] (fm_bootstrap_run on fm_evaluation_predictions with the
 * plan's seed; sorted in place; NULL when bootstrap is 0).
 * Errors: -EINVAL (a fold was not placed), -ENOMEM. */
int fm_evaluation_finish(fm_evaluation *e, double *resamples, fm_err *err);

#endif

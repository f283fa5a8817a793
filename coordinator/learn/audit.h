/* Audits: evaluations beside the main one that say whether it can be believed.
 *
 * Each is a task: the study's evaluation with something about it changed, run on
 * one thread and judged by its AUC.  A task is a pure function of the audit plan
 * and the matrices; cluster/audit.h spreads tasks over ranks.
 *
 *   confound     the same rows and folds, but what is learned from is one of the
 *                matrices of worker/confound.h, which show no face; logistic head
 *   null         rows of class 0 alone, half of their subjects called class 1:
 *                subjects are drawn inside strata, one to each side in turn; what
 *                is left over of a stratum is left out
 *   curve        each fold trains on 1/8, 1/4, 1/2 and all of its training subjects
 *                (of each class, at least 2), and tests all of its test rows; folds
 *                of the first repeat.  The last is the reference for permutations
 *   seed         other folds and another head's seed
 *   permutation  labels permuted between subjects; between rows when a subject has
 *                rows of several classes
 *
 * All but confounds use the first repeat only.  A task that cannot be made (too few
 * subjects for its folds) has NaN figures; that is an answer, not an error. */
#ifndef FM_COORDINATOR_LEARN_AUDIT_H
#define FM_COORDINATOR_LEARN_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "coordinator/learn/evaluation.h"

#define FM_AUDIT_CONFOUNDS 4    /* matrices of worker/confound.h, in its order */
#define FM_AUDIT_CURVE 4
#define FM_AUDIT_RUNS_MAX 100000u

typedef struct {
    fm_plan plan;               /* the study's */
    uint32_t nulls, seeds, permutations;    /* how many, at most FM_AUDIT_RUNS_MAX each */
    double chip_padding;        /* of the recipe: where landmarks lie on a chip */
    uint8_t fill[3];            /* what masked chips are painted over with, R, G, B */
    fm_digest *photo;           /* [plan.n] key of the row's PHOTO record; owned */
    uint64_t *file_bytes;       /* u64 [plan.n] size of the row's file; owned */
    uint32_t *stratum;          /* u32 [plan.n] sex and age band of the study's matching; 0 without; owned */
} fm_audit_plan;

/* Room for plan.n rows, zeroed; plan is then the result's.  -ENOMEM leaves plan the caller's. */
int fm_audit_plan_init(fm_audit_plan *a, const fm_plan *plan, fm_err *err);
void fm_audit_plan_fini(fm_audit_plan *a);
/* Canonical bytes.  Sets out->failed when memory runs out. */
void fm_audit_plan_encode(const fm_audit_plan *a, fm_buf *out);
/* Errors: -EBADMSG (not an audit plan of this version, cut short, values out of range), -ENOMEM. */
int fm_audit_plan_decode(const void *bytes, size_t n, fm_audit_plan *out, fm_err *err);
/* Digest of all that decides the result: not of where the store is.  -ENOMEM. */
int fm_audit_plan_digest(const fm_audit_plan *a, fm_digest *out, fm_err *err);

/* Row i of each matrix belongs to plan row i; borrowed. */
typedef struct {
    const float *codes;                         /* f32 [n, plan.code_width] */
    const float *confound[FM_AUDIT_CONFOUNDS];  /* f32 [n, confound_width] */
    uint32_t confound_width[FM_AUDIT_CONFOUNDS];
} fm_audit_views;

typedef struct {
    double auc, low, high;      /* 95 % interval by subject; NaN where there is none, always for permutations */
    double subjects;            /* null: of each half.  curve: trained on, mean over folds.  Else 0 */
} fm_audit_figure;

typedef enum {
    FM_AUDIT_CONFOUND,
    FM_AUDIT_NULL,
    FM_AUDIT_CURVE_POINT,
    FM_AUDIT_SEED,
    FM_AUDIT_PERMUTATION,
    FM_AUDIT_KINDS
} fm_audit_kind;

size_t fm_audit_count(const fm_audit_plan *a, fm_audit_kind kind);
size_t fm_audit_tasks(const fm_audit_plan *a);      /* of all kinds; tasks stand in the order of kinds */
/* The share of training subjects of a point of the curve. */
double fm_audit_share(size_t point);

/* Run one task.  Errors: -ENOMEM; what cannot be made gives NaN figures and 0.
 * Threads: any number at once. */
int fm_audit_task(const fm_audit_plan *a, const fm_audit_views *views, size_t task, fm_audit_figure *out, fm_err *err);

/* One null study by itself, and what becomes of it when its drawn half shows something: rows of class 0 in two
 * halves, the second with its rows of `planted` instead of `codes`, both f32 [plan->n, plan->code_width].
 * stratum  u32 [plan->n].  number  which drawing.  Otherwise as fm_audit_task. */
int fm_audit_halves(const fm_plan *plan, const uint32_t *stratum, const float *codes, const float *planted, size_t number,
                    fm_audit_figure *out, fm_err *err);

typedef struct {
    fm_digest plan;             /* fm_audit_plan_digest of what was audited */
    size_t count[FM_AUDIT_KINDS];
    size_t n;                   /* sum of count */
    fm_audit_figure *v;         /* [n], in the order of kinds; owned */
} fm_audit;

/* Room for the figures of a.  -ENOMEM. */
int fm_audit_begin(const fm_audit_plan *a, fm_audit *out, fm_err *err);
void fm_audit_fini(fm_audit *a);
const fm_audit_figure *fm_audit_figures(const fm_audit *a, fm_audit_kind kind);     /* [count[kind]]; borrowed */
/* Canonical bytes, closed by their digest. */
void fm_audit_encode(const fm_audit *a, fm_buf *out);
/* Errors: -EBADMSG (damaged, cut short, another version), -ENOMEM. */
int fm_audit_decode(const void *bytes, size_t n, fm_audit *out, fm_err *err);

/* Part of the permutations whose AUC is at least the reference's, both counting the study itself:
 * (1 + so many) / (1 + permutations) (Phipson and Smyth 2010).  NaN without any. */
double fm_audit_p(const fm_audit *a);

#endif

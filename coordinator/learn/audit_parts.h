/* What audits are made of: the study's subjects, a plan over some of its rows, an evaluation of it.
 * Errors are those of the pieces of learn/evaluation.h; -ENOMEM. */
#ifndef FM_COORDINATOR_LEARN_AUDIT_PARTS_H
#define FM_COORDINATOR_LEARN_AUDIT_PARTS_H

#include <stdbool.h>

#include "coordinator/learn/audit.h"

/* Rows of one subject. */
typedef struct {
    uint32_t first;         /* where its rows start in rows */
    uint32_t n;
    int32_t label;          /* of its first row */
    uint32_t stratum;
    bool mixed;             /* its rows have several classes */
} fm_audit_subject;

typedef struct {
    fm_audit_subject *v;    /* [n], by number */
    size_t n;
    uint32_t *rows;         /* rows of the plan, subject by subject */
    bool mixed;             /* some subject is */
} fm_audit_subjects;

/* The subjects of n chosen rows; stratum may be NULL. */
int fm_audit_subjects_find(const fm_plan_row *plan_rows, const uint32_t *stratum, const uint32_t *rows, size_t n,
                           fm_audit_subjects *out, fm_err *err);
void fm_audit_subjects_fini(fm_audit_subjects *s);
/* 0 .. n-1, the caller's to free; NULL: no memory. */
uint32_t *fm_audit_all_rows(size_t n);

/* A plan of its own over chosen rows of another, and their part of the matrix. */
typedef struct {
    fm_plan plan;           /* settings copied */
    float *x;
} fm_audit_part;

int fm_audit_part_make(const fm_plan *plan, const float *x, const uint32_t *rows, size_t n, fm_audit_part *out, fm_err *err);
void fm_audit_part_fini(fm_audit_part *p);

/* Settings of all audits but confounds: the study's, once, without a threshold; rows stay plan's. */
fm_plan fm_audit_once(const fm_plan *plan);
/* Room for what any fold leaves behind, the caller's to free; NULL: no memory. */
double *fm_audit_fold_room(const fm_evaluation *e);
/* AUC of what was predicted; with its interval where the plan has one. */
int fm_audit_judge(const fm_plan *plan, const fm_evaluation *e, bool interval, fm_audit_figure *out, fm_err *err);
/* Train and test over the plan's folds; a final head is not wanted. */
int fm_audit_measure(const fm_plan *plan, const float *x, bool interval, fm_audit_figure *out, fm_err *err);

/* As fm_audit_halves, but what cannot be made is an error. */
int fm_audit_run_halves(const fm_plan *plan, const uint32_t *stratum, const float *codes, const float *planted,
                        size_t number, fm_audit_figure *out, fm_err *err);
/* The i-th point of the learning curve. */
int fm_audit_run_curve(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err);

#endif

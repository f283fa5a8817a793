/* Matching inside one stratum: how jobs/match.c's samples become pairs. */
#ifndef FM_JOBS_MATCH_WITHIN_H
#define FM_JOBS_MATCH_WITHIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "jobs/match.h"

typedef struct {
    int stratum;
    int role;               /* fm_role */
    double age;             /* INFINITY when not exact */
    uint32_t rank;          /* drawn by the seed; no two are equal */
    uint32_t sample;
} fm_match_entry;

typedef struct {
    uint32_t rank, at;
} fm_match_turn;

typedef struct {
    const fm_study *study;
    fm_samples *s;
    fm_match_entry *v;      /* [n], by place */
    size_t n;
    double *age;            /* [n] of v */
    fm_match_turn *turns;   /* [n] scratch: a stratum's cases in the order in which they choose */
    uint32_t *order;        /* [n] scratch: a shuffle */
    uint32_t *owner, *got;  /* [n] scratch: owner of a control, controls of a case */
    int64_t *right, *left;  /* [n + 1] scratch of nearest */
    fm_rng rng;
    fm_pairs pairs;
    size_t capacity;
} fm_matcher;

/* One stratum: its cases and its controls, exact ages first. */
typedef struct {
    const fm_match_entry *cases, *controls;
    const double *case_age, *control_age;
    size_t n_cases, n_controls, exact_cases, exact_controls;
} fm_stratum;

/* Add the pairs of one stratum that has cases and controls to m->pairs.  The scratch of m holds nothing between
 * calls; m->rng moves on.  Errors: -ENOMEM, -EFBIG as fm_assign.
 * apart   a control stands for one case. */
int fm_match_apart(fm_matcher *m, const fm_stratum *t, fm_err *err);
/* shared  a control may stand for several. */
int fm_match_shared(fm_matcher *m, const fm_stratum *t, fm_err *err);

#endif

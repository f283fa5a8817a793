/* Can it be believed?  What the audits of a study found, for results.json and the
 * report, and how a run comes to it. */
#ifndef FM_JOBS_AUDITS_H
#define FM_JOBS_AUDITS_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/err.h"
#include "coordinator/learn/audit.h"
#include "jobs/match.h"
#include "jobs/near.h"
#include "jobs/samples.h"
#include "jobs/study.h"
#include "worker/confound.h"

/* The lower bound over which a classifier that sees no face has seen too much. */
#define FM_AUDITS_RINGS 0.6

/* A matched pair whose photographs were both tested. */
typedef struct {
    size_t case_sample, control_sample;
    double case_score, control_score;   /* mean probability of class 1 over faces and repeats */
} fm_audits_pair;

/* All zero: nothing was audited. */
typedef struct {
    int level;                  /* fm_audit_level */
    fm_audit figures;           /* of the stage; owned.  fm_audit_figures gives each kind's */
    double null_hold;           /* part of the null studies whose interval holds 0.5; NaN: none has one */
    double seed_mean, seed_sd, seed_low, seed_high;     /* AUC over seeds: mean, standard deviation, least, largest */
    double p, permuted_mean, permuted_high;     /* permutations: p value, mean, 97.5th percentile of the AUC */
    size_t permutations;        /* that could be made */
    fm_audits_pair *pairs;      /* [n_pairs], in the order of matched.tsv; owned */
    size_t n_pairs, disagree, tied;     /* disagree: the case is scored below its control */
    bool paired;                /* the study matches, and cohort is its label: pairs mean something */
} fm_audits;

void fm_audits_fini(fm_audits *a);

/* Does this confound tell the classes apart?  */
bool fm_audits_rings(const fm_audit_figure *f);
/* What it means, one or two plain sentences; NUL-ended, cut to n bytes. */
void fm_audits_sentence(int confound, const fm_audit_figure *f, char *out, size_t n);

/* The audit plan of a study.  plan  becomes the result's, also on an error.
 * samples, pairs  as matched.  photo  [samples->n] keys.  file_bytes  u64 [samples->n].
 * Errors: -ENOMEM. */
int fm_audits_plan(const fm_study *study, const fm_samples *samples, const fm_pairs *pairs, fm_plan *plan,
                   const fm_digest *photo, const uint64_t *file_bytes, fm_audit_plan *out, fm_err *err);

/* Everything but a->figures, which are there (none when their count is 0).  Errors: -ENOMEM. */
int fm_audits_conclude(const fm_study *study, const fm_samples *samples, const fm_pairs *pairs, const fm_evaluation *e,
                       fm_audits *a, fm_err *err);

/* pairs.tsv: case, control, case_score, control_score, agrees (yes, no, tied); in the order of matched.tsv. */
int fm_audits_write_pairs(const fm_samples *s, const fm_audits *a, const char *path, fm_err *err);

/* results.json's `audits`; nears may be NULL.  NULL when memory runs out. */
json_t *fm_audits_json(const fm_audits *a, const fm_nears *nears, const fm_samples *s);

#endif

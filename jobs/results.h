/* What a study found, as files: results.json and predictions.tsv.
 *
 * Everything outside the JSON object `run` depends on the study, its photographs
 * and its models only: its bytes are equal at any number of ranks, cold or
 * resumed.  `run` says how this run came to it. */
#ifndef FM_JOBS_RESULTS_H
#define FM_JOBS_RESULTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "coordinator/build.h"
#include "coordinator/learn/evaluation.h"
#include "jobs/audits.h"
#include "jobs/balance.h"
#include "jobs/explain.h"
#include "jobs/samples.h"
#include "jobs/study.h"

typedef struct {
    const char *role;       /* "detector", "landmarks", "encoder", "mask" */
    const char *name;       /* file name as in models.tsv */
    const char *licence;    /* may be "" */
    fm_digest sha256;
} fm_results_model;

/* A part of the used faces: one sex, one age band, or one of both. */
typedef struct {
    char name[64];          /* "male", "age 20-29", "male, age 20-29" */
    char column[16];        /* "sex", "age", "sex and age" */
    size_t n;               /* faces */
    size_t of_class[16];    /* faces of the first 16 classes */
    fm_metric accuracy, auc, sensitivity, specificity;
} fm_subgroup;

/* Faces that a subgroup of one sex and one age band must have. */
#define FM_SUBGROUP_CELL_MIN 30

/* All borrowed; nothing is freed here. */
typedef struct {
    const fm_study *study;
    const fm_samples *samples;              /* with their final reasons; evaluation->sample counts in it */
    const fm_evaluation *evaluation;
    fm_digest store;                        /* digest of all chips and codes; zero: left out */
    const fm_results_model *models;
    size_t n_models;
    size_t pairs;                           /* matched pairs; 0 when not matched */
    const fm_balance *balance;              /* NULL or without rows: left out */
    const fm_audits *audits;                /* NULL: an empty object */
    const fm_explanation *explanation;      /* NULL or of no classes: left out */
    const fm_nears *nears;                  /* NULL: left out */
    const fm_subgroup *groups;              /* [n_groups] of fm_results_subgroups, which resamples for seconds where */
    size_t n_groups;                        /* there are many faces; NULL: made again by each output */
    /* this run only */
    const fm_build_counts *build;           /* NULL: left out */
    uint32_t ranks;
    double seconds;                         /* of the whole run; below 0: left out */
    int64_t finished;                       /* when, seconds since 1970 UTC; 0: left out */
} fm_results;

/* Do the parts belong together?  Errors: -EINVAL (classes, samples or labels of the evaluation are not the study's). */
int fm_results_check(const fm_results *r, fm_err *err);

/* Subgroups by sex and by age band (the study's matching bands, else decades) that
 * have rows, then by both where there are FM_SUBGROUP_CELL_MIN or more; none where sex or age is unknown everywhere.
 * A copy of r->groups when there are some.
 * *out  owned by the caller: free().  Errors: -ENOMEM, -EINVAL. */
int fm_results_subgroups(const fm_results *r, fm_subgroup **out, size_t *n, fm_err *err);

/* results.json: keys sorted, 12 significant digits, NaN as null with its reason in `undefined` beside it.
 * What depends on the machine (provenance of the host) is in `run`.
 * Appends nothing to out on an error.  Errors: -ENOMEM, -EINVAL. */
int fm_results_json(const fm_results *r, fm_buf *out, fm_err *err);

/* predictions.tsv: sample, subject, repeat, fold, label, p_CLASS for each class, prediction; one row a face and
 * repeat in the study's order; a face that only trains has no row.  Probabilities read back exactly. */
int fm_results_predictions(const fm_results *r, fm_buf *out, fm_err *err);

/* Both files into a folder, each whole or not at all. */
int fm_results_write(const fm_results *r, const char *dir, fm_err *err);

#endif

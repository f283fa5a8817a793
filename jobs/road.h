/* The road of a study, stage by stage.  Each stage does only what is missing, so
 * that a verb runs every stage up to its own.
 *
 * OUT holds what INTERFACE calls results; beside it OUT/run keeps what passes
 * between stages: the evaluation's plan and its result, the status of a build. */
#ifndef FM_JOBS_ROAD_H
#define FM_JOBS_ROAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cluster/launch.h"
#include "coordinator/build.h"
#include "coordinator/learn/evaluation.h"
#include "jobs/audits.h"
#include "jobs/balance.h"
#include "jobs/explain.h"
#include "jobs/ledger.h"
#include "jobs/match.h"
#include "jobs/model_list.h"
#include "jobs/samples.h"
#include "jobs/results.h"
#include "jobs/study.h"
#include "storage/store.h"

typedef enum {
    FM_STAGE_IMPORT,        /* cohorts read, selected, labelled */
    FM_STAGE_MATCH,         /* matched.tsv, balance.tsv */
    FM_STAGE_BUILD,         /* store/ */
    FM_STAGE_TRAIN,         /* head.bin; one MPI stage with evaluate */
    FM_STAGE_EVALUATE,      /* pairs.tsv, near_duplicates.tsv; one MPI stage of audits */
    FM_STAGE_EXPLAIN,       /* OUT/run/explain.bin; one MPI stage, where it is asked for */
    FM_STAGE_REPORT         /* results.json, predictions.tsv, ledger.tsv, report.html, figures/ */
} fm_stage;

typedef struct {
    const char *out;        /* instead of the study's; NULL: the study's */
    int64_t nodes, ranks;   /* instead of the study's; 0: the study's */
    bool paranoid;          /* hash every file instead of trusting size and time */
    bool identifiable;      /* the report may show persons; without it only generated faces are shown */
    bool explain;           /* also where the study asks for no explanation */
    bool workers_come;      /* start no crews: this process serves ranks that were started by hand */
} fm_road_options;

enum { FM_ROAD_DETECTOR, FM_ROAD_LANDMARKS, FM_ROAD_ENCODER, FM_ROAD_MASK, FM_ROAD_MODELS };

/* What is known so far; written by the stages, read by verbs. */
typedef struct {
    fm_study study;
    fm_road_options options;
    char exe[FM_PATH_MAX];
    char store_dir[FM_PATH_MAX], run_dir[FM_PATH_MAX], log_dir[FM_PATH_MAX];
    fm_model_list models;
    const fm_model_entry *model[FM_ROAD_MODELS];    /* the mask's is NULL when the study has none */
    fm_model_entry own_encoder;     /* the study's ONNX file */
    fm_digest encoding;             /* fm_encoding_digest */
    fm_launcher *launcher;          /* NULL until a stage needs ranks */
    fm_samples samples;
    fm_pairs pairs;
    fm_balance balance;             /* as matched; no rows without matching */
    fm_build_counts counts;
    fm_ledger_fact *facts;          /* [samples.n], after the build */
    fm_digest *photo, *code;        /* [samples.n], keys; zero: none */
    uint32_t *faces;                /* u32 [samples.n] */
    fm_nears nears;                 /* after the build */
    bool collected, evaluated;
    fm_evaluation evaluation;
    fm_audits audits;
    fm_explanation explanation;     /* classes 0: none */
    uint64_t started_ms;
    fm_trace *trace;
} fm_road;

/* Load the study and find its models.  Opens nothing else, writes nothing.
 * On failure *exit_status says what kind it is (jobs/verbs.h). */
int fm_road_open(const char *study_file, const fm_road_options *options, fm_road **out, int *exit_status, fm_err *err);
void fm_road_close(fm_road *r);

/* Run all stages up to `last`.  Returns an exit status; err says what went wrong when it is not FM_EXIT_DONE. */
int fm_road_go(fm_road *r, fm_stage last, fm_err *err);

/* Folds as a job array, between build and train.  Plan: all stages up to the build, then OUT/run/plan.bin.  Part: folds
 * part, part + parts, ... of that plan into OUT/run/folds, which train takes instead of training them.
 * Return as fm_road_go. */
int fm_road_folds_plan(fm_road *r, fm_err *err);
int fm_road_folds_part(fm_road *r, int64_t part, int64_t parts, fm_err *err);

/* Decide how ranks are started (r->launcher). */
int fm_road_launcher(fm_road *r, fm_err *err);

/* OUT/name. */
int fm_road_path(const fm_road *r, const char *name, char out[FM_PATH_MAX], fm_err *err);

/* After the build: what the store says of every photograph still used, and which are the same bytes
 * (jobs/collect.c). */
int fm_road_collect(fm_road *r, fm_err *err);

/* After the evaluation: the study's audits (jobs/road_audit.c).  Whoever audits nothing has none.
 * Errors: -EINTR (stopped), what the stage gives. */
int fm_road_audit(fm_road *r, fm_err *err);

/* After the evaluation: what the classifier looked at (jobs/road_explain.c).
 * Errors: -EINTR (stopped), -EINVAL (too many faces and cells), what the stage gives. */
int fm_road_explain(fm_road *r, fm_err *err);

/* Results, ledger and report into OUT (jobs/publish.c). */
int fm_road_publish(fm_road *r, fm_err *err);

/* report.html and figures/ into OUT; store is open, results are what was published (jobs/publish_report.c). */
int fm_road_report(fm_road *r, fm_store *store, const fm_results *results, fm_err *err);

#endif

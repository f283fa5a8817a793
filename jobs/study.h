/* The study file: one YAML file says everything about a study. */
#ifndef FM_JOBS_STUDY_H
#define FM_JOBS_STUDY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"
#include "proto/encoding.h"
#include "proto/recipe.h"
#include "worker/face_network.h"

#define FM_COHORTS_MAX 32
#define FM_SELECTS_MAX 16
#define FM_SELECT_VALUES_MAX 32
#define FM_BANDS_MAX 64
#define FM_CHOICES_MAX 32

typedef enum { FM_ROLE_CASE, FM_ROLE_CONTROL } fm_role;
typedef enum {
    FM_FORMAT_CSV, FM_FORMAT_TSV, FM_FORMAT_FOLDER, FM_FORMAT_UTKFACE, FM_FORMAT_MEGAAGE, FM_FORMAT_MEGAAGE_ASIAN,
    FM_FORMAT_FAIRFACE, FM_FORMAT_FGNET, FM_FORMAT_LFW, FM_FORMAT_ALL_AGE_FACES
} fm_cohort_format;

typedef struct {
    char name[64];
    int role;                   /* fm_role */
    int format;                 /* fm_cohort_format */
    char path[FM_PATH_MAX];     /* manifest or folder, absolute */
    char male[32], female[32];  /* what a manifest writes for the sexes; "" when the study does not say */
} fm_cohort;

/* A sample must have this column within the range, or equal to one of the values. */
typedef struct {
    char column[64];
    bool is_range;
    double low, high;
    int n_values;
    char values[FM_SELECT_VALUES_MAX][64];
} fm_select;

typedef enum { FM_MATCH_OPTIMAL, FM_MATCH_NEAREST } fm_match_method;

typedef struct {
    bool on;
    bool by_sex, by_age;
    int n_bands;                /* edges: band i is [bands[i], bands[i+1]) , the last edge included */
    double bands[FM_BANDS_MAX];
    int64_t ratio;              /* controls a case */
    double caliper;             /* years that case and control may lie apart; INFINITY without one */
    bool replace;               /* a control may stand for several cases */
    int method;                 /* fm_match_method */
} fm_match_spec;

typedef enum { FM_TASK_COHORT, FM_TASK_SEX, FM_TASK_AGE, FM_TASK_COLUMN } fm_task_kind;

typedef struct {
    int kind;                   /* fm_task_kind */
    double age;                 /* FM_TASK_AGE: positive class is age >= this */
    char column[64];            /* FM_TASK_COLUMN */
} fm_task;

/* What the classifier looked at (learn/explain.h). */
typedef struct {
    bool on;                    /* as a stage of every run; else `facemill explain` alone makes it */
    int64_t faces, grid, permutations;
} fm_study_explain;

typedef enum { FM_AUDIT_NONE, FM_AUDIT_QUICK, FM_AUDIT_FULL } fm_audit_level;

typedef enum { FM_STUDY_FC, FM_STUDY_SVM, FM_STUDY_LOGISTIC } fm_study_head_kind;

typedef struct {
    int kind;                   /* fm_study_head_kind */
    bool balanced;              /* class_weight: balanced */
    int64_t hidden, batch, epochs;
    double dropout, l2, learning_rate, C;
    int n_choices;              /* of C (fc: epochs); 0: the value above stands */
    double choices[FM_CHOICES_MAX];     /* rising */
} fm_study_head;

typedef enum { FM_SPLIT_HOLDOUT, FM_SPLIT_KFOLD, FM_SPLIT_GIVEN, FM_SPLIT_GROUP, FM_SPLIT_COHORTS } fm_study_split;

typedef enum { FM_THRESHOLD_NONE, FM_THRESHOLD_YOUDEN, FM_THRESHOLD_SENSITIVITY } fm_study_threshold;

typedef struct {
    int split;                  /* fm_study_split */
    int64_t folds, repeats, bootstrap;
    char group[64];             /* column whose equal values stay on one side; subject.  GROUP: each is tested in turn */
    double test_fraction;       /* holdout */
    double prevalence;          /* of the positive class where the classifier is to be used; 0: not stated */
    int64_t top_k;              /* 0: 5 where there are more classes */
    int threshold;              /* fm_study_threshold */
    double sensitivity;         /* SENSITIVITY: at least this much */
    bool tests[FM_COHORTS_MAX]; /* COHORTS: the cohort is tested, else it trains */
} fm_study_evaluate;

typedef struct {
    char name[128];
    int64_t seed;
    char file[FM_PATH_MAX];     /* absolute */
    char dir[FM_PATH_MAX];      /* of the study file, absolute */
    char out[FM_PATH_MAX];      /* absolute */
    fm_digest digest;           /* of the file's bytes */
    int n_cohorts;
    fm_cohort cohorts[FM_COHORTS_MAX];
    int n_selects;
    fm_select selects[FM_SELECTS_MAX];
    fm_match_spec match;
    fm_recipe recipe;           /* model digests zero until models are looked up */
    uint32_t max_seconds;       /* for one photograph.  No part of the recipe's digest: it shapes no chip */
    char encoder[64];           /* name of a model in models.tsv, or of the ONNX file */
    char encoder_file[FM_PATH_MAX];     /* the ONNX file, absolute; "": the encoder is in models.tsv */
    bool embedding;             /* dlib-resnet: code: embedding (128) instead of pooled (256) */
    fm_network_wish wish;       /* what is said of the ONNX file */
    fm_encoding encoding;       /* kind, mask and fill; all of it once models are looked up */
    fm_task task;
    fm_study_head head;
    fm_study_evaluate evaluate;
    int audit;                  /* fm_audit_level */
    fm_study_explain explain;
    bool encrypt;               /* store.encrypt */
    char key_file[FM_PATH_MAX]; /* store.key_file, absolute; "" for none */
    char key_command[1024];     /* store.key_command; "" for none */
    char scratch[FM_PATH_MAX];  /* store.scratch, absolute; "" for the store itself */
    char metrics[FM_PATH_MAX];  /* cluster.metrics, absolute; "" for OUT/run/facemill.prom */
    int64_t nodes, ranks, shard;
} fm_study;

/* Read and check a study file.  Nothing it names is opened.
 * out  large (about 150 KB): keep it off the stack; written only on success.
 * Errors: -EINVAL with file, line, what is wrong and the nearest key; what reading gives. */
int fm_study_load(const char *path, fm_study *out, fm_err *err);

/* Columns of a code that heads see; of an ONNX encoder once models are looked up. */
void fm_study_code(const fm_study *s, uint32_t *offset, uint32_t *width);

const char *fm_cohort_format_name(int format);

#endif

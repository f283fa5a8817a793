/* Samples: one photograph of one subject each, read from cohorts' manifests or
 * folders, and what the study makes of them before any pixel is read. */
#ifndef FM_JOBS_SAMPLES_H
#define FM_JOBS_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/reason.h"
#include "jobs/study.h"

typedef enum { FM_SEX_UNKNOWN, FM_SEX_MALE, FM_SEX_FEMALE } fm_sex;

typedef struct {
    char *name;         /* "cohort/file as the manifest names it"; unique in the study */
    char *path;         /* absolute */
    char *subject;      /* "cohort/subject"; the sample's name when the manifest has none */
    char *detail;       /* why it is left out, NULL when there is nothing to add */
    char **extra;       /* [n_columns of its cohort], "" where the row has none */
    double age;         /* years; NaN when unknown, or known as a range only */
    double age_low, age_high;   /* that range: years, both included, high INFINITY when open; NaN when there is none */
    int cohort;         /* index into the study's cohorts */
    int fold;           /* as given in the manifest; -1 when not */
    int label;          /* class, from fm_samples_label; -1 before or when unknown */
    fm_sex sex;
    fm_reason reason;   /* FM_USED so far, or the first reason found */
} fm_sample;

typedef struct {
    fm_sample *v;       /* [n]; in the order of cohorts, then of rows or sorted file names */
    size_t n, capacity;
    struct {
        char **columns; /* names of the manifest's other columns */
        int n_columns;
    } cohorts[FM_COHORTS_MAX];
    char **classes;     /* [n_classes], from fm_samples_label; class 1 of two is the positive one */
    int n_classes;
    size_t problems;    /* what was wrong with rows and file names, from fm_samples_problem */
} fm_samples;

/* Read all cohorts.  A row that cannot be used is kept with reason bad_manifest
 * and a detail that names file, line and remedy of everything wrong with it; each is also logged.
 * Errors: a manifest or folder that cannot be read, or has no usable header. */
int fm_samples_import(const fm_study *study, fm_samples *out, fm_err *err);
void fm_samples_fini(fm_samples *s);

/* Leave out what the study's select does not admit (not_selected).  Errors: -EINVAL, a column no cohort has. */
int fm_samples_select(const fm_study *study, fm_samples *s, fm_err *err);

/* Give every sample still used its class, or reason unknown_label.
 * Errors: -EINVAL when fewer than two classes are left. */
int fm_samples_label(const fm_study *study, fm_samples *s, fm_err *err);

/* How many are still used. */
size_t fm_samples_used(const fm_samples *s);

/* A column by name (sex, age, subject, label, fold are known by their meaning), as text; NULL when the
 * sample's cohort has no such column.  An age known as a range is "20-29" or "70+".  number holds at least 32 bytes for what has to be formatted. */
const char *fm_sample_column(const fm_samples *s, const fm_sample *sample, const char *column, char number[32]);

const char *fm_sex_name(fm_sex sex);        /* "male", "female", "" */

/* For readers of cohort formats: append a sample; strings are copied.  subject may be NULL. */
fm_sample *fm_samples_add(fm_samples *s, int cohort, const char *cohort_name, const char *file, const char *path,
                          const char *subject, fm_err *err);
/* Mark a sample left out; keeps the first reason. detail may be NULL; copied. */
void fm_sample_leave_out(fm_sample *sample, fm_reason reason, const char *fmt, ...) FM_PRINTF(3, 4);

/* Something is wrong with a sample's row or file name: leave it out as bad_manifest.  Every problem of a row is
 * added to its detail, counted, and logged, up to a bound, as a line of its own.
 * fmt  "FILE:LINE: what, and what to do". */
void fm_samples_problem(fm_samples *s, fm_sample *sample, const char *fmt, ...) FM_PRINTF(3, 4);

#endif

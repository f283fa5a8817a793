/* Balance of cases and controls before and after matching, in the figures of
 * MatchIt's summary (Ho, Imai, King and Stuart 2011, J Stat Softw 42(8)). */
#ifndef FM_JOBS_BALANCE_H
#define FM_JOBS_BALANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "jobs/match.h"
#include "jobs/samples.h"
#include "jobs/study.h"

/* One variable in one sample.  NaN where a figure is not defined. */
typedef struct {
    size_t cases, controls;         /* photographs whose value is known */
    double effective_controls;      /* (sum of weights)^2 / sum of squares */
    double mean_cases, mean_controls;
    double smd;                     /* difference of means in standard deviations of all cases */
    double variance_ratio;          /* cases to controls; NaN for shares */
    double ecdf_mean, ecdf_max;     /* differences of the cumulative distributions over the values there are */
} fm_balance_figures;

typedef struct {
    char name[16];                  /* "age", "female", "male" */
    fm_balance_figures all, matched;
    double pair_distance;           /* mean |case - control| over pairs, in the same standard deviations */
} fm_balance_row;

#define FM_BALANCE_ROWS 3

typedef struct {
    fm_balance_row rows[FM_BALANCE_ROWS];
    int n_rows;                     /* only variables known of some case and some control; 0 without matching */
} fm_balance;

/* all       the samples used or left out as unmatched.
 * matched   the pairs both of whose members are used: a case weighs 1, a control 1 / (its case's controls) for every
 *           case it stands for.
 * Called after fm_match it describes the matching; called again after the build, what is left of it.
 * Errors: -ENOMEM. */
int fm_balance_make(const fm_study *study, const fm_samples *s, const fm_pairs *pairs, fm_balance *out, fm_err *err);

/* balance.tsv: variable, sample (all, matched), cases, controls, effective_controls, mean_cases, mean_controls,
 * std_mean_diff, var_ratio, ecdf_mean, ecdf_max, std_pair_dist; 12 digits; empty where not defined. */
int fm_balance_table(const fm_balance *b, fm_buf *out, fm_err *err);
int fm_balance_write(const fm_balance *b, const char *path, fm_err *err);

#endif

/* The parts of report.html.  Each appends its markup to page->b, and marks a
 * failed allocation there; the few that can fail otherwise return a code. */
#ifndef FM_JOBS_REPORT_PARTS_H
#define FM_JOBS_REPORT_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "coordinator/learn/delong.h"
#include "jobs/figure.h"
#include "jobs/report.h"

/* All borrowed. */
typedef struct {
    const fm_report *report;
    const fm_results *results;
    const fm_evaluation *e;
    const fm_subgroup *groups;      /* [n_groups] */
    size_t n_groups;
    fm_delong delong;               /* of the AUC */
    size_t tested;                  /* faces with a prediction */
    size_t tested_subjects;         /* groups that those are of */
    size_t subjects;                /* groups that all faces are of */
    fm_figures *figures;            /* filled as the page is made */
    fm_buf *b;
} fm_page;

extern const char fm_page_style[];      /* the style sheet */
extern const char fm_figure_style[];    /* a <style> for a figure that stands alone */

/* Class c's name. */
const char *fm_page_class(const fm_page *page, uint32_t c);
/* What a row was given when it was tested, in the first repeat that did, f64 [classes]; NULL: it only trains. */
const double *fm_page_tested(const fm_evaluation *e, size_t row);
/* What it was called then; its own class when it only trains. */
uint32_t fm_page_called(const fm_evaluation *e, size_t row);
/* "0.931", or a dash where there is none. */
void fm_page_value(fm_buf *b, double v);
/* Opens <figure>, shows it, and opens <figcaption>; the caller closes both. */
void fm_page_figure(const fm_page *page, const fm_figure *f);

/* Words: what came out, and how it was done, true to what was run. */
void fm_page_lead(const fm_page *page);
void fm_page_methods(const fm_page *page);
const char *fm_page_group_word(const fm_page *page);    /* "subjects", or "groups" */
/* One part of the methods by itself; nothing when it does not apply. */
typedef enum {
    FM_SAY_COHORTS, FM_SAY_SELECTS, FM_SAY_MATCH, FM_SAY_FACES, FM_SAY_ENCODER, FM_SAY_HEAD, FM_SAY_SPLIT,
    FM_SAY_STATISTICS
} fm_page_sentence;
void fm_page_say(const fm_page *page, fm_page_sentence what);

/* Tables.  Errors: -ENOMEM. */
void fm_page_flow(const fm_page *page);
int fm_page_characteristics(const fm_page *page, fm_err *err);
void fm_page_balance(const fm_page *page);
void fm_page_metrics(const fm_page *page);
void fm_page_confusion(const fm_page *page);
void fm_page_folds(const fm_page *page);
void fm_page_subgroups(const fm_page *page);
int fm_page_ledger(const fm_page *page, fm_err *err);
void fm_page_provenance(const fm_page *page);
void fm_page_usage(const fm_page *page);        /* nothing when nothing is known */

/* Audits; results->audits is there. */
void fm_page_audits(const fm_page *page);

/* What the classifier looked at; nothing is asked of it where results have no explanation. */
bool fm_page_explained(const fm_page *page);
void fm_page_explain(const fm_page *page);

/* Figures.  Errors: -ENOMEM. */
int fm_page_curves(const fm_page *page, fm_err *err);
void fm_page_calibration(const fm_page *page);
void fm_page_forest(const fm_page *page, int metric);   /* FM_METRIC_ACCURACY or FM_METRIC_AUC, over subgroups */
void fm_page_codes(const fm_page *page);

/* The sheet of chips, and the faces that were called wrongly with most confidence.
 * Errors: -EINVAL (a chip of no row, or without a size), -ENOMEM. */
int fm_page_chips(const fm_page *page, fm_err *err);
int fm_page_misses(const fm_page *page, fm_err *err);

/* Reporting guidelines: what a program can know filled in, the rest by name. */
void fm_page_tripod(const fm_page *page);
void fm_page_claim(const fm_page *page);

#endif

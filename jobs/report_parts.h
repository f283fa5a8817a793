/* The parts of report.html.  Each appends its markup to page->b, and marks a
 * failed allocation there; the few that can fail otherwise return a code. */
#ifndef FM_JOBS_REPORT_PARTS_H
#define FM_JOBS_REPORT_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "coordinator/learn/delong.h"
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
    fm_buf *b;
} fm_page;

extern const char fm_page_style[];      /* the style sheet */

/* Class c's name. */
const char *fm_page_class(const fm_page *page, uint32_t c);

/* Words: what came out, and how it was done, true to what was run. */
void fm_page_lead(const fm_page *page);
void fm_page_methods(const fm_page *page);
const char *fm_page_group_word(const fm_page *page);    /* "subjects", or "groups" */

/* Tables. */
void fm_page_flow(const fm_page *page);
void fm_page_metrics(const fm_page *page);
void fm_page_confusion(const fm_page *page);
void fm_page_folds(const fm_page *page);
void fm_page_subgroups(const fm_page *page);
void fm_page_provenance(const fm_page *page);

/* Figures, as inline SVG.  Errors: -ENOMEM. */
int fm_page_roc(const fm_page *page, fm_err *err);
void fm_page_calibration(const fm_page *page);
void fm_page_forest(const fm_page *page, int metric);   /* FM_METRIC_ACCURACY or FM_METRIC_AUC, over subgroups */

/* The sheet of chips.  Errors: -EINVAL (a chip of no row, or without a size), -ENOMEM. */
int fm_page_chips(const fm_page *page, fm_err *err);

#endif

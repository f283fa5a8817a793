/* report.html: one file that opens without a network; and its figures as files. */
#ifndef FM_JOBS_REPORT_H
#define FM_JOBS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "jobs/ledger.h"
#include "jobs/results.h"
#include "jobs/usage.h"

#define FM_REPORT_CHIPS_MAX 48
#define FM_REPORT_MISSES_MAX 12
#define FM_REPORT_CODES_MAX 2000

typedef struct {
    const uint8_t *rgb;     /* u8 [size, size, 3]; borrowed */
    uint32_t size;          /* pixels a side */
    size_t row;             /* row of the evaluation it belongs to */
} fm_report_chip;

/* Codes in the plane of their first two principal components (coordinator/learn/pca.h). */
typedef struct {
    size_t n;               /* 0: no such figure */
    const size_t *row;      /* [n] of the evaluation */
    const double *xy;       /* f64 [n, 2] */
    double explained[2];
} fm_report_codes;

/* All borrowed.  Who passes chips answers for their being shown. */
typedef struct {
    const fm_results *results;
    const fm_ledger_fact *facts;    /* [samples->n]; NULL: the ledger's summary has counts only */
    bool generated_faces;           /* of `facemill synth`: no real person is shown, and the page says that instead */
    const fm_report_chip *chips;    /* [n_chips]; more than FM_REPORT_CHIPS_MAX are left out; 0: no sheet */
    size_t n_chips;
    const fm_report_chip *misses;   /* [n_misses] chips of rows of fm_report_misses; 0: a table without pictures */
    size_t n_misses;
    fm_report_codes codes;
    fm_usage usage;         /* all zeros: no such table */
} fm_report;

/* Which rows to show: up to `most` of them, spread evenly over classes and over
 * each class's rows.  rows  caller's, room for most.  Returns how many, in order of class and row. */
size_t fm_report_choose(const fm_evaluation *e, size_t most, size_t *rows);

/* Rows called wrongly when first tested, the highest probability of the wrong class first (then by row): up to
 * `most` of them.  rows  caller's, room for most.  Returns how many. */
size_t fm_report_misses(const fm_evaluation *e, size_t most, size_t *rows);

/* The page, UTF-8.  Sets nothing in out on an error.  Errors: -ENOMEM, -EINVAL. */
int fm_report_html(const fm_report *report, fm_buf *out, fm_err *err);

/* dir/report.html and its figures into dir/figures/, each file whole or not at all. */
int fm_report_write(const fm_report *report, const char *dir, fm_err *err);

#endif

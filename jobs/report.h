/* report.html: one file that opens without a network. */
#ifndef FM_JOBS_REPORT_H
#define FM_JOBS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "jobs/results.h"

#define FM_REPORT_CHIPS_MAX 48

typedef struct {
    const uint8_t *rgb;     /* u8 [size, size, 3]; borrowed */
    uint32_t size;          /* pixels a side */
    size_t row;             /* row of the evaluation it belongs to */
} fm_report_chip;

typedef struct {
    const fm_results *results;
    bool generated_faces;           /* of `facemill synth`: no real person is shown, and the page says that instead */
    const fm_report_chip *chips;    /* [n_chips]; more than FM_REPORT_CHIPS_MAX are left out; 0: no sheet */
    size_t n_chips;
} fm_report;

/* Which rows to show: up to `most` of them, spread evenly over classes and over
 * each class's rows.  rows  caller's, room for most.  Returns how many. */
size_t fm_report_choose(const fm_evaluation *e, size_t most, size_t *rows);

/* The page, UTF-8.  Sets nothing in out on an error.  Errors: -ENOMEM, -EINVAL. */
int fm_report_html(const fm_report *report, fm_buf *out, fm_err *err);

/* Into dir/report.html, whole or not at all. */
int fm_report_write(const fm_report *report, const char *dir, fm_err *err);

#endif

/* ledger.tsv: a row per photograph of the study, used or left out, with why and
 * with what was seen of it.  Equal studies give equal bytes. */
#ifndef FM_JOBS_LEDGER_H
#define FM_JOBS_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "jobs/samples.h"
#include "jobs/study.h"
#include "storage/photo.h"

/* What the ledger says of a photograph's bytes and its face; all zero when it was never looked at. */
typedef struct {
    char *detail;               /* a decoder's warning or why it was left out; NULL: nothing to say; owned */
    uint32_t width, height;     /* as in fm_photo; so are the rest */
    uint32_t faces_found, faces_kept;
    int32_t left, top, right, bottom;   /* of the first face kept */
    float score;
    uint8_t view;
    uint8_t format, orientation, jpeg_quality, upsample;
} fm_ledger_fact;

/* Whether the photograph is used, and why not, is said by its sample: the caller carries photo->reason
 * and photo->detail there with fm_sample_leave_out.  *out is written only on success.  Errors: -ENOMEM. */
int fm_ledger_fact_of(const fm_photo *photo, fm_ledger_fact *out, fm_err *err);
/* Frees the details of n facts and the array itself.  facts may be NULL. */
void fm_ledger_facts_destroy(fm_ledger_fact *facts, size_t n);

/* The table: sample, cohort, subject, file, status (used, left_out), reason, detail, sex, age, label, format,
 * width, height, orientation, jpeg_quality, upsample, faces_found, faces_kept, left, top, right, bottom,
 * score, view.  Fields that are not known are empty; a used photograph has no reason; file is as the
 * manifest names it.  In the study's order.
 * facts  [samples->n], or NULL when no photograph was looked at.  Errors: -ENOMEM. */
int fm_ledger_table(const fm_study *study, const fm_samples *samples, const fm_ledger_fact *facts, fm_buf *out,
                    fm_err *err);

/* Into a file, whole or not at all. */
int fm_ledger_write(const fm_study *study, const fm_samples *samples, const fm_ledger_fact *facts, const char *path,
                    fm_err *err);

#endif

/* What forgetting a subject leaves of the results: nothing that shows or names them. */
#ifndef FM_JOBS_FORGOTTEN_H
#define FM_JOBS_FORGOTTEN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "jobs/samples.h"
#include "storage/keys.h"
#include "storage/vault.h"

/* Is a sample's subject ("cohort/S") the one meant by S or cohort/S? */
bool fm_subject_is(const char *subject, const char *meant);

/* OUT/ledger.tsv without the subject: their rows stay, as left out because forgotten, and say nothing else.
 * names  appended: the samples' names, each with its NUL; rows  how many.
 * write  false: only look.
 * Errors: -ENOENT (no ledger, or no such subject in it), what reading and writing give. */
int fm_forgotten_ledger(const char *out, const char *subject, bool write, fm_buf *names, size_t *rows, fm_err *err);

/* STORE/study.keys without what is forgotten: neither name nor keys.  The store is unlocked. */
int fm_forgotten_keys(const char *store_dir, fm_err *err);

/* Overwrite and remove the results that the subject is part of: everything but ledger, store, log and export log. */
int fm_forgotten_results(const char *out, fm_err *err);

/* Samples whose photographs were forgotten are left out (by path; what only their bytes tell, the build finds). */
int fm_forgotten_samples(const char *store_dir, fm_samples *samples, fm_err *err);

#endif

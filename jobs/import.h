/* Readers of cohort formats, and what they share.  docs/cohorts.md has each
 * format's layout, its source, and what becomes of sex and age. */
#ifndef FM_JOBS_IMPORT_H
#define FM_JOBS_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "jobs/samples.h"
#include "jobs/study.h"

/* Append cohort c of the study to s.  What does not fit is kept with
 * fm_samples_problem.  Errors: -ENOMEM, -EINVAL and what reading gives, when
 * the cohort as a whole cannot be read. */
int fm_import_table(const fm_study *study, int c, fm_samples *s, fm_err *err);      /* csv, tsv */
int fm_import_folder(const fm_study *study, int c, fm_samples *s, fm_err *err);
int fm_import_named(const fm_study *study, int c, fm_samples *s, fm_err *err);      /* utkface, fgnet, all-age-faces */
int fm_import_megaage(const fm_study *study, int c, fm_samples *s, fm_err *err);    /* and megaage-asian */
int fm_import_fairface(const fm_study *study, int c, fm_samples *s, fm_err *err);
int fm_import_lfw(const fm_study *study, int c, fm_samples *s, fm_err *err);

/* A list of strings; starts as {NULL, 0}. */
typedef struct {
    char **v;       /* [n]; owned */
    size_t n;
} fm_names;

void fm_names_fini(fm_names *l);
/* What a folder, or an archive or a folder in one, holds, without hidden files, in the order of the names' bytes. */
int fm_names_list(const char *dir, fm_names *out, fm_err *err);
/* A text file's lines, without line ends and a last empty line.  Errors: also -EINVAL (a zero byte). */
int fm_names_read(const char *file, fm_names *out, fm_err *err);

/* Also a folder in an archive; not the archive itself, so that a folder of archives is no folder of classes. */
bool fm_is_folder(const char *path);

/* Name the columns that this cohort's samples have besides the known ones.  Once a cohort, before its samples. */
int fm_import_columns(fm_samples *s, int c, const char *const *names, int n, fm_err *err);
int fm_import_set(fm_sample *to, int column, const char *text, fm_err *err);

/* "", NA, N/A, nan, unknown, ?: what manifests write for nothing. */
bool fm_import_unknown(const char *text);
/* Sex by the cohort's codes, else male, m, female, f in any case; anything else is a problem.
 * where, line  for the message. */
void fm_import_sex(fm_samples *s, const fm_cohort *cohort, const char *where, size_t line, const char *text,
                   fm_sample *to);

#endif

/* csv and tsv manifests: a header line, then a row a photograph.
 *
 * The column "file" must be there; subject, sex, age, fold are read by their
 * meaning; all others can be selected on or be the task's label. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "jobs/import.h"
#include "jobs/table.h"

typedef struct {
    int n;
    int file, subject, sex, age, fold;      /* column, -1 when absent */
    int extra[FM_TABLE_FIELDS_MAX];         /* column's place in sample.extra, -1 when it is none */
} header;

static int read_header(fm_table *t, int c, header *h, fm_samples *s, fm_err *err)
{
    static const char *const known[] = {"file", "subject", "sex", "age", "fold"};
    int *const where[] = {&h->file, &h->subject, &h->sex, &h->age, &h->fold};
    int rc = fm_table_next(t, err);

    if (rc < 0)
        return rc;
    *h = (header){.n = t->n, .file = -1, .subject = -1, .sex = -1, .age = -1, .fold = -1};
    s->cohorts[c].columns = calloc((size_t)t->n + 1, sizeof *s->cohorts[c].columns);
    if (!s->cohorts[c].columns)
        return fm_fail_nomem(err, "columns", (unsigned)t->n);
    for (int i = 0; rc == 1 && i < t->n; i++) {
        size_t k = 0;

        for (int j = 0; j < i; j++)
            if (strcmp(t->field[i], t->field[j]) == 0)
                return fm_fail(err, -EINVAL, "%s:1: two columns are named \"%s\"; rename one", t->file, t->field[i]);
        while (k < 5 && strcmp(known[k], t->field[i]) != 0)
            k++;
        h->extra[i] = k < 5 ? -1 : s->cohorts[c].n_columns;
        if (k < 5)
            *where[k] = i;
        else if (!(s->cohorts[c].columns[s->cohorts[c].n_columns++] = strdup(t->field[i])))
            return fm_fail_nomem(err, "column", strlen(t->field[i]));
    }
    if (h->file < 0)
        return fm_fail(err, -EINVAL, "%s:1: no column \"file\"; the first line must name the columns, e.g. "
                       "file,subject,sex,age", t->file);
    return 0;
}

static void read_age(const fm_table *t, const char *text, fm_samples *s, fm_sample *to)
{
    double age;

    if (fm_import_unknown(text))
        return;
    if (fm_parse_double(text, &age) && age >= 0 && age <= 130)
        to->age = age;
    else
        fm_samples_problem(s, to, "%s:%d: age \"%.20s\": write years from 0 to 130 or nothing", t->file, t->line, text);
}

static void read_fold(const fm_table *t, const char *text, fm_samples *s, fm_sample *to)
{
    int64_t fold;

    if (fm_import_unknown(text))
        return;
    if (fm_parse_int(text, 0, 100000, &fold))
        to->fold = (int)fold;
    else
        fm_samples_problem(s, to, "%s:%d: fold \"%.20s\": write a whole number from 0", t->file, t->line, text);
}

static int read_row(const fm_table *t, const header *h, const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX], path[FM_PATH_MAX];
    const char *file = t->n > h->file ? t->field[h->file] : "";
    const char *subject = h->subject >= 0 && h->subject < t->n ? t->field[h->subject] : NULL;
    fm_sample *to;
    int rc;

    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(t->file, '/') - t->file), t->file);
    if (fm_path_join(path, sizeof path, dir, file, err) != 0)
        path[0] = '\0';
    to = fm_samples_add(s, c, study->cohorts[c].name, *file ? file : "(no file)", path, subject, err);
    if (!to)
        return -ENOMEM;
    if (t->wrong)
        fm_samples_problem(s, to, "%s:%d: %s", t->file, t->line, t->wrong);
    if (t->n != h->n)
        fm_samples_problem(s, to, "%s:%d: %d columns where the header has %d; %s", t->file, t->line, t->n,
                           h->n, t->tabs ? "write a tab inside a field as \\t" : "put quotes around what holds a comma");
    if (!*file || !path[0])
        fm_samples_problem(s, to, "%s:%d: no usable file name; write the photograph's path, seen from the manifest's "
                           "folder", t->file, t->line);
    if (t->n != h->n)
        return 0;
    if (h->sex >= 0)
        fm_import_sex(s, &study->cohorts[c], t->file, (size_t)t->line, t->field[h->sex], to);
    if (h->age >= 0)
        read_age(t, t->field[h->age], s, to);
    if (h->fold >= 0)
        read_fold(t, t->field[h->fold], s, to);
    for (int i = 0; i < t->n; i++)
        if (h->extra[i] >= 0 && (rc = fm_import_set(to, h->extra[i], t->field[i], err)) != 0)
            return rc;
    return 0;
}

int fm_import_table(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    fm_table t;
    header h;
    int rc = fm_table_open(study->cohorts[c].path, study->cohorts[c].format == FM_FORMAT_TSV, &t, err);

    if (rc != 0)
        return rc;
    rc = read_header(&t, c, &h, s, err);
    while (rc == 0 && (rc = fm_table_next(&t, err)) == 1)
        rc = read_row(&t, &h, study, c, s, err);
    fm_table_close(&t);
    return rc;
}

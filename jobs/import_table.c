/* csv and tsv manifests: a header line, then a row a photograph.
 *
 * csv as RFC 4180 (quotes, doubled quotes, line breaks inside quotes); tsv has
 * no quotes, its fields may hold \t \n \\ as our own tables write them.  The
 * column "file" must be there; subject, sex, age, fold are read by their
 * meaning; all others can be selected on or be the task's label. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "jobs/samples.h"

#define BYTES_MAX (1ull << 30)
#define FIELDS_MAX 256

typedef struct {
    const char *file;       /* the manifest, for messages */
    char *at;               /* the rest of the text; fields are cut out in place */
    bool tabs;
    int line;               /* of the row read last */
    int next_line;
    int n;
    char *field[FIELDS_MAX];
} table;

/* Cut one csv field out at t->at; returns the character after it. */
static char cut_csv(table *t, char **field)
{
    char *from = t->at, *to = t->at, end;

    *field = to;
    if (*from != '"') {
        from += strcspn(from, ",\n");
        end = *from;
        to = from;
        if (to > *field && end == '\n' && to[-1] == '\r')
            to--;
    } else {
        for (from++; *from && !(from[0] == '"' && from[1] != '"'); from++) {
            t->next_line += *from == '\n';
            from += *from == '"';
            *to++ = *from;
        }
        from += *from == '"';
        from += *from == '\r';
        end = *from;
    }
    t->at = from + (*from != '\0');
    *to = '\0';
    return end;
}

static char cut_tsv(table *t, char **field)
{
    char *from = t->at, *to = t->at, end;

    for (*field = to; *from && *from != '\t' && *from != '\n'; from++) {
        const char *known = "tnr\\", *k = *from == '\\' && from[1] ? strchr(known, from[1]) : NULL;

        if (k)
            from++;
        *to++ = k ? "\t\n\r\\"[k - known] : *from;
    }
    end = *from;
    if (to > *field && end == '\n' && to[-1] == '\r')
        to--;
    t->at = from + (*from != '\0');
    *to = '\0';
    return end;
}

/* 1 for a row, 0 at the end. */
static int next_row(table *t, fm_err *err)
{
    char end;

    while (*t->at == '\n' || (*t->at == '\r' && t->at[1] == '\n')) {
        t->next_line++;
        t->at += *t->at == '\r' ? 2 : 1;
    }
    if (!*t->at)
        return 0;
    t->line = t->next_line;
    t->n = 0;
    do {
        if (t->n == FIELDS_MAX)
            return fm_fail(err, -EINVAL, "%s:%d: more than %d columns", t->file, t->line, FIELDS_MAX);
        end = t->tabs ? cut_tsv(t, &t->field[t->n]) : cut_csv(t, &t->field[t->n]);
        t->n++;
    } while (end && end != '\n');
    t->next_line++;
    return 1;
}

typedef struct {
    int n;
    int file, subject, sex, age, fold;      /* column, -1 when absent */
    int extra[FIELDS_MAX];                  /* column's place in sample.extra, -1 when it is none */
} header;

static int read_header(table *t, int c, header *h, fm_samples *s, fm_err *err)
{
    static const char *const known[] = {"file", "subject", "sex", "age", "fold"};
    int *const where[] = {&h->file, &h->subject, &h->sex, &h->age, &h->fold};
    int rc = next_row(t, err);

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

static bool is_unknown(const char *text)
{
    static const char *const words[] = {"", "NA", "N/A", "nan", "unknown", "?"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static void read_sex(const table *t, const char *text, fm_sample *to)
{
    if (is_unknown(text))
        return;
    if (strcasecmp(text, "male") == 0 || strcasecmp(text, "m") == 0)
        to->sex = FM_SEX_MALE;
    else if (strcasecmp(text, "female") == 0 || strcasecmp(text, "f") == 0)
        to->sex = FM_SEX_FEMALE;
    else
        fm_sample_leave_out(to, FM_BAD_MANIFEST,
                            "%s:%d: sex \"%.20s\": write male, female or nothing (codes differ between data sets)",
                            t->file, t->line, text);
}

static void read_age(const table *t, const char *text, fm_sample *to)
{
    double age;

    if (is_unknown(text))
        return;
    if (fm_parse_double(text, &age) && age >= 0 && age <= 130)
        to->age = age;
    else
        fm_sample_leave_out(to, FM_BAD_MANIFEST, "%s:%d: age \"%.20s\": write years from 0 to 130 or nothing", t->file,
                            t->line, text);
}

static void read_fold(const table *t, const char *text, fm_sample *to)
{
    int64_t fold;

    if (is_unknown(text))
        return;
    if (fm_parse_int(text, 0, 100000, &fold))
        to->fold = (int)fold;
    else
        fm_sample_leave_out(to, FM_BAD_MANIFEST, "%s:%d: fold \"%.20s\": write a whole number from 0", t->file, t->line,
                            text);
}

static int read_row(const table *t, const header *h, const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX], path[FM_PATH_MAX];
    const char *file = t->n > h->file ? t->field[h->file] : "";
    const char *subject = h->subject >= 0 && h->subject < t->n ? t->field[h->subject] : NULL;
    fm_sample *to;

    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(t->file, '/') - t->file), t->file);
    if (fm_path_join(path, sizeof path, dir, file, err) != 0)
        path[0] = '\0';
    to = fm_samples_add(s, c, study->cohorts[c].name, *file ? file : "(no file)", path, subject, err);
    if (!to)
        return -ENOMEM;
    if (t->n != h->n)
        fm_sample_leave_out(to, FM_BAD_MANIFEST, "%s:%d: %d columns where the header has %d", t->file, t->line, t->n,
                            h->n);
    else if (!*file || !path[0])
        fm_sample_leave_out(to, FM_BAD_MANIFEST, "%s:%d: no usable file name", t->file, t->line);
    if (t->n != h->n)
        return 0;
    if (h->sex >= 0)
        read_sex(t, t->field[h->sex], to);
    if (h->age >= 0)
        read_age(t, t->field[h->age], to);
    if (h->fold >= 0)
        read_fold(t, t->field[h->fold], to);
    for (int i = 0; i < t->n; i++)
        if (h->extra[i] >= 0 && !(to->extra[h->extra[i]] = strdup(t->field[i])))
            return fm_fail_nomem(err, "field", strlen(t->field[i]));
    return 0;
}

int fm_import_table(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    const char *file = study->cohorts[c].path;
    fm_buf text = FM_BUF_INIT;
    table t = {.file = file, .tabs = study->cohorts[c].format == FM_FORMAT_TSV, .next_line = 1};
    header h;
    int rc = fm_file_read(file, BYTES_MAX, &text, err);

    fm_buf_u8(&text, 0);
    if (rc == 0 && text.failed)
        rc = fm_fail_nomem(err, file, text.size);
    if (rc == 0 && strlen((char *)text.data) + 1 != text.size)
        rc = fm_fail(err, -EINVAL, "%s: holds a zero byte; is it text (UTF-8)?", file);
    if (rc == 0) {
        t.at = (char *)text.data + (strncmp((char *)text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
        rc = read_header(&t, c, &h, s, err);
    }
    while (rc == 0 && (rc = next_row(&t, err)) == 1)
        rc = read_row(&t, &h, study, c, s, err);
    fm_buf_fini(&text);
    return rc;
}

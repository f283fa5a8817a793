#include "jobs/import.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "base/file.h"

#define BYTES_MAX (1ull << 30)

void fm_names_fini(fm_names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (fm_names){NULL, 0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add(fm_names *l, const char *text, size_t size, fm_err *err)
{
    if ((l->n & (l->n - 1)) == 0) {     /* powers of two: the list is full */
        char **v = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);

        if (!v)
            return fm_fail_nomem(err, "names", l->n * sizeof *v);
        l->v = v;
    }
    l->v[l->n] = strndup(text, size);
    if (!l->v[l->n])
        return fm_fail_nomem(err, "name", size);
    l->n++;
    return 0;
}

static int add_member(void *names, const char *name, size_t n, fm_err *err)
{
    return name[0] == '.' ? 0 : add(names, name, n, err);
}

int fm_names_list(const char *dir, fm_names *out, fm_err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int rc = 0;

    if (!d && errno == ENOTDIR)
        return fm_archive_list(dir, add_member, out, err);
    if (!d)
        return fm_fail(err, -errno, "%s: cannot read folder: %s", dir, strerror(errno));
    while (rc == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.')
            rc = add(out, e->d_name, strlen(e->d_name), err);
    closedir(d);
    if (rc == 0 && out->n)
        qsort(out->v, out->n, sizeof *out->v, by_bytes);
    return rc;
}

int fm_names_read(const char *file, fm_names *out, fm_err *err)
{
    fm_buf text = FM_BUF_INIT;
    int rc = fm_file_read(file, BYTES_MAX, &text, err);

    if (rc == 0 && text.size && memchr(text.data, 0, text.size))
        rc = fm_fail(err, -EINVAL, "%s: holds a zero byte; is it text?", file);
    for (size_t i = 0; rc == 0 && i < text.size; ) {
        const char *line = (const char *)text.data + i;
        const char *end = memchr(line, '\n', text.size - i);
        size_t n = end ? (size_t)(end - line) : text.size - i;

        i += n + 1;
        n -= n && line[n - 1] == '\r';
        rc = add(out, line, n, err);
    }
    fm_buf_fini(&text);
    return rc;
}

bool fm_is_folder(const char *path)
{
    struct stat st;

    return fm_path_stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int fm_import_columns(fm_samples *s, int c, const char *const *names, int n, fm_err *err)
{
    s->cohorts[c].columns = calloc((size_t)n + 1, sizeof *s->cohorts[c].columns);
    if (!s->cohorts[c].columns)
        return fm_fail_nomem(err, "columns", (unsigned)n);
    for (int i = 0; i < n; i++) {
        s->cohorts[c].columns[i] = strdup(names[i]);
        if (!s->cohorts[c].columns[i])
            return fm_fail_nomem(err, "column", strlen(names[i]));
        s->cohorts[c].n_columns++;
    }
    return 0;
}

int fm_import_set(fm_sample *to, int column, const char *text, fm_err *err)
{
    to->extra[column] = strdup(text);
    return to->extra[column] ? 0 : fm_fail_nomem(err, "field", strlen(text));
}

bool fm_import_unknown(const char *text)
{
    static const char *const words[] = {"", "NA", "N/A", "nan", "unknown", "?"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

void fm_import_sex(fm_samples *s, const fm_cohort *cohort, const char *where, size_t line, const char *text,
                   fm_sample *to)
{
    bool mapped = cohort->male[0];

    if (mapped ? strcasecmp(text, cohort->male) == 0 : !strcasecmp(text, "male") || !strcasecmp(text, "m"))
        to->sex = FM_SEX_MALE;
    else if (mapped ? strcasecmp(text, cohort->female) == 0 : !strcasecmp(text, "female") || !strcasecmp(text, "f"))
        to->sex = FM_SEX_FEMALE;
    else if (!fm_import_unknown(text) && mapped)
        fm_samples_problem(s, to, "%s:%zu: sex \"%.20s\" is neither \"%s\" nor \"%s\", as the cohort's sex says; write one "
                           "of them or nothing", where, line, text, cohort->male, cohort->female);
    else if (!fm_import_unknown(text))
        fm_samples_problem(s, to, "%s:%zu: sex \"%.20s\": write male, female or nothing, or say in the study what the codes "
                           "mean: sex: {male: .., female: ..} (they differ between data sets)", where, line, text);
}

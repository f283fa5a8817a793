/* Cohorts that are folders: a class a subfolder, and UTKFace.
 *
 * Files are taken in the order of their names' bytes, so that every machine
 * sees the same study.  What a file holds decides whether it is a photograph;
 * only hidden files are passed over. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "jobs/samples.h"

typedef struct {
    char **v;
    size_t n;
} names;

static void names_fini(names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (names){NULL, 0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int name_add(names *l, const char *name, fm_err *err)
{
    if ((l->n & (l->n - 1)) == 0) {     /* powers of two: the list is full */
        char **v = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);

        if (!v)
            return fm_fail_nomem(err, "file names", l->n * sizeof *v);
        l->v = v;
    }
    l->v[l->n] = strdup(name);
    if (!l->v[l->n])
        return fm_fail_nomem(err, "file name", strlen(name));
    l->n++;
    return 0;
}

static int list(const char *dir, names *out, fm_err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return fm_fail(err, -errno, "%s: cannot read folder: %s", dir, strerror(errno));
    errno = 0;
    while (rc == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.')
            rc = name_add(out, e->d_name, err);
    closedir(d);
    if (rc == 0)
        qsort(out->v, out->n, sizeof *out->v, by_bytes);
    return rc;
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* 12_1_0_20170103200522151.jpg: age, sex (0 male, 1 female), race (0 to 4), time of collection.
 * Source: UTKFace's page (Zhang, Song and Qi 2017).  Some published names lack the race. */
static bool utkface_parse(const char *file, int64_t *age, int64_t *sex, int64_t *race)
{
    char part[3][8];
    unsigned long long time;
    int used = 0;

    return sscanf(file, "%7[0-9]_%7[0-9]_%7[0-9]_%17llu.%n", part[0], part[1], part[2], &time, &used) == 4 && used &&
           fm_parse_int(part[0], 0, 130, age) && fm_parse_int(part[1], 0, 1, sex) && fm_parse_int(part[2], 0, 4, race);
}

static int set_columns(fm_samples *s, int c, const char *only, fm_err *err)
{
    s->cohorts[c].columns = malloc(sizeof *s->cohorts[c].columns);
    if (!s->cohorts[c].columns || !(s->cohorts[c].columns[0] = strdup(only)))
        return fm_fail_nomem(err, "column", strlen(only));
    s->cohorts[c].n_columns = 1;
    return 0;
}

static int add_utkface(const fm_study *study, int c, const char *file, fm_samples *s, fm_err *err)
{
    char path[FM_PATH_MAX];
    int64_t age, sex, race;
    fm_sample *to;
    int rc = fm_path_join(path, sizeof path, study->cohorts[c].path, file, err);

    if (rc != 0 || is_folder(path))
        return rc;
    to = fm_samples_add(s, c, study->cohorts[c].name, file, path, NULL, err);
    if (!to)
        return -ENOMEM;
    if (!utkface_parse(file, &age, &sex, &race)) {
        fm_sample_leave_out(to, FM_BAD_MANIFEST,
                            "%s: the name is not age_sex_race_time.jpg; rename it so, or list it in a csv", path);
        return 0;
    }
    to->age = (double)age;
    to->sex = sex ? FM_SEX_FEMALE : FM_SEX_MALE;
    to->extra[0] = strdup((const char *[]){"white", "black", "asian", "indian", "other"}[race]);
    return to->extra[0] ? 0 : fm_fail_nomem(err, "race", 8);
}

int fm_import_utkface(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    names files = {NULL, 0};
    int rc = list(study->cohorts[c].path, &files, err);

    if (rc == 0)
        rc = set_columns(s, c, "race", err);
    for (size_t i = 0; rc == 0 && i < files.n; i++)
        rc = add_utkface(study, c, files.v[i], s, err);
    names_fini(&files);
    return rc;
}

static int add_class(const fm_study *study, int c, const char *class, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX], file[FM_PATH_MAX], path[FM_PATH_MAX];
    names files = {NULL, 0};
    int rc = fm_path_join(dir, sizeof dir, study->cohorts[c].path, class, err);

    if (rc != 0 || !is_folder(dir))
        return rc;
    rc = list(dir, &files, err);
    for (size_t i = 0; rc == 0 && i < files.n; i++) {
        fm_sample *to;

        if ((rc = fm_path_join(path, sizeof path, dir, files.v[i], err)) != 0 || is_folder(path))
            continue;
        if ((rc = fm_path_join(file, sizeof file, class, files.v[i], err)) != 0)
            break;
        to = fm_samples_add(s, c, study->cohorts[c].name, file, path, NULL, err);
        if (!to || !(to->extra[0] = strdup(class)))
            rc = fm_fail_nomem(err, "sample", sizeof *to);
    }
    names_fini(&files);
    return rc;
}

int fm_import_folder(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    names classes = {NULL, 0};
    int rc = list(study->cohorts[c].path, &classes, err);

    if (rc == 0)
        rc = set_columns(s, c, "label", err);
    for (size_t i = 0; rc == 0 && i < classes.n; i++)
        rc = add_class(study, c, classes.v[i], s, err);
    names_fini(&classes);
    return rc;
}

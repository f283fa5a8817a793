/* Labeled Faces in the Wild (Huang et al. 2007; http://vis-www.cs.umass.edu/lfw):
 * a folder a person, lfw/Aaron_Eckhart/Aaron_Eckhart_0001.jpg.
 *
 * Sexes come from male_names.txt and female_names.txt (Afifi and Abdelhamed 2019,
 * https://arxiv.org/abs/1706.04277), in the cohort's folder or beside it: a
 * photograph's file name a line; one published line lacks its .jpg, so the ending
 * may be missing.  Without the lists no sex is known; who is in neither stays
 * unknown, who is in both is a problem.  Ages are not known. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "jobs/import.h"

static const struct { const char *file; fm_sex sex; } sex_lists[] = {
    {"male_names.txt", FM_SEX_MALE}, {"female_names.txt", FM_SEX_FEMALE}};

typedef struct {
    char *name;         /* without its ending; borrowed from lines */
    size_t line;
    int list;           /* index into sex_lists */
    bool seen;          /* a photograph has this name */
} entry;

typedef struct {
    char path[2][FM_PATH_MAX];
    fm_names lines[2];
    entry *v;           /* [n], by name, list, line */
    size_t n;
} sexes;

static void sexes_fini(sexes *x)
{
    fm_names_fini(&x->lines[0]);
    fm_names_fini(&x->lines[1]);
    free(x->v);
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order == 0)
        order = x->list - y->list;
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

/* dir/male_names.txt, else dir/../male_names.txt; "" when there is neither. */
static int find_list(const char *dir, const char *name, char out[FM_PATH_MAX], fm_err *err)
{
    char beside[128];
    int rc = fm_path_join(out, FM_PATH_MAX, dir, name, err);

    if (rc != 0 || fm_path_exists(out))
        return rc;
    snprintf(beside, sizeof beside, "../%s", name);
    rc = fm_path_join(out, FM_PATH_MAX, dir, beside, err);
    if (rc == 0 && !fm_path_exists(out))
        out[0] = '\0';
    return rc;
}

static int read_sexes(const fm_cohort *cohort, sexes *x, fm_err *err)
{
    int rc = find_list(cohort->path, sex_lists[0].file, x->path[0], err);

    if (rc == 0)
        rc = find_list(cohort->path, sex_lists[1].file, x->path[1], err);
    if (rc != 0 || (!x->path[0][0] && !x->path[1][0]))
        return rc;
    for (int k = 0; k < 2; k++)
        if (!x->path[k][0])
            return fm_fail(err, -ENOENT, "cohort %s: %s is there and %s is not; put both into %s, or neither", cohort->name,
                           sex_lists[!k].file, sex_lists[k].file, cohort->path);
    for (int k = 0; rc == 0 && k < 2; k++)
        rc = fm_names_read(x->path[k], &x->lines[k], err);
    if (rc == 0 && !(x->v = malloc((x->lines[0].n + x->lines[1].n + 1) * sizeof *x->v)))
        rc = fm_fail_nomem(err, "sex lists", x->lines[0].n * sizeof *x->v);
    for (int k = 0; rc == 0 && k < 2; k++)
        for (size_t i = 0; i < x->lines[k].n; i++) {
            char *name = x->lines[k].v[i], *dot = strrchr(name, '.');

            if (dot && strcmp(dot, ".jpg") == 0)
                *dot = '\0';
            if (*name)
                x->v[x->n++] = (entry){name, i + 1, k, false};
        }
    if (rc == 0)
        qsort(x->v, x->n, sizeof *x->v, by_name);
    return rc;
}

static void set_sex(sexes *x, const char *path, const char *stem, fm_samples *s, fm_sample *to)
{
    size_t low = 0, high = x->n, first[2] = {0, 0};

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (strcmp(x->v[mid].name, stem) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < x->n && strcmp(x->v[low].name, stem) == 0; low++) {
        x->v[low].seen = true;
        if (!first[x->v[low].list])
            first[x->v[low].list] = x->v[low].line;
    }
    if (first[0] && first[1])
        fm_samples_problem(s, to, "%s:%zu: %s is in %s:%zu, too; look at %s and take it out of one", x->path[1], first[1],
                           stem, x->path[0], first[0], path);
    else if (first[0] || first[1])
        to->sex = sex_lists[first[0] ? 0 : 1].sex;
}

/* Aaron_Eckhart_0001.jpg in folder Aaron_Eckhart; stem is the name without ".jpg". */
static bool fits(const char *person, const char *file, char *stem, size_t size)
{
    size_t n = strlen(person);
    const char *number = file + n + 1;

    if (strncmp(file, person, n) != 0 || file[n] != '_' || strlen(number) != strlen("0001.jpg") ||
        strcmp(number + 4, ".jpg") != 0)
        return false;
    for (int i = 0; i < 4; i++)
        if (!isdigit((unsigned char)number[i]))
            return false;
    snprintf(stem, size, "%.*s", (int)(n + 5), file);
    return true;
}

static int add_photograph(const fm_study *study, int c, const char *person, const char *name, sexes *x, fm_samples *s,
                          fm_err *err)
{
    char file[FM_PATH_MAX], path[FM_PATH_MAX], stem[FM_PATH_MAX];
    fm_sample *to;
    int rc = fm_path_join(file, sizeof file, person, name, err);

    if (rc == 0)
        rc = fm_path_join(path, sizeof path, study->cohorts[c].path, file, err);
    if (rc != 0)
        return rc;
    if (!(to = fm_samples_add(s, c, study->cohorts[c].name, file, path, person, err)))
        return -ENOMEM;
    if (fits(person, name, stem, sizeof stem))
        set_sex(x, path, stem, s, to);
    else
        fm_samples_problem(s, to, "%s: the name is not %s_0001.jpg with any number; rename it so, or list it in a csv", path,
                           person);
    return 0;
}

static int add_person(const fm_study *study, int c, const char *person, sexes *x, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_names files = {NULL, 0};
    int rc = fm_path_join(dir, sizeof dir, study->cohorts[c].path, person, err);

    if (rc != 0 || !fm_is_folder(dir))
        return rc;
    rc = fm_names_list(dir, &files, err);
    for (size_t i = 0; rc == 0 && i < files.n; i++)
        rc = add_photograph(study, c, person, files.v[i], x, s, err);
    fm_names_fini(&files);
    return rc;
}

/* Lines that name no photograph stay in the study as what they are: problems. */
static int add_unseen(const fm_study *study, int c, const sexes *x, fm_samples *s, fm_err *err)
{
    for (size_t i = 0; i < x->n; i++) {
        const entry *e = &x->v[i];
        char file[FM_PATH_MAX];
        fm_sample *to;

        if (e->seen)
            continue;
        snprintf(file, sizeof file, "%s:%zu", sex_lists[e->list].file, e->line);
        if (!(to = fm_samples_add(s, c, study->cohorts[c].name, file, "", NULL, err)))
            return -ENOMEM;
        fm_samples_problem(s, to, "%s:%zu: %s names no photograph; take the line out, or get the photograph",
                           x->path[e->list], e->line, e->name);
    }
    return 0;
}

int fm_import_lfw(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    fm_names people = {NULL, 0};
    sexes *x = calloc(1, sizeof *x);
    int rc;

    if (!x)
        return fm_fail_nomem(err, "sex lists", sizeof *x);
    rc = fm_names_list(study->cohorts[c].path, &people, err);
    if (rc == 0)
        rc = fm_import_columns(s, c, NULL, 0, err);
    if (rc == 0)
        rc = read_sexes(&study->cohorts[c], x, err);
    for (size_t i = 0; rc == 0 && i < people.n; i++)
        rc = add_person(study, c, people.v[i], x, s, err);
    if (rc == 0)
        rc = add_unseen(study, c, x, s, err);
    fm_names_fini(&people);
    sexes_fini(x);
    free(x);
    return rc;
}

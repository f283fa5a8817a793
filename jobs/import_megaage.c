/* MegaAge and MegaAge-Asian (Zhang, Liu, Li and Loy 2017, BMVC; arXiv 1708.09687;
 * http://mmlab.ie.cuhk.edu.hk/projects/MegaAge): photographs in train/ and
 * test/; in list/, for each of the two, files whose lines belong together:
 *
 *     train_name.txt     1.jpg                                  required
 *     train_age.txt      34: years                              required
 *     train_dis.txt      the posterior: a probability a year    if it is there
 *     train_gender.txt   a code                                 if it is there
 *
 * The age is the published number.  The posterior gives the column age_sd, its
 * standard deviation in years, which needs no assumption about what age its
 * first column stands for; it can be selected on.  No publication says what the
 * codes in gender lists mean, so they count only when the study maps them.
 *
 * Lines belong together by their number alone: lists of different lengths are
 * refused as a whole, since one lost line would shift every age after it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "jobs/import.h"

enum { NAME, AGE, DIS, GENDER, LISTS };

static const char *const list_names[LISTS] = {"name", "age", "dis", "gender"};

typedef struct {
    const char *part;               /* "train", "test" */
    char path[LISTS][FM_PATH_MAX];
    bool there[LISTS];
    fm_names lines[LISTS];
    size_t columns;                 /* of the posterior's first line */
} lists;

static void lists_fini(lists *l)
{
    for (int k = 0; k < LISTS; k++)
        fm_names_fini(&l->lines[k]);
}

static int read_lists(const char *dir, lists *l, fm_err *err)
{
    int rc = 0;

    for (int k = 0; rc == 0 && k < LISTS; k++) {
        char name[64];

        snprintf(name, sizeof name, "list/%s_%s.txt", l->part, list_names[k]);
        if ((rc = fm_path_join(l->path[k], FM_PATH_MAX, dir, name, err)) != 0)
            break;
        l->there[k] = k < DIS || fm_path_exists(l->path[k]);
        if (l->there[k])
            rc = fm_names_read(l->path[k], &l->lines[k], err);
        if (rc == 0 && l->there[k] && l->lines[k].n != l->lines[NAME].n)
            rc = fm_fail(err, -EINVAL, "%s has %zu lines and %s_name.txt %zu: which line belongs to which photograph "
                         "cannot be told; get the release again", l->path[k], l->lines[k].n, l->part, l->lines[NAME].n);
    }
    return rc;
}

/* Standard deviation of a line of probabilities, in years.  False when it is not a line of n numbers, none
 * negative, some positive; n is set by the first line. */
static bool posterior_sd(const char *line, size_t *n, double *sd)
{
    double sum = 0, first = 0, second = 0;
    size_t i = 0;
    char *end;

    for (;; i++) {
        double p = strtod(line, &end);

        if (end == line)
            break;
        if (!isfinite(p) || p < 0)
            return false;
        sum += p;
        first += p * (double)i;
        second += p * (double)i * (double)i;
        line = end + strspn(end, ",");
    }
    if (line[strspn(line, " \t")] || sum <= 0 || (*n && i != *n))
        return false;
    *n = i;
    *sd = sqrt(fmax(0, second / sum - first / sum * (first / sum)));
    return true;
}

static int read_posterior(lists *l, size_t i, fm_samples *s, fm_sample *to, fm_err *err)
{
    char text[32] = "";
    double sd;

    if (!l->there[DIS])
        return fm_import_set(to, 1, "", err);
    if (posterior_sd(l->lines[DIS].v[i], &l->columns, &sd))
        snprintf(text, sizeof text, "%.6g", sd);
    else
        fm_samples_problem(s, to, "%s:%zu: is not a line of %zu probabilities, as the lines before it; get the release "
                           "again", l->path[DIS], i + 1, l->columns);
    return fm_import_set(to, 1, text, err);
}

static void read_age(const lists *l, size_t i, fm_samples *s, fm_sample *to)
{
    if (!fm_parse_double(l->lines[AGE].v[i], &to->age) || !(to->age >= 0 && to->age <= 130)) {
        to->age = NAN;
        fm_samples_problem(s, to, "%s:%zu: age \"%.20s\" is not a number from 0 to 130; correct it from the release",
                           l->path[AGE], i + 1, l->lines[AGE].v[i]);
    }
}

/* Any code may stand there: the two that the study maps are sexes, the others are not known. */
static void read_sex(const lists *l, const fm_cohort *cohort, size_t i, fm_sample *to)
{
    const char *code = l->there[GENDER] ? l->lines[GENDER].v[i] : "";

    if (cohort->male[0] && strcmp(code, cohort->male) == 0)
        to->sex = FM_SEX_MALE;
    else if (cohort->female[0] && strcmp(code, cohort->female) == 0)
        to->sex = FM_SEX_FEMALE;
}

static int add_line(const fm_study *study, int c, lists *l, size_t i, fm_samples *s, fm_err *err)
{
    const fm_cohort *cohort = &study->cohorts[c];
    const char *name = l->lines[NAME].v[i];
    bool usable = *name && *name != '/' && !strstr(name, "..");
    char file[FM_PATH_MAX], path[FM_PATH_MAX], line[64];
    fm_sample *to;
    int rc;

    snprintf(line, sizeof line, "(line %zu)", i + 1);
    rc = fm_path_join(file, sizeof file, l->part, usable ? name : line, err);
    if (rc == 0)
        rc = fm_path_join(path, sizeof path, cohort->path, file, err);
    if (rc != 0)
        return rc;
    to = fm_samples_add(s, c, cohort->name, file, path, NULL, err);
    if (!to)
        return -ENOMEM;
    if (!usable)
        fm_samples_problem(s, to, "%s:%zu: \"%.40s\" is no name of a file in %s/; correct it from the release",
                           l->path[NAME], i + 1, name, l->part);
    read_age(l, i, s, to);
    read_sex(l, cohort, i, to);
    rc = fm_import_set(to, 0, l->part, err);
    return rc == 0 ? read_posterior(l, i, s, to, err) : rc;
}

/* People will miss the sex only when nothing can be matched; say here what is missing. */
static void say_sex(const fm_cohort *cohort, const lists *l)
{
    if (l->there[GENDER] && !cohort->male[0])
        fm_warn("cohort %s: %s is not used: nothing published says what its codes mean; if you know, add sex: {male: .., "
                "female: ..} to the cohort", cohort->name, l->path[GENDER]);
    else if (!l->there[GENDER])
        fm_info("cohort %s: %s does not exist, so the sexes of %s/ are not known", cohort->name, l->path[GENDER], l->part);
}

static int add_part(const fm_study *study, int c, const char *part, fm_samples *s, fm_err *err)
{
    lists *l = calloc(1, sizeof *l);
    int rc;

    if (!l)
        return fm_fail_nomem(err, "lists", sizeof *l);
    l->part = part;
    rc = read_lists(study->cohorts[c].path, l, err);
    if (rc == 0)
        say_sex(&study->cohorts[c], l);
    for (size_t i = 0; rc == 0 && i < l->lines[NAME].n; i++)
        rc = add_line(study, c, l, i, s, err);
    lists_fini(l);
    free(l);
    return rc;
}

int fm_import_megaage(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    static const char *const parts[] = {"train", "test"};
    int rc = fm_import_columns(s, c, (const char *const[]){"part", "age_sd"}, 2, err), found = 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        char name[64], path[FM_PATH_MAX];

        snprintf(name, sizeof name, "list/%s_name.txt", parts[i]);
        if ((rc = fm_path_join(path, sizeof path, study->cohorts[c].path, name, err)) != 0 || !fm_path_exists(path))
            continue;
        found++;
        rc = add_part(study, c, parts[i], s, err);
    }
    if (rc == 0 && !found)
        rc = fm_fail(err, -ENOENT, "cohort %s: %s holds neither list/train_name.txt nor list/test_name.txt; path must be "
                     "the unpacked folder with list, train and test in it", study->cohorts[c].name,
                     study->cohorts[c].path);
    return rc;
}

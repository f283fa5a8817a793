/* Cohorts whose file names say everything: a row of a table each, with a
 * function that reads a name.
 *
 * UTKFace: age_sex_race_time.jpg (also .jpg.chip.jpg); sex 0 male, 1 female;
 * race 0 to 4; https://susanqq.github.io/UTKFace (Zhang, Song and Qi 2017).
 * Some published names lack the race or the sex.
 * FG-NET: 001A02.JPG: subject 001 to 082 at age 02; a letter follows when there
 * are several of one age (008A29a.JPG); in images/; 1,002 photographs
 * (https://yanweifu.github.io/FG_NET_data).  Case of A and of the ending differ between copies.  No sex.
 * All-Age-Faces: 00000A02.jpg: a person each, at age 02, 2 to 80; 00000 to 07380
 * are female, 07381 to 13321 male; in "original images" and "aligned faces"
 * (https://github.com/JingchunCheng/All-Age-Faces-Dataset). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "jobs/import.h"

typedef struct {
    char subject[8];        /* "": the photograph is its own */
    double age;
    fm_sex sex;
    const char *race;       /* NULL: the format has none */
} facts;

static bool read_utkface(const char *file, facts *out)
{
    static const char *const races[] = {"white", "black", "asian", "indian", "other"};
    char part[3][8];
    unsigned long long time;
    int64_t age, sex, race;
    int used = 0;

    if (sscanf(file, "%7[0-9]_%7[0-9]_%7[0-9]_%17llu.%n", part[0], part[1], part[2], &time, &used) != 4 || !used ||
        !fm_parse_int(part[0], 0, 130, &age) || !fm_parse_int(part[1], 0, 1, &sex) ||
        !fm_parse_int(part[2], 0, 4, &race))
        return false;
    *out = (facts){.age = (double)age, .sex = sex ? FM_SEX_FEMALE : FM_SEX_MALE, .race = races[race]};
    return true;
}

static bool is_jpeg(const char *ending)
{
    return strcasecmp(ending, ".jpg") == 0 || strcasecmp(ending, ".jpeg") == 0;
}

/* digits, A, two digits of age; returns what follows, or NULL. */
static const char *read_number_and_age(const char *file, int digits, int64_t *number, int64_t *age)
{
    char text[8];
    int n = 0;

    while (n < digits && isdigit((unsigned char)file[n]))
        n++;
    if (n != digits || (file[n] != 'A' && file[n] != 'a') || !isdigit((unsigned char)file[n + 1]) ||
        !isdigit((unsigned char)file[n + 2]))
        return NULL;
    snprintf(text, sizeof text, "%.*s", digits, file);
    fm_parse_int(text, 0, 99999, number);
    *age = 10 * (file[n + 1] - '0') + file[n + 2] - '0';
    return file + n + 3;
}

static bool read_fgnet(const char *file, facts *out)
{
    int64_t subject, age;
    const char *rest = read_number_and_age(file, 3, &subject, &age);

    if (!rest || subject < 1 || subject > 82)
        return false;
    rest += islower((unsigned char)*rest) != 0;
    *out = (facts){.age = (double)age};
    snprintf(out->subject, sizeof out->subject, "%.3s", file);
    return is_jpeg(rest);
}

static bool read_all_age_faces(const char *file, facts *out)
{
    int64_t person, age;
    const char *rest = read_number_and_age(file, 5, &person, &age);

    if (!rest || file[5] != 'A' || person > 13321 || age < 2 || age > 80)
        return false;
    *out = (facts){.age = (double)age, .sex = person <= 7380 ? FM_SEX_FEMALE : FM_SEX_MALE};
    snprintf(out->subject, sizeof out->subject, "%.5s", file);
    return is_jpeg(rest);
}

static const struct {
    int format;             /* fm_cohort_format */
    const char *folder;     /* where photographs lie when the cohort's path holds this folder; NULL: there */
    const char *pattern;    /* for people */
    bool (*read)(const char *file, facts *out);
    int n_columns;          /* race or nothing */
} formats[] = {
    {FM_FORMAT_UTKFACE, NULL, "age_sex_race_time.jpg", read_utkface, 1},
    {FM_FORMAT_FGNET, "images", "001A02.JPG (subject 001 to 082, A, age, perhaps a letter)", read_fgnet, 0},
    {FM_FORMAT_ALL_AGE_FACES, "original images", "00000A02.jpg (person up to 13321, A, age 02 to 80)",
     read_all_age_faces, 0},
};

static int add_named(const fm_study *study, int c, int f, const char *folder, const char *name, fm_samples *s,
                     fm_err *err)
{
    const fm_cohort *cohort = &study->cohorts[c];
    char file[FM_PATH_MAX], path[FM_PATH_MAX];
    facts what;
    bool fits = formats[f].read(name, &what);
    fm_sample *to;
    int rc = fm_path_join(file, sizeof file, folder, name, err);

    if (rc == 0)
        rc = fm_path_join(path, sizeof path, cohort->path, file, err);
    if (rc != 0 || fm_is_folder(path))
        return rc;
    to = fm_samples_add(s, c, cohort->name, file, path, fits ? what.subject : NULL, err);
    if (!to)
        return -ENOMEM;
    if (!fits) {
        fm_samples_problem(s, to, "%s: the name is not %s; rename it so, or list it in a csv", path, formats[f].pattern);
        return 0;
    }
    to->age = what.age;
    to->sex = what.sex;
    return what.race ? fm_import_set(to, 0, what.race, err) : 0;
}

int fm_import_named(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_names files = {NULL, 0};
    const char *folder = "";
    int rc, f = 0;

    while (formats[f].format != study->cohorts[c].format)
        f++;
    rc = fm_path_join(dir, sizeof dir, study->cohorts[c].path, formats[f].folder ? formats[f].folder : ".", err);
    if (rc == 0 && formats[f].folder && fm_is_folder(dir))
        folder = formats[f].folder;
    if (rc == 0)
        rc = fm_names_list(*folder ? dir : study->cohorts[c].path, &files, err);
    if (rc == 0)
        rc = fm_import_columns(s, c, (const char *const[]){"race"}, formats[f].n_columns, err);
    for (size_t i = 0; rc == 0 && i < files.n; i++)
        rc = add_named(study, c, f, folder, files.v[i], s, err);
    fm_names_fini(&files);
    return rc;
}

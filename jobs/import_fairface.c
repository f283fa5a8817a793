/* FairFace (Karkkainen and Joo 2021, WACV; https://github.com/joojs/fairface):
 * fairface_label_train.csv and fairface_label_val.csv beside train/ and val/.
 *
 *     file,age,gender,race,service_test
 *     val/2.jpg,50-59,Female,East Asian,True
 *
 * Ages are bins.  A bin is kept as what it is, a range of years: a midpoint
 * would make distances in age up that nobody measured.  Copies that went
 * through a spreadsheet have dates for bins (9-Mar for 3-9); they are refused
 * row by row, since what such a file has lost besides cannot be known. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/archive.h"
#include "base/text.h"
#include "jobs/import.h"
#include "jobs/table.h"

enum { FILE_, AGE, GENDER, RACE, SERVICE, FIELDS };

static const char *const header[FIELDS] = {"file", "age", "gender", "race", "service_test"};
static const char *const csv_names[] = {"fairface_label_train.csv", "fairface_label_val.csv"};

static void read_bin(const fm_table *t, fm_samples *s, fm_sample *to)
{
    static const struct { const char *name; double low, high; } bins[] = {
        {"0-2", 0, 2},     {"3-9", 3, 9},     {"10-19", 10, 19}, {"20-29", 20, 29},        {"30-39", 30, 39},
        {"40-49", 40, 49}, {"50-59", 50, 59}, {"60-69", 60, 69}, {"more than 70", 70, INFINITY},
    };

    for (size_t i = 0; i < sizeof bins / sizeof *bins; i++)
        if (strcmp(t->field[AGE], bins[i].name) == 0) {
            to->age_low = bins[i].low;
            to->age_high = bins[i].high;
            return;
        }
    fm_samples_problem(s, to, "%s:%d: age \"%.20s\" is none of FairFace's bins (0-2, 3-9, 10-19 .. 60-69, more than 70); "
                       "spreadsheets turn bins into dates: get the file as published", t->file, t->line, t->field[AGE]);
}

static void read_words(const fm_table *t, fm_samples *s, fm_sample *to)
{
    static const char *const races[] = {"White", "Black", "Indian", "East Asian", "Southeast Asian", "Middle Eastern",
                                        "Latino_Hispanic"};
    size_t i = 0;

    if (strcmp(t->field[GENDER], "Male") == 0)
        to->sex = FM_SEX_MALE;
    else if (strcmp(t->field[GENDER], "Female") == 0)
        to->sex = FM_SEX_FEMALE;
    else
        fm_samples_problem(s, to, "%s:%d: gender \"%.20s\" is neither Male nor Female; get the file as published", t->file,
                           t->line, t->field[GENDER]);
    while (i < sizeof races / sizeof *races && strcmp(races[i], t->field[RACE]) != 0)
        i++;
    if (i == sizeof races / sizeof *races)
        fm_samples_problem(s, to, "%s:%d: race \"%.30s\" is none of FairFace's seven; get the file as published", t->file,
                           t->line, t->field[RACE]);
    if (strcasecmp(t->field[SERVICE], "true") != 0 && strcasecmp(t->field[SERVICE], "false") != 0)
        fm_samples_problem(s, to, "%s:%d: service_test \"%.20s\" is neither True nor False; get the file as published",
                           t->file, t->line, t->field[SERVICE]);
}

static int read_row(const fm_study *study, int c, const fm_table *t, const char *dir, fm_samples *s, fm_err *err)
{
    char path[FM_PATH_MAX], line[64];
    const char *file = t->field[FILE_];
    fm_sample *to;
    int rc;

    snprintf(line, sizeof line, "(line %d)", t->line);
    if (!*file || *file == '/' || strstr(file, "..") || fm_path_join(path, sizeof path, dir, file, NULL) != 0) {
        file = line;
        path[0] = '\0';
    }
    if (!(to = fm_samples_add(s, c, study->cohorts[c].name, file, path, NULL, err)))
        return -ENOMEM;
    if (t->wrong || t->n != FIELDS) {
        fm_samples_problem(s, to, "%s:%d: %d fields where FairFace has %d; get the file as published", t->file, t->line,
                           t->n, FIELDS);
        return 0;
    }
    if (!path[0])
        fm_samples_problem(s, to, "%s:%d: \"%.40s\" is no path below the file's folder; get the file as published", t->file,
                           t->line, t->field[FILE_]);
    read_bin(t, s, to);
    read_words(t, s, to);
    rc = fm_import_set(to, 0, t->field[RACE], err);
    return rc == 0 ? fm_import_set(to, 1, t->field[SERVICE], err) : rc;
}

static int check_header(fm_table *t, fm_err *err)
{
    int rc = fm_table_next(t, err);
    bool same = rc == 1 && t->n == FIELDS;

    for (int i = 0; same && i < FIELDS; i++)
        same = strcmp(t->field[i], header[i]) == 0;
    return rc < 0 || same ? rc : fm_fail(err, -EINVAL, "%s:1: the header is not file,age,gender,race,service_test; get the "
                                         "file as published, or use format csv", t->file);
}

static int read_csv(const fm_study *study, int c, const char *file, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_table t;
    int rc = fm_table_open(file, false, &t, err);

    if (rc != 0)
        return rc;
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(file, '/') - file), file);
    rc = check_header(&t, err);
    while (rc >= 0 && (rc = fm_table_next(&t, err)) == 1)
        rc = read_row(study, c, &t, dir, s, err);
    fm_table_close(&t);
    return rc;
}

/* path is one of the two files, or the folder that holds one or both. */
int fm_import_fairface(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    const char *path = study->cohorts[c].path;
    int rc = fm_import_columns(s, c, (const char *const[]){"race", "service_test"}, 2, err), found = 0;

    if (rc == 0 && !fm_is_folder(path) && !fm_archive_is(path))
        return read_csv(study, c, path, s, err);
    for (int i = 0; rc == 0 && i < 2; i++) {
        char file[FM_PATH_MAX];

        if ((rc = fm_path_join(file, sizeof file, path, csv_names[i], err)) != 0 || !fm_path_exists(file))
            continue;
        found++;
        rc = read_csv(study, c, file, s, err);
    }
    if (rc == 0 && !found)
        rc = fm_fail(err, -ENOENT, "cohort %s: %s holds neither %s nor %s; path must be the folder with train and val in it, "
                     "or one of these files", study->cohorts[c].name, path, csv_names[0], csv_names[1]);
    return rc;
}

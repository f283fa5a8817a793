#include "jobs/samples.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "jobs/import.h"

#define PROBLEMS_SHOWN 1000

const char *fm_sex_name(fm_sex sex)
{
    return sex == FM_SEX_MALE ? "male" : sex == FM_SEX_FEMALE ? "female" : "";
}

static char *join3(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 2;
    char *s = malloc(n);

    if (s)
        snprintf(s, n, "%s/%s", a, b);
    return s;
}

static int grow(fm_samples *s, fm_err *err)
{
    size_t capacity = s->capacity ? 2 * s->capacity : 1024;
    fm_sample *v;

    if (s->n < s->capacity)
        return 0;
    v = realloc(s->v, capacity * sizeof *v);
    if (!v)
        return fm_fail_nomem(err, "samples", capacity * sizeof *v);
    s->v = v;
    s->capacity = capacity;
    return 0;
}

fm_sample *fm_samples_add(fm_samples *s, int cohort, const char *cohort_name, const char *file, const char *path,
                          const char *subject, fm_err *err)
{
    fm_sample *to;
    int n_columns = s->cohorts[cohort].n_columns;

    if (grow(s, err) != 0)
        return NULL;
    to = &s->v[s->n];
    *to = (fm_sample){.age = NAN, .age_low = NAN, .age_high = NAN, .cohort = cohort, .fold = -1, .label = -1,
                       .reason = FM_USED};
    to->name = join3(cohort_name, file);
    to->path = strdup(path);
    to->subject = join3(cohort_name, subject && *subject ? subject : file);
    to->extra = calloc((size_t)n_columns + 1, sizeof *to->extra);
    s->n++;     /* fini frees what is there */
    if (!to->name || !to->path || !to->subject || !to->extra) {
        fm_fail_nomem(err, "sample", sizeof *to);
        return NULL;
    }
    return to;
}

void fm_sample_leave_out(fm_sample *sample, fm_reason reason, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (sample->reason != FM_USED)
        return;
    sample->reason = reason;
    if (!fmt)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    sample->detail = strdup(text);      /* without memory the reason alone must do */
}

void fm_samples_problem(fm_samples *s, fm_sample *sample, const char *fmt, ...)
{
    char text[512], *joined;
    va_list ap;
    size_t n;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (s->problems++ < PROBLEMS_SHOWN)
        fm_warn("%s", text);
    if (sample->reason != FM_BAD_MANIFEST || !sample->detail) {
        fm_sample_leave_out(sample, FM_BAD_MANIFEST, "%s", text);
        return;
    }
    n = strlen(sample->detail) + strlen(text) + 3;
    joined = malloc(n);
    if (!joined)
        return;     /* the first must do */
    snprintf(joined, n, "%s; %s", sample->detail, text);
    free(sample->detail);
    sample->detail = joined;
}

void fm_samples_fini(fm_samples *s)
{
    for (size_t i = 0; i < s->n; i++) {
        fm_sample *x = &s->v[i];

        for (int c = 0; x->extra && c < s->cohorts[x->cohort].n_columns; c++)
            free(x->extra[c]);
        free(x->extra);
        free(x->name);
        free(x->path);
        free(x->subject);
        free(x->detail);
    }
    free(s->v);
    for (int c = 0; c < FM_COHORTS_MAX; c++) {
        for (int i = 0; i < s->cohorts[c].n_columns; i++)
            free(s->cohorts[c].columns[i]);
        free(s->cohorts[c].columns);
    }
    for (int i = 0; i < s->n_classes; i++)
        free(s->classes[i]);
    free(s->classes);
    memset(s, 0, sizeof *s);
}

static int by_name(const void *a, const void *b)
{
    const fm_sample *const *x = a, *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);

    return order ? order : (*x < *y ? -1 : 1);
}

/* The same file named twice would put one photograph on both sides of a fold. */
static int mark_repeated_names(fm_samples *s, fm_err *err)
{
    fm_sample **sorted = malloc((s->n + 1) * sizeof *sorted);

    if (!sorted)
        return fm_fail_nomem(err, "sample names", s->n * sizeof *sorted);
    for (size_t i = 0; i < s->n; i++)
        sorted[i] = &s->v[i];
    qsort(sorted, s->n, sizeof *sorted, by_name);
    for (size_t i = 1; i < s->n; i++)
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            fm_sample_leave_out(sorted[i], FM_DUPLICATE, "the manifest names this file more than once");
    free(sorted);
    return 0;
}

int fm_samples_import(const fm_study *study, fm_samples *out, fm_err *err)
{
    static int (*const readers[])(const fm_study *, int, fm_samples *, fm_err *) = {
        [FM_FORMAT_CSV] = fm_import_table,          [FM_FORMAT_TSV] = fm_import_table,
        [FM_FORMAT_FOLDER] = fm_import_folder,      [FM_FORMAT_UTKFACE] = fm_import_named,
        [FM_FORMAT_MEGAAGE] = fm_import_megaage,    [FM_FORMAT_MEGAAGE_ASIAN] = fm_import_megaage,
        [FM_FORMAT_FAIRFACE] = fm_import_fairface,  [FM_FORMAT_FGNET] = fm_import_named,
        [FM_FORMAT_LFW] = fm_import_lfw,            [FM_FORMAT_ALL_AGE_FACES] = fm_import_named,
    };
    fm_samples s;
    int rc = 0;

    memset(&s, 0, sizeof s);
    for (int c = 0; rc == 0 && c < study->n_cohorts; c++) {
        size_t before = s.n;

        rc = readers[study->cohorts[c].format](study, c, &s, err);
        if (rc == 0 && s.n == before)
            rc = fm_fail(err, -EINVAL, "cohort %s: %s holds no photographs", study->cohorts[c].name,
                         study->cohorts[c].path);
    }
    if (rc == 0)
        rc = mark_repeated_names(&s, err);
    if (rc == 0 && s.problems > PROBLEMS_SHOWN)
        fm_warn("%zu more problems; ledger.tsv says what is wrong with each row", s.problems - PROBLEMS_SHOWN);
    if (rc != 0)
        fm_samples_fini(&s);
    else
        *out = s;
    return rc;
}

size_t fm_samples_used(const fm_samples *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].reason == FM_USED;
    return n;
}

const char *fm_sample_column(const fm_samples *s, const fm_sample *sample, const char *column, char number[32])
{
    if (strcmp(column, "sex") == 0)
        return fm_sex_name(sample->sex);
    if (strcmp(column, "age") == 0) {
        if (isnan(sample->age_low))
            snprintf(number, 32, "%.10g", sample->age);
        else if (isinf(sample->age_high))
            snprintf(number, 32, "%.6g+", sample->age_low);
        else
            snprintf(number, 32, "%.6g-%.6g", sample->age_low, sample->age_high);
        return isnan(sample->age) && isnan(sample->age_low) ? "" : number;
    }
    if (strcmp(column, "subject") == 0)
        return sample->subject;
    for (int i = 0; i < s->cohorts[sample->cohort].n_columns; i++)
        if (strcmp(s->cohorts[sample->cohort].columns[i], column) == 0)
            return sample->extra[i] ? sample->extra[i] : "";
    return NULL;
}

static bool admitted(const fm_select *rule, const char *text)
{
    double v;

    if (rule->is_range)
        return fm_parse_double(text, &v) && v >= rule->low && v <= rule->high;
    for (int i = 0; i < rule->n_values; i++)
        if (strcmp(rule->values[i], text) == 0)
            return true;
    return false;
}

/* A range of ages is admitted when all of it is. */
static bool admitted_age(const fm_select *rule, const fm_sample *x)
{
    return rule->is_range && x->age_low >= rule->low && x->age_high <= rule->high;
}

static int select_by(const fm_select *rule, const fm_study *study, fm_samples *s, fm_err *err)
{
    bool known = false, by_age = strcmp(rule->column, "age") == 0;

    for (size_t i = 0; i < s->n; i++) {
        char number[32];
        const char *text = fm_sample_column(s, &s->v[i], rule->column, number);

        known = known || text;
        if (!text || !(admitted(rule, text) || (by_age && admitted_age(rule, &s->v[i]))))
            fm_sample_leave_out(&s->v[i], FM_NOT_SELECTED, "%s is %s", rule->column,
                                text && *text ? text : "not known");
    }
    if (!known)
        return fm_fail(err, -EINVAL, "%s: select: no cohort has a column \"%s\"", study->file, rule->column);
    return 0;
}

int fm_samples_select(const fm_study *study, fm_samples *s, fm_err *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < study->n_selects; i++)
        rc = select_by(&study->selects[i], study, s, err);
    return rc;
}

/* The class's name of a sample, or NULL when it has none. */
static const char *class_of(const fm_study *study, const fm_samples *s, const fm_sample *x, char number[32])
{
    const char *text;
    bool older;

    switch (study->task.kind) {
    case FM_TASK_COHORT:
        return study->cohorts[x->cohort].role == FM_ROLE_CASE ? "case" : "control";
    case FM_TASK_SEX:
        return x->sex == FM_SEX_UNKNOWN ? NULL : fm_sex_name(x->sex);
    case FM_TASK_AGE:
        older = x->age >= study->task.age || x->age_low >= study->task.age;
        snprintf(number, 32, "age%s%g", older ? ">=" : "<", study->task.age);
        return older || x->age < study->task.age || x->age_high < study->task.age ? number : NULL;
    default:
        text = fm_sample_column(s, x, study->task.column, number);
        return text && *text ? text : NULL;
    }
}

static int class_index(fm_samples *s, const char *name)
{
    for (int i = 0; i < s->n_classes; i++)
        if (strcmp(s->classes[i], name) == 0)
            return i;
    return -1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int class_add(fm_samples *s, const char *name, fm_err *err)
{
    char **grown, *copy;

    if (class_index(s, name) >= 0)
        return 0;
    if (s->n_classes == 1000)
        return fm_fail(err, -EINVAL, "task: more than 1000 classes; is the label column the right one?");
    grown = realloc(s->classes, ((size_t)s->n_classes + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "classes", sizeof *grown);
    s->classes = grown;
    copy = strdup(name);
    if (!copy)
        return fm_fail_nomem(err, "class name", strlen(name));
    s->classes[s->n_classes++] = copy;
    return 0;
}

/* Two-class tasks of ours have a fixed order, so that class 1 is the positive one. */
static void order_classes(const fm_study *study, fm_samples *s)
{
    static const char *const positive[] = {"case", "male", "age>="};
    const char *last = study->task.kind < FM_TASK_COLUMN ? positive[study->task.kind] : NULL;

    qsort(s->classes, (size_t)s->n_classes, sizeof *s->classes, by_text);
    if (last && s->n_classes == 2 && strncmp(s->classes[0], last, strlen(last)) == 0) {
        char *t = s->classes[0];

        s->classes[0] = s->classes[1];
        s->classes[1] = t;
    }
}

int fm_samples_label(const fm_study *study, fm_samples *s, fm_err *err)
{
    char number[32];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        const char *name = s->v[i].reason == FM_USED ? class_of(study, s, &s->v[i], number) : NULL;

        if (name)
            rc = class_add(s, name, err);
        else
            fm_sample_leave_out(&s->v[i], FM_UNKNOWN_LABEL, "the task's label is not known");
    }
    if (rc != 0)
        return rc;
    if (s->n_classes < 2)
        return fm_fail(err, -EINVAL, "%s: task: %zu samples are left and all have %s; a classifier needs two classes",
                       study->file, fm_samples_used(s), s->n_classes ? s->classes[0] : "no label");
    order_classes(study, s);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].reason == FM_USED)
            s->v[i].label = class_index(s, class_of(study, s, &s->v[i], number));
    return 0;
}

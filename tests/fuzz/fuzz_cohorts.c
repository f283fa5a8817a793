/* Cohorts: manifests, lists and file names of every format, then selection and labels.  The first byte says which
 * format and task; parts end with byte 0x1e: the format's lists in their order, then names of photographs. */
#define _GNU_SOURCE
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "jobs/samples.h"
#include "tests/fuzz/fuzz.h"

enum { FORMATS = FM_FORMAT_ALL_AGE_FACES + 1, TASKS = FM_TASK_COLUMN + 1, LISTS_MAX = 8, NAMES_MAX = 16, END = 0x1e };

static const struct {
    const char *folders[2];         /* the last one holds the photographs; none: the cohort itself */
    const char *lists[LISTS_MAX];
} layouts[FORMATS] = {
    [FM_FORMAT_CSV] = {.lists = {"manifest"}},
    [FM_FORMAT_TSV] = {.lists = {"manifest"}},
    [FM_FORMAT_FOLDER] = {.folders = {"one", "two"}},
    [FM_FORMAT_MEGAAGE] = {{"list"}, {"list/train_name.txt", "list/train_age.txt", "list/train_dis.txt",
                           "list/train_gender.txt", "list/test_name.txt", "list/test_age.txt", "list/test_dis.txt",
                           "list/test_gender.txt"}},
    [FM_FORMAT_MEGAAGE_ASIAN] = {{"list"}, {"list/train_name.txt", "list/train_age.txt", "list/test_name.txt",
                                 "list/test_age.txt"}},
    [FM_FORMAT_FAIRFACE] = {.lists = {"fairface_label_train.csv", "fairface_label_val.csv"}},
    [FM_FORMAT_FGNET] = {.folders = {"images"}},
    [FM_FORMAT_LFW] = {{"Ann_Lee"}, {"male_names.txt", "female_names.txt"}},
    [FM_FORMAT_ALL_AGE_FACES] = {.folders = {"original images"}},
};

static char root[FM_PATH_MAX];
static fm_study study;

static void remove_root(void)
{
    fm_dir_remove(root, NULL);
}

static void begin(void)
{
    must(getcwd(root, sizeof root - 32));
    snprintf(root + strlen(root), 32, "/cohort-%ld", (long)getpid());
    must(atexit(remove_root) == 0);
    fm_log_set_level(FM_LOG_ERROR);
    strcpy(study.file, "fuzz.yaml");
    study.n_cohorts = 1;
    strcpy(study.cohorts[0].name, "c");
    strcpy(study.task.column, "label");
    study.task.age = 40;
    study.n_selects = 1;
    study.selects[0] = (fm_select){.column = "age", .is_range = true, .low = 10, .high = 120};
}

static void put_file(const char *folder, const char *name, const uint8_t *bytes, size_t n)
{
    char path[FM_PATH_MAX + 512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    f = fopen(path, "wb");
    must(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

static void put_name(const char *folder, const uint8_t *bytes, size_t n)
{
    char name[256];

    if (n == 0 || n >= sizeof name || memchr(bytes, '/', n) || memchr(bytes, '\0', n) || bytes[0] == '.')
        return;
    memcpy(name, bytes, n);
    name[n] = '\0';
    put_file(folder, name, bytes, 0);
}

static void put_cohort(int format, const uint8_t *bytes, size_t n)
{
    const char *const *lists = layouts[format].lists, *folder = "";
    char path[FM_PATH_MAX + 32];
    int part = 0;

    remove_root();
    must(fm_dir_make(root, NULL) == 0);
    for (int i = 0; i < 2 && layouts[format].folders[i]; i++) {
        folder = layouts[format].folders[i];
        snprintf(path, sizeof path, "%s/%s", root, folder);
        must(fm_dir_make(path, NULL) == 0);
    }
    for (size_t at = 0, size; at <= n && part < NAMES_MAX; at += size + 1, part++) {
        const uint8_t *end = memchr(bytes + at, END, n - at);

        size = end ? (size_t)(end - bytes) - at : n - at;
        if (part < LISTS_MAX && lists[part])
            put_file("", lists[part], bytes + at, size);
        else
            put_name(folder, bytes + at, size);
    }
}

static void check_samples(const fm_samples *s)
{
    must(s->n >= 1 && fm_samples_used(s) <= s->n);
    for (size_t i = 0; i < s->n; i++) {
        const fm_sample *x = &s->v[i];

        must(strncmp(x->name, "c/", 2) == 0 && strncmp(x->subject, "c/", 2) == 0);
        must(isnan(x->age) || (x->age >= 0 && x->age <= 130));
        must(isnan(x->age_low) ? isnan(x->age_high) : x->age_low <= x->age_high);
        must(x->fold >= -1 && x->label < (s->n_classes ? s->n_classes : 1));
        must(x->reason != FM_BAD_MANIFEST || (x->detail && *x->detail));
        must(x->reason != FM_USED || *x->path == '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fm_err err = FM_ERR_INIT;
    fm_samples s;
    int rc;

    if (n == 0)
        return 0;
    if (!*root)
        begin();
    study.cohorts[0].format = bytes[0] % FORMATS;
    study.task.kind = bytes[0] / FORMATS % TASKS;
    put_cohort(study.cohorts[0].format, bytes + 1, n - 1);
    snprintf(study.cohorts[0].path, FM_PATH_MAX, "%.4000s%s", root,
             study.cohorts[0].format <= FM_FORMAT_TSV ? "/manifest" : "");
    rc = fm_samples_import(&study, &s, &err);
    must(rc == 0 || (err.code == rc && err.text[0]));
    if (rc != 0)
        return 0;
    check_samples(&s);
    rc = fm_samples_select(&study, &s, &err);
    if (rc == 0)
        rc = fm_samples_label(&study, &s, &err);
    must(rc == 0 || (err.code == rc && err.text[0]));
    check_samples(&s);
    fm_samples_fini(&s);
    return 0;
}

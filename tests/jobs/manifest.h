/* Study files and cohorts written into the test's own folder. */
#ifndef FM_TESTS_JOBS_MANIFEST_H
#define FM_TESTS_JOBS_MANIFEST_H

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "jobs/samples.h"
#include "jobs/study.h"
#include "tests/check.h"

/* Write a file below the test's folder, with the folders it needs. */
static inline void put(const char *name, const char *text)
{
    char path[FM_PATH_MAX], *slash;

    fm_path_join(path, sizeof path, check_tmpdir(), name, NULL);
    slash = strrchr(path, '/');
    *slash = '\0';
    fm_dir_make(path, NULL);
    *slash = '/';
    if (fm_file_write(path, text, strlen(text), NULL) != 0)
        abort();
}

/* The study of this text, in static storage; NULL with err set when it is refused. */
static inline fm_study *load(const char *text, fm_err *err)
{
    static fm_study study;
    char path[FM_PATH_MAX];

    *err = (fm_err)FM_ERR_INIT;
    put("s.yaml", text);
    fm_path_join(path, sizeof path, check_tmpdir(), "s.yaml", NULL);
    return fm_study_load(path, &study, err) == 0 ? &study : NULL;
}

/* One cohort of a format at a path, more keys of it after a comma; read into s. 0 or what reading gave. */
static inline int import_one(const char *format, const char *path, const char *more, fm_samples *s, fm_err *err)
{
    char text[512];
    fm_study *study;

    snprintf(text, sizeof text, "name: x\ncohorts: [{name: c, role: control, format: %s, path: %s%s}]\n", format, path,
             more);
    study = load(text, err);
    return study ? fm_samples_import(study, s, err) : err->code;
}

static inline const fm_sample *sample_named(const fm_samples *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->v[i].name, name) == 0)
            return &s->v[i];
    return NULL;
}

#endif

/* A folder a class: the subfolder's name is the column label.
 *
 * Files are taken in the order of their names' bytes, so that every machine
 * sees the same study.  What a file holds decides whether it is a photograph;
 * only hidden files are passed over. */
#include <errno.h>

#include "jobs/import.h"

static int add_class(const fm_study *study, int c, const char *class, fm_samples *s, fm_err *err)
{
    char dir[FM_PATH_MAX], file[FM_PATH_MAX], path[FM_PATH_MAX];
    fm_names files = {NULL, 0};
    int rc = fm_path_join(dir, sizeof dir, study->cohorts[c].path, class, err);

    if (rc != 0 || !fm_is_folder(dir))
        return rc;
    rc = fm_names_list(dir, &files, err);
    for (size_t i = 0; rc == 0 && i < files.n; i++) {
        fm_sample *to;

        if ((rc = fm_path_join(path, sizeof path, dir, files.v[i], err)) != 0 || fm_is_folder(path))
            continue;
        if ((rc = fm_path_join(file, sizeof file, class, files.v[i], err)) != 0)
            break;
        to = fm_samples_add(s, c, study->cohorts[c].name, file, path, NULL, err);
        rc = to ? fm_import_set(to, 0, class, err) : -ENOMEM;
    }
    fm_names_fini(&files);
    return rc;
}

int fm_import_folder(const fm_study *study, int c, fm_samples *s, fm_err *err)
{
    fm_names classes = {NULL, 0};
    int rc = fm_names_list(study->cohorts[c].path, &classes, err);

    if (rc == 0)
        rc = fm_import_columns(s, c, (const char *const[]){"label"}, 1, err);
    for (size_t i = 0; rc == 0 && i < classes.n; i++)
        rc = add_class(study, c, classes.v[i], s, err);
    fm_names_fini(&classes);
    return rc;
}

/* A file that is not a build's own account is an error, not a table of zeros. */
#include "jobs/usage.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "coordinator/build.h"

#define FILE_MAX ((size_t)16 << 20)     /* with many crews */

/* Finite and not below 0. */
static bool sound(double v)
{
    return isfinite(v) && v >= 0;
}

static bool parse(const json_t *root, fm_usage *out)
{
    const json_t *stages = json_object_get(root, "stages");
    const json_t *workers = json_object_get(root, "workers");

    *out = (fm_usage){.seconds = json_number_value(json_object_get(root, "seconds")),
                      .workers = (uint32_t)json_integer_value(workers)};
    if (!json_is_object(stages) || !json_is_integer(workers) || !sound(out->seconds))
        return false;
    for (int k = 0; k < FM_SPAN_KINDS; k++) {
        const json_t *stage = json_object_get(stages, fm_span_name((fm_span_kind)k));
        json_int_t things = json_integer_value(json_object_get(stage, "things"));

        out->spent[k].seconds = json_number_value(json_object_get(stage, "seconds"));
        out->spent[k].things = (uint64_t)things;
        if (!json_is_object(stage) || things < 0 || !sound(out->spent[k].seconds))
            return false;
    }
    return true;
}

int fm_usage_read(const char *run_dir, fm_usage *out, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    json_t *root = NULL;
    fm_usage usage = {0};
    int rc = fm_path_join(path, sizeof path, run_dir, FM_RUN_USAGE, err);

    if (rc == 0 && fm_path_exists(path)) {
        rc = fm_file_read(path, FILE_MAX, &b, err);
        root = rc == 0 ? json_loadb((const char *)b.data, b.size, 0, NULL) : NULL;
        if (rc == 0 && (!root || !parse(root, &usage)))
            rc = fm_fail(err, -EBADMSG, "%s: not a build's account of its time; remove it and run again", path);
    }
    json_decref(root);
    fm_buf_fini(&b);
    if (rc == 0)
        *out = usage;
    return rc;
}

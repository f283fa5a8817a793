/* The audits of a run: plan, stage, conclusions.  A result of this very plan that is
 * there already is not made again. */
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "jobs/audits.h"
#include "jobs/plan.h"
#include "jobs/road.h"
#include "jobs/stop.h"
#include "storage/store.h"

#define STAGE_TRIES 3
#define RESULT_BYTES_MAX ((size_t)64 << 20)

/* Sizes of the files of samples still used, as the build saw them; 0 where it did not. */
static int file_sizes(const fm_road *r, uint64_t **out, fm_err *err)
{
    uint64_t *size = calloc(r->samples.n + 1, sizeof *size);
    fm_store *store = NULL;
    int rc = size ? fm_store_open(r->store_dir, &store, err) : fm_fail_nomem(err, "file sizes", r->samples.n * sizeof *size);

    for (size_t i = 0; rc == 0 && i < r->samples.n; i++) {
        fm_catalog_file file;

        if (r->samples.v[i].reason == FM_USED &&
            fm_catalog_find_file(fm_store_catalog(store), r->samples.v[i].path, &file, NULL) == 0)
            size[i] = file.size_bytes;
    }
    fm_store_close(store);
    if (rc != 0)
        free(size);
    else
        *out = size;
    return rc;
}

static int make_plan(const fm_road *r, fm_audit_plan *out, fm_err *err)
{
    uint64_t *size = NULL;
    fm_plan plan;
    int rc = file_sizes(r, &size, err);

    if (rc == 0)
        rc = fm_plan_make(&r->study, &r->samples, r->store_dir, r->code, r->faces, &plan, err);
    if (rc == 0)
        rc = fm_audits_plan(&r->study, &r->samples, &r->pairs, &plan, r->photo, size, out, err);
    free(size);
    return rc;
}

static bool read_result(fm_road *r, const char *path, const fm_digest *plan)
{
    fm_buf bytes = FM_BUF_INIT;
    fm_audit got;
    bool fits = fm_path_exists(path) && fm_file_read(path, RESULT_BYTES_MAX, &bytes, NULL) == 0 &&
                fm_audit_decode(bytes.data, bytes.size, &got, NULL) == 0;

    fm_buf_fini(&bytes);
    if (fits && !fm_digest_equal(&got.plan, plan)) {
        fm_audit_fini(&got);
        fits = false;
    }
    if (fits)
        r->audits.figures = got;
    return fits;
}

static int write_plan(const fm_audit_plan *plan, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_audit_plan_encode(plan, &b);
    rc = b.failed ? fm_fail_nomem(err, "audit plan", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

static int run_stage(fm_road *r, const fm_audit_plan *plan, const char *plan_path, const char *result, fm_err *err)
{
    const char *args[] = {"audit", plan_path, result};
    fm_digest digest;
    int rc = fm_audit_plan_digest(plan, &digest, err);

    if (rc != 0 || read_result(r, result, &digest))
        return rc;
    fm_info("audit: %zu evaluations", fm_audit_tasks(plan));
    if ((rc = write_plan(plan, plan_path, err)) != 0 || (rc = fm_road_launcher(r, err)) != 0)
        return rc;
    for (int i = 1; i <= STAGE_TRIES; i++) {
        rc = fm_launcher_stage(r->launcher, args, 3, fm_stop_flag(), err);
        if (rc == -EINTR)
            return rc;
        if (read_result(r, result, &digest))
            return 0;
        fm_warn("audit: try %d of %d failed%s%s", i, STAGE_TRIES, rc ? ": " : "", rc && err ? err->text : "");
    }
    return rc ? rc : fm_fail(err, -EIO, "audit: ended without writing %s; the log folder says more", result);
}

static int audit(fm_road *r, fm_err *err)
{
    char plan_path[FM_PATH_MAX], result[FM_PATH_MAX];
    fm_audit_plan plan;
    int rc;

    if ((rc = fm_path_join(plan_path, FM_PATH_MAX, r->run_dir, "audit-plan.bin", err)) != 0 ||
        (rc = fm_path_join(result, FM_PATH_MAX, r->run_dir, "audit.bin", err)) != 0 || (rc = make_plan(r, &plan, err)) != 0)
        return rc;
    rc = run_stage(r, &plan, plan_path, result, err);
    fm_audit_plan_fini(&plan);
    return rc;
}

static int write_lists(const fm_road *r, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = fm_road_path(r, "near_duplicates.tsv", path, err);

    if (rc == 0)
        rc = fm_nears_write(&r->samples, &r->nears, path, err);
    if (rc == 0 && r->audits.paired && (rc = fm_road_path(r, "pairs.tsv", path, err)) == 0)
        rc = fm_audits_write_pairs(&r->samples, &r->audits, path, err);
    return rc;
}

int fm_road_audit(fm_road *r, fm_err *err)
{
    int rc;

    if (r->study.audit == FM_AUDIT_NONE)
        return 0;
    rc = audit(r, err);
    if (rc == 0)
        rc = fm_audits_conclude(&r->study, &r->samples, &r->pairs, &r->evaluation, &r->audits, err);
    return rc == 0 ? write_lists(r, err) : rc;
}

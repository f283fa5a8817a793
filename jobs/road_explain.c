/* The explanation of a run: plan, stage, result.  A result of this very plan that is there already is not made again,
 * and is taken also where the study asks for none: somebody called for it with `facemill explain`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cluster/explain_plan.h"
#include "jobs/explain.h"
#include "jobs/plan.h"
#include "jobs/road.h"
#include "jobs/stop.h"

#define STAGE_TRIES 3
#define RESULT_BYTES_MAX ((size_t)4 << 30)

static void set_model(const fm_model_entry *m, fm_join_model *out)
{
    snprintf(out->path, sizeof out->path, "%s", m->path);
    out->sha256 = m->sha256;
}

/* out  zeroed. */
static int make_plan(const fm_road *r, fm_explain_plan *out, fm_err *err)
{
    int rc = fm_plan_make(&r->study, &r->samples, r->store_dir, r->code, r->faces, &out->plan, err);

    if (rc != 0)
        return rc;
    if (!(out->photo = malloc((out->plan.n + 1) * sizeof *out->photo)))
        return fm_fail_nomem(err, "explain plan", out->plan.n * sizeof *out->photo);
    for (size_t i = 0; i < out->plan.n; i++)
        out->photo[i] = r->photo[out->plan.rows[i].sample];
    out->faces = (uint32_t)r->study.explain.faces;
    out->grid = (uint32_t)r->study.explain.grid;
    out->permutations = (uint32_t)r->study.explain.permutations;
    out->chip_padding = r->study.recipe.chip_padding;
    out->encoding = r->study.encoding;
    set_model(r->model[FM_ROAD_DETECTOR], &out->detector);
    set_model(r->model[FM_ROAD_LANDMARKS], &out->landmarks);
    set_model(r->model[FM_ROAD_ENCODER], &out->encoder);
    return 0;
}

static bool read_result(fm_road *r, const char *path, const fm_digest *plan)
{
    fm_buf bytes = FM_BUF_INIT;
    fm_explanation got;
    bool fits = fm_path_exists(path) && fm_file_read(path, RESULT_BYTES_MAX, &bytes, NULL) == 0 &&
                fm_explanation_decode(bytes.data, bytes.size, &got, NULL) == 0;

    fm_buf_fini(&bytes);
    if (fits && !fm_digest_equal(&got.plan, plan)) {
        fm_explanation_fini(&got);
        fits = false;
    }
    if (fits)
        r->explanation = got;
    return fits;
}

static int write_plan(const fm_explain_plan *plan, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_explain_plan_encode(plan, &b);
    rc = b.failed ? fm_fail_nomem(err, "explain plan", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

static int run_stage(fm_road *r, const fm_explain_plan *plan, const fm_digest *digest, const char *result, fm_err *err)
{
    char plan_path[FM_PATH_MAX];
    const char *args[] = {"explain", plan_path, result};
    int rc = fm_path_join(plan_path, FM_PATH_MAX, r->run_dir, "explain-plan.bin", err);

    if (rc != 0 || (rc = write_plan(plan, plan_path, err)) != 0 || (rc = fm_road_launcher(r, err)) != 0)
        return rc;
    fm_info("explain: up to %u faces a class, %u cells each, %u permutations", plan->faces, plan->grid * plan->grid,
            plan->permutations);
    for (int i = 1; i <= STAGE_TRIES; i++) {
        rc = fm_launcher_stage(r->launcher, args, 3, fm_stop_flag(), err);
        if (rc == -EINTR)
            return rc;
        if (read_result(r, result, digest))
            return 0;
        fm_warn("explain: try %d of %d failed%s%s", i, STAGE_TRIES, rc ? ": " : "", rc && err ? err->text : "");
    }
    return rc ? rc : fm_fail(err, -EIO, "explain: ended without writing %s; the log folder says more", result);
}

int fm_road_explain(fm_road *r, fm_err *err)
{
    static fm_explain_plan plan;    /* several paths long */
    bool wanted = r->study.explain.on || r->options.explain;
    char result[FM_PATH_MAX];
    fm_digest digest;
    int rc = fm_path_join(result, FM_PATH_MAX, r->run_dir, "explain.bin", err);

    if (rc != 0 || (!wanted && !fm_path_exists(result)))
        return rc;
    memset(&plan, 0, sizeof plan);
    rc = make_plan(r, &plan, err);
    if (rc == 0)
        rc = fm_explain_plan_digest(&plan, &digest, err);
    if (rc == 0 && !read_result(r, result, &digest) && wanted)
        rc = run_stage(r, &plan, &digest, result, err);
    fm_explain_plan_fini(&plan);
    return rc;
}

/* fm_audit_task() over ranks. */
#include "cluster/audit.h"

#include <stdlib.h>

#include "base/file.h"
#include "cluster/rows.h"
#include "cluster/stage.h"
#include "coordinator/learn/audit.h"
#include "worker/coder.h"
#include "worker/confound.h"

#define PLAN_BYTES_MAX ((size_t)4 << 30)

_Static_assert(FM_CONFOUND_COUNT == FM_AUDIT_CONFOUNDS, "what is computed is what is audited");

typedef struct {
    fm_ranks on;
    const char *plan_path, *out_path;
    fm_audit_plan plan;
    fm_audit result;
    fm_audit_views views;
    fm_shared *shared[1 + FM_CONFOUND_COUNT];
} stage;

static int get_plan(stage *s, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->on.comm, s->plan_path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_audit_plan_decode(bytes.data, bytes.size, &s->plan, err);
    if (rc == 0)
        rc = fm_audit_begin(&s->plan, &s->result, err);
    fm_buf_fini(&bytes);
    return fm_agree(s->on.comm, rc, err);
}

static int read_row(const stage *s, fm_store *store, size_t i, float *const to[FM_CONFOUND_COUNT], fm_err *err)
{
    const fm_plan_row *row = &s->plan.plan.rows[i];
    fm_photo photo;
    int rc = fm_rows_photo(store, &s->plan.photo[i], row->sample, &photo, err);

    if (rc != 0)
        return rc;
    if (row->face < photo.n_faces && photo.faces[row->face].mask)    /* what the encoder saw is what is looked at */
        fm_mask_apply(photo.faces[row->face].chip, photo.faces[row->face].mask, photo.chip_size, s->plan.fill,
                      photo.faces[row->face].chip);
    rc = fm_confound_columns(&photo, row->face, s->plan.chip_padding, s->plan.file_bytes[i], to, err);
    fm_photo_fini(&photo);
    return rc == 0 ? 0 : fm_fail_in(err, rc, "sample %u", row->sample);
}

static int read_rows(const stage *s, size_t first, size_t count, float *const mine[FM_CONFOUND_COUNT], fm_err *err)
{
    float *to[FM_CONFOUND_COUNT];
    fm_store *store = NULL;
    int rc = count > 0 ? fm_store_open(s->plan.plan.store_dir, &store, err) : 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        for (int c = 0; c < FM_CONFOUND_COUNT; c++)
            to[c] = mine[c] + i * fm_confound_width(c);
        rc = read_row(s, store, first + i, to, err);
    }
    fm_store_close(store);
    return rc;
}

static int get_confounds(stage *s, fm_err *err)
{
    float *mine[FM_CONFOUND_COUNT] = {NULL};
    size_t first, count;
    int rc = 0;

    fm_share_of(s->plan.plan.n, s->on.rank, s->on.size, &first, &count);
    for (int c = 0; c < FM_CONFOUND_COUNT; c++)
        if (!(mine[c] = malloc((count + 1) * fm_confound_width(c) * sizeof(float))))
            rc = fm_fail_nomem(err, "columns of confounds", (count + 1) * fm_confound_width(c) * sizeof(float));
    if (rc == 0)
        rc = read_rows(s, first, count, mine, err);
    rc = fm_agree(s->on.comm, rc, err);
    for (int c = 0; rc == 0 && c < FM_CONFOUND_COUNT; c++) {
        void *matrix = NULL;

        rc = fm_rows_share(s->on.comm, mine[c], s->plan.plan.n, fm_confound_width(c) * sizeof(float), &s->shared[1 + c],
                           &matrix, err);
        s->views.confound[c] = matrix;
        s->views.confound_width[c] = fm_confound_width(c);
    }
    for (int c = 0; c < FM_CONFOUND_COUNT; c++)
        free(mine[c]);
    return rc;
}

static int get(void *ctx, fm_err *err)
{
    stage *s = ctx;
    float *codes = NULL;
    int rc = get_plan(s, err);

    if (rc == 0)
        rc = fm_rows_codes(s->on.comm, &s->plan.plan, &s->shared[0], &codes, err);
    s->views.codes = codes;
    return rc == 0 ? get_confounds(s, err) : rc;
}

static int run_task(void *ctx, size_t task, void *out, fm_err *err)
{
    const stage *s = ctx;

    return fm_audit_task(&s->plan, &s->views, task, out, err);
}

static int write_result(const stage *s, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc;

    fm_audit_encode(&s->result, &bytes);
    rc = bytes.failed ? fm_fail_nomem(err, "audits", bytes.size)
                      : fm_file_write(s->out_path, bytes.data, bytes.size, err);
    fm_buf_fini(&bytes);
    return rc;
}

static int work(void *ctx, fm_err *err)
{
    stage *s = ctx;
    int rc = fm_stage_deal(&s->on, s->result.n, sizeof *s->result.v, run_task, s, s->result.v, err);

    if (rc == 0 && s->on.rank == 0)
        rc = write_result(s, err);
    return fm_agree(s->on.comm, rc, err);
}

static void fini(void *ctx)
{
    stage *s = ctx;

    for (int i = 0; i < 1 + FM_CONFOUND_COUNT; i++)
        fm_shared_destroy(s->shared[i]);
    fm_audit_fini(&s->result);
    fm_audit_plan_fini(&s->plan);
}

int fm_audit_main(const char *plan_path, const char *out_path)
{
    static const fm_stage_course course = {"audit", get, work, fini};
    stage s = {.plan_path = plan_path, .out_path = out_path};

    return fm_stage_run(&course, &s.on, &s);
}

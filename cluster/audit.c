/* fm_audit_task() over ranks.
 *
 * Tasks stand costliest first, so that round-robin keeps ranks about even.  Rejected:
 * handing tasks out on demand, which needs a rank that only hands out.  Always: a
 * rank that fails says so at the next fm_agree(), where all the others are. */
#include "cluster/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cluster/job.h"
#include "cluster/rows.h"
#include "coordinator/learn/audit.h"
#include "storage/photo.h"
#include "storage/store.h"
#include "worker/confound.h"

#define PLAN_BYTES_MAX ((size_t)4 << 30)

enum { EXIT_DONE = 0, EXIT_INPUT = 3, EXIT_FAILED = 4 };

_Static_assert(FM_CONFOUND_COUNT == FM_AUDIT_CONFOUNDS, "what is computed is what is audited");

typedef struct {
    MPI_Comm comm;
    int rank, size;
    fm_audit_plan plan;
    fm_audit result;
    fm_audit_views views;
    fm_shared *shared[1 + FM_CONFOUND_COUNT];
} stage;

static int get_plan(stage *s, const char *path, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->comm, path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_audit_plan_decode(bytes.data, bytes.size, &s->plan, err);
    if (rc == 0)
        rc = fm_audit_begin(&s->plan, &s->result, err);
    fm_buf_fini(&bytes);
    return fm_agree(s->comm, rc, err);
}

static int read_row(const stage *s, fm_store *store, size_t i, float *const to[FM_CONFOUND_COUNT], fm_err *err)
{
    const fm_plan_row *row = &s->plan.plan.rows[i];
    const void *payload;
    fm_photo photo;
    size_t n;
    int rc = fm_store_get(store, FM_RECORD_PHOTO, &s->plan.photo[i], &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_photo_decode(payload, n, &photo, err);
    if (rc != 0)
        return fm_fail_in(err, rc, "photo record of sample %u (build the study again)", row->sample);
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

    fm_share_of(s->plan.plan.n, s->rank, s->size, &first, &count);
    for (int c = 0; c < FM_CONFOUND_COUNT; c++)
        if (!(mine[c] = malloc((count + 1) * fm_confound_width(c) * sizeof(float))))
            rc = fm_fail_nomem(err, "columns of confounds", (count + 1) * fm_confound_width(c) * sizeof(float));
    if (rc == 0)
        rc = read_rows(s, first, count, mine, err);
    rc = fm_agree(s->comm, rc, err);
    for (int c = 0; rc == 0 && c < FM_CONFOUND_COUNT; c++) {
        void *matrix = NULL;

        rc = fm_rows_share(s->comm, mine[c], s->plan.plan.n, fm_confound_width(c) * sizeof(float), &s->shared[1 + c],
                           &matrix, err);
        s->views.confound[c] = matrix;
        s->views.confound_width[c] = fm_confound_width(c);
    }
    for (int c = 0; c < FM_CONFOUND_COUNT; c++)
        free(mine[c]);
    return rc;
}

static size_t tasks_of(const stage *s, int rank)
{
    size_t n = s->result.n, size = (size_t)s->size;

    return (size_t)rank < n ? (n - (size_t)rank + size - 1) / size : 0;
}

/* all  figures in rank order; rank 0's. */
static void place(stage *s, const fm_audit_figure *all)
{
    for (int rank = 0; rank < s->size; rank++)
        for (size_t i = 0; i < tasks_of(s, rank); i++)
            s->result.v[i * (size_t)s->size + (size_t)rank] = *all++;
}

static int run_tasks(stage *s, fm_err *err)
{
    size_t n = tasks_of(s, s->rank), bytes = sizeof(fm_audit_figure);
    fm_audit_figure *mine = calloc(n + 1, bytes), *all = calloc(s->result.n + 1, bytes);
    int rc = mine && all ? 0 : fm_fail_nomem(err, "figures of audits", s->result.n * bytes);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = fm_audit_task(&s->plan, &s->views, i * (size_t)s->size + (size_t)s->rank, &mine[i], err);
    rc = fm_agree(s->comm, rc, err);
    if (rc == 0)
        rc = fm_gather_bytes(s->comm, mine, n * bytes, all, s->result.n * bytes, err);
    if (rc == 0 && s->rank == 0)
        place(s, all);
    free(mine);
    free(all);
    return rc;
}

static int write_result(const stage *s, const char *path, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc;

    fm_audit_encode(&s->result, &bytes);
    rc = bytes.failed ? fm_fail_nomem(err, "audits", bytes.size) : fm_file_write(path, bytes.data, bytes.size, err);
    fm_buf_fini(&bytes);
    return rc;
}

int fm_audit_main(const char *plan_path, const char *out_path)
{
    stage s = {.comm = MPI_COMM_NULL};
    fm_err err = FM_ERR_INIT;
    float *codes = NULL;
    int rc = fm_job_begin("audit", &s.rank, &err), status;

    if (rc != 0) {
        fm_error("%s", err.text);
        return EXIT_FAILED;
    }
    s.comm = MPI_COMM_WORLD;
    MPI_Comm_size(s.comm, &s.size);
    rc = get_plan(&s, plan_path, &err);
    if (rc == 0)
        rc = fm_rows_codes(s.comm, &s.plan.plan, &s.shared[0], &codes, &err);
    s.views.codes = codes;
    if (rc == 0)
        rc = get_confounds(&s, &err);
    status = rc == 0 || rc == -ENOMEM || rc == -EIO ? EXIT_FAILED : EXIT_INPUT;
    if (rc == 0)
        rc = run_tasks(&s, &err);
    if (rc == 0 && s.rank == 0)
        rc = write_result(&s, out_path, &err);
    rc = fm_agree(s.comm, rc, &err);
    if (rc != 0 && s.rank == 0)
        fm_error("%s", err.text);
    for (int i = 0; i < 1 + FM_CONFOUND_COUNT; i++)
        fm_shared_destroy(s.shared[i]);
    fm_audit_fini(&s.result);
    fm_audit_plan_fini(&s.plan);
    fm_job_end();
    return rc == 0 ? EXIT_DONE : status;
}

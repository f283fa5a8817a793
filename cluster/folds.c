/* A job of an array knows nothing of the others: folds are functions of plan and
 * codes, so that it is all the same who trains them, and a job that is run again writes
 * the same bytes. */
#include "cluster/folds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cluster/gather.h"
#include "cluster/rows.h"
#include "cluster/stage.h"
#include "coordinator/learn/evaluation.h"

#define PLAN_BYTES_MAX ((size_t)4 << 30)

typedef struct {
    fm_ranks on;
    const char *plan_path, *dir;
    size_t part, parts;
    fm_plan plan;
    fm_evaluation e;
    fm_shared *shared;
    float *x;                   /* f32 [plan.n, plan.code_width], in shared */
} stage;

static int get(void *ctx, fm_err *err)
{
    stage *s = ctx;
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->on.comm, s->plan_path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_plan_decode(bytes.data, bytes.size, &s->plan, err);
    if (rc == 0)
        rc = fm_evaluation_begin(&s->plan, &s->e, err);
    fm_buf_fini(&bytes);
    rc = fm_agree(s->on.comm, rc, err);
    return rc == 0 ? fm_rows_codes(s->on.comm, &s->plan, &s->shared, &s->x, err) : rc;
}

static const fm_fold_result *fold_of(const stage *s, size_t task)
{
    return &s->e.fold[s->part + task * s->parts];
}

static size_t values_of(const stage *s, size_t task)
{
    return fm_evaluation_values(&s->e, fold_of(s, task)->repeat, fold_of(s, task)->fold);
}

static int train(void *ctx, size_t task, void *out, fm_err *err)
{
    stage *s = ctx;

    return fm_evaluation_fold(&s->plan, &s->e, s->x, fold_of(s, task)->repeat, fold_of(s, task)->fold, out, err);
}

/* Rank 0: rows [n, row] of values into the file. */
static int write_part(const stage *s, double *all, size_t n, size_t row, fm_err *err)
{
    char path[FM_PATH_MAX], name[48];
    fm_buf bytes = FM_BUF_INIT;
    double *to = all;
    int rc = fm_dir_make(s->dir, err);

    for (size_t i = 0; i < n; to += values_of(s, i++))     /* closer together: rows are as long as the longest */
        memmove(to, all + i * row, values_of(s, i) * sizeof *to);
    fm_evaluation_part_encode(&s->e, s->part, s->parts, all, &bytes);
    snprintf(name, sizeof name, "part-%zu.bin", s->part);
    if (rc == 0)
        rc = fm_path_join(path, sizeof path, s->dir, name, err);
    if (rc == 0)
        rc = bytes.failed ? fm_fail_nomem(err, "folds", bytes.size) : fm_file_write(path, bytes.data, bytes.size, err);
    fm_buf_fini(&bytes);
    return rc;
}

static int work(void *ctx, fm_err *err)
{
    stage *s = ctx;
    size_t folds = (size_t)s->e.repeats * s->e.folds, row = 1;
    size_t n = s->part < folds ? (folds - s->part + s->parts - 1) / s->parts : 0;
    double *all = NULL;
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        row = values_of(s, i) > row ? values_of(s, i) : row;
    if (s->on.rank == 0 && !(all = malloc((n * row + 1) * sizeof *all)))
        rc = fm_fail_nomem(err, "values of folds", n * row * sizeof *all);
    rc = fm_agree(s->on.comm, rc, err);
    if (rc == 0)
        rc = fm_stage_deal(&s->on, n, row * sizeof *all, train, s, all, err);
    if (rc == 0)
        rc = fm_agree(s->on.comm, s->on.rank == 0 ? write_part(s, all, n, row, err) : 0, err);
    free(all);
    return rc;
}

static void fini(void *ctx)
{
    stage *s = ctx;

    fm_shared_destroy(s->shared);
    fm_evaluation_fini(&s->e);
    fm_plan_fini(&s->plan);
}

int fm_folds_main(const char *plan_path, const char *dir, size_t part, size_t parts)
{
    static const fm_stage_course course = {"folds", get, work, fini};
    stage s = {.plan_path = plan_path, .dir = dir, .part = part, .parts = parts};

    return fm_stage_run(&course, &s.on, &s);
}

/* fm_evaluate_local(), spread over ranks.
 *
 * What is divided are whole pieces, each a function of the plan and the codes:
 * rows to read, the final head and the folds to train, resamples to draw.  Rank 0
 * takes the final head, and folds follow round-robin behind it.  Nothing is added up
 * across ranks, so that no sum depends on how many there are.  Probabilities go to
 * rank 0 and from there to all, who need them for their resamples; the code matrix,
 * the one large thing, is in memory once a node.
 * Always: a rank that fails says so at the next fm_agree(), where all the others are. */
#include "cluster/evaluate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cluster/gather.h"
#include "cluster/job.h"
#include "cluster/rows.h"
#include "coordinator/learn/evaluation.h"

#define PLAN_BYTES_MAX ((size_t)4 << 30)

enum { EXIT_DONE = 0, EXIT_INPUT = 3, EXIT_FAILED = 4 };

typedef struct {
    MPI_Comm comm;
    int rank, size;
    fm_plan plan;
    fm_evaluation e;
    fm_shared *shared;
    float *x;                   /* f32 [plan.n, plan.code_width], in shared */
} stage;

static int get_plan(stage *s, const char *path, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->comm, path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_plan_decode(bytes.data, bytes.size, &s->plan, err);
    if (rc == 0)
        rc = fm_evaluation_begin(&s->plan, &s->e, err);
    fm_buf_fini(&bytes);
    return fm_agree(s->comm, rc, err);
}

/* Rank 0 has the final head to train: folds start behind it. */
static int rank_of_fold(const stage *s, size_t fold)
{
    return (int)((fold + 1) % (size_t)s->size);
}

static size_t folds_of(const stage *s)
{
    return (size_t)s->e.repeats * s->e.folds;
}

static size_t fold_values(const stage *s, size_t i)
{
    return fm_evaluation_values(&s->e, s->e.fold[i].repeat, s->e.fold[i].fold);
}

/* Values of all folds of a rank, or of every rank (-1). */
static size_t values_of(const stage *s, int rank)
{
    size_t n = 0;

    for (size_t i = 0; i < folds_of(s); i++)
        n += rank < 0 || rank_of_fold(s, i) == rank ? fold_values(s, i) : 0;
    return n;
}

/* This rank's pieces: values of its folds one behind the other into mine; the final head. */
static int train(stage *s, double *mine, fm_err *err)
{
    int rc = s->rank == 0 ? fm_evaluation_head(&s->plan, s->x, &s->e, err) : 0;

    for (size_t i = 0; rc == 0 && i < folds_of(s); i++) {
        if (rank_of_fold(s, i) != s->rank)
            continue;
        rc = fm_evaluation_fold(&s->plan, &s->e, s->x, s->e.fold[i].repeat, s->e.fold[i].fold, mine, err);
        mine += fold_values(s, i);
    }
    return rc;
}

/* all: every rank's folds, in rank order. */
static void place(stage *s, const double *all)
{
    for (int rank = 0; rank < s->size; rank++)
        for (size_t i = 0; i < folds_of(s); i++) {
            if (rank_of_fold(s, i) != rank)
                continue;
            fm_evaluation_place(&s->e, s->e.fold[i].repeat, s->e.fold[i].fold, all);
            all += fold_values(s, i);
        }
}

static int train_folds(stage *s, fm_err *err)
{
    size_t n_mine = values_of(s, s->rank), n_all = values_of(s, -1);
    double *mine = malloc(n_mine * sizeof *mine + 1), *all = malloc(n_all * sizeof *all + 1);
    int rc = mine && all ? train(s, mine, err) : fm_fail_nomem(err, "values of folds", (n_mine + n_all) * sizeof *mine);

    rc = fm_agree(s->comm, rc, err);
    if (rc == 0)
        rc = fm_gather_bytes(s->comm, mine, n_mine * sizeof *mine, all, n_all * sizeof *all, err);
    if (rc == 0)
        rc = fm_agree(s->comm, fm_bcast_bytes(s->comm, all, n_all * sizeof *all, err), err);
    if (rc == 0)
        place(s, all);
    free(mine);
    free(all);
    return rc;
}

static int draw(const stage *s, size_t first, size_t count, double *mine, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(&s->e);
    fm_bootstrap *b = NULL;
    int rc = count ? fm_bootstrap_create(&p, NULL, 0, &b, err) : 0;

    if (rc == 0 && count)
        rc = fm_bootstrap_run(b, s->plan.seed, first, count, mine, err);
    fm_bootstrap_destroy(b);
    return rc;
}

/* all  rank 0's, f64 [bootstrap, FM_METRIC_COUNT]. */
static int resample(const stage *s, double *all, fm_err *err)
{
    size_t row = FM_METRIC_COUNT * sizeof(double), first, count;
    double *mine;
    int rc;

    fm_share_of(s->e.bootstrap, s->rank, s->size, &first, &count);
    mine = malloc(count * row + 1);
    rc = mine ? draw(s, first, count, mine, err) : fm_fail_nomem(err, "resamples", count * row);
    rc = fm_agree(s->comm, rc, err);
    if (rc == 0)
        rc = fm_gather_bytes(s->comm, mine, count * row, all, s->e.bootstrap * row, err);
    free(mine);
    return rc;
}

static int write_result(stage *s, double *resamples, const char *path, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_evaluation_finish(&s->e, s->e.bootstrap ? resamples : NULL, err);

    if (rc == 0) {
        fm_evaluation_encode(&s->e, &bytes);
        rc = bytes.failed ? fm_fail_nomem(err, "evaluation", bytes.size)
                          : fm_file_write(path, bytes.data, bytes.size, err);
    }
    fm_buf_fini(&bytes);
    return rc;
}

static int evaluate(stage *s, const char *out_path, fm_err *err)
{
    double *resamples = NULL;
    size_t bytes;
    int rc = train_folds(s, err);

    if (rc != 0)
        return rc;
    bytes = s->e.bootstrap * FM_METRIC_COUNT * sizeof *resamples;
    if (s->rank == 0 && !(resamples = malloc(bytes + 1)))
        rc = fm_fail_nomem(err, "resamples", bytes);
    rc = fm_agree(s->comm, rc, err);
    if (rc == 0)
        rc = resample(s, resamples, err);
    if (rc == 0 && s->rank == 0)
        rc = write_result(s, resamples, out_path, err);
    free(resamples);
    return fm_agree(s->comm, rc, err);
}

int fm_evaluate_main(const char *plan_path, const char *out_path)
{
    stage s = {.comm = MPI_COMM_NULL};
    fm_err err = FM_ERR_INIT;
    int rc = fm_job_begin("evaluate", &s.rank, &err), status;

    if (rc != 0) {
        fm_error("%s", err.text);
        return EXIT_FAILED;
    }
    s.comm = MPI_COMM_WORLD;
    MPI_Comm_size(s.comm, &s.size);
    rc = get_plan(&s, plan_path, &err);
    if (rc == 0)
        rc = fm_rows_codes(s.comm, &s.plan, &s.shared, &s.x, &err);
    status = rc == 0 || rc == -ENOMEM || rc == -EIO ? EXIT_FAILED : EXIT_INPUT;
    if (rc == 0)
        rc = evaluate(&s, out_path, &err);
    if (rc != 0 && s.rank == 0)
        fm_error("%s", err.text);
    fm_shared_destroy(s.shared);
    fm_evaluation_fini(&s.e);
    fm_plan_fini(&s.plan);
    fm_job_end();
    return rc == 0 ? EXIT_DONE : status;
}

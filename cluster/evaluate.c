/* fm_evaluate_local(), spread over ranks.
 *
 * What is divided are whole pieces, each a function of the plan and the codes:
 * rows to read, heads to train, resamples to draw.  While there are more heads than
 * two a rank, ranks train whole ones, round-robin.  Of those that are left, the final
 * head among them, parts are dealt out (inner folds, stretches of C), so that a
 * hold-out's inner search keeps all ranks busy; a part's values go to the rank that
 * finishes the head.  Rejected: parts of all heads, which would carry every inner
 * probability of every fold through the network.  Nothing is added up across ranks,
 * so that no sum depends on how many there are.  Probabilities go to rank 0 and from
 * there to all, who need them for their resamples; the code matrix, the one large
 * thing, is in memory once a node.
 * Always: a rank that fails says so at the next fm_agree(), where all the others are. */
#include "cluster/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cluster/folds_take.h"
#include "cluster/rows.h"
#include "cluster/stage.h"

#define PLAN_BYTES_MAX ((size_t)4 << 30)

typedef struct {
    fm_ranks on;
    const char *plan_path, *out_path, *folds_dir;
    fm_plan plan;
    fm_evaluation e;
    fm_shared *shared;
    float *x;                   /* f32 [plan.n, plan.code_width], in shared */
    size_t whole;               /* so many folds are trained whole, the first ones */
} stage;

/* Heads whose parts are shared out: the final one, then folds whole .. */
typedef struct {
    size_t n;
    size_t *values;             /* [n, size]: how many numbers of each head each rank works out */
    int *first;                 /* [n]: which rank has a head's first part */
    fm_buf mine;                /* this rank's numbers, head by head */
    double **gathered;          /* [n] all ranks' numbers of a head, rank by rank; NULL: of another rank's head */
} parts;

static int get_plan(stage *s, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_rows_file(s->on.comm, s->plan_path, PLAN_BYTES_MAX, &bytes, err);

    if (rc == 0)
        rc = fm_plan_decode(bytes.data, bytes.size, &s->plan, err);
    if (rc == 0)
        rc = fm_evaluation_begin(&s->plan, &s->e, err);
    fm_buf_fini(&bytes);
    return fm_agree(s->on.comm, rc, err);
}

static int get(void *ctx, fm_err *err)
{
    stage *s = ctx;
    int rc = get_plan(s, err);

    return rc == 0 ? fm_rows_codes(s->on.comm, &s->plan, &s->shared, &s->x, err) : rc;
}

static size_t folds_of(const stage *s)
{
    return (size_t)s->e.repeats * s->e.folds;
}

/* All but one to two heads a rank. */
static size_t whole_folds(const stage *s)
{
    size_t size = (size_t)s->on.size, rounds = fm_evaluation_jobs(&s->e) / size;

    return rounds > 1 ? (rounds - 1) * size : 0;
}

/* Which job the k-th shared head is: the final one comes first, and so to rank 0. */
static size_t shared_job(const stage *s, size_t k)
{
    return k ? s->whole + k : 0;
}

static int rank_of_fold(const stage *s, size_t fold)
{
    return (int)((fold < s->whole ? fold : fold - s->whole + 1) % (size_t)s->on.size);
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

/* Folds that this rank trains whole: their values one behind the other into *mine, which moves on. */
static int train_whole(stage *s, double **mine, fm_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->whole; i++) {
        if (rank_of_fold(s, i) != s->on.rank)
            continue;
        rc = fm_evaluation_fold(&s->plan, &s->e, s->x, s->e.fold[i].repeat, s->e.fold[i].fold, *mine, err);
        *mine += fold_values(s, i);
    }
    return rc;
}

static void parts_fini(parts *p)
{
    for (size_t k = 0; p->gathered && k < p->n; k++)
        free(p->gathered[k]);
    free(p->gathered);
    free(p->values);
    free(p->first);
    fm_buf_fini(&p->mine);
}

static int parts_init(parts *p, const stage *s, fm_err *err)
{
    p->n = fm_evaluation_jobs(&s->e) - s->whole;
    p->values = calloc(p->n * (size_t)s->on.size, sizeof *p->values);
    p->first = calloc(p->n, sizeof *p->first);
    p->gathered = calloc(p->n, sizeof *p->gathered);
    return p->values && p->first && p->gathered ? 0 : fm_fail_nomem(err, "heads", p->n * sizeof *p->gathered);
}

/* Which rank has a head's i-th part: they are dealt round-robin, from one head to the next. */
static int rank_of_part(const stage *s, const parts *p, size_t k, size_t i)
{
    return (int)(((size_t)p->first[k] + i) % (size_t)s->on.size);
}

/* This rank's parts of one head. */
static int train_parts_of(const stage *s, parts *p, size_t k, fm_err *err)
{
    fm_evaluation_job *job = NULL;
    int rc = fm_evaluation_job_create(&s->plan, &s->e, s->x, shared_job(s, k), &job, err);
    fm_fitting *f;

    if (rc != 0)
        return rc;
    f = fm_evaluation_job_fitting(job);
    for (size_t i = 0; rc == 0 && i < fm_fitting_parts(f); i++) {
        size_t n = fm_fitting_part_values(f, i);
        int rank = rank_of_part(s, p, k, i);
        void *to;

        p->values[k * (size_t)s->on.size + (size_t)rank] += n;
        if (rank != s->on.rank)
            continue;
        to = fm_buf_add(&p->mine, n * sizeof(double));
        rc = to ? fm_evaluation_job_part(job, i, to, err) : fm_fail_nomem(err, "part of a head", n * sizeof(double));
    }
    if (k + 1 < p->n)
        p->first[k + 1] = rank_of_part(s, p, k, fm_fitting_parts(f));
    fm_evaluation_job_destroy(job);
    return rc;
}

/* Every head's numbers to the rank that finishes it. */
static int gather_parts(const stage *s, parts *p, fm_err *err)
{
    const uint8_t *mine = p->mine.data;
    int rc = 0;

    for (size_t k = 0; rc == 0 && k < p->n; k++) {
        const size_t *values = p->values + k * (size_t)s->on.size;
        size_t bytes = values[s->on.rank] * sizeof(double), all = 0;
        int root = (int)(k % (size_t)s->on.size);

        for (int i = 0; i < s->on.size; i++)
            all += values[i] * sizeof(double);
        if (s->on.rank == root && !(p->gathered[k] = malloc(all + 1)))
            rc = fm_fail_nomem(err, "parts of a head", all);
        rc = fm_agree(s->on.comm, rc, err);
        if (rc == 0)
            rc = fm_gather_bytes(s->on.comm, root, mine, bytes, p->gathered[k], all, err);
        if (bytes)      /* a rank without parts has no numbers */
            mine += bytes;
    }
    return rc;
}

/* A head's numbers from the order of ranks into that of its parts. */
static void order_parts(const stage *s, const parts *p, size_t k, const fm_fitting *f, double *to)
{
    const double *from = p->gathered[k];

    for (int rank = 0; rank < s->on.size; rank++) {
        double *part = to;

        for (size_t i = 0; i < fm_fitting_parts(f); i++) {
            size_t n = fm_fitting_part_values(f, i);

            if (rank_of_part(s, p, k, i) == rank) {
                memcpy(part, from, n * sizeof *part);
                from += n;
            }
            part += n;
        }
    }
}

/* values  what a fold leaves behind; not the final head's. */
static int finish_head(stage *s, const parts *p, size_t k, double *values, fm_err *err)
{
    fm_evaluation_job *job = NULL;
    double *ordered = NULL;
    int rc = fm_evaluation_job_create(&s->plan, &s->e, s->x, shared_job(s, k), &job, err);

    if (rc == 0) {
        size_t n = fm_fitting_values(fm_evaluation_job_fitting(job));

        if (!(ordered = malloc((n + 1) * sizeof *ordered)))
            rc = fm_fail_nomem(err, "parts of a head", n * sizeof *ordered);
    }
    if (rc == 0) {
        order_parts(s, p, k, fm_evaluation_job_fitting(job), ordered);
        rc = fm_evaluation_job_finish(job, ordered, k ? NULL : &s->e, k ? values : NULL, err);
    }
    free(ordered);
    fm_evaluation_job_destroy(job);
    return rc;
}

/* All heads: values of this rank's folds one behind the other into mine; the final head into rank 0's e. */
static int train(stage *s, double *mine, fm_err *err)
{
    parts p = {.mine = FM_BUF_INIT};
    int rc = parts_init(&p, s, err);

    if (rc == 0)
        rc = train_whole(s, &mine, err);
    for (size_t k = 0; rc == 0 && k < p.n; k++)
        rc = train_parts_of(s, &p, k, err);
    rc = fm_agree(s->on.comm, rc, err);
    if (rc == 0)
        rc = gather_parts(s, &p, err);
    for (size_t k = 0; rc == 0 && k < p.n; k++) {
        if ((int)(k % (size_t)s->on.size) != s->on.rank)
            continue;
        rc = finish_head(s, &p, k, mine, err);
        mine += k ? fold_values(s, s->whole + k - 1) : 0;
    }
    parts_fini(&p);
    return rc;
}

/* all: every rank's folds, in rank order. */
static void place(stage *s, const double *all)
{
    for (int rank = 0; rank < s->on.size; rank++)
        for (size_t i = 0; i < folds_of(s); i++) {
            if (rank_of_fold(s, i) != rank)
                continue;
            fm_evaluation_place(&s->e, s->e.fold[i].repeat, s->e.fold[i].fold, all);
            all += fold_values(s, i);
        }
}

static int train_folds(stage *s, fm_err *err)
{
    size_t n_mine, n_all;
    double *mine, *all;
    int rc;

    s->whole = whole_folds(s);
    n_mine = values_of(s, s->on.rank);
    n_all = values_of(s, -1);
    mine = malloc(n_mine * sizeof *mine + 1);
    all = malloc(n_all * sizeof *all + 1);
    rc = mine && all ? 0 : fm_fail_nomem(err, "values of folds", (n_mine + n_all) * sizeof *mine);
    rc = fm_agree(s->on.comm, rc, err);
    if (rc == 0)
        rc = fm_agree(s->on.comm, train(s, mine, err), err);
    if (rc == 0)
        rc = fm_gather_bytes(s->on.comm, 0, mine, n_mine * sizeof *mine, all, n_all * sizeof *all, err);
    if (rc == 0)
        rc = fm_agree(s->on.comm, fm_bcast_bytes(s->on.comm, all, n_all * sizeof *all, err), err);
    if (rc == 0)
        place(s, all);
    free(mine);
    free(all);
    return rc;
}

/* Folds that an array's jobs trained, when all are there; the final head is then all that is left to train. */
static int take_folds(stage *s, bool *taken, fm_err *err)
{
    int rc = fm_folds_take(&s->on, s->folds_dir, &s->e, taken, err);

    if (rc == 0 && *taken)
        rc = fm_agree(s->on.comm, s->on.rank == 0 ? fm_evaluation_head(&s->plan, s->x, &s->e, err) : 0, err);
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

    fm_share_of(s->e.bootstrap, s->on.rank, s->on.size, &first, &count);
    mine = malloc(count * row + 1);
    rc = mine ? draw(s, first, count, mine, err) : fm_fail_nomem(err, "resamples", count * row);
    rc = fm_agree(s->on.comm, rc, err);
    if (rc == 0)
        rc = fm_gather_bytes(s->on.comm, 0, mine, count * row, all, s->e.bootstrap * row, err);
    free(mine);
    return rc;
}

static int write_result(stage *s, double *resamples, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    int rc = fm_evaluation_finish(&s->e, s->e.bootstrap ? resamples : NULL, err);

    if (rc == 0) {
        fm_evaluation_encode(&s->e, &bytes);
        rc = bytes.failed ? fm_fail_nomem(err, "evaluation", bytes.size)
                          : fm_file_write(s->out_path, bytes.data, bytes.size, err);
    }
    fm_buf_fini(&bytes);
    return rc;
}

static int work(void *ctx, fm_err *err)
{
    stage *s = ctx;
    double *resamples = NULL;
    bool taken = false;
    size_t bytes;
    int rc = s->folds_dir ? take_folds(s, &taken, err) : 0;

    if (rc == 0 && !taken)
        rc = train_folds(s, err);
    if (rc != 0)
        return rc;
    bytes = s->e.bootstrap * FM_METRIC_COUNT * sizeof *resamples;
    if (s->on.rank == 0 && !(resamples = malloc(bytes + 1)))
        rc = fm_fail_nomem(err, "resamples", bytes);
    rc = fm_agree(s->on.comm, rc, err);
    if (rc == 0)
        rc = resample(s, resamples, err);
    if (rc == 0 && s->on.rank == 0)
        rc = write_result(s, resamples, err);
    free(resamples);
    return fm_agree(s->on.comm, rc, err);
}

static void fini(void *ctx)
{
    stage *s = ctx;

    fm_shared_destroy(s->shared);
    fm_evaluation_fini(&s->e);
    fm_plan_fini(&s->plan);
}

int fm_evaluate_main(const char *plan_path, const char *out_path, const char *folds_dir)
{
    static const fm_stage_course course = {"evaluate", get, work, fini};
    stage s = {.plan_path = plan_path, .out_path = out_path, .folds_dir = folds_dir};

    return fm_stage_run(&course, &s.on, &s);
}

/* The jobs of an evaluation: training the final head and one head a fold.
 *
 * A job is created cheaply wherever something about it is to be known or done, and
 * as often: it is a function of the plan, the evaluation and the codes.  Always: a
 * threshold comes from the job's own inner folds. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/evaluation.h"
#include "coordinator/learn/threshold.h"

struct fm_evaluation_job {
    const fm_plan *plan;
    const float *x;
    fm_fold_result *of;     /* NULL: the final head */
    uint32_t *train, *test; /* rows of the plan, of a fold */
    size_t n_train, n_test;
    int32_t *label;         /* i32 [n_train] */
    uint32_t *group;        /* u32 [n_train] */
    fm_fitting *fitting;
};

size_t fm_evaluation_jobs(const fm_evaluation *e)
{
    return 1 + (size_t)e->repeats * e->folds;
}

void fm_evaluation_job_destroy(fm_evaluation_job *j)
{
    if (!j)
        return;
    fm_fitting_destroy(j->fitting);
    free(j->train);
    free(j->test);
    free(j->label);
    free(j->group);
    free(j);
}

fm_fitting *fm_evaluation_job_fitting(const fm_evaluation_job *j)
{
    return j->fitting;
}

static bool wants_threshold(const fm_plan *plan)
{
    return plan->call.kind != FM_CALL_LARGER;
}

static int find_rows(fm_evaluation_job *j, const fm_evaluation *e, fm_err *err)
{
    const fm_folds folds = {e->n, e->repeats, e->folds, e->test_fold};

    j->train = malloc((e->n + 1) * sizeof *j->train);
    j->test = malloc((e->n + 1) * sizeof *j->test);
    j->label = malloc((e->n + 1) * sizeof *j->label);
    j->group = malloc((e->n + 1) * sizeof *j->group);
    if (!j->train || !j->test || !j->label || !j->group)
        return fm_fail_nomem(err, "rows to train on", e->n * sizeof *j->train);
    if (j->of)
        fm_folds_rows(&folds, j->of->repeat, j->of->fold, j->train, &j->n_train, j->test, &j->n_test);
    else
        for (j->n_train = 0; j->n_train < e->n; j->n_train++)
            j->train[j->n_train] = (uint32_t)j->n_train;
    for (size_t i = 0; i < j->n_train; i++) {
        j->label[i] = e->label[j->train[i]];
        j->group[i] = e->subject[j->train[i]];
    }
    return 0;
}

static uint64_t stream_of(const fm_evaluation_job *j)
{
    return j->of ? fm_rng_stream("head", j->of->repeat, j->of->fold) : fm_rng_stream("final head", 0, 0);
}

/* Says in whose training something went wrong. */
static int fail_in(const fm_evaluation_job *j, int rc, fm_err *err)
{
    return j->of ? fm_fail_in(err, rc, "repeat %u, fold %u", j->of->repeat, j->of->fold)
                 : fm_fail_in(err, rc, "final head");
}

int fm_evaluation_job_create(const fm_plan *plan, const fm_evaluation *e, const float *x, size_t job,
                             fm_evaluation_job **out, fm_err *err)
{
    fm_evaluation_job *j = calloc(1, sizeof *j);
    fm_training t;
    int rc;

    if (!j)
        return fm_fail_nomem(err, "training", sizeof *j);
    j->plan = plan;
    j->x = x;
    j->of = job ? &e->fold[job - 1] : NULL;
    rc = find_rows(j, e, err);
    t = (fm_training){{x, plan->code_width, plan->code_width, j->train, j->n_train}, j->label, j->group,
                      (int)e->classes};
    if (rc == 0)
        rc = fm_fitting_create(&plan->head, &t, plan->seed, stream_of(j), wants_threshold(plan), &j->fitting, err);
    if (rc != 0) {
        fail_in(j, rc, err);
        fm_evaluation_job_destroy(j);
        return rc;
    }
    *out = j;
    return 0;
}

int fm_evaluation_job_part(fm_evaluation_job *j, size_t part, double *values, fm_err *err)
{
    int rc = fm_fitting_part(j->fitting, part, values, err);

    return rc == 0 ? 0 : fail_in(j, rc, err);
}

/* The head, and its threshold on its own inner folds. */
static int finish(fm_evaluation_job *j, double *parts, fm_head **out, double *threshold, fm_err *err)
{
    const fm_plan *plan = j->plan;
    size_t n = j->n_train;
    double *inner = NULL;
    int rc;

    *threshold = NAN;
    if (wants_threshold(plan) && !(inner = malloc((n + 1) * 2 * sizeof *inner)))
        return fm_fail_nomem(err, "probabilities of inner folds", n * 2 * sizeof *inner);
    rc = fm_fitting_finish(j->fitting, parts, inner, out, err);
    if (rc == 0 && plan->call.kind == FM_CALL_YOUDEN)
        rc = fm_threshold_youden(j->label, inner, n, threshold, err);
    else if (rc == 0 && plan->call.kind == FM_CALL_SENSITIVITY)
        rc = fm_threshold_sensitivity(j->label, inner, n, plan->call.sensitivity, threshold, err);
    free(inner);
    return rc;
}

static int leave_values(const fm_evaluation_job *j, const fm_head *head, double threshold, double *values, fm_err *err)
{
    const fm_codes tested = {j->x, j->plan->code_width, j->plan->code_width, j->test, j->n_test};
    size_t n = j->n_test * j->plan->classes;
    int rc = fm_head_score(head, &tested, values, err);

    values[n] = fm_head_chosen(head);
    values[n + 1] = threshold;
    return rc;
}

static int leave_head(const fm_evaluation_job *j, const fm_head *head, double threshold, fm_evaluation *e, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;

    fm_head_encode(head, &bytes);
    if (bytes.failed) {
        fm_buf_fini(&bytes);
        return fm_fail_nomem(err, "head", bytes.size);
    }
    fm_digest_of(j->x, j->plan->n * j->plan->code_width * sizeof *j->x, &e->codes);
    free(e->head);
    e->head = bytes.data;
    e->head_size = bytes.size;
    e->threshold = threshold;
    return 0;
}

int fm_evaluation_job_finish(fm_evaluation_job *j, double *parts, fm_evaluation *e, double *values, fm_err *err)
{
    fm_head *head = NULL;
    double threshold;
    int rc = finish(j, parts, &head, &threshold, err);

    if (rc == 0)
        rc = j->of ? leave_values(j, head, threshold, values, err) : leave_head(j, head, threshold, e, err);
    fm_head_destroy(head);
    return rc == 0 ? 0 : fail_in(j, rc, err);
}

/* All parts of a job, one behind the other; the caller's to free. */
static int run_parts(fm_evaluation_job *j, double **out, fm_err *err)
{
    size_t n = fm_fitting_values(j->fitting);
    double *parts = malloc((n + 1) * sizeof *parts), *at = parts;
    int rc = parts ? 0 : fm_fail_nomem(err, "head", n * sizeof *parts);

    for (size_t i = 0; rc == 0 && i < fm_fitting_parts(j->fitting); i++) {
        rc = fm_evaluation_job_part(j, i, at, err);
        at += fm_fitting_part_values(j->fitting, i);
    }
    if (rc == 0)
        *out = parts;
    else
        free(parts);
    return rc;
}

/* A job from its beginning to its end. */
static int run(const fm_plan *plan, const fm_evaluation *e, const float *x, size_t job, fm_evaluation *to, double *values,
               fm_err *err)
{
    fm_evaluation_job *j = NULL;
    double *parts = NULL;
    int rc = fm_evaluation_job_create(plan, e, x, job, &j, err);

    if (rc == 0)
        rc = run_parts(j, &parts, err);
    if (rc == 0)
        rc = fm_evaluation_job_finish(j, parts, to, values, err);
    free(parts);
    fm_evaluation_job_destroy(j);
    return rc;
}

static size_t job_of_fold(const fm_evaluation *e, uint32_t repeat, uint32_t fold)
{
    return 1 + (size_t)repeat * e->folds + fold;
}

int fm_evaluation_fold(const fm_plan *plan, const fm_evaluation *e, const float *x, uint32_t repeat, uint32_t fold,
                       double *values, fm_err *err)
{
    return run(plan, e, x, job_of_fold(e, repeat, fold), NULL, values, err);
}

int fm_evaluation_fold_head(const fm_plan *plan, const fm_evaluation *e, const float *x, uint32_t repeat, uint32_t fold,
                            fm_head **out, fm_err *err)
{
    fm_evaluation_job *j = NULL;
    double *parts = NULL, threshold;
    int rc = fm_evaluation_job_create(plan, e, x, job_of_fold(e, repeat, fold), &j, err);

    if (rc == 0)
        rc = run_parts(j, &parts, err);
    if (rc == 0 && (rc = finish(j, parts, out, &threshold, err)) != 0)
        fail_in(j, rc, err);
    free(parts);
    fm_evaluation_job_destroy(j);
    return rc;
}

int fm_evaluation_head(const fm_plan *plan, const float *x, fm_evaluation *e, fm_err *err)
{
    return run(plan, e, x, 0, e, NULL, err);
}

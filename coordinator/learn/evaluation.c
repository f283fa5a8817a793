/* An evaluation in pieces: begin, one call a fold, the final head (evaluation_job.c), finish.
 *
 * Every piece is a function of the plan and the codes, and folds meet in
 * fm_evaluation_place() only, so that it makes no difference who trains which
 * fold, or when.  Always: until a fold is placed its probabilities are NaN, and
 * finishing refuses those. */
#include "coordinator/learn/evaluation.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/threshold.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the codes' digest is that of little-endian floats");

static int make_folds(const fm_plan *plan, fm_folds *out, fm_err *err)
{
    int32_t *label = malloc((plan->n + 1) * sizeof *label), *given = malloc((plan->n + 1) * sizeof *given);
    uint32_t *subject = malloc((plan->n + 1) * sizeof *subject);
    int rc;

    if (!label || !given || !subject) {
        rc = fm_fail_nomem(err, "folds", plan->n * sizeof *label);
        goto done;
    }
    for (size_t i = 0; i < plan->n; i++) {
        label[i] = plan->rows[i].label;
        given[i] = plan->rows[i].fold;
        subject[i] = plan->rows[i].subject;
    }
    rc = fm_folds_make(&plan->folds, plan->n, label, subject, given, (int)plan->classes, plan->seed, out, err);
done:
    free(label);
    free(given);
    free(subject);
    return rc;
}

int fm_evaluation_room(fm_evaluation *e, fm_err *err)
{
    size_t tested = (size_t)e->repeats * e->n, classes = e->classes;

    e->label = calloc(e->n + 1, sizeof *e->label);
    e->sample = calloc(e->n + 1, sizeof *e->sample);
    e->subject = calloc(e->n + 1, sizeof *e->subject);
    e->test_fold = calloc(tested + 1, sizeof *e->test_fold);
    e->prob = calloc(tested + 1, classes * sizeof *e->prob);
    e->called = e->by_threshold ? calloc(tested + 1, sizeof *e->called) : NULL;
    e->fold = calloc((size_t)e->repeats * e->folds, sizeof *e->fold);
    e->confusion = calloc(classes * classes, sizeof *e->confusion);
    if (e->label && e->sample && e->subject && e->test_fold && e->prob && e->fold && e->confusion &&
        (e->called || !e->by_threshold))
        return 0;
    return fm_fail_nomem(err, "evaluation", tested * classes * sizeof *e->prob);
}

void fm_evaluation_fini(fm_evaluation *e)
{
    free(e->label);
    free(e->sample);
    free(e->subject);
    free(e->test_fold);
    free(e->prob);
    free(e->called);
    free(e->fold);
    free(e->confusion);
    free(e->head);
    memset(e, 0, sizeof *e);
}

/* What is known before training. */
static void set_known(const fm_plan *plan, const fm_folds *folds, fm_evaluation *e)
{
    for (size_t i = 0; i < e->n; i++) {
        e->label[i] = plan->rows[i].label;
        e->sample[i] = plan->rows[i].sample;
        e->subject[i] = plan->rows[i].subject;
    }
    memcpy(e->test_fold, folds->test_fold, e->repeats * e->n * sizeof *e->test_fold);
    for (size_t i = 0; i < e->repeats * e->n * e->classes; i++)
        e->prob[i] = NAN;
    for (size_t i = 0; i < (size_t)e->repeats * e->folds; i++) {
        e->fold[i].repeat = (uint32_t)(i / e->folds);
        e->fold[i].fold = (uint32_t)(i % e->folds);
        e->fold[i].n_train = e->n;
        e->fold[i].chosen = e->fold[i].threshold = NAN;
        for (int k = 0; k < FM_METRIC_COUNT; k++)
            e->fold[i].metrics.v[k] = NAN;
    }
    for (size_t i = 0; i < e->repeats * e->n; i++)
        if (e->test_fold[i] >= 0) {
            fm_fold_result *f = &e->fold[i / e->n * e->folds + (size_t)e->test_fold[i]];

            f->n_test++;
            f->n_train--;
        }
    for (size_t i = 0; e->called && i < e->repeats * e->n; i++)
        e->called[i] = -1;
    for (int k = 0; k < FM_METRIC_COUNT; k++)
        e->metrics[k] = (fm_metric){NAN, NAN, NAN};
    e->threshold = NAN;
}

int fm_evaluation_begin(const fm_plan *plan, fm_evaluation *out, fm_err *err)
{
    fm_evaluation e = {.n = plan->n, .classes = plan->classes, .bootstrap = plan->bootstrap,
                       .prevalence = plan->prevalence, .top_k = plan->top_k,
                       .by_threshold = plan->call.kind != FM_CALL_LARGER};
    fm_folds folds = {0};
    int rc = fm_plan_check(plan, err);

    if (rc == 0)
        rc = fm_plan_digest(plan, &e.plan, err);
    if (rc == 0)
        rc = make_folds(plan, &folds, err);
    if (rc != 0)
        return rc;
    e.repeats = folds.repeats;
    e.folds = folds.folds;
    rc = fm_evaluation_room(&e, err);
    if (rc == 0) {
        set_known(plan, &folds, &e);
        *out = e;
    } else {
        fm_evaluation_fini(&e);
    }
    fm_folds_fini(&folds);
    return rc;
}

static fm_fold_result *fold_of(const fm_evaluation *e, uint32_t repeat, uint32_t fold)
{
    return &e->fold[(size_t)repeat * e->folds + fold];
}

size_t fm_evaluation_values(const fm_evaluation *e, uint32_t repeat, uint32_t fold)
{
    return (size_t)fold_of(e, repeat, fold)->n_test * e->classes + 2;
}

void fm_evaluation_place(fm_evaluation *e, uint32_t repeat, uint32_t fold, const double *values)
{
    fm_fold_result *f = fold_of(e, repeat, fold);
    size_t classes = e->classes, first = (size_t)repeat * e->n;

    f->chosen = values[f->n_test * classes];
    f->threshold = values[f->n_test * classes + 1];
    for (size_t i = first; i < first + e->n; i++)
        if (e->test_fold[i] == (int32_t)fold) {
            memcpy(e->prob + i * classes, values, classes * sizeof *values);
            if (e->called)
                fm_threshold_call(values, 1, f->threshold, &e->called[i]);
            values += classes;
        }
}

int fm_evaluation_called(const fm_evaluation *e, uint32_t repeat, size_t row)
{
    size_t at = (size_t)repeat * e->n + row;

    return e->called ? e->called[at] : fm_called_class(e->prob + at * e->classes, (int)e->classes);
}

fm_predictions fm_evaluation_predictions(const fm_evaluation *e)
{
    return (fm_predictions){.n = e->n, .classes = (int)e->classes, .repeats = e->repeats, .label = e->label,
                            .group = e->subject, .test_fold = e->test_fold, .prob = e->prob, .called = e->called,
                            .prevalence = e->prevalence, .top_k = e->top_k};
}

int fm_evaluation_finish(fm_evaluation *e, double *resamples, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(e);
    fm_metric_values point;
    int rc = fm_metrics_point(&p, NULL, 0, -1, -1, &point, err);

    for (size_t i = 0; rc == 0 && i < (size_t)e->repeats * e->folds; i++)
        rc = fm_metrics_point(&p, NULL, 0, (int)e->fold[i].repeat, (int)e->fold[i].fold, &e->fold[i].metrics, err);
    if (rc == 0)
        rc = fm_bootstrap_intervals(&point, resamples, resamples ? e->bootstrap : 0, e->metrics, err);
    if (rc == 0)
        fm_confusion(&p, e->confusion);
    return rc;
}

static int train_folds(const fm_plan *plan, const float *x, fm_evaluation *e, fm_err *err)
{
    double *values = calloc(e->n * e->classes + 2, sizeof *values);
    int rc = 0;

    if (!values)
        return fm_fail_nomem(err, "probabilities", e->n * e->classes * sizeof *values);
    for (size_t i = 0; rc == 0 && i < (size_t)e->repeats * e->folds; i++) {
        rc = fm_evaluation_fold(plan, e, x, e->fold[i].repeat, e->fold[i].fold, values, err);
        if (rc == 0)
            fm_evaluation_place(e, e->fold[i].repeat, e->fold[i].fold, values);
    }
    free(values);
    return rc;
}

static int resample(const fm_plan *plan, const fm_evaluation *e, double *resamples, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(e);
    fm_bootstrap *b = NULL;
    int rc = fm_bootstrap_create(&p, NULL, 0, &b, err);

    if (rc == 0)
        rc = fm_bootstrap_run(b, plan->seed, 0, e->bootstrap, resamples, err);
    fm_bootstrap_destroy(b);
    return rc;
}

int fm_evaluate_local(const fm_plan *plan, const float *x, fm_evaluation *out, fm_err *err)
{
    fm_evaluation e = {0};
    double *resamples = NULL;
    int rc = fm_evaluation_begin(plan, &e, err);

    if (rc == 0)
        rc = train_folds(plan, x, &e, err);
    if (rc == 0)
        rc = fm_evaluation_head(plan, x, &e, err);
    if (rc == 0 && e.bootstrap > 0) {
        resamples = calloc(e.bootstrap, FM_METRIC_COUNT * sizeof *resamples);
        rc = resamples ? resample(plan, &e, resamples, err)
                       : fm_fail_nomem(err, "resamples", e.bootstrap * FM_METRIC_COUNT * sizeof *resamples);
    }
    if (rc == 0)
        rc = fm_evaluation_finish(&e, resamples, err);
    free(resamples);
    if (rc != 0) {
        fm_evaluation_fini(&e);
        return rc;
    }
    *out = e;
    return 0;
}

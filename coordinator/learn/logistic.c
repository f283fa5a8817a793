/* Logistic regression on liblinear's trust region Newton solver (L2R_LR).
 *
 * It has no random numbers; the dual solver was rejected because it draws from
 * rand(), which every other user of the process moves.  Classes are fitted one by
 * one as -1 and 1, so that liblinear's own numbering of classes, which follows the
 * order of rows, has no say.  liblinear stores rows sparsely, 16 bytes a number;
 * they are laid out once for all classes. */
#include "coordinator/learn/logistic.h"

#include <errno.h>
#include <limits.h>
#include <linear.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define TOLERANCE 1e-4      /* as scikit-learn's; liblinear's own 0.01 shows in the third digit of a probability */

size_t fm_logistic_scores(int classes)
{
    return classes == 2 ? 1 : (size_t)classes;
}

static void say_nothing(const char *text)
{
    (void)text;
}

static void quiet(void)
{
    set_print_string_function(say_nothing);
}

/* Rows as liblinear wants them: index from 1, the bias as one more column, -1 at the end. */
static int problem_init(struct problem *p, const float *x, size_t n, size_t d, fm_err *err)
{
    struct feature_node *at;

    *p = (struct problem){.l = (int)n, .n = (int)d + 1, .bias = 1.0};
    p->y = malloc(n * sizeof *p->y);
    p->x = malloc(n * sizeof *p->x);
    at = calloc(n, (d + 2) * sizeof *at);
    if (!p->y || !p->x || !at) {
        free(at);
        free(p->x);
        free(p->y);
        return fm_fail_nomem(err, "rows of logistic regression", n * (d + 2) * sizeof *at);
    }
    for (size_t i = 0; i < n; i++) {
        p->x[i] = at;
        for (size_t k = 0; k < d; k++)
            *at++ = (struct feature_node){(int)k + 1, x[i * d + k]};
        *at++ = (struct feature_node){(int)d + 1, 1.0};
        *at++ = (struct feature_node){-1, 0.0};
    }
    return 0;
}

static void problem_fini(struct problem *p)
{
    free(p->x[0]);
    free(p->x);
    free(p->y);
}

/* One class against the rest; its weights into every stride-th of weight. */
static int fit(struct problem *p, const int32_t *labels, int class, double C, double *weight, size_t stride,
               fm_err *err)
{
    struct parameter how = {.solver_type = L2R_LR, .eps = TOLERANCE, .C = C};
    const char *complaint;
    struct model *m;
    int rc = 0;

    for (int i = 0; i < p->l; i++)
        p->y[i] = labels[i] == class ? 1.0 : -1.0;
    complaint = check_parameter(p, &how);
    if (complaint)
        return fm_fail(err, -EINVAL, "logistic regression with C %g: %s", C, complaint);
    m = train(p, &how);
    for (int k = 0; k < p->n; k++) {
        weight[(size_t)k * stride] = m->label[0] == 1 ? m->w[k] : -m->w[k];
        if (!isfinite(m->w[k]))
            rc = -EDOM;
    }
    free_and_destroy_model(&m);
    return rc == 0 ? 0 : fm_fail(err, rc, "logistic regression: training went out of range; use a smaller C than %g", C);
}

int fm_logistic_train(const float *x, size_t n, size_t d, const int32_t *labels, int classes, double C, double *weight,
                      fm_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    size_t scores = fm_logistic_scores(classes);
    struct problem p;
    int rc;

    if (n > INT_MAX || d > INT_MAX - 2)
        return fm_fail(err, -EINVAL, "logistic regression: %zu rows of %zu columns, expected at most %d of each", n, d,
                       INT_MAX - 2);
    pthread_once(&once, quiet);
    rc = problem_init(&p, x, n, d, err);
    if (rc != 0)
        return rc;
    for (size_t k = 0; rc == 0 && k < scores; k++)
        rc = fit(&p, labels, scores == 1 ? 1 : (int)k, C, weight + k, scores, err);
    problem_fini(&p);
    return rc;
}

void fm_logistic_score(const double *weight, size_t d, int classes, const float *x, double *prob)
{
    size_t scores = fm_logistic_scores(classes);
    double sum = 0.0;

    for (size_t k = 0; k < scores; k++)
        prob[k] = weight[d * scores + k];
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < scores; k++)
            prob[k] += (double)x[i] * weight[i * scores + k];
    for (size_t k = 0; k < scores; k++)
        sum += prob[k] = 1.0 / (1.0 + exp(-prob[k]));
    if (scores == 1) {
        prob[1] = prob[0];
        prob[0] = 1.0 - prob[1];
        return;
    }
    for (size_t k = 0; k < scores; k++)
        prob[k] = sum > 0.0 ? prob[k] / sum : 1.0 / (double)scores;
}

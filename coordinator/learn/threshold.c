/* Thresholds by one walk over the sorted scores, from the highest down: each step
 * calls one more group of tied rows positive.  Pure: nothing here knows of folds. */
#include "coordinator/learn/threshold.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct {
    double score;
    int32_t label;
} scored;

/* Rows called class 1 at a threshold, and all there are, by class. */
typedef struct {
    double called[2], all[2];
    double target;      /* sensitivity asked for; 0: Youden's */
    double best;
} walk;

static int compare_descending(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;

    return (x < y) - (x > y);
}

static int sort_scores(const int32_t *label, const double *prob, size_t n, scored *out, double all[2], fm_err *err)
{
    for (size_t i = 0; i < n; i++) {
        double score = prob[2 * i + 1];

        if (label[i] < 0 || label[i] > 1 || !(score >= 0.0 && score <= 1.0))
            return fm_fail(err, -EINVAL, "threshold: row %zu has class %d and probability %g, expected 0 or 1 and 0 to 1",
                           i, (int)label[i], score);
        out[i] = (scored){score, label[i]};
        all[label[i]]++;
    }
    qsort(out, n, sizeof *out, compare_descending);
    return 0;
}

static double between(double low, double high)
{
    double middle = low + (high - low) / 2;

    return middle > low ? middle : high;
}

/* Is the threshold that has just been reached the one? Youden's goes on to the end and keeps the last of the best. */
static bool takes(walk *w)
{
    double youden = w->called[1] * w->all[0] - w->called[0] * w->all[1];

    if (w->target > 0)
        return w->called[1] + 1e-9 >= w->target * w->all[1];
    if (youden < w->best)
        return false;
    w->best = youden;
    return true;
}

static double choose(const scored *s, size_t n, walk *w)
{
    double threshold = 0.0;

    for (size_t i = 0; i < n; i++) {
        w->called[s[i].label]++;
        if (i + 1 < n && s[i + 1].score == s[i].score)
            continue;
        if (!takes(w))
            continue;
        threshold = i + 1 < n ? between(s[i + 1].score, s[i].score) : 0.0;
        if (w->target > 0)
            break;
    }
    return threshold;
}

static int find(const int32_t *label, const double *prob, size_t n, double target, double *out, fm_err *err)
{
    scored *s = malloc((n + 1) * sizeof *s);
    walk w = {.target = target};
    int rc;

    if (!s)
        return fm_fail_nomem(err, "threshold", n * sizeof *s);
    rc = sort_scores(label, prob, n, s, w.all, err);
    if (rc == 0)
        *out = w.all[0] > 0 && w.all[1] > 0 ? choose(s, n, &w) : NAN;
    free(s);
    return rc;
}

int fm_threshold_youden(const int32_t *label, const double *prob, size_t n, double *out, fm_err *err)
{
    return find(label, prob, n, 0.0, out, err);
}

int fm_threshold_sensitivity(const int32_t *label, const double *prob, size_t n, double sensitivity, double *out,
                             fm_err *err)
{
    if (!(sensitivity > 0.0 && sensitivity <= 1.0))
        return fm_fail(err, -EINVAL, "threshold: sensitivity %g, expected over 0 and up to 1", sensitivity);
    return find(label, prob, n, sensitivity, out, err);
}

void fm_threshold_call(const double *prob, size_t n, double threshold, int32_t *called)
{
    for (size_t i = 0; i < n; i++)
        called[i] = prob[2 * i + 1] >= threshold;
}

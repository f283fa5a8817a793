/* Metrics: their names, the point estimate, the confusion matrix, the ROC.
 *
 * The arithmetic itself is ranked.c's, so that a point estimate is a resample in
 * which everybody counts once and the two cannot differ. */
#include "coordinator/learn/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/learn/ranked.h"

static const char *const names[FM_METRIC_COUNT] = {
#define FM_X(id, text) [FM_METRIC_##id] = text,
    FM_METRICS(FM_X)
#undef FM_X
};

static const char *const why[FM_METRIC_COUNT] = {
    [FM_METRIC_ACCURACY] = "There are no predictions.",
    [FM_METRIC_AUC] = "All predictions are of one class, so there are no pairs to rank.",
    [FM_METRIC_AVERAGE_PRECISION] = "The positive class has no rows.",
    [FM_METRIC_SENSITIVITY] = "The positive class has no rows.",
    [FM_METRIC_SPECIFICITY] = "The negative class has no rows.",
    [FM_METRIC_PPV] = "No row is called positive.",
    [FM_METRIC_NPV] = "No row is called negative.",
    [FM_METRIC_PPV_AT_PREVALENCE] = "No prevalence is stated, there are not two classes with rows, or no row is called "
                                    "positive.",
    [FM_METRIC_NPV_AT_PREVALENCE] = "No prevalence is stated, there are not two classes with rows, or no row is called "
                                    "negative.",
    [FM_METRIC_F1] = "The positive class has no rows and no row is called positive.",
    [FM_METRIC_MCC] = "All rows are of one class, or all are called the same.",
    [FM_METRIC_BALANCED_ACCURACY] = "There are no predictions.",
    [FM_METRIC_TOP_K_ACCURACY] = "No k below the number of classes is asked for, or there are no predictions.",
    [FM_METRIC_BRIER] = "There are no predictions.",
    [FM_METRIC_LOG_LOSS] = "There are no predictions.",
    [FM_METRIC_ECE] = "There are no predictions.",
};

const char *fm_metric_name(int metric)
{
    return metric >= 0 && metric < FM_METRIC_COUNT ? names[metric] : "unknown";
}

const char *fm_metric_why_undefined(int metric)
{
    return metric >= 0 && metric < FM_METRIC_COUNT ? why[metric] : "There is no such metric.";
}

uint32_t fm_top_k(uint32_t classes, uint32_t asked)
{
    uint32_t k = asked ? asked : 5;

    return k < classes ? k : 0;
}

bool fm_metric_applies(const fm_predictions *p, int metric)
{
    if (metric == FM_METRIC_PPV_AT_PREVALENCE || metric == FM_METRIC_NPV_AT_PREVALENCE)
        return p->prevalence > 0.0 && p->classes == 2;
    return metric != FM_METRIC_TOP_K_ACCURACY || fm_top_k((uint32_t)p->classes, p->top_k) > 0;
}

int fm_called_class(const double *prob, int classes)
{
    int best = 0;

    for (int c = 1; c < classes; c++)
        if (prob[c] > prob[best])
            best = c;
    return best;
}

int fm_metrics_point(const fm_predictions *p, const uint32_t *rows, size_t n_rows, int repeat, int fold,
                     fm_metric_values *out, fm_err *err)
{
    fm_ranked *r = NULL;
    uint32_t *once = NULL;
    uint64_t *scratch = NULL;
    int rc = fm_ranked_create(p, rows, n_rows, repeat, fold, &r, err);

    if (rc != 0)
        return rc;
    once = malloc((fm_ranked_units(r) + 1) * sizeof *once);
    scratch = malloc(fm_ranked_scratch(r) * sizeof *scratch);
    if (!once || !scratch) {
        rc = fm_fail_nomem(err, "metrics", fm_ranked_units(r) * sizeof *once);
        goto done;
    }
    for (size_t i = 0; i < fm_ranked_units(r); i++)
        once[i] = 1;
    fm_ranked_metrics(r, once, scratch, out);
done:
    free(scratch);
    free(once);
    fm_ranked_destroy(r);
    return rc;
}

void fm_confusion(const fm_predictions *p, uint64_t *confusion)
{
    size_t classes = (size_t)p->classes;

    memset(confusion, 0, classes * classes * sizeof *confusion);
    for (size_t i = 0; i < p->repeats * p->n; i++) {
        size_t row = i % p->n;

        if (!p->test_fold || p->test_fold[i] >= 0)
            confusion[(size_t)p->label[row] * classes +
                      (size_t)(p->called ? p->called[i] : fm_called_class(p->prob + i * classes, p->classes))]++;
    }
}

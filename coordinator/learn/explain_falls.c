/* Falls of the sampled faces: the heads of their folds, and what these make of every code. */
#include "coordinator/learn/explain_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 1e-12     /* a probability is kept within [LEAST, 1 - LEAST]: odds stay finite */

size_t fm_explain_columns(const fm_explain_view *v)
{
    return 1 + (size_t)v->cells + v->regions;
}

static double log_odds(const double *prob, uint32_t classes, int32_t class)
{
    double against = 0;

    for (uint32_t c = 0; c < classes; c++)
        against += (int32_t)c == class ? 0 : prob[c];
    return log(fmax(prob[class], LEAST)) - log(fmax(against, LEAST));
}

/* One face's columns.  prob  room, f64 [1 + cells, classes]. */
static int score_face(const fm_explain_view *v, const fm_head *head, size_t i, int32_t class, double *prob, double *to,
                      fm_err *err)
{
    size_t width = v->plan->code_width;
    const fm_codes whole = {v->x, width, width, &v->rows[i], 1};
    const fm_codes hidden = {v->hidden + i * v->cells * width, width, width, NULL, v->cells};
    uint32_t classes = v->plan->classes;
    int rc = fm_head_score(head, &whole, prob, err);

    if (rc == 0)
        rc = fm_head_score(head, &hidden, prob + classes, err);
    if (rc != 0)
        return rc;
    to[0] = log_odds(prob, classes, class);
    for (size_t k = 1; k <= v->cells; k++)
        to[k] = to[0] - log_odds(prob + k * classes, classes, class);
    for (uint32_t r = 0; r < v->regions; r++) {
        double sum = 0;

        for (size_t k = 0; k < v->cells; k++)
            sum += v->weight[r * v->cells + k] * to[1 + k];
        to[1 + v->cells + r] = sum;
    }
    return 0;
}

static bool tests_any(const fm_explain_view *v, uint32_t fold)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e->test_fold[v->rows[i]] == (int32_t)fold)
            return true;
    return false;
}

static int score_fold(const fm_explain_view *v, const fm_evaluation *labelled, uint32_t fold, double *prob, double *falls,
                      fm_err *err)
{
    fm_head *head = NULL;
    int rc = fm_evaluation_fold_head(v->plan, labelled, v->x, 0, fold, &head, err);

    for (size_t i = 0; rc == 0 && i < v->n; i++)
        if (v->e->test_fold[v->rows[i]] == (int32_t)fold)
            rc = score_face(v, head, i, labelled->label[v->rows[i]], prob, falls + i * fm_explain_columns(v), err);
    fm_head_destroy(head);
    return rc;
}

int fm_explain_falls(const fm_explain_view *v, const int32_t *label, double **out, fm_err *err)
{
    size_t columns = fm_explain_columns(v);
    double *falls = calloc(v->n * columns, sizeof *falls);
    double *prob = malloc((1 + (size_t)v->cells) * v->plan->classes * sizeof *prob);
    fm_evaluation labelled = *v->e;     /* borrows; only the labels are others */
    int rc = falls && prob ? 0 : fm_fail_nomem(err, "falls", v->n * columns * sizeof *falls);

    labelled.label = (int32_t *)label;  /* it is read only */
    for (uint32_t fold = 0; rc == 0 && fold < v->e->folds; fold++)
        if (tests_any(v, fold))
            rc = score_fold(v, &labelled, fold, prob, falls, err);
    free(prob);
    if (rc == 0)
        *out = falls;
    else
        free(falls);
    return rc;
}

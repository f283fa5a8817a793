/* Rejected: one large plan of all audits with an axis more, which would keep every
 * probability; an audit needs one area. */
#include "coordinator/learn/audit_parts.h"

#include <stdlib.h>
#include <string.h>

typedef struct { uint32_t subject, row; } member;

static int by_subject(const void *a, const void *b)
{
    const member *x = a, *y = b;

    return x->subject != y->subject ? (x->subject > y->subject) - (x->subject < y->subject)
                                    : (x->row > y->row) - (x->row < y->row);
}

void fm_audit_subjects_fini(fm_audit_subjects *s)
{
    free(s->v);
    free(s->rows);
}

int fm_audit_subjects_find(const fm_plan_row *plan_rows, const uint32_t *stratum, const uint32_t *rows, size_t n,
                           fm_audit_subjects *out, fm_err *err)
{
    fm_audit_subjects s = {malloc((n + 1) * sizeof *s.v), 0, malloc((n + 1) * sizeof *s.rows), false};
    member *m = malloc((n + 1) * sizeof *m);

    if (!s.v || !s.rows || !m) {
        fm_audit_subjects_fini(&s);
        free(m);
        return fm_fail_nomem(err, "subjects", n * sizeof *s.v);
    }
    for (size_t i = 0; i < n; i++)
        m[i] = (member){plan_rows[rows[i]].subject, rows[i]};
    qsort(m, n, sizeof *m, by_subject);
    for (size_t i = 0; i < n; i++) {
        const fm_plan_row *row = &plan_rows[m[i].row];
        fm_audit_subject *x;

        if (i == 0 || m[i].subject != m[i - 1].subject)
            s.v[s.n++] = (fm_audit_subject){(uint32_t)i, 0, row->label, stratum ? stratum[m[i].row] : 0, false};
        x = &s.v[s.n - 1];
        x->n++;
        x->mixed = x->mixed || row->label != x->label;
        s.mixed = s.mixed || x->mixed;
        s.rows[i] = m[i].row;
    }
    free(m);
    *out = s;
    return 0;
}

uint32_t *fm_audit_all_rows(size_t n)
{
    uint32_t *rows = malloc((n + 1) * sizeof *rows);

    for (size_t i = 0; rows && i < n; i++)
        rows[i] = (uint32_t)i;
    return rows;
}

void fm_audit_part_fini(fm_audit_part *p)
{
    fm_plan_fini(&p->plan);
    free(p->x);
}

int fm_audit_part_make(const fm_plan *plan, const float *x, const uint32_t *rows, size_t n, fm_audit_part *out, fm_err *err)
{
    size_t width = plan->code_width;
    fm_audit_part p = {.plan = *plan};

    p.plan.n = n;
    p.plan.rows = malloc((n + 1) * sizeof *p.plan.rows);
    p.x = malloc((n + 1) * width * sizeof *p.x);
    if (!p.plan.rows || !p.x) {
        fm_audit_part_fini(&p);
        return fm_fail_nomem(err, "rows of an audit", n * width * sizeof *p.x);
    }
    for (size_t i = 0; i < n; i++) {
        p.plan.rows[i] = plan->rows[rows[i]];
        memcpy(p.x + i * width, x + rows[i] * width, width * sizeof *x);
    }
    *out = p;
    return 0;
}

int fm_audit_judge(const fm_plan *plan, const fm_evaluation *e, bool interval, fm_audit_figure *out, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(e);
    fm_metric m[FM_METRIC_COUNT];
    int rc = fm_metrics_with_intervals(&p, NULL, 0, plan->seed, interval ? plan->bootstrap : 0, m, err);

    if (rc == 0) {
        out->auc = m[FM_METRIC_AUC].value;
        out->low = m[FM_METRIC_AUC].low;
        out->high = m[FM_METRIC_AUC].high;
    }
    return rc;
}

double *fm_audit_fold_room(const fm_evaluation *e)
{
    size_t most = 0;

    for (size_t i = 0; i < (size_t)e->repeats * e->folds; i++) {
        size_t values = fm_evaluation_values(e, e->fold[i].repeat, e->fold[i].fold);

        most = values > most ? values : most;
    }
    return malloc((most + 1) * sizeof(double));
}

int fm_audit_measure(const fm_plan *plan, const float *x, bool interval, fm_audit_figure *out, fm_err *err)
{
    fm_evaluation e = {0};
    double *values = NULL;
    int rc = fm_evaluation_begin(plan, &e, err);

    if (rc != 0)
        return rc;
    if (!(values = fm_audit_fold_room(&e)))
        rc = fm_fail_nomem(err, "probabilities", e.n * e.classes * sizeof *values);
    for (size_t i = 0; rc == 0 && i < (size_t)e.repeats * e.folds; i++) {
        rc = fm_evaluation_fold(plan, &e, x, e.fold[i].repeat, e.fold[i].fold, values, err);
        if (rc == 0)
            fm_evaluation_place(&e, e.fold[i].repeat, e.fold[i].fold, values);
    }
    if (rc == 0)
        rc = fm_audit_judge(plan, &e, interval, out, err);
    free(values);
    fm_evaluation_fini(&e);
    return rc;
}

fm_plan fm_audit_once(const fm_plan *plan)
{
    fm_plan own = *plan;        /* rows stay plan's */

    own.folds.repeats = 1;
    own.call.kind = FM_CALL_LARGER;     /* no area depends on it, and thresholds cost inner folds */
    return own;
}

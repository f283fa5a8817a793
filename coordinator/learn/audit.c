/* Each audit is a plan like the study's with something changed, evaluated on this
 * thread by the pieces of learn/evaluation.h, so that what is audited is the very
 * thing that was evaluated.  Always: a task draws its numbers from a stream of its
 * own, so that it does not matter who runs it. */
#include "coordinator/learn/audit_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define CONFOUND_C 0.1      /* many weak columns, few rows: strong regularisation */

static const double shares[FM_AUDIT_CURVE] = {0.125, 0.25, 0.5, 1};

double fm_audit_share(size_t point)
{
    return shares[point];
}

size_t fm_audit_count(const fm_audit_plan *a, fm_audit_kind kind)
{
    const size_t count[FM_AUDIT_KINDS] = {FM_AUDIT_CONFOUNDS, a->nulls, FM_AUDIT_CURVE, a->seeds, a->permutations};

    return count[kind];
}

size_t fm_audit_tasks(const fm_audit_plan *a)
{
    size_t n = 0;

    for (int k = 0; k < FM_AUDIT_KINDS; k++)
        n += fm_audit_count(a, (fm_audit_kind)k);
    return n;
}

static int run_confound(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    fm_plan plan = a->plan;     /* its rows stay a's */

    fm_head_spec_default(&plan.head);
    plan.head.kind = FM_HEAD_LOGISTIC;
    plan.head.C = CONFOUND_C;
    plan.call.kind = FM_CALL_LARGER;
    plan.code_offset = 0;
    plan.code_width = views->confound_width[i];
    return fm_audit_measure(&plan, views->confound[i], true, out, err);
}

static int run_null(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    return fm_audit_run_halves(&a->plan, a->stratum, views->codes, views->codes, i, out, err);
}

static int run_seed(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    fm_plan plan = fm_audit_once(&a->plan);

    plan.seed = fm_rng_stream("seeds of an audit", plan.seed, i);
    return fm_audit_measure(&plan, views->codes, true, out, err);
}

/* Units that swap labels: subjects, or rows where a subject has several classes. */
static void permute(const fm_audit_subjects *s, const uint32_t *order, size_t units, const fm_plan_row *from, fm_plan_row *to)
{
    for (size_t i = 0; i < units; i++) {
        if (s->mixed) {
            to[i].label = from[order[i]].label;
            continue;
        }
        for (uint32_t k = 0; k < s->v[i].n; k++)
            to[s->rows[s->v[i].first + k]].label = s->v[order[i]].label;
    }
}

static int run_permutation(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    fm_rng rng = fm_rng_init(a->plan.seed, fm_rng_stream("permuted labels", i, 0));
    uint32_t *rows = fm_audit_all_rows(a->plan.n), *order = fm_audit_all_rows(a->plan.n);
    fm_plan_row *own = malloc((a->plan.n + 1) * sizeof *own);
    fm_plan plan = fm_audit_once(&a->plan);
    fm_audit_subjects s = {NULL, 0, NULL, false};
    int rc = rows && order && own ? fm_audit_subjects_find(a->plan.rows, NULL, rows, a->plan.n, &s, err)
                                  : fm_fail_nomem(err, "permuted labels", a->plan.n * sizeof *own);

    if (rc == 0) {
        size_t units = s.mixed ? a->plan.n : s.n;

        memcpy(own, a->plan.rows, a->plan.n * sizeof *own);
        fm_rng_shuffle(&rng, order, units);
        permute(&s, order, units, a->plan.rows, own);
        plan.rows = own;
        rc = fm_audit_measure(&plan, views->codes, false, out, err);
    }
    fm_audit_subjects_fini(&s);
    free(rows);
    free(order);
    free(own);
    return rc;
}

/* What cannot be made or trained is an answer. */
static int answer(int rc, fm_audit_figure *figure, fm_audit_figure *out)
{
    if (rc == -EINVAL || rc == -EDOM) {
        figure->auc = figure->low = figure->high = NAN;
        rc = 0;
    }
    if (rc == 0)
        *out = *figure;
    return rc;
}

int fm_audit_task(const fm_audit_plan *a, const fm_audit_views *views, size_t task, fm_audit_figure *out, fm_err *err)
{
    static int (*const run[FM_AUDIT_KINDS])(const fm_audit_plan *, const fm_audit_views *, size_t, fm_audit_figure *,
                                            fm_err *) = {
        [FM_AUDIT_CONFOUND] = run_confound, [FM_AUDIT_NULL] = run_null, [FM_AUDIT_CURVE_POINT] = fm_audit_run_curve,
        [FM_AUDIT_SEED] = run_seed,         [FM_AUDIT_PERMUTATION] = run_permutation,
    };
    fm_audit_figure figure = {NAN, NAN, NAN, 0};
    int kind = 0, rc;

    while (task >= fm_audit_count(a, (fm_audit_kind)kind))
        task -= fm_audit_count(a, (fm_audit_kind)kind++);
    rc = run[kind](a, views, task, &figure, err);
    return answer(rc, &figure, out);
}

int fm_audit_halves(const fm_plan *plan, const uint32_t *stratum, const float *codes, const float *planted, size_t number,
                    fm_audit_figure *out, fm_err *err)
{
    fm_audit_figure figure = {NAN, NAN, NAN, 0};

    return answer(fm_audit_run_halves(plan, stratum, codes, planted, number, &figure, err), &figure, out);
}

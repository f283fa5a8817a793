/* The learning curve: folds with fewer and fewer subjects to train on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/audit_parts.h"

#define CURVE_SUBJECTS_MIN 2u

/* A share of each class's training subjects, in the order of their rows: train is cut down to them. */
static int thin(const fm_audit_plan *a, double share, uint32_t fold, uint32_t *train, size_t *n, size_t *kept_subjects,
                fm_err *err)
{
    fm_rng rng = fm_rng_init(a->plan.seed, fm_rng_stream("learning curve", fold, 0));
    size_t *of_class = calloc(a->plan.classes, 2 * sizeof *of_class), *kept = of_class + a->plan.classes;
    fm_audit_subjects s = {NULL, 0, NULL, false};
    uint32_t *order = NULL;
    int rc = of_class ? fm_audit_subjects_find(a->plan.rows, NULL, train, *n, &s, err) : fm_fail_nomem(err, "classes", 0);

    if (rc == 0 && !(order = fm_audit_all_rows(s.n)))
        rc = fm_fail_nomem(err, "subjects", s.n * sizeof *order);
    if (rc == 0)
        fm_rng_shuffle(&rng, order, s.n);
    for (size_t i = 0; rc == 0 && i < s.n; i++)
        of_class[s.v[i].label]++;
    *n = *kept_subjects = 0;
    for (size_t i = 0; rc == 0 && i < s.n; i++) {
        const fm_audit_subject *x = &s.v[order[i]];
        double want = ceil(share * (double)of_class[x->label]);

        if ((double)kept[x->label] >= fmax(want, CURVE_SUBJECTS_MIN))
            continue;
        kept[x->label]++;
        ++*kept_subjects;
        memcpy(train + *n, s.rows + x->first, x->n * sizeof *train);
        *n += x->n;
    }
    fm_audit_subjects_fini(&s);
    free(order);
    free(of_class);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* These training and test rows as a plan of one given fold.  values: probabilities of the test rows. */
static int train_part(const fm_plan *plan, const float *x, uint32_t *rows, size_t n_train, const uint32_t *test, size_t n_test,
                      double *values, fm_err *err)
{
    fm_evaluation own = {0};
    fm_audit_part p = {.x = NULL};
    int rc;

    qsort(rows, n_train, sizeof *rows, by_number);
    memcpy(rows + n_train, test, n_test * sizeof *rows);
    if ((rc = fm_audit_part_make(plan, x, rows, n_train + n_test, &p, err)) != 0)
        return rc;
    p.plan.folds = (fm_folds_spec){.kind = FM_FOLDS_GIVEN, .repeats = 1};
    for (size_t i = 0; i < p.plan.n; i++)
        p.plan.rows[i].fold = i < n_train ? -1 : 0;
    rc = fm_evaluation_begin(&p.plan, &own, err);
    if (rc == 0)
        rc = fm_evaluation_fold(&p.plan, &own, p.x, 0, 0, values, err);
    fm_evaluation_fini(&own);
    fm_audit_part_fini(&p);
    return rc;
}

/* One fold with fewer to train on; with all of them, the study's own. */
static int run_thin_fold(const fm_audit_plan *a, const float *x, fm_evaluation *e, double share, uint32_t fold,
                         double *subjects_kept, fm_err *err)
{
    const fm_folds folds = {e->n, e->repeats, e->folds, e->test_fold};
    uint32_t *rows = malloc((e->n + 1) * sizeof *rows), *test = malloc((e->n + 1) * sizeof *test);
    double *values = fm_audit_fold_room(e);
    fm_plan plan = fm_audit_once(&a->plan);
    size_t n_train, n_test, kept;
    int rc = rows && test && values ? 0 : fm_fail_nomem(err, "rows of a fold", e->n * sizeof *rows);

    if (rc == 0) {
        fm_folds_rows(&folds, 0, fold, rows, &n_train, test, &n_test);
        rc = thin(a, share, fold, rows, &n_train, &kept, err);
    }
    if (rc == 0 && share < 1)
        rc = train_part(&plan, x, rows, n_train, test, n_test, values, err);
    else if (rc == 0)
        rc = fm_evaluation_fold(&plan, e, x, 0, fold, values, err);
    if (rc == 0) {
        fm_evaluation_place(e, 0, fold, values);
        *subjects_kept += (double)kept / e->folds;
    }
    free(values);
    free(rows);
    free(test);
    return rc;
}

int fm_audit_run_curve(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    fm_plan plan = fm_audit_once(&a->plan);
    fm_evaluation e = {0};
    int rc = fm_evaluation_begin(&plan, &e, err);

    out->subjects = 0;
    for (uint32_t f = 0; rc == 0 && f < e.folds; f++)
        rc = run_thin_fold(a, views->codes, &e, fm_audit_share(i), f, &out->subjects, err);
    if (rc == 0)
        rc = fm_audit_judge(&plan, &e, true, out, err);
    fm_evaluation_fini(&e);
    return rc;
}

/* Each audit is a plan like the study's with something changed, evaluated on this
 * thread by the pieces of learn/evaluation.h, so that what is audited is the very
 * thing that was evaluated.  Rejected: one large plan of them all with an axis more,
 * which would keep every probability; an audit needs one area.  Always: a task draws
 * its numbers from a stream of its own, so that it does not matter who runs it. */
#include "coordinator/learn/audit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define CONFOUND_C 0.1      /* many weak columns, few rows: strong regularisation */
#define CURVE_SUBJECTS_MIN 2u

static const double shares[FM_AUDIT_CURVE] = {0.125, 0.25, 0.5, 1};

/* Rows of one subject. */
typedef struct {
    uint32_t first;         /* where its rows start in rows */
    uint32_t n;
    int32_t label;          /* of its first row */
    uint32_t stratum;
    bool mixed;             /* its rows have several classes */
} subject;

typedef struct {
    subject *v;             /* [n], by number */
    size_t n;
    uint32_t *rows;         /* rows of the plan, subject by subject */
    bool mixed;             /* some subject is */
} subjects;

typedef struct { uint32_t subject, row; } member;

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

static int by_subject(const void *a, const void *b)
{
    const member *x = a, *y = b;

    return x->subject != y->subject ? (x->subject > y->subject) - (x->subject < y->subject)
                                    : (x->row > y->row) - (x->row < y->row);
}

static void subjects_fini(subjects *s)
{
    free(s->v);
    free(s->rows);
}

/* The subjects of n chosen rows; stratum may be NULL. */
static int find_subjects(const fm_plan_row *plan_rows, const uint32_t *stratum, const uint32_t *rows, size_t n, subjects *out,
                         fm_err *err)
{
    subjects s = {malloc((n + 1) * sizeof *s.v), 0, malloc((n + 1) * sizeof *s.rows), false};
    member *m = malloc((n + 1) * sizeof *m);

    if (!s.v || !s.rows || !m) {
        subjects_fini(&s);
        free(m);
        return fm_fail_nomem(err, "subjects", n * sizeof *s.v);
    }
    for (size_t i = 0; i < n; i++)
        m[i] = (member){plan_rows[rows[i]].subject, rows[i]};
    qsort(m, n, sizeof *m, by_subject);
    for (size_t i = 0; i < n; i++) {
        const fm_plan_row *row = &plan_rows[m[i].row];
        subject *x;

        if (i == 0 || m[i].subject != m[i - 1].subject)
            s.v[s.n++] = (subject){(uint32_t)i, 0, row->label, stratum ? stratum[m[i].row] : 0, false};
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

static uint32_t *all_rows(size_t n)
{
    uint32_t *rows = malloc((n + 1) * sizeof *rows);

    for (size_t i = 0; rows && i < n; i++)
        rows[i] = (uint32_t)i;
    return rows;
}

/* A plan of its own over chosen rows of another, and their part of the matrix. */
typedef struct {
    fm_plan plan;           /* settings copied */
    float *x;
} part;

static void part_fini(part *p)
{
    fm_plan_fini(&p->plan);
    free(p->x);
}

static int part_make(const fm_plan *plan, const float *x, const uint32_t *rows, size_t n, part *out, fm_err *err)
{
    size_t width = plan->code_width;
    part p = {.plan = *plan};

    p.plan.n = n;
    p.plan.rows = malloc((n + 1) * sizeof *p.plan.rows);
    p.x = malloc((n + 1) * width * sizeof *p.x);
    if (!p.plan.rows || !p.x) {
        part_fini(&p);
        return fm_fail_nomem(err, "rows of an audit", n * width * sizeof *p.x);
    }
    for (size_t i = 0; i < n; i++) {
        p.plan.rows[i] = plan->rows[rows[i]];
        memcpy(p.x + i * width, x + rows[i] * width, width * sizeof *x);
    }
    *out = p;
    return 0;
}

/* AUC of what was predicted; with its interval where the plan has one. */
static int judge(const fm_plan *plan, const fm_evaluation *e, bool interval, fm_audit_figure *out, fm_err *err)
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

/* Room for what any fold leaves behind. */
static double *fold_room(const fm_evaluation *e)
{
    size_t most = 0;

    for (size_t i = 0; i < (size_t)e->repeats * e->folds; i++) {
        size_t values = fm_evaluation_values(e, e->fold[i].repeat, e->fold[i].fold);

        most = values > most ? values : most;
    }
    return malloc((most + 1) * sizeof(double));
}

/* Train and test over the plan's folds; a final head is not wanted. */
static int measure(const fm_plan *plan, const float *x, bool interval, fm_audit_figure *out, fm_err *err)
{
    fm_evaluation e = {0};
    double *values = NULL;
    int rc = fm_evaluation_begin(plan, &e, err);

    if (rc != 0)
        return rc;
    if (!(values = fold_room(&e)))
        rc = fm_fail_nomem(err, "probabilities", e.n * e.classes * sizeof *values);
    for (size_t i = 0; rc == 0 && i < (size_t)e.repeats * e.folds; i++) {
        rc = fm_evaluation_fold(plan, &e, x, e.fold[i].repeat, e.fold[i].fold, values, err);
        if (rc == 0)
            fm_evaluation_place(&e, e.fold[i].repeat, e.fold[i].fold, values);
    }
    if (rc == 0)
        rc = judge(plan, &e, interval, out, err);
    free(values);
    fm_evaluation_fini(&e);
    return rc;
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
    return measure(&plan, views->confound[i], true, out, err);
}

/* Settings of all audits but confounds: the study's, once. */
static fm_plan once(const fm_plan *plan)
{
    fm_plan own = *plan;        /* rows stay plan's */

    own.folds.repeats = 1;
    own.call.kind = FM_CALL_LARGER;     /* no area depends on it, and thresholds cost inner folds */
    return own;
}

typedef struct { uint32_t stratum, draw, at; } drawn;

static int by_stratum(const void *a, const void *b)
{
    const drawn *x = a, *y = b;

    if (x->stratum != y->stratum)
        return (x->stratum > y->stratum) - (x->stratum < y->stratum);
    return (x->draw > y->draw) - (x->draw < y->draw);
}

/* side[i]: 0 or 1, or -1 where subject i is left over.  Returns how many are on each side. */
static size_t draw_halves(const subjects *s, drawn *d, uint32_t *order, int32_t *side, fm_rng *rng)
{
    size_t halves = 0;

    for (size_t i = 0; i < s->n; i++)
        order[i] = (uint32_t)i;
    fm_rng_shuffle(rng, order, s->n);
    for (size_t i = 0; i < s->n; i++)
        d[i] = (drawn){s->v[i].stratum, order[i], (uint32_t)i};
    qsort(d, s->n, sizeof *d, by_stratum);
    for (size_t i = 0; i < s->n; i++)
        side[i] = -1;
    for (size_t i = 0; i + 1 < s->n; i++) {
        if (d[i].stratum != d[i + 1].stratum)
            continue;
        side[d[i].at] = (int32_t)(d[i].draw & 1);
        side[d[i + 1].at] = 1 - side[d[i].at];
        halves++;
        i++;
    }
    return halves;
}

/* A plan of the rows whose subjects are on a side, with the side as their label; side 1 shows what is planted. */
static int part_of_halves(const fm_plan *plan, const float *codes, const float *planted, const subjects *s,
                          const int32_t *side, part *out, fm_err *err)
{
    uint32_t *rows = malloc((plan->n + 1) * sizeof *rows);
    size_t n = 0, width = plan->code_width;
    int rc;

    if (!rows)
        return fm_fail_nomem(err, "rows of a null study", plan->n * sizeof *rows);
    for (size_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; side[i] >= 0 && k < s->v[i].n; k++)
            rows[n++] = s->rows[s->v[i].first + k];
    rc = part_make(plan, codes, rows, n, out, err);
    n = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        for (uint32_t k = 0; side[i] >= 0 && k < s->v[i].n; k++, n++) {
            out->plan.rows[n].label = side[i];
            if (side[i])
                memcpy(out->x + n * width, planted + rows[n] * width, width * sizeof *planted);
        }
    free(rows);
    return rc;
}

static int halve(const fm_plan *plan, const subjects *s, const float *codes, const float *planted, size_t number,
                 fm_audit_figure *out, fm_err *err)
{
    drawn *d = malloc((s->n + 1) * sizeof *d);
    uint32_t *order = malloc((s->n + 1) * sizeof *order);
    int32_t *side = malloc((s->n + 1) * sizeof *side);
    fm_rng rng = fm_rng_init(plan->seed, fm_rng_stream("null study", number, 0));
    fm_plan own = once(plan);
    part p = {.x = NULL};
    int rc = d && order && side ? 0 : fm_fail_nomem(err, "halves", s->n * sizeof *d);

    own.classes = 2;
    own.seed += number;
    if (own.folds.kind == FM_FOLDS_GIVEN)
        fm_folds_spec_default(&own.folds);      /* given folds are the study's, not these halves' */
    if (rc == 0) {
        out->subjects = (double)draw_halves(s, d, order, side, &rng);
        rc = part_of_halves(&own, codes, planted, s, side, &p, err);
    }
    if (rc == 0) {
        rc = measure(&p.plan, p.x, true, out, err);
        part_fini(&p);
    }
    free(d);
    free(order);
    free(side);
    return rc;
}

static int run_halves(const fm_plan *plan, const uint32_t *stratum, const float *codes, const float *planted, size_t number,
                      fm_audit_figure *out, fm_err *err)
{
    uint32_t *rows = all_rows(plan->n);
    subjects s = {NULL, 0, NULL, false};
    size_t n = 0;
    int rc = rows ? 0 : fm_fail_nomem(err, "rows", plan->n * sizeof *rows);

    for (size_t k = 0; rc == 0 && k < plan->n; k++)
        if (plan->rows[k].label == 0)
            rows[n++] = (uint32_t)k;
    if (rc == 0)
        rc = find_subjects(plan->rows, stratum, rows, n, &s, err);
    if (rc == 0)
        rc = halve(plan, &s, codes, planted, number, out, err);
    subjects_fini(&s);
    free(rows);
    return rc;
}

static int run_null(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    return run_halves(&a->plan, a->stratum, views->codes, views->codes, i, out, err);
}

/* A share of each class's training subjects, in the order of their rows: train is cut down to them. */
static int thin(const fm_audit_plan *a, double share, uint32_t fold, uint32_t *train, size_t *n, size_t *kept_subjects,
                fm_err *err)
{
    fm_rng rng = fm_rng_init(a->plan.seed, fm_rng_stream("learning curve", fold, 0));
    size_t *of_class = calloc(a->plan.classes, 2 * sizeof *of_class), *kept = of_class + a->plan.classes;
    subjects s = {NULL, 0, NULL, false};
    uint32_t *order = NULL;
    int rc = of_class ? find_subjects(a->plan.rows, NULL, train, *n, &s, err) : fm_fail_nomem(err, "classes", 0);

    if (rc == 0 && !(order = all_rows(s.n)))
        rc = fm_fail_nomem(err, "subjects", s.n * sizeof *order);
    if (rc == 0)
        fm_rng_shuffle(&rng, order, s.n);
    for (size_t i = 0; rc == 0 && i < s.n; i++)
        of_class[s.v[i].label]++;
    *n = *kept_subjects = 0;
    for (size_t i = 0; rc == 0 && i < s.n; i++) {
        const subject *x = &s.v[order[i]];
        double want = ceil(share * (double)of_class[x->label]);

        if ((double)kept[x->label] >= fmax(want, CURVE_SUBJECTS_MIN))
            continue;
        kept[x->label]++;
        ++*kept_subjects;
        memcpy(train + *n, s.rows + x->first, x->n * sizeof *train);
        *n += x->n;
    }
    subjects_fini(&s);
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
    part p = {.x = NULL};
    int rc;

    qsort(rows, n_train, sizeof *rows, by_number);
    memcpy(rows + n_train, test, n_test * sizeof *rows);
    if ((rc = part_make(plan, x, rows, n_train + n_test, &p, err)) != 0)
        return rc;
    p.plan.folds = (fm_folds_spec){.kind = FM_FOLDS_GIVEN, .repeats = 1};
    for (size_t i = 0; i < p.plan.n; i++)
        p.plan.rows[i].fold = i < n_train ? -1 : 0;
    rc = fm_evaluation_begin(&p.plan, &own, err);
    if (rc == 0)
        rc = fm_evaluation_fold(&p.plan, &own, p.x, 0, 0, values, err);
    fm_evaluation_fini(&own);
    part_fini(&p);
    return rc;
}

/* One fold with fewer to train on; with all of them, the study's own. */
static int run_thin_fold(const fm_audit_plan *a, const float *x, fm_evaluation *e, double share, uint32_t fold,
                         double *subjects_kept, fm_err *err)
{
    const fm_folds folds = {e->n, e->repeats, e->folds, e->test_fold};
    uint32_t *rows = malloc((e->n + 1) * sizeof *rows), *test = malloc((e->n + 1) * sizeof *test);
    double *values = fold_room(e);
    fm_plan plan = once(&a->plan);
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

static int run_curve(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    fm_plan plan = once(&a->plan);
    fm_evaluation e = {0};
    int rc = fm_evaluation_begin(&plan, &e, err);

    out->subjects = 0;
    for (uint32_t f = 0; rc == 0 && f < e.folds; f++)
        rc = run_thin_fold(a, views->codes, &e, shares[i], f, &out->subjects, err);
    if (rc == 0)
        rc = judge(&plan, &e, true, out, err);
    fm_evaluation_fini(&e);
    return rc;
}

static int run_seed(const fm_audit_plan *a, const fm_audit_views *views, size_t i, fm_audit_figure *out, fm_err *err)
{
    fm_plan plan = once(&a->plan);

    plan.seed = fm_rng_stream("seeds of an audit", plan.seed, i);
    return measure(&plan, views->codes, true, out, err);
}

/* Units that swap labels: subjects, or rows where a subject has several classes. */
static void permute(const subjects *s, const uint32_t *order, size_t units, const fm_plan_row *from, fm_plan_row *to)
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
    uint32_t *rows = all_rows(a->plan.n), *order = all_rows(a->plan.n);
    fm_plan_row *own = malloc((a->plan.n + 1) * sizeof *own);
    fm_plan plan = once(&a->plan);
    subjects s = {NULL, 0, NULL, false};
    int rc = rows && order && own ? find_subjects(a->plan.rows, NULL, rows, a->plan.n, &s, err)
                                  : fm_fail_nomem(err, "permuted labels", a->plan.n * sizeof *own);

    if (rc == 0) {
        size_t units = s.mixed ? a->plan.n : s.n;

        memcpy(own, a->plan.rows, a->plan.n * sizeof *own);
        fm_rng_shuffle(&rng, order, units);
        permute(&s, order, units, a->plan.rows, own);
        plan.rows = own;
        rc = measure(&plan, views->codes, false, out, err);
    }
    subjects_fini(&s);
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
        [FM_AUDIT_CONFOUND] = run_confound, [FM_AUDIT_NULL] = run_null, [FM_AUDIT_CURVE_POINT] = run_curve,
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

    return answer(run_halves(plan, stratum, codes, planted, number, &figure, err), &figure, out);
}

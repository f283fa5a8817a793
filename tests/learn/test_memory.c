/* Every allocation of what trains, evaluates, audits and compares fails once. */
#include <cblas.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/audit.h"
#include "coordinator/learn/compare.h"
#include "coordinator/learn/curves.h"
#include "coordinator/learn/near.h"
#include "coordinator/learn/pca.h"
#include "tests/alloc_each.h"

enum { N = 48, D = 4 };

/* A small study of pairs of photographs: inner folds choose C or epochs, and a threshold. */
typedef struct {
    fm_plan plan;
    fm_plan_row rows[N];
    float x[N * D];
} world;

static void world_make(world *w, int kind, uint32_t classes)
{
    fm_rng r = fm_rng_init(5, 0);

    fm_plan_init(&w->plan);
    w->plan.code_offset = 0;
    w->plan.code_width = D;
    w->plan.classes = classes;
    w->plan.bootstrap = 3;
    w->plan.folds.folds = 2;
    w->plan.head.kind = (uint8_t)kind;
    w->plan.head.hidden = 3;
    w->plan.head.n_choices = 3;
    for (int i = 0; i < 3; i++)
        w->plan.head.choice[i] = 1 + i;
    w->plan.call.kind = classes == 2 ? FM_CALL_YOUDEN : FM_CALL_LARGER;
    w->plan.rows = w->rows;
    w->plan.n = N;
    for (uint32_t i = 0; i < N; i++) {
        w->rows[i] = (fm_plan_row){.sample = i, .subject = i / 2, .label = (int32_t)(i / 2 % classes), .fold = -1};
        for (int k = 0; k < D; k++)
            w->x[i * D + (uint32_t)k] = (float)(fm_rng_normal(&r) + (k == w->rows[i].label));
    }
    openblas_set_num_threads(1);
}

static int evaluate(const void *ctx, fm_buf *out, fm_err *err)
{
    const world *w = ctx;
    fm_evaluation e;
    int rc = fm_evaluate_local(&w->plan, w->x, &e, err);

    if (rc != 0)
        return rc;
    fm_evaluation_encode(&e, out);
    fm_evaluation_fini(&e);
    return out->failed ? fm_fail_nomem(err, "evaluation", out->size) : 0;
}

static void heads_and_their_evaluation(void)
{
    static world w;

    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        world_make(&w, kind, 2);
        alloc_each(fm_head_kind_name(kind), evaluate, &w);
    }
    world_make(&w, FM_HEAD_LOGISTIC, 3);
    alloc_each("three classes", evaluate, &w);
}

static int read_back(const void *ctx, fm_buf *out, fm_err *err)
{
    const fm_buf *bytes = ctx;
    fm_evaluation e;
    fm_head *head = NULL;
    int rc = fm_evaluation_decode(bytes->data, bytes->size, &e, err);

    if (rc != 0)
        return rc;
    rc = fm_head_decode(e.head, e.head_size, &head, err);
    if (rc == 0) {
        fm_evaluation_encode(&e, out);
        fm_head_encode(head, out);
        rc = out->failed ? fm_fail_nomem(err, "evaluation", out->size) : 0;
    }
    fm_head_destroy(head);
    fm_evaluation_fini(&e);
    return rc;
}

static void reading_what_was_written(void)
{
    static world w;

    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_LOGISTIC; kind++) {
        fm_buf bytes = FM_BUF_INIT;

        world_make(&w, kind, 2);
        REQUIRE(evaluate(&w, &bytes, NULL) == 0);
        alloc_each("read back", read_back, &bytes);
        fm_buf_fini(&bytes);
    }
}

typedef struct {
    fm_audit_plan plan;
    fm_audit_views views;
    size_t task;
} audit;

static int run_audit(const void *ctx, fm_buf *out, fm_err *err)
{
    const audit *a = ctx;
    fm_audit_figure f;
    int rc = fm_audit_task(&a->plan, &a->views, a->task, &f, err);

    if (rc == 0)
        fm_buf_put(out, &f, sizeof f);
    return out->failed ? fm_fail_nomem(err, "figure", sizeof f) : rc;
}

static int audit_plan(const void *ctx, fm_buf *out, fm_err *err)
{
    const audit *a = ctx;
    fm_buf bytes = FM_BUF_INIT;
    fm_audit_plan back;
    int rc = 0;

    fm_audit_plan_encode(&a->plan, &bytes);
    if (bytes.failed)
        rc = fm_fail_nomem(err, "audit plan", bytes.size);
    if (rc == 0)
        rc = fm_audit_plan_decode(bytes.data, bytes.size, &back, err);
    fm_buf_fini(&bytes);
    if (rc != 0)
        return rc;
    fm_audit_plan_encode(&back, out);
    fm_audit_plan_fini(&back);
    return out->failed ? fm_fail_nomem(err, "audit plan", out->size) : 0;
}

/* One task of each kind. */
static void audits(void)
{
    static world w;
    static audit a;
    size_t first = 0;

    world_make(&w, FM_HEAD_LOGISTIC, 2);
    w.plan.rows = calloc(N, sizeof *w.plan.rows);
    REQUIRE(w.plan.rows != NULL);
    memcpy(w.plan.rows, w.rows, sizeof w.rows);
    REQUIRE(fm_audit_plan_init(&a.plan, &w.plan, NULL) == 0);
    a.plan.nulls = a.plan.seeds = a.plan.permutations = 1;
    a.views.codes = w.x;
    for (int i = 0; i < FM_AUDIT_CONFOUNDS; i++) {
        a.views.confound[i] = w.x;
        a.views.confound_width[i] = D;
    }
    for (int kind = 0; kind < FM_AUDIT_KINDS; kind++) {
        a.task = first;
        alloc_each("audit", run_audit, &a);
        first += fm_audit_count(&a.plan, (fm_audit_kind)kind);
    }
    alloc_each("audit plan", audit_plan, &a);
    fm_audit_plan_fini(&a.plan);
}

static int compare(const void *ctx, fm_buf *out, fm_err *err)
{
    const fm_evaluation *e = ctx;
    fm_predictions p = fm_evaluation_predictions(e);
    fm_comparison c;
    fm_curves curves;
    int rc = fm_compare(&p, &p, &c, err);

    if (rc == 0)
        rc = fm_curves_make(&p, 1, 5, &curves, err);
    if (rc != 0)
        return rc;
    fm_buf_put(out, curves.tpr, curves.n * sizeof *curves.tpr);
    fm_buf_put(out, curves.sensitivity, sizeof curves.sensitivity);
    fm_curves_fini(&curves);
    return out->failed ? fm_fail_nomem(err, "curves", out->size) : 0;
}

static void comparisons_and_curves(void)
{
    static world w;
    fm_evaluation e;

    world_make(&w, FM_HEAD_LOGISTIC, 2);
    REQUIRE(fm_evaluate_local(&w.plan, w.x, &e, NULL) == 0);
    alloc_each("comparison and curves", compare, &e);
    fm_evaluation_fini(&e);
}

static int look_at_codes(const void *ctx, fm_buf *out, fm_err *err)
{
    const world *w = ctx;
    double xy[2 * N], explained[2];
    fm_near_pair *pairs = NULL;
    size_t n = 0;
    int rc = fm_pca(w->x, N, D, xy, explained, err);

    if (rc == 0)
        rc = fm_near_pairs(w->x, N, D, 1.5, &pairs, &n, err);
    if (rc == 0) {
        fm_buf_put(out, xy, sizeof xy);
        fm_buf_put(out, pairs, n * sizeof *pairs);
        rc = out->failed ? fm_fail_nomem(err, "codes", out->size) : 0;
    }
    free(pairs);
    return rc;
}

static void components_and_near_pairs(void)
{
    static world w;

    world_make(&w, FM_HEAD_FC, 2);
    alloc_each("codes", look_at_codes, &w);
}

CHECK_MAIN(CHECK_CASE(heads_and_their_evaluation), CHECK_CASE(reading_what_was_written), CHECK_CASE(audits),
           CHECK_CASE(comparisons_and_curves), CHECK_CASE(components_and_near_pairs))

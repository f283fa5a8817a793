#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
#include "coordinator/learn/evaluation.h"
#include "tests/check.h"

enum { N = 120, D = 6 };

static void study_make(fm_plan *plan, float *x, uint32_t classes)
{
    fm_rng rng = fm_rng_init(3, 0);

    fm_plan_init(plan);
    snprintf(plan->store_dir, sizeof plan->store_dir, "/studies/one/store");
    plan->code_width = D;
    plan->classes = classes;
    plan->seed = 77;
    plan->bootstrap = 60;
    plan->prevalence = 0.2;
    plan->top_k = 2;
    plan->head.hidden = 8;
    plan->head.learning_rate = 0.01;
    plan->folds.folds = 3;
    plan->folds.repeats = 2;
    plan->n = N;
    plan->rows = calloc(N, sizeof *plan->rows);
    for (uint32_t i = 0; i < N; i++) {
        fm_plan_row *r = &plan->rows[i];

        *r = (fm_plan_row){.face = i % 3, .sample = i * 2, .subject = i / 2, .label = (int32_t)(i / 2 % classes),
                           .fold = i / 2 % 5 == 4 ? -1 : (int32_t)(i / 2 % 5)};
        fm_digest_of(&i, sizeof i, &r->code);
        for (int k = 0; k < D; k++)
            x[i * D + (uint32_t)k] = (float)(fm_rng_normal(&rng) + 2 * (k == r->label));
    }
}

static fm_buf evaluation_bytes(const fm_evaluation *e)
{
    fm_buf b = FM_BUF_INIT;

    fm_evaluation_encode(e, &b);
    return b;
}

static bool same_bytes(const fm_buf *a, const fm_buf *b)
{
    return !a->failed && a->size > 0 && a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* The pieces as ranks might do them: last fold first, resamples in two parts. */
static int in_pieces(const fm_plan *plan, const float *x, fm_evaluation *e)
{
    double prob[N * 3], *resamples = calloc(plan->bootstrap + 1, FM_METRIC_COUNT * sizeof *resamples);
    uint64_t half = plan->bootstrap / 3;
    fm_bootstrap *b = NULL;
    fm_predictions p;
    int rc = fm_evaluation_begin(plan, e, NULL);

    if (rc == 0)
        rc = fm_evaluation_head(plan, x, e, NULL);
    for (size_t i = rc == 0 ? (size_t)e->repeats * e->folds : 0; rc == 0 && i-- > 0;) {
        rc = fm_evaluation_fold(plan, e, x, e->fold[i].repeat, e->fold[i].fold, prob, NULL);
        if (rc == 0)
            fm_evaluation_place(e, e->fold[i].repeat, e->fold[i].fold, prob);
    }
    p = fm_evaluation_predictions(e);
    if (rc == 0)
        rc = fm_bootstrap_create(&p, NULL, 0, &b, NULL);
    if (rc == 0)
        rc = fm_bootstrap_run(b, plan->seed, half, plan->bootstrap - half, resamples + half * FM_METRIC_COUNT, NULL);
    if (rc == 0)
        rc = fm_bootstrap_run(b, plan->seed, 0, half, resamples, NULL);
    if (rc == 0)
        rc = fm_evaluation_finish(e, resamples, NULL);
    fm_bootstrap_destroy(b);
    free(resamples);
    return rc;
}

static void pieces_give_the_same_bytes(void)
{
    static float x[N * D];
    fm_plan plan;
    fm_evaluation whole, pieces;

    for (int i = 0; i < 6; i++) {
        fm_buf a, b;

        study_make(&plan, x, i % 2 ? 3 : 2);
        plan.head.kind = i % 2 ? FM_HEAD_LOGISTIC : FM_HEAD_FC;
        plan.folds.kind = (uint8_t)(i / 2);
        plan.folds.repeats = plan.folds.kind == FM_FOLDS_GIVEN ? 1 : 2;
        REQUIRE(fm_evaluate_local(&plan, x, &whole, NULL) == 0);
        REQUIRE(in_pieces(&plan, x, &pieces) == 0);
        a = evaluation_bytes(&whole);
        b = evaluation_bytes(&pieces);
        CHECK(same_bytes(&a, &b));
        fm_buf_fini(&a);
        fm_buf_fini(&b);
        fm_evaluation_fini(&whole);
        fm_evaluation_fini(&pieces);
        fm_plan_fini(&plan);
    }
}

static void what_an_evaluation_holds(void)
{
    static float x[N * D];
    static double again[N * 2];
    fm_plan plan;
    fm_evaluation e;
    fm_digest want;
    fm_head *head;
    const fm_codes codes = {x, D, D, NULL, N};
    fm_predictions p;
    uint64_t called = 0;

    study_make(&plan, x, 2);
    plan.folds.kind = FM_FOLDS_GIVEN;
    plan.folds.repeats = 1;
    REQUIRE(fm_evaluate_local(&plan, x, &e, NULL) == 0);
    CHECK(fm_plan_digest(&plan, &want, NULL) == 0 && fm_digest_equal(&want, &e.plan));
    fm_digest_of(x, sizeof x, &want);
    CHECK(fm_digest_equal(&want, &e.codes));
    CHECK(e.n == N && e.classes == 2 && e.repeats == 1 && e.folds == 4 && e.bootstrap == 60);
    for (uint32_t k = 0; k < 4; k++)
        CHECK(fm_evaluation_values(&e, 0, k) == 24 * 2 + 2 && e.fold[k].n_train == 96 && e.fold[k].fold == k &&
              e.fold[k].metrics.v[FM_METRIC_AUC] > 0.4);
    for (int i = 0; i < N; i++) {
        CHECK_INT(e.test_fold[i], plan.rows[i].fold);
        CHECK(e.sample[i] == (uint32_t)i * 2 && e.subject[i] == (uint32_t)i / 2 && e.label[i] == plan.rows[i].label);
        CHECK((e.test_fold[i] < 0) == (isnan(e.prob[2 * i]) != 0));
    }
    for (int i = 0; i < 4; i++)
        called += e.confusion[i];
    CHECK_INT(called, 96);
    p = fm_evaluation_predictions(&e);
    CHECK(p.prevalence == 0.2 && p.top_k == 2);
    for (int k = 0; k < FM_METRIC_COUNT; k++)
        if (fm_metric_applies(&p, k))
            CHECK(e.metrics[k].low <= e.metrics[k].value && e.metrics[k].value <= e.metrics[k].high);
        else
            CHECK(k == FM_METRIC_TOP_K_ACCURACY && isnan(e.metrics[k].value));      /* two classes, k 2 */
    CHECK(e.metrics[FM_METRIC_AUC].value > 0.6);
    REQUIRE(fm_head_decode(e.head, e.head_size, &head, NULL) == 0);
    CHECK(fm_head_width(head) == D && fm_head_score(head, &codes, again, NULL) == 0);
    fm_head_destroy(head);
    fm_evaluation_fini(&e);
    fm_plan_fini(&plan);
}

/* A row's probabilities must not have seen its label: with all labels of a fold turned
 * round, what that fold's rows are given stays the same to the bit. */
static void tested_labels_do_not_leak(void)
{
    static float x[N * D];
    fm_plan plan;
    fm_evaluation e, turned;
    double before[N * 2], after[N * 2];

    study_make(&plan, x, 2);
    REQUIRE(fm_evaluation_begin(&plan, &e, NULL) == 0);
    REQUIRE(fm_evaluation_begin(&plan, &turned, NULL) == 0);
    for (int i = 0; i < N; i++)
        if (e.test_fold[i] == 1)
            turned.label[i] = 1 - e.label[i];
    CHECK(fm_evaluation_fold(&plan, &e, x, 0, 1, before, NULL) == 0);
    CHECK(fm_evaluation_fold(&plan, &turned, x, 0, 1, after, NULL) == 0);
    CHECK(memcmp(before, after, (fm_evaluation_values(&e, 0, 1) - 2) * sizeof *before) == 0);
    fm_evaluation_fini(&e);
    fm_evaluation_fini(&turned);
    fm_plan_fini(&plan);
}

static void errors_leave_nothing(void)
{
    static float x[N * D];
    fm_plan plan;
    fm_evaluation e;
    fm_err err = FM_ERR_INIT;

    study_make(&plan, x, 2);
    x[5 * D + 2] = NAN;
    CHECK_INT(fm_evaluate_local(&plan, x, &e, &err), -EDOM);
    CHECK(strstr(err.text, "fold") != NULL);
    plan.head.class_weight = 9;
    CHECK_INT(fm_evaluate_local(&plan, x, &e, &err), -EINVAL);
    plan.head.class_weight = 0;
    plan.folds.folds = 70;
    CHECK_INT(fm_evaluate_local(&plan, x, &e, &err), -EINVAL);
    CHECK(strstr(err.text, "60 groups") != NULL);
    plan.folds.folds = 3;
    plan.rows[3].label = 2;
    CHECK_INT(fm_evaluation_begin(&plan, &e, &err), -EINVAL);
    plan.rows[3].label = 0;
    REQUIRE(fm_evaluation_begin(&plan, &e, NULL) == 0);
    CHECK_INT(fm_evaluation_finish(&e, NULL, &err), -EINVAL);   /* no fold was placed */
    fm_evaluation_fini(&e);
    fm_plan_fini(&plan);
}

/* Each fold's rows are called by a threshold of its own, which no test row has a say in. */
static void thresholds_are_chosen_inside_folds(void)
{
    static float x[N * D];
    fm_plan plan;

    study_make(&plan, x, 2);
    plan.head.kind = FM_HEAD_LOGISTIC;
    plan.folds.repeats = 1;
    for (int kind = FM_CALL_YOUDEN; kind <= FM_CALL_SENSITIVITY; kind++) {
        fm_evaluation e, turned, back;
        fm_buf b;
        int differ = 0;

        plan.call = (fm_call_spec){(uint8_t)kind, 1.0};
        REQUIRE(fm_evaluate_local(&plan, x, &e, NULL) == 0);
        CHECK(e.threshold > 0 && e.threshold < 1);
        for (size_t i = 0; i < N; i++) {
            double p = e.prob[2 * i + 1], least = e.fold[e.test_fold[i]].threshold;

            CHECK(least > 0 && least < 1);
            CHECK_INT(e.called[i], p >= least);
            CHECK_INT(fm_evaluation_called(&e, 0, i), p >= least);
            differ += e.called[i] != (p > 0.5);
        }
        CHECK(kind != FM_CALL_SENSITIVITY || (differ > 0 && e.metrics[FM_METRIC_SENSITIVITY].value > 0.9));
        b = evaluation_bytes(&e);
        REQUIRE(fm_evaluation_decode(b.data, b.size, &back, NULL) == 0);
        CHECK(memcmp(back.called, e.called, N * sizeof *e.called) == 0);
        for (int i = 0; i < N; i++)     /* the tested rows of fold 0 change their labels */
            if (e.test_fold[i] == 0)
                plan.rows[i].label = 1 - plan.rows[i].label;
        REQUIRE(fm_evaluation_begin(&plan, &turned, NULL) == 0);
        memcpy(turned.test_fold, e.test_fold, N * sizeof *e.test_fold);
        memcpy(turned.fold, e.fold, e.folds * sizeof *e.fold);
        REQUIRE(turned.folds == e.folds);
        {
            double values[N * 2 + 2];

            REQUIRE(fm_evaluation_fold(&plan, &turned, x, 0, 0, values, NULL) == 0);
            CHECK_NEAR(values[fm_evaluation_values(&e, 0, 0) - 1], e.fold[0].threshold, 0);
        }
        for (int i = 0; i < N; i++)
            plan.rows[i].label = e.label[i];
        fm_evaluation_fini(&e);
        fm_evaluation_fini(&turned);
        fm_evaluation_fini(&back);
        fm_buf_fini(&b);
    }
    plan.call.sensitivity = 1.1;
    CHECK_INT(fm_plan_check(&plan, NULL), -EINVAL);
    plan.call.kind = 3;
    CHECK_INT(fm_plan_check(&plan, NULL), -EINVAL);
    plan.call.kind = FM_CALL_YOUDEN;
    plan.classes = 3;
    CHECK_INT(fm_plan_check(&plan, NULL), -EINVAL);
    fm_plan_fini(&plan);
}

static void plans_and_their_digest(void)
{
    static float x[N * D];
    fm_plan plan, back;
    fm_digest first, other;
    fm_buf a = FM_BUF_INIT, b = FM_BUF_INIT;

    study_make(&plan, x, 3);
    fm_plan_encode(&plan, &a);
    REQUIRE(fm_plan_decode(a.data, a.size, &back, NULL) == 0);
    fm_plan_encode(&back, &b);
    CHECK(same_bytes(&a, &b));
    CHECK_STR(back.store_dir, plan.store_dir);
    CHECK(fm_plan_digest(&plan, &first, NULL) == 0);
    snprintf(back.store_dir, sizeof back.store_dir, "/elsewhere");
    CHECK(fm_plan_digest(&back, &other, NULL) == 0 && fm_digest_equal(&first, &other));
    back.rows[N - 1].fold++;
    CHECK(fm_plan_digest(&back, &other, NULL) == 0 && !fm_digest_equal(&first, &other));
    back.rows[N - 1].fold--;
    back.prevalence = 0.3;
    CHECK(fm_plan_digest(&back, &other, NULL) == 0 && !fm_digest_equal(&first, &other));
    back.prevalence = 1;
    CHECK_INT(fm_plan_check(&back, NULL), -EINVAL);
    back.prevalence = NAN;
    CHECK_INT(fm_plan_check(&back, NULL), -EINVAL);
    back.prevalence = 0.2;
    back.top_k++;
    CHECK(fm_plan_digest(&back, &other, NULL) == 0 && !fm_digest_equal(&first, &other));
    back.top_k--;
    back.seed++;
    CHECK(fm_plan_digest(&back, &other, NULL) == 0 && !fm_digest_equal(&first, &other));
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    fm_plan_fini(&plan);
    fm_plan_fini(&back);
}

static void try_plan(const uint8_t *bytes, size_t n, bool must_fail)
{
    fm_plan plan;
    fm_buf b = FM_BUF_INIT;
    int rc = fm_plan_decode(bytes, n, &plan, NULL);

    CHECK(rc == 0 || rc == -EBADMSG);
    CHECK(!must_fail || rc != 0);
    if (rc != 0)
        return;
    fm_plan_encode(&plan, &b);
    CHECK(b.size == n && memcmp(b.data, bytes, n) == 0);
    fm_buf_fini(&b);
    fm_plan_fini(&plan);
}

static void try_evaluation(const uint8_t *bytes, size_t n, bool must_fail)
{
    fm_evaluation e;
    int rc = fm_evaluation_decode(bytes, n, &e, NULL);

    CHECK(rc == 0 || rc == -EBADMSG);
    CHECK(!must_fail || rc != 0);
    if (rc == 0)
        fm_evaluation_fini(&e);
}

static void hostile_plans(void)
{
    static float x[N * D];
    uint64_t seed = 51;
    fm_rng rng = fm_rng_init(seed, 0);
    fm_plan plan;
    fm_buf b = FM_BUF_INIT;

    printf("  seed %llu\n", (unsigned long long)seed);
    study_make(&plan, x, 3);
    fm_plan_encode(&plan, &b);
    for (size_t n = 0; n < b.size; n++)
        try_plan(b.data, n, true);
    for (int i = 0; i < 20000; i++) {
        size_t at = fm_rng_below(&rng, i % 2 ? (uint32_t)b.size : 200);
        uint8_t was = b.data[at];

        b.data[at] = i % 4 ? (uint8_t)fm_rng_u32(&rng) : 0xff;
        try_plan(b.data, b.size, false);
        b.data[at] = was;
    }
    fm_buf_fini(&b);
    fm_plan_fini(&plan);
}

/* Damage is found by the digest; bytes that are wrong under a right digest by their sizes and values. */
static void hostile_evaluations(void)
{
    static float x[N * D];
    uint64_t seed = 52;
    fm_rng rng = fm_rng_init(seed, 0);
    fm_plan plan;
    fm_evaluation e;
    fm_buf b;

    printf("  seed %llu\n", (unsigned long long)seed);
    study_make(&plan, x, 2);
    plan.bootstrap = 0;
    REQUIRE(fm_evaluate_local(&plan, x, &e, NULL) == 0);
    b = evaluation_bytes(&e);
    try_evaluation(b.data, b.size, false);
    for (size_t n = 0; n < b.size; n += 1 + n / 200)
        try_evaluation(b.data, n, true);
    for (int i = 0; i < 3000; i++) {
        size_t at = fm_rng_below(&rng, i % 2 ? (uint32_t)b.size - 32 : 120);
        uint8_t was = b.data[at], *end = b.data + b.size - FM_DIGEST_BYTES;
        fm_digest old, d;

        b.data[at] = i % 4 ? (uint8_t)(was + 1 + fm_rng_below(&rng, 255)) : was ^ 0x80;
        try_evaluation(b.data, b.size, true);
        fm_digest_of(b.data, b.size - FM_DIGEST_BYTES, &d);
        memcpy(old.b, end, FM_DIGEST_BYTES);
        memcpy(end, d.b, FM_DIGEST_BYTES);
        try_evaluation(b.data, b.size, at >= 72 && at < 92);   /* rows, classes, repeats, folds */
        memcpy(end, old.b, FM_DIGEST_BYTES);
        b.data[at] = was;
    }
    fm_buf_fini(&b);
    fm_evaluation_fini(&e);
    fm_plan_fini(&plan);
}

static void read_from_a_file(void)
{
    static float x[N * D];
    char path[FM_PATH_MAX];
    fm_plan plan;
    fm_evaluation e, back;
    fm_buf a, b;
    fm_err err = FM_ERR_INIT;

    study_make(&plan, x, 2);
    REQUIRE(fm_path_join(path, sizeof path, check_tmpdir(), "evaluation", NULL) == 0);
    CHECK_INT(fm_evaluation_read(path, &back, &err), -ENOENT);
    REQUIRE(fm_evaluate_local(&plan, x, &e, NULL) == 0);
    a = evaluation_bytes(&e);
    REQUIRE(fm_file_write(path, a.data, a.size, NULL) == 0);
    REQUIRE(fm_evaluation_read(path, &back, NULL) == 0);
    b = evaluation_bytes(&back);
    CHECK(same_bytes(&a, &b));
    REQUIRE(fm_file_write(path, a.data, a.size / 2, NULL) == 0);
    CHECK_INT(fm_evaluation_read(path, &back, &err), -EBADMSG);
    CHECK(strstr(err.text, path) != NULL);
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    fm_evaluation_fini(&e);
    fm_evaluation_fini(&back);
    fm_plan_fini(&plan);
}

CHECK_MAIN(CHECK_CASE(pieces_give_the_same_bytes), CHECK_CASE(what_an_evaluation_holds),
           CHECK_CASE(tested_labels_do_not_leak), CHECK_CASE(errors_leave_nothing), CHECK_CASE(thresholds_are_chosen_inside_folds), CHECK_CASE(plans_and_their_digest),
           CHECK_CASE(hostile_plans), CHECK_CASE(hostile_evaluations), CHECK_CASE(read_from_a_file))

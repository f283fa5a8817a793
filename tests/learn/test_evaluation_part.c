/* Folds trained by several jobs, each leaving its part as bytes: together they are the evaluation; damaged or foreign
 * ones are none. */
#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/evaluation.h"
#include "tests/check.h"

enum { N = 40, D = 3, FOLDS = 5, PARTS = 3 };

static float x[N * D];

static void plan_make(fm_plan *plan)
{
    fm_rng rng = fm_rng_init(11, 0);

    fm_plan_init(plan);
    plan->code_width = D;
    plan->bootstrap = 0;
    plan->head.kind = FM_HEAD_LOGISTIC;
    plan->folds.folds = FOLDS;
    plan->n = N;
    plan->rows = calloc(N, sizeof *plan->rows);
    for (uint32_t i = 0; i < N; i++) {
        plan->rows[i] = (fm_plan_row){.sample = i, .subject = i, .label = (int32_t)(i % 2), .fold = -1};
        fm_digest_of(&i, sizeof i, &plan->rows[i].code);
        for (int k = 0; k < D; k++)
            x[i * D + (uint32_t)k] = (float)(fm_rng_normal(&rng) + (k == 0 && i % 2));
    }
}

/* What the job of one part leaves. */
static fm_buf part_bytes(const fm_plan *plan, const fm_evaluation *e, size_t part)
{
    double values[2 * N + 2 * FOLDS], *at = values;
    fm_buf b = FM_BUF_INIT;

    for (size_t i = part; i < FOLDS; i += PARTS) {
        CHECK_INT(fm_evaluation_fold(plan, e, x, 0, (uint32_t)i, at, NULL), 0);
        at += fm_evaluation_values(e, 0, (uint32_t)i);
    }
    fm_evaluation_part_encode(e, part, PARTS, values, &b);
    return b;
}

static void parts_are_the_whole(void)
{
    fm_plan plan;
    fm_evaluation whole, e;
    fm_buf a = FM_BUF_INIT, b = FM_BUF_INIT;
    uint8_t placed[FOLDS] = {0};

    plan_make(&plan);
    CHECK_INT(fm_evaluate_local(&plan, x, &whole, NULL), 0);
    CHECK_INT(fm_evaluation_begin(&plan, &e, NULL), 0);
    for (size_t part = PARTS; part-- > 0;) {
        fm_buf bytes = part_bytes(&plan, &e, part);

        CHECK_INT(fm_evaluation_part_place(bytes.data, bytes.size, &e, placed, NULL), 0);
        fm_buf_fini(&bytes);
    }
    for (int i = 0; i < FOLDS; i++)
        CHECK(placed[i]);
    CHECK_INT(fm_evaluation_head(&plan, x, &e, NULL), 0);
    CHECK_INT(fm_evaluation_finish(&e, NULL, NULL), 0);
    fm_evaluation_encode(&whole, &a);
    fm_evaluation_encode(&e, &b);
    CHECK(a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    fm_evaluation_fini(&whole);
    fm_evaluation_fini(&e);
    fm_plan_fini(&plan);
}

static void what_is_damaged_or_foreign_is_refused(void)
{
    fm_plan plan;
    fm_evaluation e;
    fm_buf bytes;
    uint8_t placed[FOLDS] = {0};

    plan_make(&plan);
    CHECK_INT(fm_evaluation_begin(&plan, &e, NULL), 0);
    bytes = part_bytes(&plan, &e, 1);
    for (size_t n = 0; n < bytes.size; n++)
        if (fm_evaluation_part_place(bytes.data, n, &e, placed, NULL) != -EBADMSG)
            check_failed(__FILE__, __LINE__, "%zu of %zu bytes were taken", n, bytes.size);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 1;
        if (fm_evaluation_part_place(bytes.data, bytes.size, &e, placed, NULL) != -EBADMSG)
            check_failed(__FILE__, __LINE__, "a wrong byte %zu was taken", i);
        bytes.data[i] ^= 1;
    }
    CHECK_INT(placed[1], 0);
    e.plan.b[0] ^= 1;
    CHECK_INT(fm_evaluation_part_place(bytes.data, bytes.size, &e, placed, NULL), -EBADMSG);
    fm_buf_fini(&bytes);
    fm_evaluation_fini(&e);
    fm_plan_fini(&plan);
}

CHECK_MAIN(CHECK_CASE(parts_are_the_whole), CHECK_CASE(what_is_damaged_or_foreign_is_refused))

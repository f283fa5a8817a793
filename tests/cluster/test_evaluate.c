/* The collective evaluation gives fm_evaluate_local()'s bytes on any number of ranks. */
#include "tests/cluster/ranks.h"

#include <errno.h>

#include "base/file.h"
#include "base/rng.h"
#include "cluster/evaluate.h"
#include "coordinator/learn/evaluation.h"
#include "storage/segment.h"
#include "storage/store.h"
#include "worker/net/encoder.h"

#define FACES 2             /* a record: two faces, the second takes part */
#define PHOTOS 90

static char store_dir[FM_PATH_MAX], plan_path[FM_PATH_MAX], out_path[FM_PATH_MAX];

static void make_code(uint32_t i, float *code)
{
    fm_rng r = fm_rng_init(3, i);

    for (int k = 0; k < FACES * FM_ENCODER_WIDTH; k++)
        code[k] = (float)fm_rng_normal(&r) + (k % 7 == 0 && i % 2 ? 0.6f : 0);
}

static fm_digest key_of(uint32_t i)
{
    fm_digest d;

    fm_digest_of(&i, sizeof i, &d);
    return d;
}

/* One segment of CODE records, known to the catalog. */
static bool make_store(uint32_t photos)
{
    static fm_catalog_ack_item items[PHOTOS];
    static char paths[PHOTOS][16];
    float code[FACES * FM_ENCODER_WIDTH];
    fm_segment_writer *w = NULL;
    fm_catalog *c = NULL;
    uint64_t epoch;
    uint32_t number;
    bool ok;

    ok = CHECK(fm_catalog_open(store_dir, true, &c, NULL) == 0) && CHECK(fm_catalog_take(c, &epoch, NULL) == 0) &&
         CHECK(fm_catalog_add_segment(c, "one", &number, NULL) == 0) &&
         CHECK(fm_segment_create(check_tmpdir(), "one", 0, &w, NULL) == 0);
    for (uint32_t i = 0; ok && i < photos; i++) {
        fm_digest key = key_of(i);
        fm_buf payload = FM_BUF_INIT;

        make_code(i, code);
        fm_code_encode(FACES, FM_ENCODER_WIDTH, code, &payload);
        ok = CHECK(fm_segment_put(w, FM_RECORD_CODE, &key, payload.data, payload.size, NULL) == 0);
        fm_buf_fini(&payload);
        snprintf(paths[i], sizeof paths[i], "/%u", i);
        items[i] = (fm_catalog_ack_item){.path = paths[i], .code_key = key, .code_here = true};
    }
    ok = ok && CHECK(fm_segment_seal(w, store_dir, NULL) == 0) &&
         CHECK(fm_catalog_ack(c, epoch, number, items, photos, NULL) == 0) &&
         CHECK(fm_catalog_segment_sealed(c, number, photos, NULL) == 0);
    fm_catalog_close(c);
    return ok;
}

/* The plan, and its codes as fm_evaluate_local() takes them. */
static float *make_plan(fm_plan *plan)
{
    float *x, code[FACES * FM_ENCODER_WIDTH];

    fm_plan_init(plan);
    snprintf(plan->store_dir, sizeof plan->store_dir, "%s", store_dir);
    plan->bootstrap = 50;
    plan->folds.repeats = 2;
    plan->seed = 11;
    plan->n = PHOTOS;
    plan->rows = calloc(PHOTOS, sizeof *plan->rows);
    x = calloc(PHOTOS * plan->code_width, sizeof *x);
    for (uint32_t i = 0; i < PHOTOS; i++) {
        plan->rows[i] = (fm_plan_row){key_of(i), 1, 100 + i, i / 3, (int32_t)(i % 2), -1};
        make_code(i, code);
        memcpy(x + i * plan->code_width, code + FM_ENCODER_WIDTH + plan->code_offset, plan->code_width * sizeof *x);
    }
    return x;
}

static bool places(void)
{
    snprintf(store_dir, sizeof store_dir, "%s/store", check_tmpdir());
    snprintf(plan_path, sizeof plan_path, "%s/plan", check_tmpdir());
    snprintf(out_path, sizeof out_path, "%s/out", check_tmpdir());
    setenv("TEST_PLAN", plan_path, 1);      /* for the ranks */
    setenv("TEST_OUT", out_path, 1);
    return true;
}

static bool write_plan(const fm_plan *plan)
{
    fm_buf b = FM_BUF_INIT;
    bool ok;

    fm_plan_encode(plan, &b);
    ok = CHECK(!b.failed) && CHECK(fm_file_write(plan_path, b.data, b.size, NULL) == 0);
    fm_buf_fini(&b);
    return ok;
}

static void succeeds(void)
{
    CHECK_INT(fm_evaluate_main(getenv("TEST_PLAN"), getenv("TEST_OUT"), getenv("TEST_FOLDS")), 0);
}

static void is_unusable(void)
{
    CHECK_INT(fm_evaluate_main(getenv("TEST_PLAN"), getenv("TEST_OUT"), getenv("TEST_FOLDS")), 3);
}

static void fails(void)
{
    CHECK_INT(fm_evaluate_main(getenv("TEST_PLAN"), getenv("TEST_OUT"), getenv("TEST_FOLDS")), 4);
}

/* What fm_evaluate_local() gives must be what any of these numbers of ranks gives. */
static void same_bytes_on(const fm_plan *plan, const float *x, int first, int last)
{
    fm_buf want = FM_BUF_INIT;
    fm_evaluation e;

    REQUIRE(write_plan(plan));
    REQUIRE(fm_evaluate_local(plan, x, &e, NULL) == 0);
    fm_evaluation_encode(&e, &want);
    for (int n = first; n <= last; n++) {
        fm_buf got = FM_BUF_INIT;

        ranks_run(n, "succeeds");
        CHECK(fm_file_read(out_path, 1u << 28, &got, NULL) == 0);
        CHECK(got.size == want.size && memcmp(got.data, want.data, got.size) == 0);
        fm_buf_fini(&got);
        remove(out_path);
    }
    fm_evaluation_fini(&e);
    fm_buf_fini(&want);
}

/* Each kind of head, with inner folds that choose; ten folds, so that some heads are trained whole and of
 * others the parts are shared. */
static void ranks_do_not_change_a_byte(void)
{
    REQUIRE(places() && make_store(PHOTOS));
    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        fm_plan plan;
        float *x = make_plan(&plan);

        plan.head.kind = (uint8_t)kind;
        plan.call.kind = kind == FM_HEAD_SVM ? FM_CALL_YOUDEN : FM_CALL_LARGER;
        plan.head.n_choices = 2;
        plan.head.choice[0] = 1;
        plan.head.choice[1] = 3;
        same_bytes_on(&plan, x, kind == FM_HEAD_FC ? 1 : 3, 4);
        fm_plan_fini(&plan);
        free(x);
    }
}

/* Two heads, the fold's and the final one: what ranks share are inner folds and values of C. */
static void a_holdout_is_shared_out(void)
{
    REQUIRE(places() && make_store(PHOTOS));
    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        fm_plan plan;
        float *x = make_plan(&plan);

        plan.folds = (fm_folds_spec){.kind = FM_FOLDS_HOLDOUT, .folds = 1, .repeats = 1, .test_fraction = 0.5};
        plan.head.kind = (uint8_t)kind;
        plan.call.kind = kind == FM_HEAD_FC ? FM_CALL_YOUDEN : FM_CALL_LARGER;
        plan.head.n_choices = kind == FM_HEAD_FC ? 0 : 5;
        for (int i = 0; i < 5; i++)
            plan.head.choice[i] = 0.01 * (1 << 2 * i);
        for (uint32_t i = 0; kind == FM_HEAD_SVM && i < plan.n; i++)
            plan.rows[i].label = (int32_t)(i % 3);
        plan.classes = kind == FM_HEAD_SVM ? 3 : 2;
        same_bytes_on(&plan, x, kind == FM_HEAD_LOGISTIC ? 2 : 4, kind == FM_HEAD_LOGISTIC ? 3 : 4);
        fm_plan_fini(&plan);
        free(x);
    }
}

/* One fold, the final head, no parts, no resamples: two ranks have nothing to do. */
static void more_ranks_than_pieces(void)
{
    fm_plan plan;
    float *x;

    REQUIRE(places() && make_store(PHOTOS));
    x = make_plan(&plan);
    plan.folds = (fm_folds_spec){.kind = FM_FOLDS_HOLDOUT, .folds = 1, .repeats = 1, .test_fraction = 0.5};
    plan.bootstrap = 0;
    plan.n = 6;
    for (uint32_t i = 0; i < plan.n; i++)
        plan.rows[i].subject = i;
    same_bytes_on(&plan, x, 4, 4);
    fm_plan_fini(&plan);
    free(x);
}

/* Whatever is wrong, on whichever rank, all end and nothing is written. */
static void what_cannot_be_used_ends_all_ranks(void)
{
    fm_plan plan;
    float *x;

    REQUIRE(places());
    ranks_run(2, "is_unusable");                /* no plan */
    x = make_plan(&plan);
    REQUIRE(write_plan(&plan));
    ranks_run(2, "is_unusable");                /* no store */
    REQUIRE(make_store(PHOTOS - 1));
    ranks_run(3, "is_unusable");                /* the last rank's last record is missing */
    plan.rows[5].face = FACES;
    plan.n--;
    REQUIRE(write_plan(&plan));
    ranks_run(3, "is_unusable");                /* no such face */
    plan.rows[5].face = 0;
    REQUIRE(write_plan(&plan));
    setenv("TEST_OUT", "/nowhere/out", 1);
    ranks_run(2, "fails");
    CHECK(!fm_path_exists(out_path));
    fm_plan_fini(&plan);
    free(x);
}

int main(int argc, char **argv)
{
    static const rank_case ranks[] = {RANK_CASE(succeeds), RANK_CASE(is_unusable), RANK_CASE(fails)};
    static const check_case cases[] = {CHECK_CASE(ranks_do_not_change_a_byte), CHECK_CASE(a_holdout_is_shared_out),
                                       CHECK_CASE(more_ranks_than_pieces), CHECK_CASE(what_cannot_be_used_ends_all_ranks)};
    int status = ranks_main(argc, argv, ranks, sizeof ranks / sizeof *ranks);

    return status >= 0 ? status : check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}

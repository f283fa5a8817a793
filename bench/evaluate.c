/* Wall time of the MPI stage `evaluate` at the size of a published study: bench/evaluate FACEMILL [RANKS [WAY]].
 * Codes are generated, correlated as real ones are; store, plan, launcher and stage
 * are those of a study.  By default each way runs on one rank and on two. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/rng.h"
#include "cluster/launch.h"
#include "coordinator/learn/evaluation.h"
#include "storage/segment.h"
#include "storage/store.h"
#include "worker/net/encoder.h"

enum { FACES = 16248, LATENT = 48, BATCH = 512 };

typedef struct {
    const char *name;
    uint8_t head, split;
    uint32_t folds, repeats, values;
} way;

static const way ways[] = {
    {"logistic, 10 x 10 folds, 7 values of C", FM_HEAD_LOGISTIC, FM_FOLDS_KFOLD, 10, 10, 7},
    {"svm, 10 x 10 folds, 7 values of C", FM_HEAD_SVM, FM_FOLDS_KFOLD, 10, 10, 7},
    {"logistic, hold-out, 7 values of C", FM_HEAD_LOGISTIC, FM_FOLDS_HOLDOUT, 1, 1, 7},
    {"svm, hold-out, 7 values of C", FM_HEAD_SVM, FM_FOLDS_HOLDOUT, 1, 1, 7},
    {"fc, hold-out, 5 numbers of epochs", FM_HEAD_FC, FM_FOLDS_HOLDOUT, 1, 1, 5},
};

static void check(int rc, const fm_err *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "bench: %s\n", err->text);
    exit(1);
}

static fm_digest key_of(uint32_t i)
{
    fm_digest d;

    fm_digest_of(&i, sizeof i, &d);
    return d;
}

/* Few causes behind many columns, some of them shifted in class 1. */
static void make_code(const float *mix, uint32_t i, float *code)
{
    fm_rng r = fm_rng_init(3, i);
    double cause[LATENT];

    for (int k = 0; k < LATENT; k++)
        cause[k] = (fm_rng_normal(&r) + (i % 2 && k % 6 == 0 ? 0.4 : 0)) / (1 + k / 8);
    for (int c = 0; c < FM_ENCODER_WIDTH; c++) {
        double v = 0.2 * fm_rng_normal(&r);

        for (int k = 0; k < LATENT; k++)
            v += cause[k] * (double)mix[c * LATENT + k];
        code[c] = (float)v;
    }
}

static void make_store(const char *root, const char *store_dir)
{
    static fm_catalog_ack_item items[BATCH];
    static char paths[BATCH][16];
    static float mix[FM_ENCODER_WIDTH * LATENT];
    float code[FM_ENCODER_WIDTH];
    fm_rng r = fm_rng_init(1, 0);
    fm_segment_writer *w;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;
    uint64_t epoch;
    uint32_t number;

    for (size_t i = 0; i < sizeof mix / sizeof *mix; i++)
        mix[i] = (float)fm_rng_normal(&r);
    check(fm_catalog_open(store_dir, true, &c, &err), &err);
    check(fm_catalog_take(c, &epoch, &err), &err);
    check(fm_catalog_add_segment(c, "one", &number, &err), &err);
    check(fm_segment_create(root, "one", 0, &w, &err), &err);
    for (uint32_t i = 0; i < FACES; i++) {
        fm_digest key = key_of(i);
        fm_buf payload = FM_BUF_INIT;
        size_t at = i % BATCH;

        make_code(mix, i, code);
        fm_code_encode(1, FM_ENCODER_WIDTH, code, &payload);
        check(fm_segment_put(w, FM_RECORD_CODE, &key, payload.data, payload.size, &err), &err);
        fm_buf_fini(&payload);
        snprintf(paths[at], sizeof paths[at], "/%u", i);
        items[at] = (fm_catalog_ack_item){.path = paths[at], .code_key = key, .code_here = true};
        if (at == BATCH - 1 || i == FACES - 1)
            check(fm_catalog_ack(c, epoch, number, items, at + 1, &err), &err);
    }
    check(fm_segment_seal(w, store_dir, &err), &err);
    check(fm_catalog_segment_sealed(c, number, FACES, &err), &err);
    fm_catalog_close(c);
}

static void write_plan(const char *path, const char *store_dir, const way *w)
{
    static const double C[] = {1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100}, epochs[] = {1, 2, 3, 4, 5};
    fm_buf bytes = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    fm_plan plan;

    fm_plan_init(&plan);
    snprintf(plan.store_dir, sizeof plan.store_dir, "%s", store_dir);
    plan.head.kind = w->head;
    plan.head.n_choices = w->values;
    memcpy(plan.head.choice, w->head == FM_HEAD_FC ? epochs : C, w->values * sizeof *C);
    plan.folds = (fm_folds_spec){.kind = w->split, .folds = w->folds, .repeats = w->repeats, .test_fraction = 0.5};
    plan.n = FACES;
    if (!(plan.rows = calloc(FACES, sizeof *plan.rows)))
        exit(1);
    for (uint32_t i = 0; i < FACES; i++)
        plan.rows[i] = (fm_plan_row){key_of(i), 0, i, i, (int32_t)(i % 2), -1};
    fm_plan_encode(&plan, &bytes);
    check(fm_file_write(path, bytes.data, bytes.size, &err), &err);
    fm_buf_fini(&bytes);
    fm_plan_fini(&plan);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run(const char *facemill, const char *plan, const char *out, const way *w, uint32_t ranks)
{
    const fm_launch_spec spec = {facemill, NULL, 1, ranks};
    const char *const words[] = {"evaluate", plan, out};
    fm_launcher *l;
    fm_evaluation e;
    fm_err err = FM_ERR_INIT;
    double start;

    check(fm_launcher_create(&spec, &l, &err), &err);
    start = now();
    check(fm_launcher_stage(l, words, 3, NULL, &err), &err);
    start = now() - start;
    check(fm_evaluation_read(out, &e, &err), &err);
    printf("%-42s %u rank%s %7.2f s   AUC %.4f\n", w->name, ranks, ranks == 1 ? " " : "s", start,
           e.metrics[FM_METRIC_AUC].value);
    fflush(stdout);
    fm_evaluation_fini(&e);
    fm_launcher_destroy(l);
}

int main(int argc, char **argv)
{
    uint32_t ranks = argc > 2 ? (uint32_t)atol(argv[2]) : 0;
    char root[] = "/tmp/facemill-bench.XXXXXX", store_dir[FM_PATH_MAX], plan[FM_PATH_MAX], out[FM_PATH_MAX];
    char program[FM_PATH_MAX];

    fm_log_set_level(FM_LOG_ERROR);
    if (argc < 2 || !realpath(argv[1], program) || !mkdtemp(root)) {
        fprintf(stderr, "usage: evaluate FACEMILL [RANKS [WAY]]\n");
        return 2;
    }
    snprintf(store_dir, sizeof store_dir, "%s/store", root);
    snprintf(plan, sizeof plan, "%s/plan", root);
    snprintf(out, sizeof out, "%s/out", root);
    make_store(root, store_dir);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (argc > 3 && !strstr(ways[i].name, argv[3]))
            continue;
        write_plan(plan, store_dir, &ways[i]);
        for (uint32_t n = ranks ? ranks : 1; n <= (ranks ? ranks : 2); n++)
            run(program, plan, out, &ways[i], n);
    }
    return fm_dir_remove(root, NULL) != 0;
}

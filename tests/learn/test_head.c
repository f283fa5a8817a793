#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/head.h"
#include "tests/check.h"

enum { N = 150, D = 12, STRIDE = 20, GROUPED = 99 };

/* Rows whose classes lie apart in the first columns; column 5 is constant. */
typedef struct {
    float x[N * STRIDE];
    int32_t label[N];
    fm_codes codes;
} rows;

static void rows_make(rows *r, int classes, double apart, uint64_t seed)
{
    fm_rng rng = fm_rng_init(seed, 0);

    for (int i = 0; i < N; i++) {
        r->label[i] = i % classes;
        for (int k = 0; k < STRIDE; k++)
            r->x[i * STRIDE + k] = (float)(fm_rng_normal(&rng) * (1 + k) + (k == r->label[i] ? apart * (1 + k) : 0));
        r->x[i * STRIDE + 5] = 0.1f;
    }
    r->codes = (fm_codes){r->x, STRIDE, D, NULL, N};
}

static fm_head_spec spec_of(int kind)
{
    fm_head_spec spec;

    fm_head_spec_default(&spec);
    spec.kind = (uint8_t)kind;
    spec.epochs = 20;       /* of 15 batches */
    return spec;
}

static fm_head *trained(int kind, const rows *r, int classes, uint64_t stream)
{
    fm_head_spec spec = spec_of(kind);
    fm_head *head = NULL;
    fm_err err = FM_ERR_INIT;

    if (fm_head_train(&spec, &(fm_training){r->codes, r->label, NULL, classes}, 1, stream, NULL, &head, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    return head;
}

static fm_buf bytes_of(const fm_head *head)
{
    fm_buf b = FM_BUF_INIT;

    fm_head_encode(head, &b);
    return b;
}

static bool same_bytes(const fm_head *a, const fm_head *b)
{
    fm_buf x = bytes_of(a), y = bytes_of(b);
    bool same = !x.failed && x.size > 0 && x.size == y.size && memcmp(x.data, y.data, x.size) == 0;

    fm_buf_fini(&x);
    fm_buf_fini(&y);
    return same;
}

static void learns_what_is_there(void)
{
    static rows r, other;
    static double prob[N * 4];

    for (int classes = 2; classes <= 4; classes++)
        for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
            fm_head *head;
            int right = 0;

            rows_make(&r, classes, 4.0, 1);
            rows_make(&other, classes, 4.0, 2);
            REQUIRE((head = trained(kind, &r, classes, 0)) != NULL);
            CHECK(fm_head_width(head) == D && fm_head_classes(head) == classes && fm_head_spec_of(head)->kind == kind);
            REQUIRE(fm_head_score(head, &other.codes, prob, NULL) == 0);
            for (int i = 0; i < N; i++) {
                double sum = 0, most = 0;

                for (int c = 0; c < classes; c++) {
                    sum += prob[i * classes + c];
                    most = fmax(most, prob[i * classes + c]);
                }
                CHECK_NEAR(sum, 1.0, 1e-12);
                right += prob[i * classes + r.label[i]] == most;
            }
            if (right < N * 8 / 10)
                check_failed(__FILE__, __LINE__, "%s, %d classes: %d of %d right", fm_head_kind_name(kind), classes,
                             right, N);
            fm_head_destroy(head);
        }
}

/* At the optimum the objective's slope is 0:  w + C * sum of (p - y) x  =  0. */
static void logistic_is_at_its_optimum(void)
{
    static rows r;
    static double prob[N * 2], z[N * (D + 1)];
    fm_head_spec spec = spec_of(FM_HEAD_LOGISTIC);
    fm_head *head;
    fm_buf b;
    fm_reader in;
    double w[D + 1], first = 0;

    spec.C = 0.3;
    rows_make(&r, 2, 1.0, 3);
    REQUIRE(fm_head_train(&spec, &(fm_training){r.codes, r.label, NULL, 2}, 0, 0, NULL, &head, NULL) == 0);
    REQUIRE(fm_head_score(head, &r.codes, prob, NULL) == 0);
    b = bytes_of(head);
    in = fm_reader_init(b.data + b.size - (D + 1) * 8 - D * 16, (D + 1) * 8 + D * 16);
    for (int k = 0; k < D; k++) {
        double mean = fm_reader_f64(&in), scale = fm_reader_f64(&in);

        for (int i = 0; i < N; i++)
            z[i * (D + 1) + k] = ((double)r.x[i * STRIDE + k] - mean) * scale;
    }
    for (int k = 0; k <= D; k++) {
        double slope = w[k] = fm_reader_f64(&in), start = 0;

        for (int i = 0; i < N; i++) {
            double x = k == D ? 1.0 : z[i * (D + 1) + k];

            slope += spec.C * (prob[2 * i + 1] - r.label[i]) * x;
            start += spec.C * (0.5 - r.label[i]) * x;
        }
        first = fmax(first, fabs(start));
        CHECK_NEAR(slope, 0.0, 1e-3);
    }
    CHECK(first > 5);       /* it was not flat at the start */
    CHECK_NEAR(w[5], 0.0, 0);
    fm_buf_fini(&b);
    fm_head_destroy(head);
}

static void a_row_is_scored_alone(void)
{
    static rows r;
    static double all[N * 3], one[3];

    rows_make(&r, 3, 1.0, 4);
    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        fm_head *head = trained(kind, &r, 3, 0);

        REQUIRE(head != NULL && fm_head_score(head, &r.codes, all, NULL) == 0);
        for (uint32_t i = 0; i < N; i++) {
            fm_codes alone = {r.x, STRIDE, D, &i, 1};

            CHECK(fm_head_score(head, &alone, one, NULL) == 0 && memcmp(one, all + 3 * i, sizeof one) == 0);
        }
        fm_head_destroy(head);
    }
}

typedef struct {
    int kind;
    uint64_t stream;
    const rows *r;
    fm_head *head;
} job;

static void *train_job(void *arg)
{
    job *j = arg;

    j->head = trained(j->kind, j->r, 3, j->stream);
    return NULL;
}

/* The same bytes whatever was trained before, beside it, from a copy laid out otherwise, or drawn from rand(). */
static void training_is_pure(void)
{
    enum { JOBS = 8 };
    static rows r;
    static float packed[N * D + 1];
    static uint32_t backwards[N];
    job jobs[JOBS];
    pthread_t thread[JOBS];

    rows_make(&r, 3, 1.0, 5);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (job){i % 2 ? FM_HEAD_LOGISTIC : FM_HEAD_FC, (uint64_t)i / 4, &r, NULL};
        REQUIRE(pthread_create(&thread[i], NULL, train_job, &jobs[i]) == 0);
    }
    for (int i = 0; i < JOBS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < N; i++) {
        backwards[i] = (uint32_t)(N - 1 - i);
        memcpy(packed + 1 + (N - 1 - i) * D, r.x + i * STRIDE, D * sizeof(float));
    }
    for (int i = JOBS - 1; i >= 0; i--) {
        fm_head_spec spec = spec_of(jobs[i].kind);
        fm_codes copy = {packed + 1, D, D, backwards, N};
        fm_head *again;

        srand((unsigned)i + 99);
        REQUIRE(jobs[i].head != NULL);
        REQUIRE(fm_head_train(&spec, &(fm_training){copy, r.label, NULL, 3}, 1, jobs[i].stream, NULL, &again, NULL) == 0);
        CHECK(same_bytes(jobs[i].head, again));
        fm_head_destroy(again);
    }
    CHECK(same_bytes(jobs[0].head, jobs[2].head));
    CHECK(!same_bytes(jobs[0].head, jobs[4].head));     /* another stream */
    for (int i = 0; i < JOBS; i++)
        fm_head_destroy(jobs[i].head);
}

/* The defaults but for what a case says. */
static void what_cannot_be_trained_says_why(void)
{
#define DEFAULTS .hidden = 64, .batch = 10, .epochs = 5, .dropout = 0.25, .l2 = 1e-3, .learning_rate = 1e-3, .C = 1
    static const struct {
        const char *what;
        int rc;
        fm_head_spec spec;
        int classes;
        int32_t first_label;
        float first_value;
    } cases[] = {
        {"kind 9", -EINVAL, {DEFAULTS, .kind = 9}, 2, 0, 0},
        {"class weight 2", -EINVAL, {DEFAULTS, .class_weight = 2}, 2, 0, 0},
        {"0 hidden", -EINVAL, {.batch = 10, .epochs = 5, .learning_rate = 1, .C = 1}, 2, 0, 0},
        {"65537 hidden", -EINVAL, {.hidden = 65537, .batch = 10, .epochs = 5, .learning_rate = 1, .C = 1}, 2, 0, 0},
        {"batches of 0", -EINVAL, {.hidden = 64, .epochs = 5, .learning_rate = 1, .C = 1}, 2, 0, 0},
        {"0 epochs", -EINVAL, {.hidden = 64, .batch = 10, .learning_rate = 1, .C = 1}, 2, 0, 0},
        {"dropout 1", -EINVAL, {.hidden = 64, .batch = 10, .epochs = 5, .dropout = 1, .C = 1}, 2, 0, 0},
        {"l2 -1", -EINVAL, {.hidden = 64, .batch = 10, .epochs = 5, .l2 = -1, .C = 1}, 2, 0, 0},
        {"learning rate 0", -EINVAL, {.hidden = 64, .batch = 10, .epochs = 5, .C = 1}, 2, 0, 0},
        {"learning rate nan", -EINVAL, {.hidden = 64, .batch = 10, .epochs = 5, .learning_rate = NAN}, 2, 0, 0},
        {"C inf", -EINVAL, {.hidden = 64, .batch = 10, .epochs = 5, .learning_rate = 1, .C = INFINITY}, 2, 0, 0},
        {"33 values", -EINVAL, {DEFAULTS, .n_choices = 33}, 2, 0, 0},
        {"value 0 to choose from is 0", -EINVAL, {DEFAULTS, .kind = 1, .n_choices = 1}, 2, 0, 0},
        {"rising", -EINVAL, {DEFAULTS, .kind = 1, .n_choices = 2, .choice = {1, 1}}, 2, 0, 0},
        {"1.5 epochs", -EINVAL, {DEFAULTS, .n_choices = 1, .choice = {1.5}}, 2, 0, 0},
        {"1 classes", -EINVAL, {DEFAULTS}, 1, 0, 0},
        {"label 2", -EINVAL, {DEFAULTS}, 2, 2, 0},
        {"label -1", -EINVAL, {DEFAULTS}, 2, -1, 0},
        {"is of class 2", -EINVAL, {DEFAULTS}, 3, 0, 0},
        {"column 0", -EDOM, {DEFAULTS}, 2, 0, NAN},
        {"column 0", -EDOM, {DEFAULTS, .kind = 1}, 2, 0, INFINITY},
        {"smaller learning rate", -EDOM, {.hidden = 64, .batch = 10, .epochs = 5, .learning_rate = 1e30, .C = 1}, 2, 0, 0},
        {"inner folds", -EINVAL, {DEFAULTS, .kind = 1, .n_choices = 2, .choice = {1, 2}}, 2, GROUPED, 0},
        {"1 groups", -EINVAL, {DEFAULTS, .kind = 2}, 2, GROUPED, 0},
    };
#undef DEFAULTS
    static rows r;
    static uint32_t one_a_class[N];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_err err = FM_ERR_INIT;
        fm_head *head = NULL;
        bool grouped = cases[i].first_label == GROUPED;

        rows_make(&r, 2, 1.0, 6);
        for (int k = 0; k < N; k++)
            one_a_class[k] = (uint32_t)r.label[k];
        r.label[0] = grouped ? 0 : cases[i].first_label;
        r.x[0] = cases[i].first_value;
        CHECK_INT(fm_head_train(&cases[i].spec, &(fm_training){r.codes, r.label, grouped ? one_a_class : NULL,
                  cases[i].classes}, 0, 0, NULL, &head, &err), cases[i].rc);
        if (head || !strstr(err.text, cases[i].what))
            check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, cases[i].what);
    }
}

static void what_cannot_be_scored_says_why(void)
{
    static rows r;
    static double prob[N * 2];
    fm_head *head;
    fm_codes narrow;

    rows_make(&r, 2, 1.0, 7);
    REQUIRE((head = trained(FM_HEAD_FC, &r, 2, 0)) != NULL);
    narrow = r.codes;
    narrow.d = D - 1;
    CHECK_INT(fm_head_score(head, &narrow, prob, NULL), -EINVAL);
    r.x[3 * STRIDE + 5] = 1e30f;        /* constant in training: says nothing */
    CHECK_INT(fm_head_score(head, &r.codes, prob, NULL), 0);
    r.x[3 * STRIDE + 5] = NAN;
    CHECK_INT(fm_head_score(head, &r.codes, prob, NULL), -EDOM);
    r.x[3 * STRIDE + 5] = 0;
    r.x[3 * STRIDE] = -INFINITY;
    CHECK_INT(fm_head_score(head, &r.codes, prob, NULL), -EDOM);
    fm_head_destroy(head);
}

static void bytes_and_back(void)
{
    static rows r;
    static double a[N * 3], b[N * 3];

    rows_make(&r, 3, 1.0, 8);
    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        fm_head *head = trained(kind, &r, 3, 0), *back = NULL;
        fm_buf bytes;

        REQUIRE(head != NULL);
        bytes = bytes_of(head);
        REQUIRE(fm_head_decode(bytes.data, bytes.size, &back, NULL) == 0);
        CHECK(same_bytes(head, back));
        CHECK(fm_head_score(head, &r.codes, a, NULL) == 0 && fm_head_score(back, &r.codes, b, NULL) == 0);
        CHECK(memcmp(a, b, sizeof a) == 0);
        fm_buf_fini(&bytes);
        fm_head_destroy(head);
        fm_head_destroy(back);
    }
}

/* What decodes is a head that encodes to the same bytes and can score; all else is an error. */
static void try_bytes(const uint8_t *bytes, size_t n, bool must_fail)
{
    fm_head *head = NULL;
    fm_buf b;
    int rc = fm_head_decode(bytes, n, &head, NULL);

    CHECK(rc == 0 || (rc == -EBADMSG && !head));
    CHECK(!must_fail || rc != 0);
    if (rc != 0)
        return;
    b = bytes_of(head);
    CHECK(b.size == n && memcmp(b.data, bytes, n) == 0);
    fm_buf_fini(&b);
    fm_head_destroy(head);
}

static void hostile_bytes(void)
{
    static rows r;
    uint64_t seed = 41;
    fm_rng rng = fm_rng_init(seed, 0);

    printf("  seed %llu\n", (unsigned long long)seed);
    rows_make(&r, 3, 1.0, 9);
    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        fm_head *head = trained(kind, &r, 3, 0);
        fm_buf b;

        REQUIRE(head != NULL);
        b = bytes_of(head);
        fm_head_destroy(head);
        for (size_t n = 0; n < b.size; n++)
            try_bytes(b.data, n, true);
        for (int i = 0; i < 4000; i++) {
            size_t at = fm_rng_below(&rng, i % 2 ? (uint32_t)b.size : 64);
            uint8_t was = b.data[at];

            b.data[at] = i % 4 ? (uint8_t)fm_rng_u32(&rng) : 0xff;
            try_bytes(b.data, b.size, false);
            b.data[at] = was;
        }
        fm_buf_fini(&b);
    }
}

CHECK_MAIN(CHECK_CASE(learns_what_is_there), CHECK_CASE(logistic_is_at_its_optimum),
           CHECK_CASE(a_row_is_scored_alone), CHECK_CASE(training_is_pure),
           CHECK_CASE(what_cannot_be_trained_says_why), CHECK_CASE(what_cannot_be_scored_says_why),
           CHECK_CASE(bytes_and_back), CHECK_CASE(hostile_bytes))

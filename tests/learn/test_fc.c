/* The FC network's steps against slow arithmetic in double. */
#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/fc.h"
#include "tests/check.h"

enum { D = 7, HIDDEN = 5, CLASSES = 3, ROWS = 6, PARAMS = D * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES };

static void fill(float *v, size_t n, double scale, fm_rng *rng)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(scale * fm_rng_normal(rng));
}

static void random_batch(fm_fc *net, fm_fc_batch *b, fm_rng *rng)
{
    fill(net->param, net->n, 0.7, rng);
    fill(b->x, ROWS * D, 1.0, rng);
    for (int i = 0; i < ROWS; i++)
        b->label[i] = (int32_t)fm_rng_below(rng, CLASSES);
    for (int i = 0; i < ROWS * HIDDEN; i++)
        b->keep[i] = fm_rng_uniform(rng) < 0.25 ? 0.0f : (float)(1 / 0.75);
}

static const float weights[CLASSES] = {2.0f, 0.5f, 1.0f};

/* Mean weighted cross-entropy by the book. */
static double loss_of(const double *p, const fm_fc_batch *b)
{
    const double *b1 = p + D * HIDDEN, *w2 = b1 + HIDDEN, *b2 = w2 + HIDDEN * CLASSES;
    double loss = 0;

    for (int i = 0; i < ROWS; i++) {
        double hidden[HIDDEN], logit[CLASSES], sum = 0;

        for (int j = 0; j < HIDDEN; j++) {
            hidden[j] = b1[j];
            for (int k = 0; k < D; k++)
                hidden[j] += (double)b->x[i * D + k] * p[k * HIDDEN + j];
            hidden[j] = fmax(hidden[j], 0) * (double)b->keep[i * HIDDEN + j];
        }
        for (int c = 0; c < CLASSES; c++) {
            logit[c] = b2[c];
            for (int j = 0; j < HIDDEN; j++)
                logit[c] += hidden[j] * w2[j * CLASSES + c];
            sum += exp(logit[c]);
        }
        loss += (b->weight ? (double)b->weight[b->label[i]] : 1) * (log(sum) - logit[b->label[i]]) / ROWS;
    }
    return loss;
}

static void gradient_is_the_slope_of_the_loss(void)
{
    uint64_t seed = 17;
    fm_rng rng = fm_rng_init(seed, 0);
    fm_fc net;
    fm_fc_batch b;
    float grad[PARAMS];
    double p[PARAMS];

    printf("  seed %llu\n", (unsigned long long)seed);
    REQUIRE(fm_fc_init(&net, D, HIDDEN, CLASSES, NULL) == 0 && net.n == PARAMS);
    REQUIRE(fm_fc_batch_init(&b, &net, ROWS, NULL) == 0);
    for (int turn = 0; turn < 20; turn++) {
        double loss;

        random_batch(&net, &b, &rng);
        b.weight = turn % 2 ? weights : NULL;
        for (int i = 0; i < PARAMS; i++)
            p[i] = (double)net.param[i];
        loss = fm_fc_gradient(&net, &b, grad);
        CHECK_NEAR(loss, loss_of(p, &b), 1e-5);
        for (int i = 0; i < PARAMS; i++) {
            double step = 1e-6, was = p[i], up, down;

            p[i] = was + step;
            up = loss_of(p, &b);
            p[i] = was - step;
            down = loss_of(p, &b);
            p[i] = was;
            CHECK_NEAR((double)grad[i], (up - down) / (2 * step), 2e-6);
        }
    }
    fm_fc_batch_fini(&b);
    fm_fc_fini(&net);
}

/* Two steps worked out by hand in double: weights decay, biases do not. */
static void adam_by_hand(void)
{
    const float start[5] = {1.0f, 0.5f, -2.0f, 0.25f, 0.0f}, grads[2][6] = {{0.1f, -0.2f, 0.3f, 0, 1e-4f, 0},
                                                                             {-0.4f, 0.1f, 0.3f, 0, 1e-4f, 0}};
    fm_fc net;
    fm_adam a;
    double m[6] = {0}, v[6] = {0}, p[6] = {0};

    REQUIRE(fm_fc_init(&net, 1, 1, 2, NULL) == 0 && net.n == 6);     /* w1, b1, w2 w2, b2 b2 */
    REQUIRE(fm_adam_init(&a, &net, NULL) == 0);
    for (int i = 0; i < 5; i++)
        p[i] = (double)(net.param[i] = start[i]);
    for (int t = 1; t <= 2; t++) {
        fm_adam_step(&a, &net, grads[t - 1], 0.01, 0.1);
        for (int i = 0; i < 6; i++) {
            bool bias = i == 1 || i >= 4;
            double g = (double)grads[t - 1][i] + (bias ? 0 : 0.1 * p[i]);

            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            p[i] -= 0.01 * (m[i] / (1 - pow(0.9, t))) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
            CHECK_NEAR((double)net.param[i], p[i], 1e-6);
        }
        if (t == 1) {       /* the first step is the rate against the slope's sign, however steep */
            CHECK_NEAR((double)net.param[0], 0.99, 1e-6);
            CHECK_NEAR((double)net.param[1], 0.51, 1e-6);
        }
    }
    CHECK_NEAR((double)net.param[5], 0.0, 0);
    fm_adam_fini(&a);
    fm_fc_fini(&net);
}

/* Scoring is another code path than training: without dropout they agree. */
static void scores_as_it_trains(void)
{
    fm_rng rng = fm_rng_init(23, 0);
    fm_fc net;
    fm_fc_batch b;
    float grad[PARAMS], hidden[HIDDEN], logit[CLASSES];
    double prob[CLASSES], loss = 0;

    REQUIRE(fm_fc_init(&net, D, HIDDEN, CLASSES, NULL) == 0);
    REQUIRE(fm_fc_batch_init(&b, &net, ROWS, NULL) == 0);
    random_batch(&net, &b, &rng);
    for (int i = 0; i < ROWS * HIDDEN; i++)
        b.keep[i] = 1.0f;
    for (int i = 0; i < ROWS; i++) {
        fm_fc_score(&net, b.x + i * D, hidden, logit, prob);
        CHECK_NEAR(prob[0] + prob[1] + prob[2], 1.0, 1e-12);
        loss -= log(prob[b.label[i]]) / ROWS;
    }
    CHECK_NEAR(fm_fc_gradient(&net, &b, grad), loss, 1e-5);
    fm_fc_batch_fini(&b);
    fm_fc_fini(&net);
}

/* Inner folds train once and look on the way; training anew for each choice must say the same. */
static void epochs_are_chosen_as_if_trained_anew(void)
{
    enum { N = 90, FOLDS = 3 };
    static const double choice[] = {1, 4, 30};
    static float x[N * D], part[N * D];
    static int32_t label[N], part_label[N], fold[N];
    static double inner[N * CLASSES], parts[3 * N * CLASSES];
    fm_rng rng = fm_rng_init(29, 0);
    fm_head_spec spec;
    fm_rows all = {x, N, D, label, CLASSES, weights, FOLDS, fold};
    double least = INFINITY, own = 0;
    uint32_t best = 0, chosen = 0;

    fm_head_spec_default(&spec);
    spec.hidden = HIDDEN;
    spec.learning_rate = 0.05;
    spec.n_choices = 3;
    memcpy(spec.choice, choice, sizeof choice);
    fill(x, N * D, 1.0, &rng);
    for (int i = 0; i < N; i++) {
        label[i] = i % CLASSES;
        fold[i] = i / CLASSES % FOLDS;
        x[i * D + label[i]] += 1.0f;
    }
    for (uint32_t f = FOLDS; f-- > 0;)
        REQUIRE(fm_fc_part(&spec, &all, 1, 2, f, parts + f * sizeof parts / sizeof *parts / FOLDS, NULL) == 0);
    CHECK_INT(fm_fc_part_values(&spec, &all, 1), sizeof parts / sizeof *parts / FOLDS);
    REQUIRE(fm_fc_choose(&spec, &all, parts, &chosen, inner, NULL) == 0);
    for (int c = 0; c < 3; c++) {
        double loss = 0;

        for (int32_t f = 0; f < FOLDS; f++) {
            fm_rows rows = {part, 0, D, part_label, CLASSES, weights, 0, NULL};
            fm_head_spec one = spec;
            float hidden[HIDDEN], logit[CLASSES];
            double prob[CLASSES];
            fm_fc net;

            for (int i = 0; i < N; i++)
                if (fold[i] != f) {
                    memcpy(part + rows.n * D, x + i * D, D * sizeof *x);
                    part_label[rows.n++] = label[i];
                }
            one.epochs = (uint32_t)choice[c];
            REQUIRE(fm_fc_init(&net, D, HIDDEN, CLASSES, NULL) == 0);
            REQUIRE(fm_fc_train(&net, &one, &rows, 1, fm_rng_stream("inner head", 2, (uint64_t)f), NULL, NULL) == 0);
            for (int i = 0; i < N; i++)
                if (fold[i] == f) {
                    fm_fc_score(&net, x + i * D, hidden, logit, prob);
                    loss -= (double)weights[label[i]] * log(prob[label[i]]);
                }
            fm_fc_fini(&net);
        }
        if (loss < least) {
            least = loss;
            best = (uint32_t)choice[c];
        }
    }
    CHECK_INT(chosen, best);
    CHECK(best == 4);       /* neither end: one epoch learns too little, 30 learn the rows by heart */
    for (int i = 0; i < N; i++)
        own -= (double)weights[label[i]] * log(inner[i * CLASSES + label[i]]);
    CHECK_NEAR(own, least, 1e-9);
}

static void too_large_a_network_is_refused(void)
{
    fm_fc net;
    fm_err err = FM_ERR_INIT;

    CHECK_INT(fm_fc_init(&net, 1 << 20, 65536, 2, &err), -EINVAL);
    CHECK(strstr(err.text, "fewer hidden units") != NULL);
    CHECK_INT(fm_fc_init(&net, 2, 65536, 65536, &err), -EINVAL);
}

CHECK_MAIN(CHECK_CASE(gradient_is_the_slope_of_the_loss), CHECK_CASE(adam_by_hand), CHECK_CASE(scores_as_it_trains),
           CHECK_CASE(epochs_are_chosen_as_if_trained_anew), CHECK_CASE(too_large_a_network_is_refused))

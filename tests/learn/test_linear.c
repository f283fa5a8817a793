/* Linear heads beside liblinear, on the same standardised rows and to a tight tolerance of its own. */
#include <errno.h>
#include <linear.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/evaluation.h"
#include "coordinator/learn/linear.h"
#include "coordinator/learn/newton.h"
#include "coordinator/learn/platt.h"
#include "tests/check.h"

enum { N = 700, D = 24, W = D + 1 };

/* Correlated columns, a column of ones behind them; classes overlap. */
typedef struct {
    float x[N * W], y[N], cost[N];
    int32_t label[N];
} rows;

static void rows_make(rows *r, int classes, uint64_t seed, double noise)
{
    fm_rng rng = fm_rng_init(seed, 0);

    for (int i = 0; i < N; i++) {
        double common = fm_rng_normal(&rng), pull = 0;

        for (int k = 0; k < D; k++) {
            r->x[i * W + k] = (float)(common + 0.4 * fm_rng_normal(&rng));
            pull += (k % 3 - 1) * (double)r->x[i * W + k];
        }
        r->x[i * W + D] = 1;
        pull += noise * fm_rng_normal(&rng);
        r->label[i] = pull < -1 ? 0 : pull > 1 && classes > 2 ? 2 : 1;
        r->y[i] = r->label[i] == 1 ? 1 : -1;
        r->cost[i] = r->label[i] == 1 ? 0.5f : 2.0f;
    }
}

static void say_nothing(const char *text)
{
    (void)text;
}

/* liblinear's weights for rows outside first .. end - 1; alike  all rows count 1, else 0.5 and 2. */
static void peer_weighted(const rows *r, int solver, double C, size_t first, size_t end, bool alike, double *w)
{
    static struct feature_node nodes[N][W + 1], *x[N];
    static double y[N];
    int labels[2] = {1, -1};
    double weights[2] = {alike ? 1 : 0.5, alike ? 1 : 2.0};
    struct parameter how = {.solver_type = solver, .eps = 1e-8, .C = C, .nr_weight = 2, .weight_label = labels,
                            .weight = weights};
    struct problem p = {.n = W, .y = y, .x = x, .bias = -1};
    struct model *m;

    for (size_t i = 0; i < N; i++) {
        if (i >= first && i < end)
            continue;
        for (int k = 0; k < W; k++)
            nodes[i][k] = (struct feature_node){k + 1, (double)r->x[i * W + (size_t)k]};
        nodes[i][W].index = -1;
        y[p.l] = (double)r->y[i];
        x[p.l++] = nodes[i];
    }
    set_print_string_function(say_nothing);
    m = train(&p, &how);
    for (int k = 0; k < W; k++)
        w[k] = m->label[0] == 1 ? m->w[k] : -m->w[k];
    free_and_destroy_model(&m);
}

static void peer(const rows *r, int solver, double C, size_t first, size_t end, double *w)
{
    peer_weighted(r, solver, C, first, end, false, w);
}

static double score(const rows *r, size_t i, const double *w)
{
    double z = 0;

    for (size_t k = 0; k < W; k++)
        z += w[k] * (double)r->x[i * W + k];
    return z;
}

static double probability(double z)
{
    return 1 / (1 + exp(-z));
}

/* Fits to all rows and without each block, along a path of C. */
static void same_minimum_as_liblinear(void)
{
    static const double C[] = {1e-4, 1e-2, 1, 100};
    static const size_t edge[] = {0, 200, 210, 500, N};
    static rows r;
    double w[W];

    rows_make(&r, 2, 1, 1.0);
    for (int loss = FM_LOSS_LOGISTIC; loss <= FM_LOSS_SQUARED_HINGE; loss++) {
        const fm_newton_rows all = {(fm_loss)loss, N, W, r.x, r.y, r.cost, 4, edge};
        fm_newton *s;

        REQUIRE(fm_newton_create(&all, &s, NULL) == 0);
        for (size_t c = 0; c < 4; c++) {
            double worst = 0, worst_kept = 0;

            REQUIRE(fm_newton_fit(s, C[c], NULL) == 0);
            for (size_t j = 0; j <= 4; j++) {
                peer(&r, loss == FM_LOSS_LOGISTIC ? L2R_LR : L2R_L2LOSS_SVC, C[c], j < 4 ? edge[j] : N,
                     j < 4 ? edge[j + 1] : N, w);
                for (size_t i = 0; i < N; i++) {
                    double a = score(&r, i, fm_newton_weights(s, j)), b = score(&r, i, w);

                    worst = fmax(worst, fabs(probability(a) - probability(b)));
                    worst_kept = fmax(worst_kept, fabs(a - (double)fm_newton_scores(s, j)[i]));
                }
            }
            printf("  loss %d, C %g: probabilities within %.1e of liblinear's\n", loss, C[c], worst);
            CHECK(worst < 2e-4);
            CHECK(worst_kept < 2e-3);
        }
        fm_newton_destroy(s);
    }
}

/* Codes that a head can be trained on, without the ones. */
static void codes_make(const rows *r, float *x)
{
    for (size_t i = 0; i < N; i++)
        memcpy(x + i * D, r->x + i * W, D * sizeof *x);
}

/* All parts, the last one first, and what comes out. */
static int train_in_parts(const fm_head_spec *spec, const fm_rows *all, double *weight, double *C, double *inner)
{
    size_t n = fm_linear_parts(spec, all->classes), first[FM_HEAD_CHOICES_MAX + 1] = {0};
    fm_linear *l = NULL;
    double *values;
    int rc;

    for (size_t i = 0; i < n; i++)
        first[i + 1] = first[i] + fm_linear_part_values(spec, all, i);
    values = calloc(first[n] + 1, sizeof *values);
    rc = fm_linear_create(spec, all, &l, NULL);
    for (size_t i = n; rc == 0 && i-- > 0;)
        rc = fm_linear_part(l, i, values + first[i], NULL);
    if (rc == 0)
        rc = fm_linear_finish(spec, all, values, weight, C, inner, NULL);
    fm_linear_destroy(l);
    free(values);
    return rc;
}

/* Held-out log loss by liblinear, fold by fold: the least one's C must be the chosen one. */
static void inner_folds_choose_as_liblinear_would(void)
{
    static const double C[] = {1e-5, 1e-3, 1e-1, 10};
    static rows r;
    static float x[N * D], weight[2] = {2.0f, 0.5f};
    static int32_t fold[N];
    static double inner[N * 2];
    fm_head_spec spec;
    int differ = 0;

    fm_head_spec_default(&spec);
    spec.kind = FM_HEAD_LOGISTIC;
    spec.n_choices = 4;
    memcpy(spec.choice, C, sizeof C);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        double w[W], head[W], chosen, least = INFINITY, best = 0;

        rows_make(&r, 2, seed, seed == 1 ? 0.3 : 40.0);
        codes_make(&r, x);
        for (int i = 0; i < N; i++)
            fold[i] = i < 300 ? 0 : i < 450 ? 1 : 2;
        for (int c = 0; c < 4; c++) {
            const size_t edge[] = {0, 300, 450, N};
            double loss = 0;

            for (int f = 0; f < 3; f++) {
                peer(&r, L2R_LR, C[c], edge[f], edge[f + 1], w);
                for (size_t i = edge[f]; i < edge[f + 1]; i++)
                    loss += (double)r.cost[i] * log1p(exp(-(double)r.y[i] * score(&r, i, w)));
            }
            if (loss < least) {
                least = loss;
                best = C[c];
            }
        }
        REQUIRE(train_in_parts(&spec, &(fm_rows){x, N, D, r.label, 2, weight, 3, fold}, head, &chosen, inner) == 0);
        CHECK_NEAR(chosen, best, 0);
        differ += chosen != 10;
        peer(&r, L2R_LR, best, N, N, w);
        for (size_t i = 0; i < N; i++)
            CHECK_NEAR(probability(score(&r, i, head)), probability(score(&r, i, w)), 2e-4);
        peer(&r, L2R_LR, best, 0, 300, w);
        for (size_t i = 0; i < 300; i++)
            CHECK_NEAR(inner[2 * i + 1], probability(score(&r, i, w)), 2e-4);
    }
    CHECK(differ > 0 && differ < 3);    /* the choice was no foregone one */
}

/* Protocols end as given folds: leave one site out (0, 1, 2), or one cohort that trains (-1) and one that is
 * tested.  Each fold's probabilities are those of liblinear on its training rows, standardised by these alone. */
static void protocols_train_as_liblinear_would(void)
{
    static rows r, fold_rows;
    static float x[N * D];

    rows_make(&r, 2, 9, 3.0);
    codes_make(&r, x);
    for (int sites = 1; sites <= 3; sites += 2) {
        fm_evaluation e;
        fm_plan plan;
        double w[W];

        fm_plan_init(&plan);
        plan.code_offset = 0;
        plan.code_width = D;
        plan.bootstrap = 0;
        plan.head.kind = FM_HEAD_LOGISTIC;
        plan.head.C = 0.1;
        plan.folds = (fm_folds_spec){.kind = FM_FOLDS_GIVEN, .repeats = 1};
        plan.n = N;
        plan.rows = calloc(N, sizeof *plan.rows);
        for (uint32_t i = 0; i < N; i++)
            plan.rows[i] = (fm_plan_row){.sample = i, .subject = i, .label = r.label[i],
                                         .fold = sites == 1 ? (i < 400 ? -1 : 0) : (int32_t)(i / 250)};
        REQUIRE(fm_evaluate_local(&plan, x, &e, NULL) == 0);
        CHECK_INT(e.folds, sites);
        for (size_t f = 0; f < e.folds; f++) {
            size_t first = sites == 1 ? 400 : 250 * f, end = sites == 1 ? N : 250 * (f + 1) < N ? 250 * (f + 1) : N;

            fold_rows = r;
            for (size_t k = 0; k < D; k++) {
                double mean = 0, square = 0, n = (double)(N - (end - first));

                for (size_t i = 0; i < N; i++)
                    mean += i < first || i >= end ? (double)x[i * D + k] / n : 0;
                for (size_t i = 0; i < N; i++)
                    square += i < first || i >= end ? pow((double)x[i * D + k] - mean, 2) / n : 0;
                for (size_t i = 0; i < N; i++)
                    fold_rows.x[i * W + k] = (float)(((double)x[i * D + k] - mean) / sqrt(square));
            }
            peer_weighted(&fold_rows, L2R_LR, 0.1, first, end, true, w);
            for (size_t i = first; i < end; i++)
                CHECK_NEAR(e.prob[2 * i + 1], probability(score(&fold_rows, i, w)), 2e-4);
        }
        for (size_t i = 0; i < N; i++)
            CHECK_INT(isnan(e.prob[2 * i]) != 0, sites == 1 && i < 400);
        fm_evaluation_fini(&e);
        fm_plan_fini(&plan);
    }
}

/* At Platt's optimum both slopes are 0; on rows that follow a sigmoid it is found again. */
static void platt_finds_the_sigmoid(void)
{
    enum { ROWS = 20000 };
    static float z[ROWS], y[ROWS], cost[ROWS];
    fm_rng rng = fm_rng_init(5, 0);
    double a, b, slope_a = 0, slope_b = 0, positive = 0, negative = 0;

    for (int i = 0; i < ROWS; i++) {
        z[i] = (float)(3 * fm_rng_normal(&rng));
        y[i] = fm_rng_uniform(&rng) < probability(1.7 * (double)z[i] - 0.6) ? 1 : -1;
        cost[i] = i % 2 ? 0.5f : 1.5f;
        *(y[i] > 0 ? &positive : &negative) += (double)cost[i];
    }
    fm_platt_fit(z, y, cost, ROWS, &a, &b);
    CHECK_NEAR(a, 1.7, 0.1);
    CHECK_NEAR(b, -0.6, 0.1);
    for (int i = 0; i < ROWS; i++) {
        double t = y[i] > 0 ? (positive + 1) / (positive + 2) : 1 / (negative + 2);
        double off = (double)cost[i] * (probability(a * (double)z[i] + b) - t);

        slope_a += off * (double)z[i];
        slope_b += off;
    }
    CHECK_NEAR(slope_a / ROWS, 0, 2e-7);
    CHECK_NEAR(slope_b / ROWS, 0, 2e-7);
    for (int i = 0; i < ROWS; i++)      /* apart: the targets keep it finite */
        y[i] = z[i] > 0 ? 1 : -1;
    fm_platt_fit(z, y, cost, ROWS, &a, &b);
    CHECK(isfinite(a) && isfinite(b) && a > 10);
}

/* A balanced head of rows in proportion 9 : 1 puts half of its mass on each side. */
static void balanced_classes_weigh_alike(void)
{
    static rows r;
    static double prob[2][N * 2];
    fm_head_spec spec;

    rows_make(&r, 2, 3, 6.0);
    for (int i = 0; i < N; i++)
        r.label[i] = r.label[i] && i % 6 == 0;
    for (int kind = FM_HEAD_FC; kind <= FM_HEAD_SVM; kind++) {
        double mean[2] = {0, 0};
        int positive = 0;

        fm_head_spec_default(&spec);
        spec.kind = (uint8_t)kind;
        spec.epochs = 30;
        for (int balanced = 0; balanced < 2; balanced++) {
            fm_codes codes = {r.x, W, D, NULL, N};
            fm_head *head;

            spec.class_weight = (uint8_t)balanced;
            REQUIRE(fm_head_train(&spec, &(fm_training){codes, r.label, NULL, 2}, 1, 2, NULL, &head, NULL) == 0);
            REQUIRE(fm_head_score(head, &codes, prob[balanced], NULL) == 0);
            fm_head_destroy(head);
        }
        for (int i = 0; i < N; i++) {
            positive += r.label[i];
            mean[0] += prob[0][2 * i + 1] / N;
            mean[1] += prob[1][2 * i + 1] / N;
        }
        CHECK_NEAR(mean[0], (double)positive / N, 0.05);
        CHECK(mean[1] > 0.3 && mean[1] < 0.6);
    }
}

CHECK_MAIN(CHECK_CASE(same_minimum_as_liblinear), CHECK_CASE(inner_folds_choose_as_liblinear_would),
           CHECK_CASE(protocols_train_as_liblinear_would),
           CHECK_CASE(platt_finds_the_sigmoid), CHECK_CASE(balanced_classes_weigh_alike))

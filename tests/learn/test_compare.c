#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/compare.h"
#include "coordinator/learn/threshold.h"
#include "tests/check.h"

#define ROWS_MAX 100
#define FIGURES_MAX 32

/* One case of expected_comparisons.tsv. */
typedef struct {
    char name[64];
    size_t n;
    int32_t label[ROWS_MAX];
    uint32_t group[ROWS_MAX];
    double a[2 * ROWS_MAX], b[2 * ROWS_MAX];
    int figures;
    struct {
        char name[32];
        double value;
    } figure[FIGURES_MAX];
} expected;

static fm_predictions predictions_of(const expected *e, const double *prob)
{
    return (fm_predictions){.n = e->n, .classes = 2, .repeats = 1, .label = e->label, .group = e->group, .prob = prob};
}

static void check_figure(const expected *e, const char *name, double got, int *seen)
{
    for (int i = 0; i < e->figures; i++)
        if (strcmp(e->figure[i].name, name) == 0) {
            double want = e->figure[i].value;

            if (isnan(want) ? !isnan(got) : !(fabs(got - want) <= 1e-9))
                check_failed(__FILE__, __LINE__, "%s: %s is %.17g, expected %.17g", e->name, name, got, want);
            ++*seen;
            return;
        }
    check_failed(__FILE__, __LINE__, "%s: no expected value of %s", e->name, name);
}

static void check_threshold(const expected *e, const char *name, double threshold, int *seen)
{
    fm_predictions p = predictions_of(e, e->a);
    int32_t called[ROWS_MAX];
    fm_metric_values v;
    char figure[64];

    fm_threshold_call(e->a, e->n, threshold, called);
    p.called = called;
    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &v, NULL) == 0);
    check_figure(e, name, threshold, seen);
    snprintf(figure, sizeof figure, "%s_sensitivity", name);
    check_figure(e, figure, v.v[FM_METRIC_SENSITIVITY], seen);
    snprintf(figure, sizeof figure, "%s_specificity", name);
    check_figure(e, figure, v.v[FM_METRIC_SPECIFICITY], seen);
}

static void check_expected(const expected *e)
{
    fm_predictions a = predictions_of(e, e->a), b = predictions_of(e, e->b);
    double youden, fixed;
    fm_comparison c;
    fm_delong d;
    int seen = 0;

    REQUIRE(fm_delong_auc(&a, &d, NULL) == 0 && fm_compare(&a, &b, &c, NULL) == 0);
    REQUIRE(fm_threshold_youden(e->label, e->a, e->n, &youden, NULL) == 0);
    REQUIRE(fm_threshold_sensitivity(e->label, e->a, e->n, 0.9, &fixed, NULL) == 0);
    const struct {
        const char *name;
        double got;
    } all[] = {
        {"auc_a", d.value}, {"auc_a", c.auc.a}, {"auc_b", c.auc.b}, {"se_a", d.se}, {"low_a", d.low},
        {"high_a", d.high}, {"se_difference", c.auc.se}, {"z", c.auc.z}, {"p", c.auc.p}, {"both", (double)c.mcnemar.both},
        {"only_a", (double)c.mcnemar.only_a}, {"only_b", (double)c.mcnemar.only_b},
        {"neither", (double)c.mcnemar.neither}, {"exact_p", c.mcnemar.exact_p}, {"chi2", c.mcnemar.chi2},
        {"chi2_p", c.mcnemar.chi2_p}, {"se_accuracy", c.accuracy.se}, {"low_accuracy", c.accuracy.low},
        {"high_accuracy", c.accuracy.high},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_figure(e, all[i].name, all[i].got, &seen);
    check_threshold(e, "youden", youden, &seen);
    check_threshold(e, "fixed", fixed, &seen);
    CHECK_INT(seen, e->figures + 1);        /* auc_a twice */
    CHECK_NEAR(c.auc.high - c.auc.low, 2 * 1.959963984540054 * c.auc.se, 1e-15);
    CHECK_NEAR(c.auc.high + c.auc.low, 2 * (c.auc.a - c.auc.b), 1e-15);
}

static void read_line(expected *e, char *line)
{
    char *save, *word = strtok_r(line, "\t\n", &save);

    if (strcmp(word, "case") == 0) {
        memset(e, 0, sizeof *e);
        snprintf(e->name, sizeof e->name, "%s", strtok_r(NULL, "\t\n", &save));
    } else if (strcmp(word, "row") == 0 && CHECK(e->n < ROWS_MAX)) {
        e->label[e->n] = atoi(strtok_r(NULL, "\t\n", &save));
        e->group[e->n] = (uint32_t)atoi(strtok_r(NULL, "\t\n", &save));
        e->a[2 * e->n + 1] = strtod(strtok_r(NULL, "\t\n", &save), NULL);
        e->b[2 * e->n + 1] = strtod(strtok_r(NULL, "\t\n", &save), NULL);
        e->a[2 * e->n] = 1 - e->a[2 * e->n + 1];
        e->b[2 * e->n] = 1 - e->b[2 * e->n + 1];
        e->n++;
    } else if (CHECK(e->figures < FIGURES_MAX)) {
        snprintf(e->figure[e->figures].name, sizeof e->figure->name, "%s", word);
        e->figure[e->figures++].value = strtod(strtok_r(NULL, "\t\n", &save), NULL);
    }
}

static void equal_to_proc_and_statsmodels(void)
{
    static expected e;
    static char line[4096];
    int cases = 0;
    FILE *f = fopen("tests/learn/expected_comparisons.tsv", "r");

    REQUIRE(f != NULL);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        if (strcmp(line, "end\n") == 0) {
            check_expected(&e);
            cases++;
        } else {
            read_line(&e, line);
        }
    }
    fclose(f);
    CHECK_INT(cases, 9);
}

/* statsmodels 0.15.0: mcnemar(exact=True), and with correction=True where the counts differ. */
static void mcnemar_of_few_and_of_many(void)
{
    static const struct {
        uint64_t a, b;
        double exact_p, chi2, chi2_p;
    } cases[] = {
        {3, 3, 1.0, 0, 1},
        {0, 1, 1.0, 0.0, 1.0},
        {0, 5, 0.0625, 3.2, 0.07363827012030258},
        {10, 25, 0.016673847800120715, 5.6, 0.01796047752607879},
        {4000, 4200, 0.027972423571324654, 4.829390243902439, 0.0279785241560027},
        {500000, 501500, 0.1341651666841142, 2.24363554667998, 0.13416520696304013},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_mcnemar m = fm_mcnemar_of(7, cases[i].a, cases[i].b, 9);
        fm_mcnemar turned = fm_mcnemar_of(7, cases[i].b, cases[i].a, 9);

        CHECK_NEAR(m.exact_p, cases[i].exact_p, 1e-9);
        CHECK_NEAR(m.chi2, cases[i].chi2, 1e-9);
        CHECK_NEAR(m.chi2_p, cases[i].chi2_p, 1e-9);
        CHECK(m.exact_p == turned.exact_p && m.chi2 == turned.chi2);
    }
    CHECK(fm_mcnemar_of(1, 0, 0, 1).exact_p == 1 && isnan(fm_mcnemar_of(1, 0, 0, 1).chi2_p));
}

#define N 60

typedef struct {
    int32_t label[N], fold[2 * N];
    uint32_t group[N];
    double prob[4 * N];
} study;

static void study_make(study *s, fm_rng *rng)
{
    for (int i = 0; i < N; i++) {
        s->label[i] = i % 3 == 0;
        s->group[i] = (uint32_t)i / 2;
    }
    for (int i = 0; i < 2 * N; i++) {
        s->fold[i] = 0;
        s->prob[2 * i + 1] = (fm_rng_below(rng, 30) + 10.0 * s->label[i % N]) / 40;
        s->prob[2 * i] = 1 - s->prob[2 * i + 1];
    }
}

static fm_predictions study_predictions(const study *s, uint32_t repeats)
{
    return (fm_predictions){.n = N, .classes = 2, .repeats = repeats, .label = s->label, .group = s->group,
                            .test_fold = s->fold, .prob = s->prob};
}

/* The order of arguments turns signs round and nothing else; each against itself is no difference. */
static void comparison_is_symmetric(void)
{
    uint64_t seed = 21;
    fm_rng rng = fm_rng_init(seed, 0);
    static study s, t;
    fm_predictions a = study_predictions(&s, 1), b = study_predictions(&t, 1);
    fm_comparison ab, ba, aa;

    printf("  seed %llu\n", (unsigned long long)seed);
    study_make(&s, &rng);
    study_make(&t, &rng);
    REQUIRE(fm_compare(&a, &b, &ab, NULL) == 0 && fm_compare(&b, &a, &ba, NULL) == 0);
    REQUIRE(fm_compare(&a, &a, &aa, NULL) == 0);
    CHECK(ab.auc.difference == -ba.auc.difference && ab.auc.se == ba.auc.se && ab.auc.p == ba.auc.p);
    CHECK(ab.accuracy.difference == -ba.accuracy.difference && ab.mcnemar.only_a == ba.mcnemar.only_b);
    CHECK(aa.auc.difference == 0 && aa.auc.se == 0 && isnan(aa.auc.p) && aa.mcnemar.exact_p == 1);
    CHECK(ab.rows == N && ab.subjects == N / 2);
    CHECK_NEAR(ab.accuracy.difference * N, (double)ab.mcnemar.only_a - (double)ab.mcnemar.only_b, 1e-9);
}

/* A repeat that says the same again changes nothing; one that is not tested does not count. */
static void repeats_are_averaged(void)
{
    fm_rng rng = fm_rng_init(22, 0);
    static study s;
    fm_predictions once = study_predictions(&s, 1), twice = study_predictions(&s, 2);
    fm_delong d, e;
    double first;

    study_make(&s, &rng);
    memcpy(s.prob + 2 * N, s.prob, 2 * N * sizeof *s.prob);
    REQUIRE(fm_delong_auc(&once, &d, NULL) == 0 && fm_delong_auc(&twice, &e, NULL) == 0);
    CHECK_NEAR(e.value, d.value, 1e-15);
    CHECK_NEAR(e.se, d.se, 1e-15);
    first = d.se;
    for (int i = 0; i < N; i++) {       /* the second turned round: the mean is 1/2 without any variance */
        s.prob[2 * (N + i) + 1] = 1 - s.prob[2 * i + 1];
        s.prob[2 * (N + i)] = s.prob[2 * i + 1];
    }
    REQUIRE(fm_delong_auc(&twice, &e, NULL) == 0);
    CHECK_NEAR(e.value, 0.5, 1e-15);
    CHECK_NEAR(e.se, 0, 1e-9);
    for (int i = N; i < 2 * N; i++)
        s.fold[i] = -1;
    REQUIRE(fm_delong_auc(&twice, &e, NULL) == 0);
    CHECK(e.value == d.value && e.se == first);
}

static void undefined_is_nan(void)
{
    int32_t label[4] = {0, 0, 0, 1}, all[4] = {1, 1, 1, 1};
    const double prob[8] = {0.9, 0.1, 0.8, 0.2, 0.4, 0.6, 0.3, 0.7}, three[6] = {0.2, 0.3, 0.5, 0.1, 0.2, 0.7};
    fm_predictions p = {.n = 4, .classes = 2, .repeats = 1, .label = label, .prob = prob};
    fm_comparison c;
    fm_delong d;

    REQUIRE(fm_delong_auc(&p, &d, NULL) == 0);
    CHECK(d.value == 1 && isnan(d.se) && isnan(d.low) && isnan(d.high));    /* one positive row */
    p.label = all;
    REQUIRE(fm_delong_auc(&p, &d, NULL) == 0);
    CHECK(isnan(d.value) && isnan(d.se) && isnan(d.low));
    p = (fm_predictions){.n = 2, .classes = 3, .repeats = 1, .label = label + 2, .prob = three};
    REQUIRE(fm_delong_auc(&p, &d, NULL) == 0 && fm_compare(&p, &p, &c, NULL) == 0);
    CHECK(isnan(d.value) && isnan(c.auc.a) && isnan(c.auc.p) && c.mcnemar.neither == 2);
    p.n = 0;
    REQUIRE(fm_compare(&p, &p, &c, NULL) == 0);
    CHECK(c.rows == 0 && c.subjects == 0 && isnan(c.accuracy.a) && isnan(c.accuracy.se));
}

static void other_rows_are_refused(void)
{
    fm_rng rng = fm_rng_init(23, 0);
    static study s, t;
    fm_predictions a = study_predictions(&s, 1), b = study_predictions(&t, 1);
    fm_err err = FM_ERR_INIT;
    fm_comparison c;

    study_make(&s, &rng);
    study_make(&t, &rng);
    t.label[7] = !t.label[7];
    CHECK_INT(fm_compare(&a, &b, &c, &err), -EINVAL);
    CHECK(strstr(err.text, "row 7") != NULL);
    t.label[7] = s.label[7];
    t.group[9] = 1000;
    CHECK_INT(fm_compare(&a, &b, &c, &err), -EINVAL);
    t.group[9] = s.group[9];
    b.n--;
    CHECK_INT(fm_compare(&a, &b, &c, &err), -EINVAL);
    b.n++;
    t.prob[5] = NAN;
    CHECK_INT(fm_compare(&a, &b, &c, &err), -EINVAL);
    CHECK_INT(fm_compare(&b, &a, &c, &err), -EINVAL);
}

CHECK_MAIN(CHECK_CASE(equal_to_proc_and_statsmodels), CHECK_CASE(mcnemar_of_few_and_of_many),
           CHECK_CASE(comparison_is_symmetric), CHECK_CASE(repeats_are_averaged), CHECK_CASE(undefined_is_nan),
           CHECK_CASE(other_rows_are_refused))

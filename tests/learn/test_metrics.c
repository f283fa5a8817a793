#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/metrics.h"
#include "tests/check.h"

#define ROWS_MAX 100
#define CLASSES_MAX 7

/* One case of expected_metrics.tsv. */
typedef struct {
    char name[64];
    int classes;
    size_t n;
    int32_t label[ROWS_MAX];
    double prob[ROWS_MAX * CLASSES_MAX];
    uint64_t confusion[CLASSES_MAX * CLASSES_MAX];
    double want[FM_METRIC_COUNT];
    int n_want;
} expected;

static fm_predictions predictions_of(const expected *e)
{
    return (fm_predictions){.n = e->n, .classes = e->classes, .repeats = 1, .label = e->label, .prob = e->prob,
                            .prevalence = 0.05, .top_k = e->classes > 5 ? 0 : 2};
}

static void check_expected(const expected *e)
{
    fm_predictions p = predictions_of(e);
    uint64_t confusion[CLASSES_MAX * CLASSES_MAX];
    fm_metric_values got;

    CHECK_INT(e->n_want, FM_METRIC_COUNT);
    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &got, NULL) == 0);
    for (int k = 0; k < FM_METRIC_COUNT; k++)
        if (isnan(e->want[k]) ? !isnan(got.v[k]) : !(fabs(got.v[k] - e->want[k]) <= 1e-9))
            check_failed(__FILE__, __LINE__, "%s: %s is %.17g, expected %.17g", e->name, fm_metric_name(k), got.v[k],
                         e->want[k]);
    fm_confusion(&p, confusion);
    CHECK(memcmp(confusion, e->confusion, (size_t)(e->classes * e->classes) * sizeof *confusion) == 0);
}

static void read_row(expected *e, char *save)
{
    e->label[e->n] = atoi(strtok_r(NULL, "\t\n", &save));
    for (int c = 0; c < e->classes; c++)
        e->prob[e->n * (size_t)e->classes + (size_t)c] = strtod(strtok_r(NULL, "\t\n", &save), NULL);
    e->n++;
}

static void read_line(expected *e, char *line)
{
    char *save, *word = strtok_r(line, "\t\n", &save);

    if (strcmp(word, "case") == 0) {
        memset(e, 0, sizeof *e);
        snprintf(e->name, sizeof e->name, "%s", strtok_r(NULL, "\t\n", &save));
        e->classes = atoi(strtok_r(NULL, "\t\n", &save));
    } else if (strcmp(word, "row") == 0 && CHECK(e->n < ROWS_MAX)) {
        read_row(e, save);
    } else if (strcmp(word, "confusion") == 0) {
        for (int i = 0; i < e->classes * e->classes; i++)
            e->confusion[i] = strtoull(strtok_r(NULL, "\t\n", &save), NULL, 10);
    } else {
        for (int k = 0; k < FM_METRIC_COUNT; k++)
            if (strcmp(word, fm_metric_name(k)) == 0) {
                e->want[k] = strtod(strtok_r(NULL, "\t\n", &save), NULL);
                e->n_want++;
            }
    }
}

static void equal_to_scikit_learn(void)
{
    static expected e;
    static char line[4096];
    int cases = 0;
    FILE *f = fopen("tests/learn/expected_metrics.tsv", "r");

    REQUIRE(f != NULL);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        read_line(&e, line);
        if (e.n_want == FM_METRIC_COUNT) {
            check_expected(&e);
            e.n_want = 0;
            cases++;
        }
    }
    fclose(f);
    CHECK_INT(cases, 16);
}

static void names_and_reasons(void)
{
    CHECK_STR(fm_metric_name(FM_METRIC_AUC), "auc");
    CHECK_STR(fm_metric_name(FM_METRIC_BALANCED_ACCURACY), "balanced_accuracy");
    CHECK_STR(fm_metric_name(FM_METRIC_COUNT), "unknown");
    for (int k = -1; k <= FM_METRIC_COUNT; k++)
        CHECK(strlen(fm_metric_why_undefined(k)) > 10);
}

static void ties_call_the_lowest_class(void)
{
    CHECK_INT(fm_called_class((double[]){0.5, 0.5}, 2), 0);
    CHECK_INT(fm_called_class((double[]){0.499, 0.501}, 2), 1);
    CHECK_INT(fm_called_class((double[]){0.2, 0.4, 0.4}, 3), 1);
}

/* 10/15 closes its bin; 0.7 lies in the next, so that their errors cannot cancel out. */
static void a_calibration_bin_holds_its_upper_edge(void)
{
    const int32_t label[2] = {1, 0};
    const double edge = 10 / 15.0, prob[4] = {1 - edge, edge, 1 - 0.7, 0.7};
    fm_predictions p = {.n = 2, .classes = 2, .repeats = 1, .label = label, .prob = prob};
    fm_metric_values v;

    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &v, NULL) == 0);
    CHECK_NEAR(v.v[FM_METRIC_ECE], (1 - edge + 0.7) / 2, 1e-15);
}

/* A threshold's calls change what is counted and leave what is ranked. */
static void calls_may_be_told(void)
{
    const int32_t label[4] = {0, 0, 1, 1};
    int32_t called[4] = {0, 0, 0, 1};
    const double prob[8] = {0.9, 0.1, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8};
    fm_predictions p = {.n = 4, .classes = 2, .repeats = 1, .label = label, .prob = prob};
    fm_metric_values own, told;
    uint64_t confusion[4];
    fm_err err = FM_ERR_INIT;

    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &own, NULL) == 0);
    p.called = called;
    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &told, NULL) == 0);
    CHECK(own.v[FM_METRIC_SENSITIVITY] == 1 && own.v[FM_METRIC_SPECIFICITY] == 0.5);
    CHECK(told.v[FM_METRIC_SENSITIVITY] == 0.5 && told.v[FM_METRIC_SPECIFICITY] == 1);
    CHECK_NEAR(told.v[FM_METRIC_MCC], 1 / sqrt(3), 1e-15);
    CHECK(told.v[FM_METRIC_AUC] == own.v[FM_METRIC_AUC] && told.v[FM_METRIC_BRIER] == own.v[FM_METRIC_BRIER]);
    fm_confusion(&p, confusion);
    CHECK(confusion[0] == 2 && confusion[1] == 0 && confusion[2] == 1 && confusion[3] == 1);
    called[2] = 2;
    CHECK_INT(fm_metrics_point(&p, NULL, 0, -1, -1, &told, &err), -EINVAL);
    CHECK(strstr(err.text, "row 2: called 2") != NULL);
}

/* With a prevalence equal to the rows' own, values are those of the rows. */
static void prevalence_of_the_rows_changes_nothing(void)
{
    const int32_t label[5] = {0, 0, 0, 1, 1};
    const double prob[10] = {0.9, 0.1, 0.8, 0.2, 0.4, 0.6, 0.3, 0.7, 0.6, 0.4};
    fm_predictions p = {.n = 5, .classes = 2, .repeats = 1, .label = label, .prob = prob, .prevalence = 0.4};
    fm_metric_values v;

    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &v, NULL) == 0);
    CHECK_NEAR(v.v[FM_METRIC_PPV_AT_PREVALENCE], v.v[FM_METRIC_PPV], 1e-15);
    CHECK_NEAR(v.v[FM_METRIC_NPV_AT_PREVALENCE], v.v[FM_METRIC_NPV], 1e-15);
    p.prevalence = 0;
    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &v, NULL) == 0);
    CHECK(isnan(v.v[FM_METRIC_PPV_AT_PREVALENCE]) && isnan(v.v[FM_METRIC_NPV_AT_PREVALENCE]));
}

static void k_is_below_the_number_of_classes(void)
{
    CHECK_INT(fm_top_k(6, 0), 5);
    CHECK_INT(fm_top_k(5, 0), 0);
    CHECK_INT(fm_top_k(5, 4), 4);
    CHECK_INT(fm_top_k(5, 5), 0);
    CHECK_INT(fm_top_k(2, 1), 1);
}

/* Two repeats, of which the second leaves row 0 out and turns all others round. */
static void repeats_are_averaged(void)
{
    const int32_t label[4] = {0, 0, 1, 1}, fold[8] = {0, 1, 0, 1, -1, 0, 0, 1};
    const double prob[16] = {0.9, 0.1, 0.6, 0.4, 0.3, 0.7, 0.2, 0.8, NAN, NAN, 0.3, 0.7, 0.6, 0.4, 0.8, 0.2};
    fm_predictions p = {.n = 4, .classes = 2, .repeats = 2, .label = label, .test_fold = fold, .prob = prob};
    fm_metric_values v;
    uint64_t confusion[4];

    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, -1, &v, NULL) == 0);
    CHECK_NEAR(v.v[FM_METRIC_ACCURACY], 0.5, 1e-15);
    CHECK_NEAR(v.v[FM_METRIC_AUC], 0.5, 1e-15);
    REQUIRE(fm_metrics_point(&p, NULL, 0, 1, -1, &v, NULL) == 0);
    CHECK_NEAR(v.v[FM_METRIC_ACCURACY], 0.0, 0);
    REQUIRE(fm_metrics_point(&p, NULL, 0, 1, 1, &v, NULL) == 0);
    CHECK(isnan(v.v[FM_METRIC_AUC]) && isnan(v.v[FM_METRIC_SPECIFICITY]));
    CHECK_NEAR(v.v[FM_METRIC_SENSITIVITY], 0.0, 0);
    REQUIRE(fm_metrics_point(&p, NULL, 0, -1, 1, &v, NULL) == 0);
    CHECK_NEAR(v.v[FM_METRIC_AUC], 1.0, 0);     /* defined in the first repeat only */
    REQUIRE(fm_metrics_point(&p, (uint32_t[]){0, 2}, 2, -1, -1, &v, NULL) == 0);
    CHECK_NEAR(v.v[FM_METRIC_ACCURACY], 0.5, 1e-15);
    CHECK_NEAR(v.v[FM_METRIC_SPECIFICITY], 1.0, 0);
    REQUIRE(fm_metrics_point(&p, (uint32_t[]){0}, 0, -1, -1, &v, NULL) == 0);
    CHECK(isnan(v.v[FM_METRIC_ACCURACY]));
    fm_confusion(&p, confusion);
    CHECK(confusion[0] == 2 && confusion[1] == 1 && confusion[2] == 2 && confusion[3] == 2);
}

static void bad_predictions_are_refused(void)
{
    int32_t label[2] = {0, 1};
    double prob[4] = {0.5, 0.5, 0.5, 0.5};
    fm_predictions p = {.n = 2, .classes = 2, .repeats = 1, .label = label, .prob = prob};
    fm_metric_values v;
    fm_err err = FM_ERR_INIT;
    const double bad[] = {NAN, -0.1, 1.5, INFINITY};

    for (int i = 0; i < 4; i++) {
        prob[3] = bad[i];
        CHECK_INT(fm_metrics_point(&p, NULL, 0, -1, -1, &v, &err), -EINVAL);
        CHECK(strstr(err.text, "row 1") != NULL);
    }
    prob[3] = 0.5;
    label[0] = 2;
    CHECK_INT(fm_metrics_point(&p, NULL, 0, -1, -1, &v, &err), -EINVAL);
    label[0] = -1;
    CHECK_INT(fm_metrics_point(&p, NULL, 0, -1, -1, &v, &err), -EINVAL);
    label[0] = 0;
    CHECK_INT(fm_metrics_point(&p, NULL, 0, 1, -1, &v, &err), -EINVAL);
}

CHECK_MAIN(CHECK_CASE(equal_to_scikit_learn), CHECK_CASE(names_and_reasons), CHECK_CASE(ties_call_the_lowest_class),
           CHECK_CASE(a_calibration_bin_holds_its_upper_edge), CHECK_CASE(calls_may_be_told),
           CHECK_CASE(prevalence_of_the_rows_changes_nothing), CHECK_CASE(k_is_below_the_number_of_classes),
           CHECK_CASE(repeats_are_averaged),
           CHECK_CASE(bad_predictions_are_refused))

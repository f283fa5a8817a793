#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/folds.h"
#include "tests/check.h"

#define N_MAX 600

typedef struct {
    size_t n;
    int classes;
    int32_t label[N_MAX], given[N_MAX];
    uint32_t group[N_MAX];
} study;

/* Groups of 1 to size_max rows, all of one class or each row of its own. */
static void study_make(study *s, size_t n, int classes, uint32_t size_max, bool mixed, fm_rng *rng)
{
    size_t i = 0;

    s->n = n;
    s->classes = classes;
    for (uint32_t g = 0; i < n; g++) {
        uint32_t size = 1 + fm_rng_below(rng, size_max);
        int32_t class = (int32_t)fm_rng_below(rng, (uint32_t)classes);

        for (; size > 0 && i < n; size--, i++) {
            s->group[i] = g * 2654435761u;
            s->label[i] = mixed ? (int32_t)fm_rng_below(rng, (uint32_t)classes) : class;
        }
    }
}

static uint32_t largest_group(const study *s)
{
    uint32_t most = 0, run = 0;

    for (size_t i = 0; i < s->n; i++) {
        run = i > 0 && s->group[i] == s->group[i - 1] ? run + 1 : 1;
        most = run > most ? run : most;
    }
    return most;
}

static void check_groups_whole(const study *s, const fm_folds *f)
{
    for (uint32_t r = 0; r < f->repeats; r++)
        for (size_t i = 1; i < s->n; i++)
            if (s->group[i] == s->group[i - 1] && f->test_fold[r * s->n + i] != f->test_fold[r * s->n + i - 1])
                check_failed(__FILE__, __LINE__, "repeat %u: rows %zu and %zu of one group are apart", r, i - 1, i);
}

/* Furthest that a class's rows in a fold are from share * its rows. */
static double unevenness(const study *s, const fm_folds *f, double share)
{
    double worst = 0;

    for (uint32_t r = 0; r < f->repeats; r++)
        for (int c = 0; c < s->classes; c++)
            for (uint32_t k = 0; k < f->folds; k++) {
                double all = 0, here = 0;

                for (size_t i = 0; i < s->n; i++) {
                    all += s->label[i] == c;
                    here += s->label[i] == c && f->test_fold[r * s->n + i] == (int32_t)k;
                }
                worst = fmax(worst, fabs(here - all * share));
            }
    return worst;
}

static void kfold_properties(void)
{
    uint64_t seed = 31;
    fm_rng rng = fm_rng_init(seed, 0);
    static study s;
    int made = 0;

    printf("  seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; turn < 200; turn++) {
        bool mixed = turn % 4 == 3;
        fm_folds_spec spec = {FM_FOLDS_KFOLD, 2 + fm_rng_below(&rng, 9), 1 + fm_rng_below(&rng, 3), 0};
        fm_folds f;
        int rc;

        study_make(&s, 50 + fm_rng_below(&rng, N_MAX - 50), 2 + (int)fm_rng_below(&rng, 4), 1 + fm_rng_below(&rng, 9),
                   mixed, &rng);
        rc = fm_folds_make(&spec, s.n, s.label, s.group, NULL, s.classes, seed + (uint64_t)turn, &f, NULL);
        if (rc == -EINVAL)      /* a class with too few groups */
            continue;
        REQUIRE(rc == 0);
        made++;
        CHECK(f.n == s.n && f.folds == spec.folds && f.repeats == spec.repeats);
        for (size_t i = 0; i < f.repeats * s.n; i++)
            CHECK(f.test_fold[i] >= 0 && f.test_fold[i] < (int32_t)f.folds);
        check_groups_whole(&s, &f);
        CHECK(unevenness(&s, &f, 1.0 / f.folds) <= (mixed ? 2 : 1) * (double)largest_group(&s));
        fm_folds_fini(&f);
    }
    printf("  %d of 200 made\n", made);
    CHECK(made >= 150);
}

static void holdout_properties(void)
{
    uint64_t seed = 32;
    fm_rng rng = fm_rng_init(seed, 0);
    static study s;
    int made = 0;

    printf("  seed %llu\n", (unsigned long long)seed);
    for (int turn = 0; turn < 100; turn++) {
        fm_folds_spec spec = {FM_FOLDS_HOLDOUT, 0, 1 + fm_rng_below(&rng, 3), 0.1 + 0.8 * fm_rng_uniform(&rng)};
        fm_folds f;
        int rc;

        study_make(&s, 50 + fm_rng_below(&rng, N_MAX - 50), 2 + (int)fm_rng_below(&rng, 3), 1 + fm_rng_below(&rng, 5),
                   false, &rng);
        rc = fm_folds_make(&spec, s.n, s.label, s.group, NULL, s.classes, seed + (uint64_t)turn, &f, NULL);
        if (rc == -EINVAL)
            continue;
        REQUIRE(rc == 0);
        made++;
        CHECK(f.folds == 1 && f.repeats == spec.repeats);
        check_groups_whole(&s, &f);
        CHECK(unevenness(&s, &f, spec.test_fraction) <= (double)largest_group(&s));
        fm_folds_fini(&f);
    }
    CHECK(made >= 90);
}

static void single_rows_are_split_exactly(void)
{
    static study s;
    fm_rng rng = fm_rng_init(8, 0);
    fm_folds_spec spec;
    fm_folds f;
    size_t rows[5] = {0};

    fm_folds_spec_default(&spec);
    study_make(&s, 503, 3, 1, false, &rng);
    REQUIRE(fm_folds_make(&spec, s.n, s.label, s.group, NULL, 3, 1, &f, NULL) == 0);
    CHECK(unevenness(&s, &f, 0.2) < 1.0);
    for (size_t i = 0; i < s.n; i++)
        rows[f.test_fold[i]]++;
    for (int k = 0; k < 5; k++)
        CHECK(rows[k] == 100 || rows[k] == 101);
    fm_folds_fini(&f);
}

/* 100 single rows make up for a group of 50, because it is dealt out first. */
static void small_groups_even_out_large_ones(void)
{
    static study s;
    fm_folds_spec spec = {FM_FOLDS_KFOLD, 2, 3, 0};
    fm_folds f;

    s.n = 300;
    s.classes = 2;
    for (size_t i = 0; i < s.n; i++) {
        s.label[i] = (int32_t)(i / 150);
        s.group[i] = (uint32_t)(i % 150 < 50 ? 1000 + i / 150 : i);
    }
    REQUIRE(fm_folds_make(&spec, s.n, s.label, s.group, NULL, 2, 5, &f, NULL) == 0);
    CHECK_NEAR(unevenness(&s, &f, 0.5), 0.0, 0);
    fm_folds_fini(&f);
}

static void same_seed_same_folds_other_repeat_other_folds(void)
{
    static study s;
    fm_rng rng = fm_rng_init(4, 0);
    fm_folds_spec spec = {FM_FOLDS_KFOLD, 4, 3, 0};
    fm_folds a, b, c;
    size_t bytes;

    study_make(&s, 300, 2, 6, false, &rng);
    bytes = 3 * s.n * sizeof *a.test_fold;
    REQUIRE(fm_folds_make(&spec, s.n, s.label, s.group, NULL, 2, 1, &a, NULL) == 0);
    REQUIRE(fm_folds_make(&spec, s.n, s.label, s.group, NULL, 2, 1, &b, NULL) == 0);
    REQUIRE(fm_folds_make(&spec, s.n, s.label, s.group, NULL, 2, 2, &c, NULL) == 0);
    CHECK(memcmp(a.test_fold, b.test_fold, bytes) == 0);
    CHECK(memcmp(a.test_fold, c.test_fold, bytes) != 0);
    CHECK(memcmp(a.test_fold, a.test_fold + s.n, s.n * sizeof *a.test_fold) != 0);
    CHECK(memcmp(a.test_fold + s.n, a.test_fold + 2 * s.n, s.n * sizeof *a.test_fold) != 0);
    fm_folds_fini(&a);
    fm_folds_fini(&b);
    fm_folds_fini(&c);
}

static void rows_of_a_fold(void)
{
    int32_t test_fold[10] = {0, 1, 0, 1, -1, 1, 1, 0, 0, -1};
    fm_folds f = {5, 2, 2, test_fold};
    uint32_t train[5], test[5];
    size_t n_train, n_test;

    fm_folds_rows(&f, 1, 0, train, &n_train, test, &n_test);
    CHECK(n_train == 3 && train[0] == 0 && train[1] == 1 && train[2] == 4);
    CHECK(n_test == 2 && test[0] == 2 && test[1] == 3);
}

static void given_folds(void)
{
    const int32_t label[6] = {0, 1, 0, 1, 0, 1}, given[6] = {30, 30, 7, 7, -1, -5};
    const uint32_t group[6] = {1, 2, 3, 4, 5, 6};
    const int32_t want[6] = {1, 1, 0, 0, -1, -1};
    fm_folds_spec spec = {FM_FOLDS_GIVEN, 0, 1, 0};
    fm_folds f;

    REQUIRE(fm_folds_make(&spec, 6, label, group, given, 2, 1, &f, NULL) == 0);
    CHECK(f.folds == 2 && f.repeats == 1 && memcmp(f.test_fold, want, sizeof want) == 0);
    fm_folds_fini(&f);
}

typedef struct {
    const char *what;       /* part of the message */
    fm_folds_spec spec;
    size_t n;
    int32_t label[6];
    uint32_t group[6];
    int32_t given[6];
    int classes;
} refusal;

static void what_cannot_be_made_says_why(void)
{
    static const refusal cases[] = {
        {"no rows", {FM_FOLDS_KFOLD, 2, 1, 0}, 0, {0}, {0}, {0}, 2},
        {"label 2", {FM_FOLDS_KFOLD, 2, 1, 0}, 6, {0, 1, 2, 0, 1, 1}, {1, 2, 3, 4, 5, 6}, {0}, 2},
        {"label -1", {FM_FOLDS_KFOLD, 2, 1, 0}, 6, {0, 1, -1, 0, 1, 1}, {1, 2, 3, 4, 5, 6}, {0}, 2},
        {"class 1 of 2 has no rows", {FM_FOLDS_KFOLD, 2, 1, 0}, 6, {0}, {1, 2, 3, 4, 5, 6}, {0}, 2},
        {"2 groups", {FM_FOLDS_KFOLD, 3, 1, 0}, 6, {0, 1, 0, 1, 0, 1}, {1, 1, 1, 2, 2, 2}, {0}, 2},
        {"class 1 has 1 groups", {FM_FOLDS_KFOLD, 2, 1, 0}, 6, {0, 0, 0, 0, 1, 1}, {1, 2, 3, 4, 5, 5}, {0}, 2},
        {"none is left to train on", {FM_FOLDS_HOLDOUT, 0, 1, 0.9}, 6, {0, 0, 0, 0, 0, 1}, {1, 2, 3, 4, 5, 6}, {0}, 2},
        {"tests none", {FM_FOLDS_HOLDOUT, 0, 1, 0.01}, 6, {0, 1, 0, 1, 0, 1}, {1, 2, 3, 4, 5, 6}, {0}, 2},
        {"none of 6 rows is given", {FM_FOLDS_GIVEN, 0, 1, 0}, 6, {0, 1, 0, 1, 0, 1}, {1, 2, 3, 4, 5, 6},
         {-1, -1, -1, -1, -1, -1}, 2},
        {"another row of its group", {FM_FOLDS_GIVEN, 0, 1, 0}, 6, {0, 1, 0, 1, 0, 1}, {1, 2, 3, 4, 5, 1},
         {0, 0, 1, 1, 2, 2}, 2},
        {"another row of its group", {FM_FOLDS_GIVEN, 0, 1, 0}, 6, {0, 1, 0, 1, 0, 1}, {1, 2, 3, 4, 5, 1},
         {0, 0, 1, 1, -1, -1}, 2},
        {"none is left to train on", {FM_FOLDS_GIVEN, 0, 1, 0}, 6, {0, 1, 0, 1, 0, 0}, {1, 2, 3, 4, 5, 6},
         {0, 1, 0, 1, 2, 2}, 2},
        {"1 folds", {FM_FOLDS_KFOLD, 1, 1, 0}, 6, {0}, {0}, {0}, 2},
        {"65537 folds", {FM_FOLDS_KFOLD, 65537, 1, 0}, 6, {0}, {0}, {0}, 2},
        {"0 repeats", {FM_FOLDS_KFOLD, 2, 0, 0}, 6, {0}, {0}, {0}, 2},
        {"2 repeats", {FM_FOLDS_GIVEN, 2, 2, 0}, 6, {0}, {0}, {0}, 2},
        {"fraction 1", {FM_FOLDS_HOLDOUT, 2, 1, 1.0}, 6, {0}, {0}, {0}, 2},
        {"fraction nan", {FM_FOLDS_HOLDOUT, 2, 1, NAN}, 6, {0}, {0}, {0}, 2},
        {"split 9", {9, 2, 1, 0.5}, 6, {0}, {0}, {0}, 2},
        {"of 1 classes", {FM_FOLDS_KFOLD, 2, 1, 0}, 6, {0}, {0}, {0}, 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const refusal *r = &cases[i];
        fm_err err = FM_ERR_INIT;
        fm_folds f = {77, 0, 0, NULL};

        CHECK_INT(fm_folds_make(&r->spec, r->n, r->label, r->group, r->given, r->classes, 1, &f, &err), -EINVAL);
        if (!strstr(err.text, r->what) || f.n != 77)
            check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, r->what);
    }
}

CHECK_MAIN(CHECK_CASE(kfold_properties), CHECK_CASE(holdout_properties), CHECK_CASE(single_rows_are_split_exactly),
           CHECK_CASE(small_groups_even_out_large_ones),
           CHECK_CASE(same_seed_same_folds_other_repeat_other_folds), CHECK_CASE(rows_of_a_fold),
           CHECK_CASE(given_folds), CHECK_CASE(what_cannot_be_made_says_why))

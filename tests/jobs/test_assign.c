/* Both methods of assignment against all assignments there are, against each other, and on known sums. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "jobs/assign.h"

#define RATIO_MAX 3

/* What an assignment is worth: served[r] cases have more than r controls. */
typedef struct {
    int64_t served[RATIO_MAX];
    int64_t distance;
} worth;

static bool better(const worth *x, const worth *y)
{
    for (int r = 0; r < RATIO_MAX; r++)
        if (x->served[r] != y->served[r])
            return x->served[r] > y->served[r];
    return x->distance < y->distance;
}

/* False when the assignment breaks a rule. */
static bool value(const fm_assign_spec *s, const uint32_t *owner, worth *out)
{
    uint32_t *got = calloc(s->n_cases + 1, sizeof *got);
    bool legal = true;

    *out = (worth){.distance = 0};
    for (size_t j = 0; j < s->n_controls; j++) {
        if (owner[j] == FM_NOBODY)
            continue;
        legal = legal && owner[j] < s->n_cases && fabs(s->cases[owner[j]] - s->controls[j]) <= s->caliper &&
                got[owner[j]] < s->ratio;
        if (!legal)
            break;
        if (got[owner[j]] < RATIO_MAX)
            out->served[got[owner[j]]]++;
        got[owner[j]]++;
        out->distance += fm_assign_distance(s->cases[owner[j]], s->controls[j]);
    }
    free(got);
    return legal;
}

/* Try all owners of controls j and after. */
static void try_all(const fm_assign_spec *s, size_t j, uint32_t *owner, worth *best)
{
    worth w;

    if (j == s->n_controls) {
        if (value(s, owner, &w) && better(&w, best))
            *best = w;
        return;
    }
    for (uint32_t i = 0; i <= s->n_cases; i++) {
        owner[j] = i < s->n_cases ? i : FM_NOBODY;
        try_all(s, j + 1, owner, best);
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* step: ages are multiples of it, so that many are equal or none. */
static void draw(fm_rng *rng, double *age, size_t n, double step, uint32_t range)
{
    for (size_t i = 0; i < n; i++)
        age[i] = step * fm_rng_below(rng, range);
    qsort(age, n, sizeof *age, ascending);
}

static void same_worth(const fm_assign_spec *s, const worth *want, const char *method, const uint32_t *owner)
{
    worth got;

    CHECK(value(s, owner, &got));
    if (better(&got, want) || better(want, &got))
        check_failed(__FILE__, __LINE__, "%s: served %lld, distance %lld; expected %lld, %lld (%zu cases, %zu controls, "
                     "ratio %lld, caliper %g)", method, (long long)got.served[0], (long long)got.distance,
                     (long long)want->served[0], (long long)want->distance, s->n_cases, s->n_controls,
                     (long long)s->ratio, s->caliper);
}

static void both_equal_all_assignments(void)
{
    uint64_t seed = check_seed();
    fm_rng rng = fm_rng_init(seed, 1);

    for (int round = 0; round < 3000 && check_ok_so_far(); round++) {
        double cases[4], controls[6], step = round % 2 ? 1 : 0.37;
        uint32_t owner[6], range = 2 + fm_rng_below(&rng, 14);
        fm_assign_spec s = {.cases = cases, .controls = controls, .n_cases = 1 + fm_rng_below(&rng, 4),
                            .n_controls = fm_rng_below(&rng, 7), .ratio = 1 + fm_rng_below(&rng, RATIO_MAX),
                            .caliper = round % 3 ? step * fm_rng_below(&rng, 6) : INFINITY};
        worth best = {.served = {-1}};

        draw(&rng, cases, s.n_cases, step, range);
        draw(&rng, controls, s.n_controls, step, range);
        try_all(&s, 0, owner, &best);
        REQUIRE(fm_assign_line(&s, owner, NULL) == 0);
        same_worth(&s, &best, "line", owner);
        REQUIRE(fm_assign_counts(&s, owner, NULL) == 0);
        same_worth(&s, &best, "counts", owner);
    }
}

/* Larger than can be tried out: the methods share no step, so that they agree says much. */
static void methods_agree_when_crowded(void)
{
    static double cases[300], controls[700];
    static uint32_t owner[700];
    fm_rng rng = fm_rng_init(11, 2);

    for (int round = 0; round < 40 && check_ok_so_far(); round++) {
        fm_assign_spec s = {.cases = cases, .controls = controls, .n_cases = 20 + fm_rng_below(&rng, 280),
                            .n_controls = 20 + fm_rng_below(&rng, 680), .ratio = 1 + fm_rng_below(&rng, RATIO_MAX),
                            .caliper = round % 2 ? 0.5 * fm_rng_below(&rng, 12) : INFINITY};
        worth line, counts;

        draw(&rng, cases, s.n_cases, 0.5, 40);
        draw(&rng, controls, s.n_controls, 0.5, 80);
        REQUIRE(fm_assign_line(&s, owner, NULL) == 0 && value(&s, owner, &line));
        REQUIRE(fm_assign_counts(&s, owner, NULL) == 0 && value(&s, owner, &counts));
        CHECK(!better(&line, &counts) && !better(&counts, &line));
    }
}

/* Greedy takes 31 for 30.9 first and then 20 for 32; the caliper's chain serves both cases only one way. */
static void known_cases(void)
{
    static const double cases[] = {30.9, 32}, controls[] = {20, 31, 33.5}, chain[] = {30, 35}, links[] = {25, 30};
    uint32_t owner[3];
    fm_assign_spec s = {.cases = cases, .n_cases = 2, .controls = controls, .n_controls = 3, .ratio = 1,
                        .caliper = INFINITY};

    REQUIRE(fm_assign(&s, owner, NULL) == 0);
    CHECK(owner[0] == FM_NOBODY && owner[1] == 0 && owner[2] == 1);
    s = (fm_assign_spec){.cases = chain, .n_cases = 2, .controls = links, .n_controls = 2, .ratio = 1, .caliper = 5};
    REQUIRE(fm_assign(&s, owner, NULL) == 0);
    CHECK(owner[0] == 0 && owner[1] == 1);
    s.caliper = 4.9;
    REQUIRE(fm_assign(&s, owner, NULL) == 0);
    CHECK(owner[0] == FM_NOBODY && owner[1] == 0);
    s.n_controls = 0;
    CHECK_INT(fm_assign(&s, owner, NULL), 0);
}

/* All cases on one side of all controls, and all ages different: the widest windows there are. */
static void too_much_is_refused(void)
{
    enum { N = 66000 };
    double *age = malloc(2 * N * sizeof *age);
    uint32_t *owner = malloc(N * sizeof *owner);
    fm_assign_spec s = {.cases = age, .n_cases = N, .controls = age + N, .n_controls = N, .ratio = 1,
                        .caliper = INFINITY};
    fm_err err = FM_ERR_INIT;

    REQUIRE(age && owner);
    for (int i = 0; i < N; i++) {
        age[i] = 20 + i * 1e-5;
        age[N + i] = 60 + i * 1e-5;
    }
    CHECK_INT(fm_assign(&s, owner, &err), -EFBIG);
    CHECK(strstr(err.text, "method: nearest") != NULL);
    free(age);
    free(owner);
}

CHECK_MAIN(CHECK_CASE(both_equal_all_assignments), CHECK_CASE(methods_agree_when_crowded), CHECK_CASE(known_cases),
           CHECK_CASE(too_much_is_refused))

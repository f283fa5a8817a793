/* Processor time and memory of matching at the size of a registry: bench/match [CASES CONTROLS].
 * Each way of matching has a process of its own, so that its peak memory is its
 * own; the people that are matched count in it, as they do in a study. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rng.h"
#include "jobs/balance.h"
#include "jobs/match.h"

typedef struct {
    const char *name;
    double step;                /* years between ages that people can have */
    bool banded;                /* decades and sexes, or one stratum */
    int crowd;                  /* a case's age is the highest of so many draws, a control's is one */
    int64_t ratio;
    double caliper;
    bool replace;
    fm_match_method method;
} way;

static const way ways[] = {
    {"optimal, whole years", 1, true, 2, 1, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, days", 1 / 365.25, true, 2, 1, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, any time", 1e-6, true, 2, 1, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, days, caliper 0.1", 1 / 365.25, true, 2, 1, 0.1, false, FM_MATCH_OPTIMAL},
    {"optimal, whole years, 4 controls a case", 1, true, 2, 4, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, days, one stratum", 1 / 365.25, false, 2, 1, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, whole years, crowded", 1, true, 20, 1, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, days, crowded", 1 / 365.25, true, 20, 1, INFINITY, false, FM_MATCH_OPTIMAL},
    {"optimal, days, crowded, caliper 2", 1 / 365.25, true, 20, 1, 2, false, FM_MATCH_OPTIMAL},
    {"nearest, whole years", 1, true, 2, 1, INFINITY, false, FM_MATCH_NEAREST},
    {"nearest, days, one stratum", 1 / 365.25, false, 2, 1, INFINITY, false, FM_MATCH_NEAREST},
    {"shared, whole years", 1, true, 2, 1, INFINITY, true, FM_MATCH_OPTIMAL},
};

/* Cases are older than controls, so that the oldest bands are crowded. */
static void draw(fm_samples *s, const way *w, uint32_t cases, uint32_t controls)
{
    fm_rng rng = fm_rng_init(1, 1);
    uint32_t steps = (uint32_t)(80 / w->step);

    for (uint32_t i = 0; i < cases + controls; i++) {
        bool is_case = i < cases;
        uint32_t age = fm_rng_below(&rng, steps);
        char file[32];
        fm_sample *x;

        snprintf(file, sizeof file, "%u.jpg", i);
        if (!(x = fm_samples_add(s, !is_case, is_case ? "case" : "control", file, file, NULL, NULL)))
            exit(1);
        x->sex = fm_rng_below(&rng, 2) ? FM_SEX_MALE : FM_SEX_FEMALE;
        for (int k = 1; is_case && k < w->crowd; k++) {
            uint32_t other = fm_rng_below(&rng, steps);

            age = other > age ? other : age;
        }
        x->age = w->step * age;
    }
}

static int run(const way *w, uint32_t cases, uint32_t controls)
{
    static const double decades[] = {0, 10, 20, 30, 40, 50, 60, 70, 120}, all[] = {0, 120};
    fm_study *study = calloc(1, sizeof *study);
    fm_samples s = {.n = 0};
    fm_balance balance;
    fm_pairs pairs;
    struct rusage usage;
    fm_err err = FM_ERR_INIT;
    clock_t start;
    double sum = 0;

    if (!study)
        return 1;
    study->cohorts[1].role = FM_ROLE_CONTROL;
    study->n_cohorts = 2;
    study->match = (fm_match_spec){.on = true, .by_sex = w->banded, .by_age = true, .n_bands = w->banded ? 9 : 2,
                                   .ratio = w->ratio, .caliper = w->caliper, .replace = w->replace, .method = w->method};
    memcpy(study->match.bands, w->banded ? decades : all, w->banded ? sizeof decades : sizeof all);
    draw(&s, w, cases, controls);
    start = clock();
    if (fm_match(study, &s, &pairs, &err) != 0 || fm_balance_make(study, &s, &pairs, &balance, &err) != 0) {
        printf("%-42s %s\n", w->name, err.text);
        return 1;
    }
    start = clock() - start;
    getrusage(RUSAGE_SELF, &usage);
    for (size_t i = 0; i < pairs.n; i++)
        sum += pairs.v[i].distance;
    printf("%-42s %6.2f s %6ld MB  %8zu pairs, %.4g years apart\n", w->name, (double)start / CLOCKS_PER_SEC,
           usage.ru_maxrss / 1024,
           pairs.n, sum / (double)pairs.n);
    return 0;
}

int main(int argc, char **argv)
{
    uint32_t cases = argc > 2 ? (uint32_t)atol(argv[1]) : 100000, controls = argc > 2 ? (uint32_t)atol(argv[2]) : 1000000;
    int status, failed = 0;

    fm_log_set_level(FM_LOG_ERROR);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        pid_t child = fork();

        if (child == 0) {
            status = run(&ways[i], cases, controls);
            fflush(stdout);
            _exit(status);
        }
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0)
            failed = 1;
    }
    return failed;
}

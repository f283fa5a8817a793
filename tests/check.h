/* What a unit test needs: a list of cases, checks that go on after a failure,
 * and skips that say why.  Each case prints "ok NAME", "FAILED NAME" or
 * "skip NAME: why"; tests/run counts them. */
#ifndef FM_TESTS_CHECK_H
#define FM_TESTS_CHECK_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    void (*run)(void);
} check_case;

#define CHECK_CASE(f) {#f, f}

/* Runs all cases, or those whose name contains argv[1]. Returns main's exit status. */
int check_main(int argc, char **argv, const check_case *cases, size_t n);
#define CHECK_MAIN(...)                                                     \
    int main(int argc, char **argv)                                         \
    {                                                                       \
        static const check_case cases[] = {__VA_ARGS__};                    \
        return check_main(argc, argv, cases, sizeof cases / sizeof *cases); \
    }

void check_failed(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool check_ok_so_far(void);
void check_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(x) ((x) ? true : (check_failed(__FILE__, __LINE__, "%s", #x), false))
/* Ends the case when x does not hold; use it where going on makes no sense. */
#define REQUIRE(x) do { if (!CHECK(x)) return; } while (0)
#define CHECK_INT(got, want)                                                                     \
    do {                                                                                         \
        long long got_ = (got), want_ = (want);                                                  \
        if (got_ != want_)                                                                       \
            check_failed(__FILE__, __LINE__, "%s is %lld, expected %lld", #got, got_, want_);    \
    } while (0)
#define CHECK_NEAR(got, want, tolerance)                                                         \
    do {                                                                                         \
        double got_ = (got), want_ = (want);                                                     \
        if (!(fabs(got_ - want_) <= (tolerance)))                                                \
            check_failed(__FILE__, __LINE__, "%s is %.17g, expected %.17g +- %g", #got, got_,    \
                         want_, (double)(tolerance));                                            \
    } while (0)
#define CHECK_STR(got, want)                                                                     \
    do {                                                                                         \
        const char *got_ = (got), *want_ = (want);                                               \
        if (strcmp(got_, want_) != 0)                                                            \
            check_failed(__FILE__, __LINE__, "%s is \"%s\", expected \"%s\"", #got, got_, want_); \
    } while (0)

/* $FACEMILL_DATA/rel, or NULL after marking the case skipped.  Static storage, four calls deep. */
const char *check_data(const char *rel);
/* A model file that ./setup fetched (models/cache or $FACEMILL_MODELS), or NULL after marking the case skipped. */
const char *check_model(const char *name);
/* What random cases start from, and print: $SEED, else the same for everyone, so that a run can be repeated;
 * `make soak` takes another each time. */
uint64_t check_seed(void);
/* A fresh private folder, removed when the case ends. Static storage. */
const char *check_tmpdir(void);

#endif

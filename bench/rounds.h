/* Two sides by turns, and the table of what came out. */
#ifndef FM_BENCH_ROUNDS_H
#define FM_BENCH_ROUNDS_H

#include <stdbool.h>

enum { ROUNDS_MAX = 200 };

typedef struct {
    const char *name, *peer, *unit;     /* a unit of work: "face" */
    double units;                       /* in a run */
    double flops, bytes;                /* of a run, as the plain algorithm has them; 0: not counted */
    double bar, goal;                   /* ratios that are asked for */
    double (*ours)(void *context, int times);       /* seconds of processor time for one run, of so many */
    double (*theirs)(void *context, int times);
    void *context;
} bench_row;

typedef struct {
    double ours_best, ours, theirs_best, theirs;    /* seconds a unit: best and median round */
    double ratio_best;                              /* their best by our best */
    double ratio, ratio_low, ratio_high;            /* median, lowest and highest of the rounds' ratios */
    int rounds;
} bench_result;

/* Each round measures both, ours first in every other, so that whatever else the machine does meets both. */
bench_result bench_measure(const bench_row *row, int rounds);

typedef struct {
    bool json, first;
    double peak_flops, peak_bytes;      /* a second */
} bench_table;

/* peer  its name and version. */
void bench_table_row(bench_table *t, const bench_row *row, const char *peer, const bench_result *r);
void bench_table_absent(bench_table *t, const bench_row *row, const char *why);
void bench_table_heading(const bench_table *t);

#endif

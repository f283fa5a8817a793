#include "bench/rounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double shortest_turn = 0.05;       /* seconds: what is quicker is repeated */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double middle(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return v[n / 2];
}

/* The first run is for warming up and for how often one is repeated. */
static int repeats(double (*run)(void *, int), void *context)
{
    double once;

    run(context, 1);
    once = run(context, 1);
    return once >= shortest_turn ? 1 : (int)ceil(shortest_turn / (once + 1e-9));
}

bench_result bench_measure(const bench_row *row, int rounds)
{
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratio[ROUNDS_MAX];
    int our_times = repeats(row->ours, row->context), their_times = repeats(row->theirs, row->context);
    bench_result r = {.rounds = rounds};

    for (int i = 0; i < rounds; i++) {
        if (i % 2)
            theirs[i] = row->theirs(row->context, their_times) / row->units;
        ours[i] = row->ours(row->context, our_times) / row->units;
        if (i % 2 == 0)
            theirs[i] = row->theirs(row->context, their_times) / row->units;
        ratio[i] = theirs[i] / ours[i];
    }
    r.ours = middle(ours, rounds);
    r.theirs = middle(theirs, rounds);
    r.ratio = middle(ratio, rounds);
    r.ours_best = ours[0];
    r.theirs_best = theirs[0];
    r.ratio_best = r.theirs_best / r.ours_best;
    r.ratio_low = ratio[0];
    r.ratio_high = ratio[rounds - 1];
    return r;
}

void bench_table_heading(const bench_table *t)
{
    if (!t->json)
        printf("%-34s %-17s %9s %9s %7s %7s %15s %6s %6s  %s\n", "what, a unit of work", "peer", "ours ms", "peer's ms",
               "ratio", "best", "lowest-highest", "bar", "goal", "of the machine's peak");
}

/* Shares of what the core can do in the time that ours took at best. */
static double share(double work, const bench_row *row, const bench_result *r, double peak)
{
    return work / row->units / r->ours_best / peak;
}

static void json_row(bench_table *t, const bench_row *row, const char *peer, const bench_result *r)
{
    printf("%s{\"name\": \"%s\", \"unit\": \"%s\", \"peer\": \"%s\", \"version\": \"%s\", \"rounds\": %d, "
           "\"facemill_ms\": %.5g, \"facemill_best_ms\": %.5g, \"peer_ms\": %.5g, \"peer_best_ms\": %.5g, "
           "\"ratio\": %.4g, \"ratio_best\": %.4g, \"ratio_low\": %.4g, \"ratio_high\": %.4g, \"bar\": %g, \"goal\": %g",
           t->first ? "" : ",\n  ", row->name, row->unit, row->peer, peer, r->rounds, 1e3 * r->ours, 1e3 * r->ours_best,
           1e3 * r->theirs, 1e3 * r->theirs_best, r->ratio, r->ratio_best, r->ratio_low, r->ratio_high, row->bar,
           row->goal);
    if (row->flops > 0)
        printf(", \"share_of_peak_flops\": %.4g", share(row->flops, row, r, t->peak_flops));
    if (row->bytes > 0)
        printf(", \"share_of_peak_bytes\": %.4g", share(row->bytes, row, r, t->peak_bytes));
    printf("}");
}

void bench_table_row(bench_table *t, const bench_row *row, const char *peer, const bench_result *r)
{
    char name[64];

    if (t->json) {
        json_row(t, row, peer, r);
    } else {
        snprintf(name, sizeof name, "%s, a %s", row->name, row->unit);
        printf("%-34s %-17s %9.3f %9.3f %7.2f %7.2f %7.2f-%-7.2f %6.1f %6.1f ", name, row->peer, 1e3 * r->ours,
               1e3 * r->theirs, r->ratio, r->ratio_best, r->ratio_low, r->ratio_high, row->bar, row->goal);
        if (row->flops > 0)
            printf(" %.0f %% of arithmetic", 100 * share(row->flops, row, r, t->peak_flops));
        if (row->bytes > 0)
            printf(" %.0f %% of memory", 100 * share(row->bytes, row, r, t->peak_bytes));
        printf("\n");
    }
    t->first = false;
    fflush(stdout);
}

void bench_table_absent(bench_table *t, const bench_row *row, const char *why)
{
    if (t->json)
        printf("%s{\"name\": \"%s\", \"peer\": \"%s\", \"absent\": \"", t->first ? "" : ",\n  ", row->name, row->peer);
    else
        printf("%-34s %-17s absent: ", row->name, row->peer);
    for (; *why; why++)
        putchar(t->json && (*why == '"' || *why == '\\' || (unsigned char)*why < ' ') ? '\'' : *why);
    printf(t->json ? "\"}" : "\n");
    t->first = false;
    fflush(stdout);
}

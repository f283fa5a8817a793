/* Measured, not looked up: clocks of virtual machines are not told.  The best of
 * some short runs counts; compiled for this very processor, as the peers are. */
#define _GNU_SOURCE
#include "bench/peak.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
typedef float vec __attribute__((vector_size(4 * LANES)));

enum { CHAINS = 12, STEPS = 2000000, RUNS = 7 };
static const size_t memory_bytes = (size_t)256 << 20;

double peak_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* So many chains that no unit waits for a sum, and few enough for the registers. */
static float multiply_add(int steps)
{
    vec sum[CHAINS], total = {0};
    vec factor = (vec){0} + 0.999f, addend = (vec){0} + 0.001f;

    for (int c = 0; c < CHAINS; c++)
        sum[c] = addend * (float)c;
    for (int i = 0; i < steps; i++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * factor + addend;
    for (int c = 0; c < CHAINS; c++)
        total += sum[c];
    return total[0];
}

double peak_flops(void)
{
    volatile float sink;
    double best = 0;

    for (int r = 0; r < RUNS; r++) {
        double start = peak_seconds(), rate;

        sink = multiply_add(STEPS);
        rate = 2.0 * LANES * CHAINS * STEPS / (peak_seconds() - start);
        best = rate > best ? rate : best;
    }
    (void)sink;
    return best;
}

double peak_bytes(void)
{
    vec *memory = aligned_alloc(64, memory_bytes), sum[4] = {0};
    size_t n = memory_bytes / sizeof *memory;
    volatile float sink;
    double best = 0;

    if (!memory)
        return 0;
    memset(memory, 1, memory_bytes);
    for (int r = 0; r < RUNS; r++) {
        double start = peak_seconds(), rate;

        for (size_t i = 0; i < n; i += 4)
            for (size_t k = 0; k < 4; k++)
                sum[k] += memory[i + k];
        sink = sum[0][0] + sum[1][0] + sum[2][0] + sum[3][0];
        rate = (double)memory_bytes / (peak_seconds() - start);
        best = rate > best ? rate : best;
    }
    (void)sink;
    free(memory);
    return best;
}

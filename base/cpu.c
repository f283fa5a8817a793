#define _GNU_SOURCE
#include "base/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"plain", "avx2", "avx512"};

static fm_isa detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma"))
        return FM_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return FM_ISA_AVX2;
#endif
    return FM_ISA_PLAIN;
}

fm_isa fm_cpu_isa(void)
{
    static _Atomic int isa = -1;     /* threads that ask at once decide alike */

    if (isa < 0) {
        const char *env = getenv("FACEMILL_ISA");
        int best = (int)detect();

        for (int i = 0; env && i < best; i++)
            if (strcmp(env, names[i]) == 0)
                best = i;
        isa = best;
    }
    return (fm_isa)isa;
}

const char *fm_isa_name(fm_isa isa)
{
    return names[isa];
}

int fm_cpu_count(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

const char *fm_cpu_model(void)
{
    static char model[128];
    char line[256];
    FILE *f;

    if (model[0])
        return model;
    snprintf(model, sizeof model, "unknown");
    f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');

        if (!colon || strncmp(line, "model name", 10) != 0)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(model, sizeof model, "%.127s", colon + 2);
        break;
    }
    if (f)
        fclose(f);
    return model;
}

uint64_t fm_memory_held(void)
{
    unsigned long all, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%lu %lu", &all, &resident) != 2)
        resident = 0;
    if (f)
        fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

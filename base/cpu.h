/* Which instruction set kernels may use, decided once at run time, so that one
 * binary runs on every node of a mixed cluster. */
#ifndef FM_BASE_CPU_H
#define FM_BASE_CPU_H

#include <stdint.h>

typedef enum {
    FM_ISA_PLAIN,       /* the C reference */
    FM_ISA_AVX2,        /* AVX2 and FMA */
    FM_ISA_AVX512       /* AVX-512 F, BW, DQ, VL */
} fm_isa;

/* The best set this processor has.  $FACEMILL_ISA (plain, avx2, avx512) can
 * lower it, never raise it.  Same answer for the life of the process.  Threads: any. */
fm_isa fm_cpu_isa(void);
const char *fm_isa_name(fm_isa isa);

/* Cores this process may run on (affinity mask), at least 1. */
int fm_cpu_count(void);

/* Bytes of memory this process holds; 0: not known. */
uint64_t fm_memory_held(void);

/* Processor model as the system names it, e.g. for provenance; static storage.
 * Threads: one. */
const char *fm_cpu_model(void);

#endif

/* The reference: vectors of four that any processor has or that the compiler
 * takes apart, and fmaf, which is exact where there is no instruction for it. */
#include <math.h>

#define LANES_TABLE fm_lanes_plain
#define LANES 4
#define TILE_ROWS 4
#define MULTIPLY_ADD(a, b, c) fused(a, b, c)
#define ADD_PRODUCT(sum, a, b) sum = fused(a, b, sum)
#define LARGER(a, b) larger(a, b)
#define SMALLER(a, b) smaller(a, b)

typedef float vec4 __attribute__((vector_size(16), aligned(4), may_alias));

static inline vec4 fused(vec4 a, vec4 b, vec4 c)
{
    return (vec4){fmaf(a[0], b[0], c[0]), fmaf(a[1], b[1], c[1]), fmaf(a[2], b[2], c[2]), fmaf(a[3], b[3], c[3])};
}

static inline vec4 larger(vec4 a, vec4 b)
{
    for (int i = 0; i < LANES; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}

static inline vec4 smaller(vec4 a, vec4 b)
{
    for (int i = 0; i < LANES; i++)
        a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
}

#include "worker/net/lanes.inc"

const fm_lanes *fm_lanes_for(fm_isa isa)
{
#if defined(__x86_64__)
    if (isa == FM_ISA_AVX512)
        return &fm_lanes_avx512;
    if (isa == FM_ISA_AVX2)
        return &fm_lanes_avx2;
#endif
    (void)isa;
    return &fm_lanes_plain;
}

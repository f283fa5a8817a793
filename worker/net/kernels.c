/* The reference: vectors of four that any processor has or that the compiler
 * takes apart, and fmaf, which is exact where there is no instruction for it. */
#include <math.h>

#define NET_TABLE fm_net_plain
#define NET_LANES 4
#define NET_ROWS 4
#define NET_FMA(x, v, sum) fused(x, v, sum)
#define NET_LARGER(a, b) larger(a, b)

typedef float vec4 __attribute__((vector_size(16)));

static inline vec4 fused(float x, vec4 v, vec4 sum)
{
    for (int i = 0; i < NET_LANES; i++)
        sum[i] = fmaf(x, v[i], sum[i]);
    return sum;
}

static inline vec4 larger(vec4 a, vec4 b)
{
    for (int i = 0; i < NET_LANES; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}

#include "worker/net/kernels.inc"

const fm_net_kernels *fm_net_kernels_for(fm_isa isa)
{
#if defined(__x86_64__)
    if (isa == FM_ISA_AVX512)
        return &fm_net_avx512;
    if (isa == FM_ISA_AVX2)
        return &fm_net_avx2;
#endif
    (void)isa;
    return &fm_net_plain;
}

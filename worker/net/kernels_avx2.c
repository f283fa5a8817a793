#if defined(__x86_64__)
#include <immintrin.h>

#define NET_TABLE fm_net_avx2
#define NET_LANES 8
#define NET_ROWS 6
#define NET_FMA(x, v, sum) ((vec)_mm256_fmadd_ps(_mm256_set1_ps(x), (__m256)(v), (__m256)(sum)))
#define NET_LARGER(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#include "worker/net/kernels.inc"
#endif

#if defined(__x86_64__)
#include <immintrin.h>

#define NET_TABLE fm_net_avx512
#define NET_LANES 16
#define NET_ROWS 8
#define NET_FMA(x, v, sum) ((vec)_mm512_fmadd_ps(_mm512_set1_ps(x), (__m512)(v), (__m512)(sum)))
#define NET_LARGER(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#include "worker/net/kernels.inc"
#endif

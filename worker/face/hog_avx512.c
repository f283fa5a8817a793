#if defined(__x86_64__)
#include <immintrin.h>

#define HOG_TABLE fm_hog_avx512
#define HOG_LANES 16
#define HOG_FMA(x, w, sum) ((vec)_mm512_fmadd_ps((__m512)(x), _mm512_set1_ps(w), (__m512)(sum)))
#define HOG_MIN(a, b) ((lanes)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define HOG_SQRT(a) ((lanes)_mm512_sqrt_ps((__m512)(a)))

typedef __m512i ivec;

#define HOG_ZERO _mm512_setzero_si512()
#define HOG_LOAD(p) _mm512_loadu_si512(p)
#define HOG_FOUR(p) _mm512_set1_epi32(*(const int32_any *)(p))
#define HOG_BYTES(x, w) _mm512_maddubs_epi16(x, w)
#define HOG_ADD_PAIRS(sum, pairs) _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))

#include "worker/face/hog.inc"
#endif

#if defined(__x86_64__)
#include <immintrin.h>

#define HOG_TABLE fm_hog_avx2
#define HOG_LANES 8
#define HOG_FMA(x, w, sum) ((vec)_mm256_fmadd_ps((__m256)(x), _mm256_set1_ps(w), (__m256)(sum)))
#define HOG_MIN(a, b) ((lanes)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define HOG_SQRT(a) ((lanes)_mm256_sqrt_ps((__m256)(a)))

typedef __m256i ivec;

#define HOG_ZERO _mm256_setzero_si256()
#define HOG_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define HOG_FOUR(p) _mm256_set1_epi32(*(const int32_any *)(p))
#define HOG_BYTES(x, w) _mm256_maddubs_epi16(x, w)
#define HOG_ADD_PAIRS(sum, pairs) _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))

#include "worker/face/hog.inc"
#endif

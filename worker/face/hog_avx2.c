#if defined(__x86_64__)
#include <immintrin.h>

#define HOG_TABLE fm_hog_avx2
#define HOG_LANES 8
#define HOG_FMA(x, w, sum) ((vec)_mm256_fmadd_ps((__m256)(x), _mm256_set1_ps(w), (__m256)(sum)))
#include "worker/face/hog.inc"
#endif

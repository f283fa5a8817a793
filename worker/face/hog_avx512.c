#if defined(__x86_64__)
#include <immintrin.h>

#define HOG_TABLE fm_hog_avx512
#define HOG_LANES 16
#define HOG_FMA(x, w, sum) ((vec)_mm512_fmadd_ps((__m512)(x), _mm512_set1_ps(w), (__m512)(sum)))
#include "worker/face/hog.inc"
#endif

#if defined(__x86_64__)
#include <immintrin.h>

#define LANES_TABLE fm_lanes_avx2
#define LANES 8
#define TILE_ROWS 6
#define MULTIPLY_ADD(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
/* As instructions, so that each sum keeps its register: gcc moves one of twelve through memory, which costs a twentieth. */
#define ADD_PRODUCT(sum, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b))
#define LARGER(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define SMALLER(a, b) ((vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#include "worker/net/lanes.inc"
#endif

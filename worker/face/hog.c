#include "worker/face/hog.h"

#define HOG_TABLE fm_hog_plain
#define HOG_LANES 0
#include "worker/face/hog.inc"

const fm_hog_kernels *fm_hog_kernels_for(fm_isa isa)
{
#if defined(__x86_64__)
    if (isa == FM_ISA_AVX512)
        return &fm_hog_avx512;
    if (isa == FM_ISA_AVX2)
        return &fm_hog_avx2;
#endif
    (void)isa;
    return &fm_hog_plain;
}

/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random
 * Numbers: As Easy as 1, 2, 3", SC11).  A number depends on (seed, stream,
 * position) only, so that results are the same at any number of ranks. */
#ifndef FM_BASE_RNG_H
#define FM_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t seed, stream, block;
    uint32_t out[4];
    int left;           /* numbers of out not yet handed out */
} fm_rng;

/* stream separates uses of one seed: build it with fm_rng_stream("folds", repeat, fold). */
fm_rng fm_rng_init(uint64_t seed, uint64_t stream);
uint64_t fm_rng_stream(const char *purpose, uint64_t a, uint64_t b);

uint32_t fm_rng_u32(fm_rng *r);
uint32_t fm_rng_below(fm_rng *r, uint32_t n);   /* 0 .. n-1 without bias; n > 0 */
double fm_rng_uniform(fm_rng *r);               /* [0, 1), 53 bits */
double fm_rng_normal(fm_rng *r);                /* mean 0, variance 1 (Box and Muller 1958) */
void fm_rng_shuffle(fm_rng *r, uint32_t *index, size_t n);  /* Fisher and Yates; n < 2^32 */

/* The raw generator, for tests against the published vectors. */
void fm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#endif

/* Effects planted in chips, to learn what a study would find.
 *
 *   warp  both eyes move outwards by `size` pixels (of a chip of 150), their
 *         surroundings with them: a Gaussian of 18 pixels about each eye of the mean
 *         face at padding 0.25; between pixels bilinear
 *   tint  red rises and blue falls by `size` levels of 256 in the middle of the face,
 *         less and less towards the rim: a Gaussian of 45 pixels about the middle */
#ifndef FM_WORKER_PLANT_H
#define FM_WORKER_PLANT_H

#include <stdint.h>

typedef enum { FM_PLANT_WARP, FM_PLANT_TINT, FM_PLANT_COUNT } fm_plant_effect;

const char *fm_plant_name(int effect);      /* "warp", "tint" */
const char *fm_plant_unit(int effect);      /* "pixels", "levels" */

/* chip, out  u8 [side, side, 3], RGB; not the same memory.  size 0 copies. */
void fm_plant(fm_plant_effect effect, double size, const uint8_t *chip, int side, uint8_t *out);

#endif

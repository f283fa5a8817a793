/* Named parts of an aligned face, by its 68 landmarks: which part a pixel of the chip is of. */
#ifndef FM_WORKER_FACE_REGIONS_H
#define FM_WORKER_FACE_REGIONS_H

#include <stdint.h>

/*  brows       a band along each brow
 *  eyes        lids and what they enclose, with a margin
 *  nose        bridge to wings
 *  mouth       lips, and the philtrum above them
 *  jaw         of the rest of the face what lies lower than the mouth
 *  forehead    of it what lies higher than the brows; the face ends as far above them as the nose is half long
 *  cheeks      the rest of the face, temples included
 *  background  all else: hair, neck, clothes, surroundings */
typedef enum {
    FM_REGION_FOREHEAD, FM_REGION_BROWS, FM_REGION_EYES, FM_REGION_NOSE, FM_REGION_CHEEKS, FM_REGION_MOUTH,
    FM_REGION_JAW, FM_REGION_BACKGROUND, FM_REGION_COUNT
} fm_region;

const char *fm_region_name(int region);

/* points  f64 [68][2], x and y in pixels of the chip, in the order of dlib's (iBUG's) 68.
 * out     caller's, u8 [side, side]: fm_region. */
void fm_regions_fill(const double (*points)[2], int side, uint8_t *out);

#endif

/* Chips with a patch hidden, to learn what a classifier's score rests on (Zeiler and Fergus 2014, ECCV, section 4.2).
 *
 * A grid of `grid` x `grid` cells lies over the chip.  Hiding a cell paints a square patch, two cells wide, about the
 * cell's middle with the chip's own mean colour; its rim fades over half a cell.
 *
 * The mean colour is the chip's own: that of all chips would differ more from some skins than from others, and the map
 * would then show skin.  A blurred chip would keep what colour and light tell.  The rim fades because a sharp edge is
 * itself something that networks see.  Patches overlap, so that what lies on a cell's edge is hidden whole by some. */
#ifndef FM_WORKER_OCCLUDE_H
#define FM_WORKER_OCCLUDE_H

#include <stdint.h>

#define FM_OCCLUDE_GRID_MIN 3
#define FM_OCCLUDE_GRID_MAX 30

/* How much of pixel x, y a patch hides, 0 to 1.  cell  0 .. grid * grid - 1, row by row. */
double fm_occlude_share(int side, uint32_t grid, uint32_t cell, int x, int y);

/* chip, out  u8 [side, side, 3], RGB; not the same memory. */
void fm_occlude(const uint8_t *chip, int side, uint32_t grid, uint32_t cell, uint8_t *out);

#endif

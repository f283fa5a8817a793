/* Where a face's landmarks lie on its chip. */
#ifndef FM_WORKER_CHIP_POINTS_H
#define FM_WORKER_CHIP_POINTS_H

#include "base/err.h"
#include "storage/photo.h"

/* padding  the recipe's.
 * out      caller's, f64 [face->n_points][2], x and y in pixels of the chip.
 * Errors: -EINVAL (landmarks that make no transform). */
int fm_chip_points(const fm_photo_face *face, int size, double padding, double (*out)[2], fm_err *err);

#endif

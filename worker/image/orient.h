/* Turning and mirroring an image as an EXIF orientation asks. */
#ifndef FM_WORKER_IMAGE_ORIENT_H
#define FM_WORKER_IMAGE_ORIENT_H

#include "base/err.h"
#include "worker/image/image.h"

/* Make a stored image upright.
 * orientation  EXIF's: 1 nothing, 2 mirrored, 3 half turn, 4 upside down mirrored, 5 transposed,
 *              6 needs a quarter turn clockwise, 7 transversed, 8 needs one counter-clockwise.
 * image        replaced on success (sides exchanged for 5 to 8), untouched on failure.
 * Errors: -EINVAL (no such orientation), -ENOMEM. */
int fm_image_orient(fm_image *image, int orientation, fm_err *err);

#endif

/* The face chip: the face turned upright, centred and scaled so that its
 * landmarks lie where the mean face has them (dlib's get_face_chip_details and
 * extract_image_chip, image_transforms/interpolation.h). */
#ifndef FM_WORKER_FACE_CHIP_H
#define FM_WORKER_FACE_CHIP_H

#include <stdint.h>

#include "base/err.h"
#include "worker/face/box.h"
#include "worker/face/similarity.h"
#include "worker/image/image.h"

/* The transform that takes chip pixels to photograph pixels.
 * points   [n_points] landmarks, 68 (17 to 54 and 60 to 64 without the brows are used) or 5.
 * size     pixels a side of the chip.   padding  share of the face added on each side.
 * Errors: -EINVAL (another number of points). */
int fm_chip_transform(const fm_point *points, int n_points, int size, double padding, fm_similarity *out, fm_err *err);

/* Cut a chip out.  Where the photograph ends the chip is black.  A face much
 * larger than the chip is halved, by dlib's 5 x 5 filter, as often as its area
 * allows before it is interpolated.
 * rgb  caller's, u8 [size, size, 3].
 * Errors: -EINVAL (landmarks that make no transform), -ENOMEM. */
int fm_chip_extract(const fm_image *image, const fm_similarity *transform, int size, uint8_t *rgb, fm_err *err);

#endif

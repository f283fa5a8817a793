/* The portrait mask of a chip: which of its pixels show the person and which what
 * is behind (Liang et al. 2020 masked portraits before encoding; here MediaPipe's
 * selfie segmentation, whose person has hair and clothes).
 *
 * The network sees the face as the chip does, upright and centred, with context
 * around it: FM_PORTRAIT_PADDING of the face on each side.  Its mask is then laid
 * onto the chip.  The same bits on every instruction set. */
#ifndef FM_WORKER_PORTRAIT_H
#define FM_WORKER_PORTRAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "worker/face/box.h"
#include "worker/image/image.h"

enum { FM_PORTRAIT_SIZE = 256 };        /* pixels a side of what the network sees */
#define FM_PORTRAIT_PADDING 1.0

typedef struct fm_portrait fm_portrait;

/* file  bytes of portrait.onnx; borrowed, must outlive the result.
 * Errors: -EINVAL (another network), what fm_network_load gives, -ENOMEM. */
int fm_portrait_create(const void *file, size_t n, fm_portrait **out, fm_err *err);
void fm_portrait_destroy(fm_portrait *p);

/* The mask of a picture.
 * rgb   u8 [FM_PORTRAIT_SIZE, FM_PORTRAIT_SIZE, 3].
 * mask  f32 [FM_PORTRAIT_SIZE, FM_PORTRAIT_SIZE], 1: person; borrowed until the next call. */
int fm_portrait_picture(fm_portrait *p, const uint8_t *rgb, const float **mask, fm_err *err);

/* The mask of a chip that is cut from image with these landmarks, size and padding (worker/face/chip.h).
 * mask    caller's, u8 [size, size], 255: person.
 * misses  set when the network takes more than half of the landmarks for background: it has not seen the person, and the
 *         mask is 255 all over.
 * Errors: as fm_chip_transform and fm_chip_extract.  Threads: one each. */
int fm_portrait_chip(fm_portrait *p, const fm_image *image, const fm_point *points, int n_points, int size, double padding,
                     uint8_t *mask, bool *misses, fm_err *err);

#endif

/* What a classifier could learn from a photograph without its face: columns that
 * should say nothing about the label.  Computed from what a build stored; nothing
 * is decoded again.  Where a study masks, callers put the mask on the chip first.
 *
 *   ring     the chip outside the face.  The face is the convex hull of the
 *            landmarks and of the brows moved up by half of the way from the nose's
 *            foot to between the brows, grown by 1.15 about the middle of the hull's points; with 5 landmarks
 *            an ellipse.  Mean R, G, B in 8 sectors of 45 degrees (a sector without
 *            pixels has the ring's), then the ring's standard deviation of R, G, B,
 *            its mean step to the right and downwards, its share of black pixels,
 *            where the photograph ended
 *   blur     the chip as 8 x 8 means, R, G, B
 *   facts    log of bytes, width, height, width / height and bytes / pixel; JPEG
 *            quality and its square; 1 when PNG; 1 when stored turned
 *   colour   mean and standard deviation of R, G, B of the whole chip */
#ifndef FM_WORKER_CONFOUND_H
#define FM_WORKER_CONFOUND_H

#include <stdint.h>

#include "base/err.h"
#include "storage/photo.h"

typedef enum { FM_CONFOUND_RING, FM_CONFOUND_BLUR, FM_CONFOUND_FACTS, FM_CONFOUND_COLOUR, FM_CONFOUND_COUNT } fm_confound;

enum {
    FM_CONFOUND_RING_WIDTH = 8 * 3 + 3 + 2 + 1,
    FM_CONFOUND_BLUR_WIDTH = 8 * 8 * 3,
    FM_CONFOUND_FACTS_WIDTH = 9,
    FM_CONFOUND_COLOUR_WIDTH = 6
};

const char *fm_confound_name(int confound);     /* "background", "blurred", "file", "colour" */
uint32_t fm_confound_width(int confound);

/* Columns of one face.
 * padding     the recipe's, so that landmarks can be found on the chip.
 * file_bytes  0: not known.
 * out         caller's; f32 [width] each.
 * Errors: -EINVAL (no such face, or no chip). */
int fm_confound_columns(const fm_photo *photo, uint32_t face, double padding, uint64_t file_bytes,
                        float *const out[FM_CONFOUND_COUNT], fm_err *err);

#endif

/* Chips to codes as the encoding says: the mask is put on, then dlib's network or
 * an ONNX one encodes.  A face's code depends on its chip, its mask and the encoding
 * alone: not on the batch, the rank or the instruction set. */
#ifndef FM_WORKER_CODER_H
#define FM_WORKER_CODER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/encoding.h"
#include "worker/models.h"

#define FM_CODER_BATCH 16       /* chips at once from which it does not get faster */

typedef struct fm_coder fm_coder;

/* A face as its photo record has it. */
typedef struct {
    const uint8_t *chip;        /* u8 [size, size, 3] RGB */
    const uint8_t *mask;        /* u8 [size, size], 255: person; looked at when the encoding masks */
} fm_coder_face;

/* models  borrowed, must outlive the result; they hold the encoding's network.
 * Errors: -EINVAL (no such network was loaded, or it is another), what loading gives. */
int fm_coder_create(const fm_encoding *e, const fm_models *models, fm_coder **out, fm_err *err);
void fm_coder_destroy(fm_coder *c);
uint32_t fm_coder_width(const fm_coder *c);     /* numbers of a code */

/* Encode faces.
 * size   pixels of all chips.
 * codes  caller's, f32 [n, fm_coder_width].
 * wrong  set on -EDOM: which face; may be NULL.
 * Errors: -EINVAL (chips of a size that the encoder does not take, a mask that is missing), -EDOM (a number that is not
 * finite), -ENOMEM.  Threads: one coder each. */
int fm_coder_run(fm_coder *c, const fm_coder_face *faces, int size, size_t n, float *codes, size_t *wrong, fm_err *err);

/* Put a mask on a chip: what it leaves out becomes fill, softly.
 * out  u8 [size, size, 3]; may be the chip itself. */
void fm_mask_apply(const uint8_t *chip, const uint8_t *mask, int size, const uint8_t fill[3], uint8_t *out);

#endif

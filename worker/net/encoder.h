/* The face encoder: dlib's ResNet (29 convolutions; He et al. 2016, "Deep
 * Residual Learning for Image Recognition", slimmed by D. King), read straight
 * from dlib_face_recognition_resnet_model_v1.dat.
 *
 * A chip's code depends on the chip alone: not on the batch it came in, nor on
 * the rank, and every instruction set gives the same bits. */
#ifndef FM_WORKER_NET_ENCODER_H
#define FM_WORKER_NET_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/err.h"

enum {
    FM_ENCODER_CHIP = 150,          /* pixels a side of the chips it takes */
    FM_ENCODER_EMBEDDING = 128,     /* columns 0 .. 127 of a code */
    FM_ENCODER_POOLED = 256,        /* columns 128 .. 383: what the average pooling gives, before the last layer */
    FM_ENCODER_WIDTH = FM_ENCODER_EMBEDDING + FM_ENCODER_POOLED,
    FM_ENCODER_BATCH = 16           /* chips at once from which it does not get faster */
};

typedef struct fm_encoder fm_encoder;

/* Turn the .dat file's bytes into a packed image for one instruction set:
 * position-independent, read-only, so that the ranks of a node can share one.
 * Appended to out, whose size must be a multiple of 64.
 * Errors: -EBADMSG (not this network, cut short, of another version; what was expected is named), -ENOMEM. */
int fm_encoder_pack(const void *file, size_t n, fm_isa isa, fm_buf *out, fm_err *err);

/* View a packed image: borrowed, 64-byte aligned, must outlive the result.
 * Errors: -EBADMSG (not a packed encoder, or for an instruction set this processor lacks), -ENOMEM. */
int fm_encoder_open(const void *packed, size_t n, fm_encoder **out, fm_err *err);
void fm_encoder_close(fm_encoder *e);

/* Encode chips.
 * chips  [n], each u8 [150, 150, 3] RGB, row-major, as fm_chip_extract cuts them.
 * codes  caller's, f32 [n, FM_ENCODER_WIDTH].
 * Any n; batches are cut inside.  Errors: -ENOMEM (workspace, on first use; kept).
 * Threads: one encoder each. */
int fm_encoder_run(fm_encoder *e, const uint8_t *const *chips, size_t n, float *codes, fm_err *err);

#endif

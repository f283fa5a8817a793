/* An ONNX network as face encoder: any model with one picture in and a row of
 * numbers out.
 *
 * A chip of another size than the network's is resampled (worker/image/resample.h);
 * colours become (v - mean) * scale.  A face's code depends on the face alone: where
 * the network is proven to keep the pictures of a batch apart they go in together,
 * elsewhere one by one; and every instruction set gives the same bits. */
#ifndef FM_WORKER_FACE_NETWORK_H
#define FM_WORKER_FACE_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/encoding.h"

#define FM_FACE_NETWORK_BATCH 16    /* faces at once, at most */

/* What a study says of a model.  What it leaves open the model's metadata says (keys facemill.input, .output, .channels,
 * .layout, .mean, .scale), or else its shape. */
typedef struct {
    char input[FM_VALUE_NAME_MAX], output[FM_VALUE_NAME_MAX];   /* "": not said, as all here */
    int64_t size;                   /* 0 */
    int channels, layout;           /* -1; else fm_channels, fm_layout */
    int n_mean, n_scale;            /* 0; 1 number for all channels, or one each */
    float mean[3], scale[3];
} fm_network_wish;

#define FM_NETWORK_WISH_INIT {.channels = -1, .layout = -1}

/* Load a model and find out how it is to be used.
 * model  what messages call it.
 * out    kind, width and what belongs to networks; digest and mask are left alone.
 * Errors: -EINVAL (the wish and the model contradict each other, or something is not said), what fm_network_load gives,
 * -EDOM (a grey picture gives numbers that are not finite), -ENOMEM.  The message says what to write. */
int fm_face_network_describe(const char *model, const void *file, size_t n, const fm_network_wish *wish, fm_encoding *out,
                             fm_err *err);

typedef struct fm_face_network fm_face_network;

/* file  borrowed, must outlive the result.  Errors: as above. */
int fm_face_network_open(const void *file, size_t n, const fm_encoding *e, fm_face_network **out, fm_err *err);
void fm_face_network_close(fm_face_network *net);

/* Encode chips.
 * chips  [n], each u8 [size, size, 3] RGB.
 * codes  caller's, f32 [n, e->width].
 * wrong  set on -EDOM: which chip.
 * Errors: -EDOM (the network gives a number that is not finite), -EINVAL (a size that cannot be resampled), -ENOMEM.
 * Threads: one network each. */
int fm_face_network_run(fm_face_network *net, const uint8_t *const *chips, int size, size_t n, float *codes, size_t *wrong,
                        fm_err *err);

#endif

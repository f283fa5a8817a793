/* The encoding: everything that decides what code a chip gets, as the recipe is
 * everything that decides what a chip looks like.  Pure codec; the study and the
 * model's file fill it, the join file carries it, workers obey it. */
#ifndef FM_PROTO_ENCODING_H
#define FM_PROTO_ENCODING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#define FM_VALUE_NAME_MAX 128       /* bytes of the name of a network's input or output */
#define FM_CODE_WIDTH_MAX 65536     /* numbers of a code */

typedef enum { FM_ENCODER_DLIB, FM_ENCODER_ONNX, FM_ENCODER_KINDS } fm_encoder_kind;
typedef enum { FM_CHANNELS_RGB, FM_CHANNELS_BGR, FM_CHANNELS_GREY, FM_CHANNELS_KINDS } fm_channels;
/* Where channels stand: [n, c, y, x] or [n, y, x, c]. */
typedef enum { FM_LAYOUT_FIRST, FM_LAYOUT_LAST, FM_LAYOUT_KINDS } fm_layout;

/* All zeros: dlib's network, no mask. */
typedef struct {
    uint8_t kind;                       /* fm_encoder_kind */
    fm_digest model;                    /* SHA-256 of the model's file */
    uint32_t width;                     /* numbers of a code; dlib's 384 */
    bool mask;                          /* what the portrait mask leaves out is painted over first */
    uint8_t fill[3];                    /* R, G, B it is painted with */
    /* of an ONNX network only */
    char input[FM_VALUE_NAME_MAX], output[FM_VALUE_NAME_MAX];
    uint16_t size;                      /* pixels a side of the picture it takes, 8 to 1024 */
    uint8_t channels, layout;           /* fm_channels, fm_layout */
    float mean[3], scale[3];            /* in the network's order of channels: it sees (v - mean) * scale, v 0 to 255 */
} fm_encoding;

void fm_encoding_encode(const fm_encoding *e, fm_buf *out);
/* Errors: -EBADMSG (cut short, or a value out of range). */
int fm_encoding_decode(fm_reader *in, fm_encoding *out, fm_err *err);

/* What stands for the encoder in keys of codes: dlib's network without a mask goes by its model's SHA-256, all else
 * by a digest of the canonical encoding. */
int fm_encoding_digest(const fm_encoding *e, fm_digest *out, fm_err *err);

#endif

/* dlib's face recognition network: which convolutions it has, and where a .dat
 * file holds their numbers. */
#ifndef FM_WORKER_NET_RESNET_H
#define FM_WORKER_NET_RESNET_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { FM_RESNET_CONVS = 29 };

typedef enum {
    FM_CONV_STEM,       /* 7 x 7, every second pixel, no padding */
    FM_CONV_DOWN,       /* 3 x 3, every second pixel, no padding */
    FM_CONV_SAME        /* 3 x 3, every pixel, padded by one */
} fm_conv_kind;

typedef struct {
    fm_conv_kind kind;
    int in, out;        /* channels */
} fm_conv_shape;

extern const fm_conv_shape fm_resnet_shapes[FM_RESNET_CONVS];   /* from the photograph to the code */

int fm_conv_side(fm_conv_kind kind);        /* 7 or 3 */

/* f32 little-endian, unaligned, borrowed from the file; y = gamma (filters * x + bias) + beta. */
typedef struct {
    const uint8_t *filters;                 /* [out][in][side][side] */
    const uint8_t *bias, *gamma, *beta;     /* [out] */
} fm_resnet_conv;

typedef struct {
    float mean[3];                          /* subtracted from red, green, blue; then divided by 256 */
    fm_resnet_conv conv[FM_RESNET_CONVS];
    const uint8_t *fc;                      /* [256][128] */
} fm_resnet;

/* Find the numbers in the bytes of a .dat file; allocates nothing.
 * Errors: -EBADMSG (the message names what was expected and at which byte). */
int fm_resnet_read(const void *file, size_t n, fm_resnet *out, fm_err *err);

float fm_resnet_number(const uint8_t *numbers, size_t i);

#endif

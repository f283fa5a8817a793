/* How a packed encoder lies in memory: a header, then each convolution's
 * weights and biases, then the last layer; every part 64-byte aligned.  Sizes
 * follow from the network alone, so the same function says where parts are to
 * who writes and who reads.
 *
 * Weights are cut into panels of output channels, as many as a kernel computes
 * at once: [panel][k][channel].  k counts rows, columns, channels of the filter;
 * a SAME convolution has the 36 transformed filters one after the other
 * instead, each [panel][channel in][channel]; the last one, of which one pixel
 * is ever asked, has only its centre. */
#ifndef FM_WORKER_NET_PACKED_H
#define FM_WORKER_NET_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "worker/net/resnet.h"

#define FM_PACKED_MAGIC 0x31434e45u     /* "ENC1" */

enum {
    FM_TILE_SIDE = 4,                   /* output pixels of a Winograd tile */
    FM_TILE_POINTS = (FM_TILE_SIDE + 2) * (FM_TILE_SIDE + 2)
};

typedef struct {
    uint32_t magic, isa, panel;         /* panel: output channels */
    float mean[3];
    uint64_t bytes;                     /* of the whole image */
} fm_packed_header;

typedef struct {
    size_t weights[FM_RESNET_CONVS], bias[FM_RESNET_CONVS];     /* bytes from the start */
    size_t fc, bytes;
} fm_packed_layout;

fm_packed_layout fm_packed_layout_of(void);

#endif

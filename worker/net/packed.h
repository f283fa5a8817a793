/* How a packed encoder lies in memory: a header, then each convolution's
 * weights and biases, then the last layer; every part 64-byte aligned.  Sizes
 * follow from the network alone, so the same function says where parts are to
 * who writes and who reads.
 *
 * Weights are cut into panels of output channels, as many as a kernel computes
 * at once: [panel][k][channel].  Filters that are applied by tiles are stored
 * transformed, a matrix for each point: [point][panel][channel in][channel];
 * those of the first convolution, which takes every second pixel, as 4 x 4
 * filters over pixels taken two by two.  Those that halve the picture count k
 * over rows, columns, channels of the filter; of the last one, of which one
 * pixel is ever asked, there is only the centre. */
#ifndef FM_WORKER_NET_PACKED_H
#define FM_WORKER_NET_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "worker/net/resnet.h"

#define FM_PACKED_MAGIC 0x31434e45u     /* "ENC1" */

enum { FM_FOLDED = 12 };                /* channels of pixels taken two by two */

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

/* Points a side that a convolution's filters are transformed to; 0: they are not. */
int fm_packed_points(int conv);

#endif

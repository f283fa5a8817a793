/* What slides over a picture: how large its result is, and which pixels each of its windows reads. */
#ifndef FM_WORKER_NET_WINDOWS_H
#define FM_WORKER_NET_WINDOWS_H

#include "worker/net/ops.h"

/* Pictures of rank 3 are one pixel high. */
typedef struct {
    int64_t n, in_y, in_x, in_c, out_y, out_x, out_c;
    int taps;
} fm_windows;

/* Read kernel_shape, strides, dilations, pads, auto_pad into n->p; kernel: its shape when there is no attribute, or NULL.
 * The input must be of rank 3 or 4. */
int fm_windows_attrs(fm_graph *g, fm_node *n, const int64_t *kernel, fm_err *err);
/* Sizes of the result in n->p's terms; sets auto_pad's pads.  ceil: the last window may reach over the edge. */
int fm_windows_infer(fm_graph *g, fm_node *n, bool ceil, int64_t out_channels, fm_err *err);

/* Of a node whose pictures have channels last. */
fm_windows fm_windows_of(const fm_node *n, const fm_tensor *in, const fm_tensor *out);

/* Pointers [taps][stride] of windows first .. first + count - 1 (of all images one after the other). */
void fm_windows_list(const fm_windows *w, const fm_params *p, const float *in, const float *outside, int64_t first,
                     int count, int stride, const float **list);

#endif

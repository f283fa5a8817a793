/* Convolution in parts: how one is computed is decided from its shape alone. */
#ifndef FM_WORKER_NET_CONV_H
#define FM_WORKER_NET_CONV_H

#include "worker/net/product.h"
#include "worker/net/windows.h"

typedef enum {
    FM_CONV_WINDOWS,        /* a product whose rows are windows read in place */
    FM_CONV_FRAMED,         /* few channels: the same, in a copy of the picture with its padding */
    FM_CONV_DEPTHWISE,
    FM_CONV_WINOGRAD
} fm_conv_method;

/* Inputs of a Conv node; the last two come from fusion. */
enum { FM_CONV_X, FM_CONV_W, FM_CONV_B, FM_CONV_ADD, FM_CONV_SLOPE, FM_CONV_INPUTS };

typedef struct {
    fm_conv_method method;
    const float *weights, *bias;
} fm_conv_packed;

#define FM_CONV_ATTRS "kernel_shape pads strides dilations group auto_pad "

/* Checks that Conv and ConvTranspose share, and parameters from attributes. */
int fm_conv_infer_weights(fm_graph *g, fm_node *n, fm_err *err);
int fm_conv_check_bias(fm_graph *g, fm_node *n, int64_t channels, fm_err *err);
/* Slopes of a fused PRelu, or NULL. */
const float *fm_conv_slope(const fm_call *c);

/* Once prepared: whether a, one pixel to one pixel, gives what only b after it slides over, channel by channel.  Then
 * both are done some rows at a time, and all that a gives is never there at once. */
bool fm_conv_feeds(const fm_graph *g, const fm_node *a, const fm_node *b);

/* Winograd: packed floats of a filter bank, and a run over all pictures. */
size_t fm_winograd_floats(int64_t in, int64_t out, const fm_lanes *lanes);
void fm_winograd_pack(const float *w, int64_t in, int64_t out, const fm_lanes *lanes, float *packed);
bool fm_winograd_fits(const fm_params *p, int64_t in, int64_t out, int64_t out_y, int64_t out_x);
size_t fm_winograd_scratch(int64_t in, int64_t out, const fm_lanes *lanes);
void fm_winograd_run(const fm_call *c, const fm_windows *w, const fm_conv_packed *packed, char *scratch);

#endif

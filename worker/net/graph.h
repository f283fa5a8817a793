/* The one form of every network: values with shapes, and nodes in an order in
 * which each finds its inputs ready.
 *
 * A graph is built for certain input shapes and taken through passes:
 *   fm_onnx_read      names to numbers, attributes in place
 *   fm_graph_infer    each operator's parameters, all shapes; what is constant is computed
 *   fm_graph_fuse     batch norms into weights, activations and additions into what gives their input
 *   fm_graph_layout   pictures from [n, channels, y, x] to [n, y, x, channels]
 * Everything lives in the graph's arena. */
#ifndef FM_WORKER_NET_GRAPH_H
#define FM_WORKER_NET_GRAPH_H

#include "base/err.h"
#include "worker/net/arena.h"
#include "worker/net/protobuf.h"
#include "worker/net/tensor.h"

typedef enum {
    FM_ATTR_FLOAT = 1, FM_ATTR_INT = 2, FM_ATTR_STRING = 3, FM_ATTR_TENSOR = 4, FM_ATTR_FLOATS = 6, FM_ATTR_INTS = 7
} fm_attr_type;

typedef struct {
    const char *name;
    int type;                   /* fm_attr_type, or another number of ONNX's that no operator here takes */
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    const float *floats;
    size_t n;                   /* of ints or floats */
    fm_span tensor;
} fm_attr;

typedef enum {
    FM_ACT_NONE,
    FM_ACT_CLAMP,               /* into [low, high]: Relu, Relu6, Clip */
    FM_ACT_LEAKY,               /* low * v when v < 0 */
    FM_ACT_PRELU,               /* the same with a slope a channel */
    FM_ACT_HARD_SIGMOID,        /* low * v + high, into [0, 1] */
    FM_ACT_HARD_SWISH,
    FM_ACT_SIGMOID,
    FM_ACT_TANH
} fm_act_kind;

typedef struct {
    fm_act_kind kind;
    float low, high;
} fm_act;

/* What an operator's attributes and constant inputs say; which of them count, the operator knows. */
typedef struct {
    int kernel[2], stride[2], dilation[2];      /* y, x */
    int pads[4];                                /* top, left, bottom, right */
    int64_t group;
    int axis;
    int axes[FM_RANK_MAX];                      /* Reduce*: 1 for an axis that goes; Transpose: where each comes from */
    int64_t starts[FM_RANK_MAX], steps[FM_RANK_MAX];    /* Slice; Pad: starts before and steps after each axis */
    float alpha, beta, bias;
    bool flags[2];
    int mode, coordinates, nearest;             /* Pad, Resize */
    float scales[FM_RANK_MAX];
    fm_act act;                                 /* applied to the output */
} fm_params;

typedef struct fm_op fm_op;

typedef struct {
    const char *name;           /* as the file has it, or its first output's name */
    const char *op_name;
    const fm_op *op;
    int *in, *out;              /* values; -1: an optional one that is not there */
    int n_in, n_out;
    const fm_attr *attrs;
    int n_attrs;
    fm_params p;
    void *prepared;             /* packed weights and the like */
    const char *kernel;         /* the name of what runs it */
    bool dead;
} fm_node;

typedef struct {
    const char *name;
    fm_tensor t;                /* dimensions -1 in a graph input that are not fixed; data set when it is constant */
    int made_by;                /* node, or -1: constant or graph input */
    int uses;                   /* inputs of nodes, and 1 when it is a graph output */
    bool known;                 /* type and dimensions are */
    bool sized;                 /* a constant whose numbers come from a shape, so maybe from the batch */
    bool constant;              /* set when planned: data does not come from a run */
    bool channels_last;
} fm_value;

typedef struct {
    fm_arena arena;
    int64_t opset;
    fm_value *values;           /* heap */
    fm_node *nodes;             /* heap */
    int n_values, n_nodes, values_room, nodes_room;
    int *inputs, *outputs;      /* values */
    int n_inputs, n_outputs;
} fm_graph;

void fm_graph_init(fm_graph *g, size_t max_bytes);
void fm_graph_fini(fm_graph *g);

/* A new value or node, all zeros (made_by -1); its number, or -1 when memory is used up (g->arena.failed). */
int fm_graph_value(fm_graph *g, const char *name);
int fm_graph_node(fm_graph *g, const char *name, const fm_op *op, int n_in, int n_out);
/* A constant with room for its elements, or -1. */
int fm_graph_constant(fm_graph *g, const char *name, const fm_tensor *shape);
int fm_graph_nomem(const fm_graph *g, fm_err *err);
/* Count uses again and leave out nodes that nothing needs. */
void fm_graph_sweep(fm_graph *g);

/* "node "conv1" (Conv): " and what is wrong; the code is -ENOTSUP unless code says otherwise. */
int fm_node_fail(fm_err *err, int code, const fm_node *n, const char *fmt, ...) FM_PRINTF(4, 5);

const fm_attr *fm_attr_find(const fm_node *n, const char *name);
/* Attributes with a default; of another type than asked for is -EBADMSG. */
int fm_attr_int(const fm_node *n, const char *name, int64_t *out, fm_err *err);
int fm_attr_float(const fm_node *n, const char *name, float *out, fm_err *err);
int fm_attr_string(const fm_node *n, const char *name, const char **out, fm_err *err);
int fm_attr_ints(const fm_node *n, const char *name, const int64_t **out, size_t *count, fm_err *err);

/* Shape of input or output i; NULL: not there. */
fm_tensor *fm_node_in(const fm_graph *g, const fm_node *n, int i);
fm_tensor *fm_node_out(const fm_graph *g, const fm_node *n, int i);

int fm_graph_infer(fm_graph *g, fm_err *err);
/* After infer, for a batch of at least 2: whether each picture goes its own way, so that a few may run at a time. */
bool fm_graph_separable(fm_graph *g, int64_t batch);
int fm_graph_fuse(fm_graph *g, fm_err *err);
int fm_graph_layout(fm_graph *g, fm_err *err);

#endif

/* The operators: one row each in a table, in order of name. */
#ifndef FM_WORKER_NET_OPS_H
#define FM_WORKER_NET_OPS_H

#include "worker/net/graph.h"
#include "worker/net/lanes.h"

typedef struct fm_call fm_call;

struct fm_call {
    const fm_node *n;
    const fm_tensor *const *in;     /* [n_in]; NULL: not there */
    const fm_tensor *const *out;    /* [n_out]; NULL: nobody wants it */
    const fm_lanes *lanes;
    const float *zeros, *lowest;    /* as many of 0 and -INFINITY as any picture has channels */
    char *scratch;                  /* what op->scratch asked for, 64-byte aligned */
    const fm_call *feeds;           /* the call after it, when it is done together with this one; NULL: none */
    bool fed;                       /* done by the call before it */
};

/* How an operator gets on with pictures whose channels come last. */
typedef enum {
    FM_LAYOUT_ROWS,         /* takes and gives ONNX's order */
    FM_LAYOUT_PICTURE,      /* its first input (and what is added) and its output have channels last */
    FM_LAYOUT_ANY,          /* whatever order its inputs have, when it is the same */
    FM_LAYOUT_AXES          /* the same, once permute has renamed the axes of its parameters */
} fm_op_layout;

struct fm_op {
    const char *name;
    const char *attrs;              /* those it takes, each followed by a blank */
    int min_in, max_in, max_out;    /* max_in 0: any number */
    fm_op_layout layout;
    bool folds;                     /* run at load when all inputs are constant */
    bool alias;                     /* its output is its input's data, maybe under another shape */
    /* Parameters from attributes and constant inputs; types and shapes of outputs. */
    int (*infer)(fm_graph *g, fm_node *n, fm_err *err);
    void (*run)(const fm_call *c);
    void (*permute)(fm_node *n, int rank);
    /* Pack constant weights and name the kernel; NULL: nothing to do. */
    int (*prepare)(fm_graph *g, fm_node *n, const fm_lanes *lanes, fm_err *err);
    /* Bytes of scratch a call needs, and floating point operations it does; NULL: none, one an element. */
    size_t (*scratch)(const fm_graph *g, const fm_node *n, const fm_lanes *lanes);
    double (*flops)(const fm_graph *g, const fm_node *n);
};

const fm_op *fm_op_find(const char *name);
/* The nearest supported name, or NULL. */
const char *fm_op_near(const char *name);
/* All supported names, separated by blanks, cut to out_size. */
void fm_op_names(char *out, size_t out_size);

/* Those that passes look for or make. */
extern const fm_op fm_op_conv, fm_op_transpose, fm_op_reshape;

/* Shape jobs shared by infer functions; each writes the message. */
int fm_need_type(const fm_graph *g, const fm_node *n, int input, fm_type type, fm_err *err);
int fm_need_f32(const fm_graph *g, const fm_node *n, fm_err *err);     /* all inputs */
/* The elements of input i, which must be constant and i64, at most max; count -1: the input is not there. */
int fm_need_ints(const fm_graph *g, const fm_node *n, int i, const int64_t **v, int64_t *count, fm_err *err);
/* -rank <= axis < rank to 0 <= axis < rank. */
int fm_need_axis(const fm_node *n, int64_t axis, int rank, int *out, fm_err *err);
/* Set output 0's type and dimensions, checked. */
int fm_set_out(fm_graph *g, fm_node *n, int i, const fm_tensor *shape, fm_err *err);
/* For rank 3 to 6: which axis of ONNX's order stands at p when channels come last, and the other way round. */
int fm_axis_at_last(int p, int rank);
int fm_axis_to_last(int axis, int rank);

/* Copies of elements of size bytes: out is row-major with those dims, strides are in elements of in. */
void fm_copy_strided(const char *in, const int64_t *in_strides, char *out, const int64_t *out_strides,
                     const int64_t *dims, int rank, size_t size);
void fm_strides(const fm_tensor *t, int64_t *strides);
size_t fm_element_size(const fm_tensor *t);

/* Parts of scratch: sizes that keep what follows aligned, and the next part. */
static inline size_t fm_aligned(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static inline char *fm_carve(char **at, size_t bytes)
{
    char *p = *at;

    *at += bytes;
    return p;
}

/* Activation of n's output, in place; slope: a number a channel for FM_ACT_PRELU. */
void fm_act_output(const fm_call *c, const float *slope);
/* low and high of an act that a tile can do itself: NONE and CLAMP. */
bool fm_act_is_cut(const fm_act *act, float *low, float *high);

#endif

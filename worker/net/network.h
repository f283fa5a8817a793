/* Networks from ONNX files (operator sets 6 to 25, float32, int64 for shapes;
 * pictures of fixed size, any batch): read, checked and planned when loaded, run
 * on one thread.
 *
 * The same model and input give the same bits on every instruction set: what
 * computes a layer is chosen from its shape, never from the processor or a
 * measurement.  (Pow with other exponents than 2 and 0.5, and LRN with another
 * beta than 0.75, are the C library's, and as equal as these are.)
 * There is no state outside the network.  Threads: one network each. */
#ifndef FM_WORKER_NET_NETWORK_H
#define FM_WORKER_NET_NETWORK_H

#include "base/cpu.h"
#include "base/err.h"
#include "worker/net/tensor.h"

typedef struct fm_network fm_network;

typedef struct {
    fm_isa isa;                     /* at most fm_cpu_isa() */
    size_t max_bytes;               /* memory the network may take; 0: FM_NETWORK_BYTES */
    const char *const *outputs;     /* names of values to give, in this order; NULL: the model's outputs */
    size_t n_outputs;
} fm_network_options;

#define FM_NETWORK_BYTES ((size_t)6 << 30)

/* Read a model and plan it for a batch of one.
 * file  the bytes of an .onnx file; borrowed, must outlive the network.
 * Errors: -EBADMSG (not ONNX, cut short, contradicts itself), -ENOTSUP (an operator, type or shape outside what is
 * supported: the message names the node and what is), -ENOENT (no value of that name in options->outputs), -ENOMEM. */
int fm_network_load(const void *file, size_t n, const fm_network_options *options, fm_network **out, fm_err *err);
void fm_network_close(fm_network *net);

/* Inputs and outputs in the model's order.  dims[0] of an input is -1 when the batch is free; data is NULL.
 * Outputs have the shapes of a pass (at first: of a batch of one).  Borrowed until the next run. */
size_t fm_network_inputs(const fm_network *net);
size_t fm_network_outputs(const fm_network *net);
const char *fm_network_input(const fm_network *net, size_t i, fm_tensor *out);
const char *fm_network_output(const fm_network *net, size_t i, fm_tensor *out);
/* A value of the model's metadata, as a text in buffer (cut to size); NULL: it has none of that key. */
const char *fm_network_metadata(const fm_network *net, const char *key, char *buffer, size_t size);

/* Run.
 * in   [fm_network_inputs()], borrowed; types and dimensions as fm_network_input() says.
 *      A larger batch is cut into passes where the network keeps pictures apart.  Another batch than the last time
 *      is looked at anew, which takes about as long as loading.
 * out  [fm_network_outputs()], caller's; data is the network's (or an input's), valid until the next run.
 * Errors: -EINVAL (an input's type or shape; the expected one is named), -ENOTSUP (the model does not work for this
 * batch), -ENOMEM. */
int fm_network_run(fm_network *net, const fm_tensor *in, fm_tensor *out, fm_err *err);

/* Does the network keep the pictures of a batch of this size apart, whatever they are?  Then they go through it in
 * passes, and each gives the same bits in any batch.
 * Errors: -ENOTSUP (the model does not work for this batch), -ENOMEM. */
int fm_network_apart(const fm_network *net, int64_t batch, bool *apart, fm_err *err);

/* Pictures that go through all layers at once; layers are described for such a pass. */
int64_t fm_network_pass(const fm_network *net);

/* A layer as it runs, after fusion. */
typedef struct {
    const char *name, *op;
    const char *kernel;             /* what computes it; "shared" when it only gives data another shape */
    const char *act;                /* activation done with it, or "" */
    bool added;                     /* a residual addition is done with it */
    fm_tensor out;                  /* in ONNX's order of axes; data NULL */
    double flops;                   /* multiplications and additions */
    size_t weights;                 /* bytes of constants it reads */
    double ms;                      /* of processor time for a pass, in the last run */
} fm_network_layer;

size_t fm_network_layers(const fm_network *net);
void fm_network_layer_get(const fm_network *net, size_t i, fm_network_layer *out);
/* Bytes of all activations as planned, and of all memory the network holds. */
size_t fm_network_activations(const fm_network *net);
size_t fm_network_memory(const fm_network *net);

#endif

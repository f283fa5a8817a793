/* ONNX's files: models and tensors (onnx.proto, IR version 3 to 13).
 *
 * A model's text is checked whole before a number in it is used: what does not
 * fit is -EBADMSG with the place named; what fits but is not supported
 * (external data, other types than float32 and int64, other operator sets) is
 * -ENOTSUP with its name and what is supported. */
#ifndef FM_WORKER_NET_ONNX_H
#define FM_WORKER_NET_ONNX_H

#include "worker/net/graph.h"

enum { FM_OPSET_MIN = 6, FM_OPSET_MAX = 25 };

/* Append a model to an empty graph.
 * file     borrowed until the graph's end.
 * outputs  NULL, or names of n_outputs values to take as the graph's outputs instead of those the file names.
 * Errors: -EBADMSG, -ENOTSUP, -ENOENT (an output that no node gives), -ENOMEM. */
int fm_onnx_read(const void *file, size_t n, const char *const *outputs, size_t n_outputs, fm_graph *g, fm_err *err);

/* A model's metadata (metadata_props) of that key, in the file's bytes; {NULL, 0}: none. */
fm_span fm_onnx_metadata(const void *file, size_t n, const char *key);

/* A TensorProto into arena's memory.  what: its name in messages, when it has none of its own. */
int fm_onnx_tensor_read(fm_span bytes, const char *what, fm_arena *arena, fm_tensor *out, fm_err *err);
/* Append a TensorProto; out->failed when memory is used up. */
void fm_onnx_tensor_write(const fm_tensor *t, const char *name, fm_buf *out);

#endif

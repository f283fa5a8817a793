/* Writes small ONNX models for tests: a graph is built up in parts, then closed to a file's bytes. */
#ifndef FM_TESTS_ONNX_MODELS_H
#define FM_TESTS_ONNX_MODELS_H

#include "base/buf.h"
#include "worker/net/tensor.h"

typedef struct {
    fm_buf graph;       /* fields of GraphProto */
    fm_buf attrs;       /* of the next node */
} onnx_model;

#define ONNX_MODEL_INIT {FM_BUF_INIT, FM_BUF_INIT}

void onnx_varint(fm_buf *b, uint64_t v);
void onnx_bytes(fm_buf *b, unsigned number, const void *bytes, size_t n);
void onnx_int(fm_buf *b, unsigned number, int64_t v);

/* dims[0] < 0: a free batch. */
void onnx_input(onnx_model *m, const char *name, fm_type type, int rank, const int64_t *dims);
void onnx_output(onnx_model *m, const char *name);
void onnx_constant(onnx_model *m, const char *name, const fm_tensor *t);
void onnx_f32(onnx_model *m, const char *name, int rank, const int64_t *dims, const float *v);
void onnx_ints(onnx_model *m, const char *name, int n, const int64_t *v);

/* Attributes of the node that comes next. */
void onnx_attr_int(onnx_model *m, const char *name, int64_t v);
void onnx_attr_ints(onnx_model *m, const char *name, int n, const int64_t *v);
void onnx_attr_float(onnx_model *m, const char *name, float v);
void onnx_attr_string(onnx_model *m, const char *name, const char *v);
/* in and out: names separated by blanks; "-" is one that is not there. */
void onnx_node(onnx_model *m, const char *op, const char *in, const char *out);

/* The file; m is emptied. */
fm_buf onnx_close(onnx_model *m, int64_t opset);

/* A model with some of everything a file can hold: one input "in" [batch, 3, 6, 6], two outputs. */
fm_buf onnx_rich(void);

#endif

/* Tensors: what goes into a network and comes out of it. */
#ifndef FM_WORKER_NET_TENSOR_H
#define FM_WORKER_NET_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ONNX's numbers for them. */
typedef enum { FM_F32 = 1, FM_I64 = 7 } fm_type;

enum { FM_RANK_MAX = 6 };

typedef struct {
    fm_type type;
    int rank;                       /* 0: one number */
    int64_t dims[FM_RANK_MAX];      /* row-major, the last one is contiguous */
    void *data;                     /* f32 or i64, 64-byte aligned inside a network */
} fm_tensor;

const char *fm_type_name(fm_type type);
/* Elements; the dimensions must be ones that fm_tensor_valid() takes. */
size_t fm_tensor_count(const fm_tensor *t);
size_t fm_tensor_bytes(const fm_tensor *t);
/* Dimensions are not negative and their product stays under 2^40. */
bool fm_tensor_valid(const fm_tensor *t);
bool fm_tensor_same_dims(const fm_tensor *a, const fm_tensor *b);
/* "f32 [1, 3, 224, 224]", cut to out_size; returns out. */
char *fm_tensor_text(const fm_tensor *t, char *out, size_t out_size);

static inline float *fm_tensor_f32(const fm_tensor *t)
{
    return t->data;
}

static inline int64_t *fm_tensor_i64(const fm_tensor *t)
{
    return t->data;
}

#endif

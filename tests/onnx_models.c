#include "tests/onnx_models.h"

#include <string.h>

#include "worker/net/onnx.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})

void onnx_varint(fm_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        fm_buf_u8(b, (uint8_t)(v | 0x80));
    fm_buf_u8(b, (uint8_t)v);
}

void onnx_bytes(fm_buf *b, unsigned number, const void *bytes, size_t n)
{
    onnx_varint(b, number << 3 | 2);
    onnx_varint(b, n);
    fm_buf_put(b, bytes, n);
}

void onnx_int(fm_buf *b, unsigned number, int64_t v)
{
    onnx_varint(b, number << 3);
    onnx_varint(b, (uint64_t)v);
}

static void put_text(fm_buf *b, unsigned number, const char *text)
{
    onnx_bytes(b, number, text, strlen(text));
}

/* Puts inner as a field of b, and empties it. */
static void put_message(fm_buf *b, unsigned number, fm_buf *inner)
{
    onnx_bytes(b, number, inner->data, inner->size);
    fm_buf_fini(inner);
}

static void put_port(onnx_model *m, unsigned number, const char *name, fm_type type, int rank, const int64_t *dims)
{
    fm_buf shape = FM_BUF_INIT, tensor = FM_BUF_INIT, any = FM_BUF_INIT, port = FM_BUF_INIT;

    for (int i = 0; i < rank; i++) {
        fm_buf dim = FM_BUF_INIT;

        if (dims[i] < 0)
            put_text(&dim, 2, "batch");
        else
            onnx_int(&dim, 1, dims[i]);
        put_message(&shape, 1, &dim);
    }
    onnx_int(&tensor, 1, type);
    put_message(&tensor, 2, &shape);
    put_message(&any, 1, &tensor);
    put_text(&port, 1, name);
    put_message(&port, 2, &any);
    put_message(&m->graph, number, &port);
}

void onnx_input(onnx_model *m, const char *name, fm_type type, int rank, const int64_t *dims)
{
    put_port(m, 11, name, type, rank, dims);
}

void onnx_output(onnx_model *m, const char *name)
{
    put_port(m, 12, name, FM_F32, 0, NULL);
}

void onnx_constant(onnx_model *m, const char *name, const fm_tensor *t)
{
    fm_buf b = FM_BUF_INIT;

    fm_onnx_tensor_write(t, name, &b);
    put_message(&m->graph, 5, &b);
}

void onnx_f32(onnx_model *m, const char *name, int rank, const int64_t *dims, const float *v)
{
    fm_tensor t = {.type = FM_F32, .rank = rank, .data = (void *)v};

    for (int i = 0; i < rank; i++)
        t.dims[i] = dims[i];
    onnx_constant(m, name, &t);
}

void onnx_ints(onnx_model *m, const char *name, int n, const int64_t *v)
{
    fm_tensor t = {.type = FM_I64, .rank = 1, .dims = {n}, .data = (void *)v};

    onnx_constant(m, name, &t);
}

static void put_attr(onnx_model *m, const char *name, int type, fm_buf *value)
{
    put_text(value, 1, name);
    onnx_int(value, 20, type);
    put_message(&m->attrs, 5, value);
}

void onnx_attr_int(onnx_model *m, const char *name, int64_t v)
{
    fm_buf b = FM_BUF_INIT;

    onnx_int(&b, 3, v);
    put_attr(m, name, 2, &b);
}

void onnx_attr_ints(onnx_model *m, const char *name, int n, const int64_t *v)
{
    fm_buf b = FM_BUF_INIT;

    for (int i = 0; i < n; i++)
        onnx_int(&b, 8, v[i]);
    put_attr(m, name, 7, &b);
}

void onnx_attr_float(onnx_model *m, const char *name, float v)
{
    fm_buf b = FM_BUF_INIT;

    onnx_varint(&b, 2 << 3 | 5);
    fm_buf_f32(&b, v);
    put_attr(m, name, 1, &b);
}

void onnx_attr_string(onnx_model *m, const char *name, const char *v)
{
    fm_buf b = FM_BUF_INIT;

    put_text(&b, 4, v);
    put_attr(m, name, 3, &b);
}

static void put_words(fm_buf *b, unsigned number, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");

        onnx_bytes(b, number, words, n == 1 && *words == '-' ? 0 : n);
        words += n + (words[n] == ' ');
    }
}

void onnx_node(onnx_model *m, const char *op, const char *in, const char *out)
{
    fm_buf b = FM_BUF_INIT;

    put_words(&b, 1, in);
    put_words(&b, 2, out);
    put_text(&b, 4, op);
    fm_buf_put(&b, m->attrs.data, m->attrs.size);
    fm_buf_fini(&m->attrs);
    put_message(&m->graph, 1, &b);
}

fm_buf onnx_close(onnx_model *m, int64_t opset)
{
    fm_buf set = FM_BUF_INIT, file = FM_BUF_INIT;

    onnx_int(&file, 1, 8);
    onnx_int(&set, 2, opset);
    put_message(&file, 8, &set);
    put_message(&file, 7, &m->graph);
    return file;
}

fm_buf onnx_rich(void)
{
    static const float w[4 * 3 * 9] = {1, 2, 3};
    onnx_model m = ONNX_MODEL_INIT;

    onnx_input(&m, "in", FM_F32, 4, D(-1, 3, 6, 6));
    onnx_f32(&m, "w", 4, D(4, 3, 3, 3), w);
    onnx_f32(&m, "g", 1, D(4), w);
    onnx_f32(&m, "v", 1, D(4), (const float[4]){1, 1, 1, 1});
    onnx_ints(&m, "axes", 1, D(0));
    onnx_ints(&m, "ends", 2, D(4, 5));
    onnx_ints(&m, "starts", 2, D(1, 0));
    onnx_ints(&m, "where", 2, D(2, 3));
    onnx_f32(&m, "scales", 1, D(4), (const float[4]){1, 1, 2, 2});
    onnx_attr_ints(&m, "pads", 4, D(1, 1, 1, 1));
    onnx_attr_string(&m, "auto_pad", "NOTSET");
    onnx_node(&m, "Conv", "in w", "a");
    onnx_attr_float(&m, "epsilon", 0.1f);
    onnx_node(&m, "BatchNormalization", "a g g g v", "b");
    onnx_attr_ints(&m, "kernel_shape", 2, D(2, 2));
    onnx_attr_int(&m, "ceil_mode", 1);
    onnx_node(&m, "MaxPool", "b", "c");
    onnx_node(&m, "Slice", "b starts ends where", "d");
    onnx_attr_string(&m, "mode", "linear");
    onnx_node(&m, "Resize", "d - scales", "e");
    onnx_node(&m, "Unsqueeze", "g axes", "f");
    onnx_attr_ints(&m, "perm", 4, D(0, 2, 3, 1));
    onnx_node(&m, "Transpose", "c", "h");
    onnx_attr_int(&m, "axis", -1);
    onnx_node(&m, "Softmax", "h", "i");
    onnx_node(&m, "Mul", "i f", "out");
    onnx_output(&m, "out");
    onnx_output(&m, "e");
    return onnx_close(&m, 13);
}

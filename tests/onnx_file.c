/* usage: onnx_file KIND FILE   Writes a small face network for system tests: a picture of 32 x 32 in, 24 numbers out.
 *   plain   a free batch     odd   with an operator that there is not     other   other weights
 *   nan     numbers that are not finite */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "tests/onnx_models.h"

enum { SIZE = 32, MAPS = 40, WIDTH = 24 };

static float pool[MAPS * MAPS * 9];

static const float *weights(size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        pool[i] = ((float)(((unsigned)i + 1) * (2654435761u + 2 * seed) >> 12 & 4095) / 2048 - 1) * 0.2f;
    return pool;
}

int main(int argc, char **argv)
{
    const char *kind = argc == 3 ? argv[1] : "";
    unsigned seed = strcmp(kind, "other") == 0;
    float last = strcmp(kind, "nan") == 0 ? (float)NAN : 0;
    onnx_model m = ONNX_MODEL_INIT;
    fm_err err = FM_ERR_INIT;
    fm_buf file;

    if (argc != 3)
        return 2;
    onnx_input(&m, "picture", FM_F32, 4, (const int64_t[]){-1, 3, SIZE, SIZE});
    onnx_f32(&m, "w1", 4, (const int64_t[]){MAPS, 3, 3, 3}, weights(MAPS * 27, seed));
    onnx_f32(&m, "w2", 4, (const int64_t[]){MAPS, MAPS, 3, 3}, weights(MAPS * MAPS * 9, seed + 1));
    onnx_f32(&m, "w3", 2, (const int64_t[]){MAPS, WIDTH}, weights(MAPS * WIDTH, seed + 2));
    onnx_f32(&m, "zero", 0, NULL, &last);
    onnx_attr_ints(&m, "strides", 2, (const int64_t[]){2, 2});
    onnx_node(&m, "Conv", "picture w1", "a");
    onnx_node(&m, strcmp(kind, "odd") == 0 ? "Twirl" : "Sigmoid", "a", "b");
    onnx_attr_ints(&m, "pads", 4, (const int64_t[]){1, 1, 1, 1});
    onnx_node(&m, "Conv", "b w2", "c");
    onnx_node(&m, "Relu", "c", "d");
    onnx_node(&m, "GlobalAveragePool", "d", "e");
    onnx_node(&m, "Flatten", "e", "features");
    onnx_node(&m, "MatMul", "features w3", "f");
    onnx_node(&m, "Add", "f zero", "code");
    onnx_output(&m, "code");
    onnx_output(&m, "features");
    file = onnx_close(&m, 13);
    if (fm_file_write(argv[2], file.data, file.size, &err) != 0)
        fprintf(stderr, "%s\n", err.text);
    fm_buf_fini(&file);
    return err.code ? 1 : 0;
}

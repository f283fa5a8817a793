/* What is refused and how, and that no bytes at all bring the reader down. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/check.h"
#include "tests/onnx_models.h"
#include "worker/net/network.h"
#include "worker/net/onnx.h"

#define D(...) ((const int64_t[]){__VA_ARGS__})

/* A copy of its own size, so that a read past its end does not go unnoticed. */
static int load_copy(const uint8_t *bytes, size_t n, fm_network **net, uint8_t **copy, fm_err *err)
{
    const fm_network_options options = {.isa = FM_ISA_PLAIN, .max_bytes = (size_t)32 << 20};

    *copy = malloc(n ? n : 1);
    if (!CHECK(*copy != NULL))
        return -ENOMEM;
    if (n)
        memcpy(*copy, bytes, n);
    return fm_network_load(*copy, n, &options, net, err);
}

static void expect(const char *what, fm_buf file, int code, const char *says)
{
    fm_network *net = NULL;
    fm_err err = FM_ERR_INIT;
    uint8_t *copy;
    int rc = load_copy(file.data, file.size, &net, &copy, &err);

    if (rc != code || !strstr(err.text, says))
        check_failed(__FILE__, __LINE__, "%s: %d \"%s\", expected %d and \"%s\"", what, rc, err.text, code, says);
    fm_network_close(net);
    free(copy);
    fm_buf_fini(&file);
}

/* in [1, 4, 8, 8] through one operator with no more inputs. */
static fm_buf one_node(const char *op, const char *attr, int64_t value, int64_t opset)
{
    onnx_model m = ONNX_MODEL_INIT;

    onnx_input(&m, "in", FM_F32, 4, D(1, 4, 8, 8));
    if (attr)
        onnx_attr_int(&m, attr, value);
    onnx_node(&m, op, "in", "out");
    onnx_output(&m, "out");
    return onnx_close(&m, opset);
}

static void what_is_not_supported_is_named(void)
{
    onnx_model m = ONNX_MODEL_INIT;

    expect("operator", one_node("Einsum", NULL, 0, 13), -ENOTSUP, "node \"out\" (Einsum): this operator is not supported");
    expect("near", one_node("LeakyReLU", NULL, 0, 13), -ENOTSUP, "the nearest is LeakyRelu");
    expect("attribute", one_node("Relu", "colour", 1, 13), -ENOTSUP, "attribute \"colour\"");
    expect("type", one_node("Cast", "to", 10, 13), -ENOTSUP, "node \"out\" (Cast): to data type 10");
    expect("old", one_node("Relu", NULL, 0, 5), -ENOTSUP, "operator set 5; supported are 6 to 25");
    expect("new", one_node("Relu", NULL, 0, 26), -ENOTSUP, "operator set 26");
    expect("missing", one_node("MaxPool", NULL, 0, 13), -EBADMSG, "kernel_shape is missing");

    onnx_input(&m, "in", FM_F32, 3, D(1, 3, -1));
    onnx_node(&m, "Relu", "in", "out");
    onnx_output(&m, "out");
    expect("free side", onnx_close(&m, 13), -ENOTSUP, "input \"in\": dimension 3 is not fixed");
    m = (onnx_model)ONNX_MODEL_INIT;
    onnx_input(&m, "in", (fm_type)10, 2, D(1, 3));
    onnx_output(&m, "in");
    expect("half floats", onnx_close(&m, 13), -ENOTSUP, "input \"in\": data type 10");
    m = (onnx_model)ONNX_MODEL_INIT;
    onnx_input(&m, "in", FM_F32, 5, D(1, 2, 4, 4, 4));
    onnx_f32(&m, "w", 5, D(1, 2, 1, 1, 1), (const float[2]){1, 1});
    onnx_node(&m, "Conv", "in w", "out");
    onnx_output(&m, "out");
    expect("3-d", onnx_close(&m, 13), -ENOTSUP, "node \"out\" (Conv): input of rank 5");
}

static void contradictions_are_refused(void)
{
    onnx_model m = ONNX_MODEL_INIT;

    onnx_input(&m, "in", FM_F32, 2, D(2, 3));
    onnx_node(&m, "Add", "in later", "out");
    onnx_node(&m, "Relu", "in", "later");
    onnx_output(&m, "out");
    expect("order", onnx_close(&m, 13), -EBADMSG, "reads \"later\", which nothing before it gives");
    m = (onnx_model)ONNX_MODEL_INIT;
    onnx_input(&m, "in", FM_F32, 2, D(2, 3));
    onnx_node(&m, "Relu", "in", "out");
    onnx_node(&m, "Abs", "in", "out");
    onnx_output(&m, "out");
    expect("twice", onnx_close(&m, 13), -EBADMSG, "two values are called \"out\"");
    m = (onnx_model)ONNX_MODEL_INIT;
    onnx_input(&m, "in", FM_F32, 2, D(2, 3));
    onnx_output(&m, "nothing");
    expect("no output", onnx_close(&m, 13), -EBADMSG, "no node gives the output \"nothing\"");
    m = (onnx_model)ONNX_MODEL_INIT;
    onnx_input(&m, "in", FM_F32, 2, D(2, 3));
    onnx_f32(&m, "b", 1, D(4), (const float[4]){0});
    onnx_node(&m, "Add", "in b", "out");
    onnx_output(&m, "out");
    expect("shapes", onnx_close(&m, 13), -EBADMSG, "f32 [2, 3] and f32 [4] do not broadcast");
}

/* A tensor that says its numbers are in another file. */
static void data_outside_is_refused_by_name(void)
{
    fm_buf tensor = FM_BUF_INIT;
    onnx_model m = ONNX_MODEL_INIT;

    onnx_int(&tensor, 1, 3);
    onnx_int(&tensor, 2, FM_F32);
    onnx_bytes(&tensor, 8, "weights", 7);
    onnx_int(&tensor, 14, 1);
    onnx_bytes(&m.graph, 5, tensor.data, tensor.size);
    fm_buf_fini(&tensor);
    onnx_input(&m, "in", FM_F32, 1, D(3));
    onnx_node(&m, "Add", "in weights", "out");
    onnx_output(&m, "out");
    expect("external", onnx_close(&m, 13), -ENOTSUP, "tensor \"weights\": its data lies outside");
}

/* Few bytes that ask for much memory get none of it. */
static void memory_is_bounded(void)
{
    onnx_model m = ONNX_MODEL_INIT;

    onnx_input(&m, "in", FM_F32, 1, D(1));
    onnx_ints(&m, "shape", 3, D(1024, 1024, 1024));
    onnx_node(&m, "ConstantOfShape", "shape", "big");
    onnx_node(&m, "Add", "in big", "out");
    onnx_output(&m, "out");
    expect("4 GB", onnx_close(&m, 13), -ENOMEM, "memory");
    m = (onnx_model)ONNX_MODEL_INIT;
    onnx_input(&m, "in", FM_F32, 3, D(1 << 20, 1 << 20, 1 << 20));
    onnx_node(&m, "Relu", "in", "out");
    onnx_output(&m, "out");
    expect("2^60", onnx_close(&m, 13), -ENOTSUP, "input \"in\"");
}

/* What loads is run, too: no shape may have been believed that memory does not bear out. */
static int load_and_run(const uint8_t *bytes, size_t n)
{
    static float x[1 << 16];
    fm_network *net = NULL;
    fm_tensor in[4], out[64];
    uint8_t *copy;
    int rc = load_copy(bytes, n, &net, &copy, NULL);

    CHECK(rc <= 0);
    if (rc == 0 && fm_network_inputs(net) == 1 && fm_network_outputs(net) <= 64) {
        fm_network_input(net, 0, in);
        if (in->rank > 0 && in->dims[0] < 0)
            in->dims[0] = 1;
        in->data = x;
        if (fm_tensor_bytes(in) <= sizeof x)
            fm_network_run(net, in, out, NULL);
    }
    fm_network_close(net);
    free(copy);
    return rc;
}

static void cut_files_are_refused(void)
{
    fm_buf file = onnx_rich();

    CHECK_INT(load_and_run(file.data, file.size), 0);
    for (size_t n = 0; n < file.size; n++)
        if (load_and_run(file.data, n) == 0)
            check_failed(__FILE__, __LINE__, "the first %zu of %zu bytes are taken for a network", n, file.size);
    fm_buf_fini(&file);
}

static void flipped_bytes_do_no_harm(void)
{
    fm_buf file = onnx_rich();
    fm_rng r = fm_rng_init(31, 7);
    int taken = 0, refused = 0;

    for (size_t i = 0; i < 8 * file.size; i++) {
        uint8_t was = file.data[i / 8];
        int rc;

        file.data[i / 8] ^= (uint8_t)(1u << i % 8);
        rc = load_and_run(file.data, file.size);
        taken += rc == 0;
        refused += rc != 0;
        file.data[i / 8] = was;
    }
    for (int i = 0; i < 3000; i++) {
        uint8_t was[4];
        size_t at[4];

        for (int k = 0; k < 4; k++) {
            at[k] = fm_rng_below(&r, (uint32_t)file.size);
            was[k] = file.data[at[k]];
            file.data[at[k]] = (uint8_t)fm_rng_below(&r, 256);
        }
        load_and_run(file.data, file.size);
        for (int k = 3; k >= 0; k--)
            file.data[at[k]] = was[k];
    }
    CHECK(taken > 100 && refused > 100);
    fm_buf_fini(&file);
}

static void tensors_survive_the_way_there_and_back(void)
{
    const float v[6] = {1, -2, 3.5f, 0, 1e-9f, 7};
    fm_tensor t = {FM_F32, 2, {2, 3}, (void *)v}, got;
    fm_buf b = FM_BUF_INIT;
    fm_arena arena;
    fm_err err = FM_ERR_INIT;

    fm_arena_init(&arena, 1 << 20);
    fm_onnx_tensor_write(&t, "t", &b);
    REQUIRE(fm_onnx_tensor_read((fm_span){b.data, b.size}, "file", &arena, &got, &err) == 0);
    CHECK(fm_tensor_same_dims(&got, &t) && memcmp(got.data, v, sizeof v) == 0);
    for (size_t n = 0; n < b.size; n++)
        CHECK(fm_onnx_tensor_read((fm_span){b.data, n}, "file", &arena, &got, &err) != 0);
    b.size = 0;
    t.dims[1] = 2;
    fm_onnx_tensor_write(&t, "t", &b);
    b.data[3] = 1;      /* the second dimension: more numbers than it has room for */
    CHECK_INT(fm_onnx_tensor_read((fm_span){b.data, b.size}, "file", &arena, &got, &err), -EBADMSG);
    CHECK(strstr(err.text, "16 bytes of data, expected 8") != NULL);
    fm_arena_fini(&arena);
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(what_is_not_supported_is_named), CHECK_CASE(contradictions_are_refused),
           CHECK_CASE(data_outside_is_refused_by_name), CHECK_CASE(memory_is_bounded), CHECK_CASE(cut_files_are_refused),
           CHECK_CASE(flipped_bytes_do_no_harm), CHECK_CASE(tensors_survive_the_way_there_and_back))

/* Convolutions with what is fused to them against plain loops, on every
 * instruction set; whole networks against themselves over batches. */
#include <errno.h>

#include "tests/net/compare.h"

/* ---- convolutions ---- */

typedef enum { ALONE, RELU, ADDED, PRELU, NORMED, SWISH } tail;

typedef struct {
    int n, in, y, x, out, ky, kx, stride, pad, dilation, group;
    tail tail;
} conv_case;

static const conv_case convs[] = {
    {1, 3, 9, 11, 16, 3, 3, 1, 1, 1, 1, RELU},     {2, 3, 20, 20, 20, 7, 7, 2, 3, 1, 1, NORMED},
    {1, 32, 9, 9, 32, 3, 3, 1, 1, 1, 1, ADDED},    {2, 64, 14, 10, 64, 3, 3, 1, 1, 1, 1, RELU},
    {1, 48, 7, 7, 96, 3, 3, 1, 1, 1, 1, PRELU},    {1, 64, 8, 8, 64, 3, 3, 1, 0, 1, 1, SWISH},
    {3, 17, 5, 6, 19, 1, 1, 1, 0, 1, 1, ADDED},    {1, 24, 13, 7, 37, 1, 1, 2, 0, 1, 1, NORMED},
    {1, 40, 6, 6, 33, 3, 3, 2, 1, 1, 1, PRELU},    {1, 8, 12, 12, 8, 3, 3, 1, 2, 2, 1, RELU},
    {2, 20, 9, 8, 20, 3, 3, 1, 1, 1, 20, RELU},    {1, 35, 9, 9, 35, 5, 5, 2, 2, 1, 35, ADDED},
    {1, 16, 7, 7, 16, 3, 3, 1, 1, 1, 16, SWISH},   {1, 12, 6, 6, 18, 3, 3, 1, 1, 1, 3, RELU},
    {1, 6, 6, 6, 12, 3, 3, 1, 1, 1, 6, NORMED},    {1, 700, 3, 3, 24, 1, 1, 1, 0, 1, 1, RELU},
    {1, 300, 4, 4, 40, 3, 3, 2, 1, 1, 1, ADDED},   {1, 5, 1, 1, 7, 1, 1, 1, 0, 1, 1, ALONE},
    {1, 4, 9, 9, 10, 1, 7, 1, 3, 1, 1, ALONE},     {1, 1, 10, 10, 32, 3, 3, 1, 1, 1, 1, RELU}};

static double activate(tail t, double v, double slope)
{
    switch (t) {
    case RELU: case ADDED: return v > 0 ? v : 0;
    case PRELU: return v < 0 ? v * slope : v;
    case SWISH: return v * fmin(fmax(v / 6 + 0.5, 0), 1);
    default: return v;
    }
}

/* One number of the result, as the definition has it. */
static double conv_at(const conv_case *c, const float *x, const float *w, int image, int o, int oy, int ox, int pad_y, int pad_x)
{
    int in = c->in / c->group, first = o / (c->out / c->group) * in;
    double sum = 0;

    for (int i = 0; i < in; i++)
        for (int ky = 0; ky < c->ky; ky++)
            for (int kx = 0; kx < c->kx; kx++) {
                int y = oy * c->stride - pad_y + ky * c->dilation, px = ox * c->stride - pad_x + kx * c->dilation;

                if (y >= 0 && y < c->y && px >= 0 && px < c->x)
                    sum += (double)x[((image * c->in + first + i) * c->y + y) * c->x + px] *
                           w[((o * in + i) * c->ky + ky) * c->kx + kx];
            }
    return sum;
}

static float norm_mean(int c)
{
    return (float)(c % 7) / 8 - 0.25f;
}

static float norm_variance(int c)
{
    return 0.5f + (float)(c % 5) / 4;
}

static void conv_tail(onnx_model *m, const conv_case *c, const fm_tensor *out)
{
    static const float zero;
    float mean[1024], variance[1024];

    for (int i = 0; i < 1024; i++) {
        mean[i] = norm_mean(i);
        variance[i] = norm_variance(i);
    }
    switch (c->tail) {
    case RELU:
        onnx_node(m, "Relu", "t", "out");
        break;
    case ADDED:
        onnx_f32(m, "r", 4, out->dims, pool[3]);
        onnx_node(m, "Exp", "in", "e");                 /* not constant, so that the sum is one of two computed values */
        onnx_node(m, "ReduceSum", "e", "s");
        onnx_node(m, "Mul", "s zero", "z");
        onnx_f32(m, "zero", 0, NULL, &zero);
        onnx_node(m, "Add", "z r", "rz");
        onnx_node(m, "Add", "rz t", "a");
        onnx_node(m, "Relu", "a", "out");
        break;
    case PRELU:
        onnx_f32(m, "slope", 3, D(c->out, 1, 1), pool[4]);
        onnx_node(m, "PRelu", "t slope", "out");
        break;
    case NORMED:
        onnx_f32(m, "gamma", 1, D(c->out), pool[4]);
        onnx_f32(m, "beta", 1, D(c->out), pool[5]);
        onnx_f32(m, "mean", 1, D(c->out), mean);
        onnx_f32(m, "variance", 1, D(c->out), variance);
        onnx_attr_float(m, "epsilon", 0.01f);
        onnx_node(m, "BatchNormalization", "t gamma beta mean variance", "out");
        break;
    case SWISH:
        onnx_node(m, "HardSwish", "t", "out");
        break;
    default:
        onnx_node(m, "Identity", "t", "out");
    }
}

static void conv_expected(const conv_case *c, fm_tensor *want, const float *bias)
{
    int pad_y = c->ky > 1 ? c->pad : 0, pad_x = c->kx > 1 ? c->pad : 0, at = 0;
    float *out = want->data;

    for (int i = 0; i < c->n; i++)
        for (int o = 0; o < c->out; o++)
            for (int y = 0; y < want->dims[2]; y++)
                for (int x = 0; x < want->dims[3]; x++, at++) {
                    double v = conv_at(c, pool[0], pool[1], i, o, y, x, pad_y, pad_x) + bias[o];

                    if (c->tail == NORMED)
                        v = (v - norm_mean(o)) / sqrt(norm_variance(o) + 0.01) * pool[4][o] + pool[5][o];
                    v += c->tail == ADDED ? pool[3][at] : 0;
                    out[at] = (float)activate(c->tail, v, pool[4][o]);
                }
}

static void run_conv_case(const conv_case *c, uint64_t seed)
{
    onnx_model m = ONNX_MODEL_INIT;
    int pad_y = c->ky > 1 ? c->pad : 0, pad_x = c->kx > 1 ? c->pad : 0;
    fm_tensor in = {FM_F32, 4, {c->n, c->in, c->y, c->x}, NULL}, want = {FM_F32, 4, {c->n, c->out}, NULL};
    const float *bias;
    char what[96];

    want.dims[2] = (c->y + 2 * pad_y - c->dilation * (c->ky - 1) - 1) / c->stride + 1;
    want.dims[3] = (c->x + 2 * pad_x - c->dilation * (c->kx - 1) - 1) / c->stride + 1;
    in.data = (void *)numbers(0, seed, fm_tensor_count(&in));
    numbers(1, seed, (size_t)(c->out * (c->in / c->group) * c->ky * c->kx));
    bias = numbers(2, seed, (size_t)c->out);
    numbers(3, seed, fm_tensor_count(&want));
    numbers(4, seed, (size_t)c->out);
    numbers(5, seed, (size_t)c->out);
    want.data = malloc(fm_tensor_bytes(&want));
    REQUIRE(want.data != NULL);
    onnx_input(&m, "in", FM_F32, 4, in.dims);
    onnx_f32(&m, "w", 4, D(c->out, c->in / c->group, c->ky, c->kx), pool[1]);
    onnx_f32(&m, "b", 1, D(c->out), bias);
    onnx_attr_ints(&m, "strides", 2, D(c->stride, c->stride));
    onnx_attr_ints(&m, "pads", 4, D(pad_y, pad_x, pad_y, pad_x));
    onnx_attr_ints(&m, "dilations", 2, D(c->dilation, c->dilation));
    onnx_attr_int(&m, "group", c->group);
    onnx_node(&m, "Conv", "in w b", "t");
    conv_tail(&m, c, &want);
    onnx_output(&m, "out");
    conv_expected(c, &want, bias);
    snprintf(what, sizeof what, "conv %d -> %d, %d x %d, stride %d, dilation %d, group %d, tail %d", c->in, c->out, c->ky,
             c->kx, c->stride, c->dilation, c->group, c->tail);
    compare(what, onnx_close(&m, 14), &in, &want, 2e-4);
    free(want.data);
}

static void convolutions_as_plain_loops(void)
{
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++)
        run_conv_case(&convs[i], 100 + i);
}

/* ---- whole ---- */

/* Layers of each kind, shapes computed from the batch, a free batch. */
static fm_buf small_network(void)
{
    onnx_model m = ONNX_MODEL_INIT;

    onnx_input(&m, "in", FM_F32, 4, D(-1, 3, 16, 16));
    onnx_f32(&m, "w1", 4, D(32, 3, 3, 3), numbers(1, 1, 32 * 27));
    onnx_f32(&m, "w2", 4, D(32, 32, 3, 3), numbers(1, 2, 32 * 32 * 9));
    onnx_f32(&m, "w3", 4, D(32, 1, 3, 3), numbers(1, 3, 32 * 9));
    onnx_f32(&m, "w4", 2, D(32 * 64, 10), numbers(1, 4, 32 * 640));
    onnx_ints(&m, "zero", 1, D(0));
    onnx_ints(&m, "rest", 1, D(-1));
    onnx_attr_ints(&m, "pads", 4, D(1, 1, 1, 1));
    onnx_node(&m, "Conv", "in w1", "a");
    onnx_node(&m, "Relu", "a", "b");
    onnx_attr_ints(&m, "pads", 4, D(1, 1, 1, 1));
    onnx_node(&m, "Conv", "b w2", "c");
    onnx_node(&m, "Add", "c b", "d");
    onnx_attr_ints(&m, "pads", 4, D(1, 1, 1, 1));
    onnx_attr_ints(&m, "strides", 2, D(2, 2));
    onnx_attr_int(&m, "group", 32);
    onnx_node(&m, "Conv", "d w3", "e");
    onnx_node(&m, "Shape", "e", "s");
    onnx_node(&m, "Gather", "s zero", "n");
    onnx_attr_int(&m, "axis", 0);
    onnx_node(&m, "Concat", "n rest", "to");
    onnx_node(&m, "Reshape", "e to", "f");
    onnx_node(&m, "MatMul", "f w4", "out");
    onnx_output(&m, "out");
    return onnx_close(&m, 13);
}

/* Values are read again after others have been computed from them; what is written over too early shows. */
static void values_live_as_long_as_they_are_read(void)
{
    enum { N = 24 };
    float x[N], want[N];
    fm_tensor in = {FM_F32, 2, {4, 6}, x}, out = {FM_F32, 2, {6, 4}, want};
    onnx_model m = ONNX_MODEL_INIT;

    for (int i = 0; i < N; i++) {
        float a, b, c, d, e, f;

        x[i] = (float)(i - 10) / 4;
        a = x[i] * x[i];
        b = a + x[i];
        c = a * b;
        d = b - a;
        e = fabsf(d);
        f = ((e + c) - b) * a + e;
        want[i] = f * e + f;
    }
    onnx_input(&m, "in", FM_F32, 2, in.dims);
    onnx_ints(&m, "to", 2, D(6, 4));
    onnx_node(&m, "Mul", "in in", "a0");
    onnx_node(&m, "Add", "a0 in", "b0");
    onnx_node(&m, "Reshape", "a0 to", "a");
    onnx_node(&m, "Reshape", "b0 to", "b");
    onnx_node(&m, "Mul", "a b", "c");
    onnx_node(&m, "Sub", "b a", "d");
    onnx_node(&m, "Abs", "d", "e");
    onnx_node(&m, "Add", "e c", "f");
    onnx_node(&m, "Sub", "f b", "g");
    onnx_node(&m, "Mul", "g a", "h");
    onnx_node(&m, "Add", "h e", "i");
    onnx_node(&m, "Mul", "i e", "j");
    onnx_node(&m, "Add", "j i", "out");
    onnx_output(&m, "out");
    compare("lives", onnx_close(&m, 13), &in, &out, 1e-6);
}

static void results_do_not_depend_on_the_batch(void)
{
    enum { N = 5, EACH = 3 * 256, OUT = 10 };
    fm_buf file = small_network();
    fm_network *net = load(&file, fm_cpu_isa());
    float *x = (float *)numbers(0, 9, N * EACH), among[N * OUT];
    fm_tensor in = {FM_F32, 4, {N, 3, 16, 16}, x}, out;

    REQUIRE(net != NULL);
    REQUIRE(fm_network_run(net, &in, &out, NULL) == 0);
    CHECK_INT(out.rank, 2);
    CHECK_INT(out.dims[0], N);
    memcpy(among, out.data, sizeof among);
    in.dims[0] = 1;
    for (int i = 0; i < N; i++) {
        in.data = x + i * EACH;
        REQUIRE(fm_network_run(net, &in, &out, NULL) == 0);
        CHECK(memcmp(out.data, among + i * OUT, OUT * sizeof *among) == 0);
    }
    fm_network_close(net);
    fm_buf_fini(&file);
}

/* A network that mixes the pictures of a batch is not cut into passes. */
static void a_mixing_network_gets_the_whole_batch(void)
{
    const float x[6] = {1, 2, 3, 4, 5, 6};
    fm_tensor in = {FM_F32, 2, {3, 2}, (void *)x}, out;
    onnx_model m = ONNX_MODEL_INIT;
    fm_network *net;
    fm_buf file;

    onnx_input(&m, "in", FM_F32, 2, D(-1, 2));
    onnx_attr_ints(&m, "axes", 1, D(0));
    onnx_node(&m, "ReduceMean", "in", "mean");
    onnx_node(&m, "Sub", "in mean", "out");
    onnx_output(&m, "out");
    file = onnx_close(&m, 13);
    net = load(&file, fm_cpu_isa());
    REQUIRE(net != NULL && fm_network_run(net, &in, &out, NULL) == 0);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(fm_tensor_f32(&out)[i], x[i] - (i % 2 ? 4 : 3), 0);
    CHECK_INT(fm_network_pass(net), 3);
    fm_network_close(net);
    fm_buf_fini(&file);
}

static void fusion_leaves_few_layers(void)
{
    fm_buf file = small_network();
    fm_network *net = load(&file, fm_cpu_isa());
    fm_network_layer l;
    bool added = false;

    REQUIRE(net != NULL);
    CHECK_INT(fm_network_layers(net), 7);       /* channels last, three convolutions, channels first, Reshape, MatMul */
    for (size_t i = 0; i < fm_network_layers(net); i++) {
        fm_network_layer_get(net, i, &l);
        added = added || (l.added && strcmp(l.kernel, "winograd 4x4") == 0);
        CHECK(strcmp(l.op, "Relu") != 0 && strcmp(l.op, "Add") != 0);
    }
    CHECK(added);
    fm_network_close(net);
    fm_buf_fini(&file);
}

static void inner_values_can_be_outputs(void)
{
    fm_buf file = small_network();
    const char *names[] = {"e", "b"};
    const fm_network_options options = {.isa = fm_cpu_isa(), .outputs = names, .n_outputs = 2};
    fm_network *net = NULL;
    fm_tensor t;
    fm_err err = FM_ERR_INIT;

    REQUIRE(fm_network_load(file.data, file.size, &options, &net, &err) == 0);
    CHECK_STR(fm_network_output(net, 0, &t), "e");
    CHECK(t.rank == 4 && t.dims[1] == 32 && t.dims[2] == 8);
    CHECK_STR(fm_network_output(net, 1, &t), "b");
    fm_network_close(net);
    names[1] = "nothing";
    CHECK_INT(fm_network_load(file.data, file.size, &options, &net, &err), -ENOENT);
    CHECK(strstr(err.text, "\"nothing\"") != NULL);
    fm_buf_fini(&file);
}

static void wrong_inputs_are_named(void)
{
    fm_buf file = small_network();
    fm_network *net = load(&file, FM_ISA_PLAIN);
    fm_tensor in = {FM_F32, 4, {1, 3, 16, 17}, pool[0]}, out;
    fm_err err = FM_ERR_INIT;

    REQUIRE(net != NULL);
    CHECK_INT(fm_network_run(net, &in, &out, &err), -EINVAL);
    CHECK(strstr(err.text, "\"in\"") && strstr(err.text, "[1, 3, 16, 17]") && strstr(err.text, "[-1, 3, 16, 16]"));
    in.dims[3] = 16;
    in.type = FM_I64;
    CHECK_INT(fm_network_run(net, &in, &out, &err), -EINVAL);
    fm_network_close(net);
    fm_buf_fini(&file);
}

CHECK_MAIN(CHECK_CASE(convolutions_as_plain_loops), CHECK_CASE(values_live_as_long_as_they_are_read),
           CHECK_CASE(results_do_not_depend_on_the_batch), CHECK_CASE(a_mixing_network_gets_the_whole_batch),
           CHECK_CASE(fusion_leaves_few_layers), CHECK_CASE(inner_values_can_be_outputs),
           CHECK_CASE(wrong_inputs_are_named))

/* Operators against plain loops written here, on every instruction set. */
#include "tests/net/compare.h"

static void transposed_convolution_as_plain_loops(void)
{
    enum { N = 2, IN = 5, OUT = 4, Y = 4, X = 3, K = 3, S = 2, OY = S * (Y - 1) + K - 1, OX = S * (X - 1) + K - 1 };
    static float want[N][OUT][OY][OX];
    onnx_model m = ONNX_MODEL_INIT;
    const float *x = numbers(0, 7, N * IN * Y * X), *w = numbers(1, 7, IN * OUT * K * K), *b = numbers(2, 7, OUT);
    fm_tensor in = {FM_F32, 4, {N, IN, Y, X}, (void *)x}, out = {FM_F32, 4, {N, OUT, OY, OX}, want};

    for (int n = 0; n < N; n++)
        for (int o = 0; o < OUT; o++) {
            for (int i = 0; i < OY * OX; i++)
                want[n][o][i / OX][i % OX] = b[o];
            for (int i = 0; i < IN * Y * X * K * K; i++) {
                int k = i % (K * K), p = i / (K * K) % (Y * X), c = i / (K * K * Y * X);
                int oy = p / X * S + k / K - 1, ox = p % X * S + k % K;

                if (oy >= 0 && oy < OY && ox < OX)
                    want[n][o][oy][ox] += x[(n * IN + c) * Y * X + p] * w[(c * OUT + o) * K * K + k];
            }
        }
    onnx_input(&m, "in", FM_F32, 4, in.dims);
    onnx_f32(&m, "w", 4, D(IN, OUT, K, K), w);
    onnx_f32(&m, "b", 1, D(OUT), b);
    onnx_attr_ints(&m, "strides", 2, D(S, S));
    onnx_attr_ints(&m, "pads", 4, D(1, 0, 0, 1));
    onnx_node(&m, "ConvTranspose", "in w b", "out");
    onnx_output(&m, "out");
    compare("transposed", onnx_close(&m, 11), &in, &out, 1e-5);
}

/* ---- convolutions that are done together ---- */

/* out[n][o] = bias o plus sums over 1 x 1 (w [out][in]), none below 0. */
static void mix(const float *x, const float *w, int images, int in, int out, int pixels, float *y)
{
    for (int i = 0; i < images * out * pixels; i++) {
        const float *from = x + i / (out * pixels) * in * pixels + i % pixels, *row = w + i / pixels % out * in;
        double sum = 0;

        for (int k = 0; k < in; k++)
            sum += (double)row[k] * from[k * pixels];
        y[i] = (float)fmax(sum, 0);
    }
}

/* 1 x 1 to more channels, then 3 x 3 in each: more rows than are done at a time, and a first picture whose place
 * is as large as what the last convolution gives. */
static void convolutions_in_bands(int stride)
{
    enum { N = 2, IN = 16, OUT = 64, SIDE = 48, ALL = SIDE * SIDE };
    static float a[N * IN * ALL], b[N * OUT * ALL], want[N * OUT * ALL];
    onnx_model m = ONNX_MODEL_INIT;
    const float *x = numbers(0, 9, N * IN * ALL), *w0 = numbers(1, 9, IN * IN), *w1 = numbers(2, 9, OUT * IN);
    const float *w2 = numbers(3, 9, OUT * 9);
    int side = (SIDE + stride - 1) / stride;
    fm_tensor in = {FM_F32, 4, {N, IN, SIDE, SIDE}, (void *)x}, out = {FM_F32, 4, {N, OUT, side, side}, want};

    mix(x, w0, N, IN, IN, ALL, a);
    mix(a, w1, N, IN, OUT, ALL, b);
    for (int i = 0; i < N * OUT * side * side; i++) {
        int plane = i / (side * side), top = i / side % side * stride - 1, left = i % side * stride - 1;
        double sum = 0;

        for (int t = 0; t < 9; t++) {
            int py = top + t / 3, px = left + t % 3;

            if (py >= 0 && py < SIDE && px >= 0 && px < SIDE)
                sum += (double)b[plane * ALL + py * SIDE + px] * w2[plane % OUT * 9 + t];
        }
        want[i] = (float)sum;
    }
    onnx_input(&m, "in", FM_F32, 4, in.dims);
    onnx_f32(&m, "w0", 4, D(IN, IN, 1, 1), w0);
    onnx_f32(&m, "w1", 4, D(OUT, IN, 1, 1), w1);
    onnx_f32(&m, "w2", 4, D(OUT, 1, 3, 3), w2);
    onnx_node(&m, "Conv", "in w0", "a0");
    onnx_node(&m, "Relu", "a0", "a");
    onnx_node(&m, "Conv", "a w1", "b0");
    onnx_node(&m, "Relu", "b0", "b");
    onnx_attr_ints(&m, "strides", 2, D(stride, stride));
    onnx_attr_ints(&m, "pads", 4, D(1, 1, 1, 1));
    onnx_attr_int(&m, "group", OUT);
    onnx_node(&m, "Conv", "b w2", "c");
    onnx_node(&m, "Neg", "c", "d");
    onnx_node(&m, "Neg", "d", "out");
    onnx_output(&m, "out");
    compare("bands", onnx_close(&m, 11), &in, &out, 2e-5);
}

static void convolutions_together_as_plain_loops(void)
{
    convolutions_in_bands(1);
    convolutions_in_bands(2);
}

/* ---- pooling ---- */

typedef struct {
    const char *op;
    int channels, side, k, stride, pad, ceil, include;
} pool_case;

static const pool_case pools[] = {{"MaxPool", 5, 9, 3, 2, 1, 0, 0},     {"MaxPool", 16, 8, 2, 2, 0, 1, 0},
                                  {"MaxPool", 17, 10, 3, 2, 0, 1, 0},   {"AveragePool", 5, 9, 3, 2, 1, 0, 0},
                                  {"AveragePool", 19, 9, 3, 1, 1, 0, 1}, {"AveragePool", 8, 10, 3, 2, 0, 1, 0}};

static double pool_at(const pool_case *c, const float *x, int oy, int ox)
{
    double largest = -INFINITY, sum = 0;
    int n = 0;

    for (int k = 0; k < c->k * c->k; k++) {
        int y = oy * c->stride - c->pad + k / c->k, px = ox * c->stride - c->pad + k % c->k;

        if (y < 0 || px < 0 || y >= c->side || px >= c->side) {
            n += c->include && y < c->side + c->pad && px < c->side + c->pad;
            continue;
        }
        n++;
        sum += x[y * c->side + px];
        largest = fmax(largest, x[y * c->side + px]);
    }
    return c->op[0] == 'M' ? largest : sum / n;
}

static void pooling_as_plain_loops(void)
{
    static float want[64 * 64];

    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        const pool_case *c = &pools[i];
        int span = c->side + 2 * c->pad - c->k, out = (span + (c->ceil ? c->stride - 1 : 0)) / c->stride + 1, at = 0;
        fm_tensor in = {FM_F32, 4, {1, c->channels, c->side, c->side}, NULL}, w = {FM_F32, 4, {1, c->channels, out, out}, want};
        onnx_model m = ONNX_MODEL_INIT;

        in.data = (void *)numbers(0, i, fm_tensor_count(&in));
        for (int ch = 0; ch < c->channels; ch++)
            for (int p = 0; p < out * out; p++)
                want[at++] = (float)pool_at(c, pool[0] + ch * c->side * c->side, p / out, p % out);
        onnx_input(&m, "in", FM_F32, 4, in.dims);
        onnx_attr_ints(&m, "kernel_shape", 2, D(c->k, c->k));
        onnx_attr_ints(&m, "strides", 2, D(c->stride, c->stride));
        onnx_attr_ints(&m, "pads", 4, D(c->pad, c->pad, c->pad, c->pad));
        onnx_attr_int(&m, "ceil_mode", c->ceil);
        if (c->include)
            onnx_attr_int(&m, "count_include_pad", 1);
        onnx_node(&m, c->op, "in", "out");
        onnx_output(&m, "out");
        compare(c->op, onnx_close(&m, 11), &in, &w, 1e-5);
    }
}

/* ---- element by element ---- */

static double f_relu(double v) { return v > 0 ? v : 0; }
static double f_leaky(double v) { return v < 0 ? 0.01 * v : v; }
static double f_sigmoid(double v) { return 1 / (1 + exp(-v)); }
static double f_hard_sigmoid(double v) { return fmin(fmax(0.2 * v + 0.5, 0), 1); }
static double f_hard_swish(double v) { return v * fmin(fmax(v / 6 + 0.5, 0), 1); }

static void functions_as_libm(void)
{
    static const struct {
        const char *op;
        double (*f)(double);
        double low, high;
    } functions[] = {{"Relu", f_relu, -9, 9}, {"LeakyRelu", f_leaky, -9, 9}, {"Sigmoid", f_sigmoid, -90, 90},
                     {"HardSigmoid", f_hard_sigmoid, -9, 9}, {"HardSwish", f_hard_swish, -9, 9}, {"Tanh", tanh, -12, 12},
                     {"Exp", exp, -80, 80}, {"Sqrt", sqrt, 0, 50}, {"Abs", fabs, -9, 9}};
    enum { N = 1003 };
    static float x[N], want[N];

    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        onnx_model m = ONNX_MODEL_INIT;
        fm_tensor in = {FM_F32, 2, {17, 59}, x}, out = {FM_F32, 2, {17, 59}, want};

        for (int k = 0; k < N; k++) {
            x[k] = (float)(functions[i].low + (functions[i].high - functions[i].low) * k / (N - 1));
            want[k] = (float)functions[i].f(x[k]);
        }
        onnx_input(&m, "in", FM_F32, 2, in.dims);
        onnx_node(&m, functions[i].op, "in", "out");
        onnx_output(&m, "out");
        compare(functions[i].op, onnx_close(&m, 14), &in, &out, 1e-6);
    }
}

/* a [2, 3, 4, 5] with b of every shape that broadcasts to it. */
static void arithmetic_broadcasts(void)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu"};
    static const int64_t a[4] = {2, 3, 4, 5};
    static float want[120];

    for (int shape = 0; shape < 16; shape++)
        for (size_t op = 0; op < sizeof ops / sizeof *ops; op++) {
            int64_t b[4], strides[4], s = 1;
            const float *x = numbers(0, 5, 120), *y = numbers(1, (uint64_t)shape, 120);
            onnx_model m = ONNX_MODEL_INIT;
            fm_tensor in = {FM_F32, 4, {2, 3, 4, 5}, (void *)x}, out = {FM_F32, 4, {2, 3, 4, 5}, want};

            for (int i = 3; i >= 0; i--) {
                b[i] = shape >> i & 1 ? 1 : a[i];
                strides[i] = b[i] == 1 ? 0 : s;
                s *= b[i];
            }
            for (int i = 0; i < 120; i++) {
                double u = x[i], v = y[i / 60 * strides[0] + i / 20 % 3 * strides[1] + i / 5 % 4 * strides[2] + i % 5 * strides[3]];
                const double results[] = {u + v, u - v, u * v, u / (v + 3), fmax(u, v), fmin(u, v), u < 0 ? u * v : u};

                want[i] = (float)results[op];
            }
            onnx_input(&m, "in", FM_F32, 4, in.dims);
            for (int i = 0; op == 3 && i < 120; i++)
                pool[1][i] += 3;
            onnx_f32(&m, "b", 4, b, y);
            onnx_node(&m, ops[op], "in b", "out");
            onnx_output(&m, "out");
            compare(ops[op], onnx_close(&m, 13), &in, &out, 1e-6);
        }
}

/* ---- products ---- */

static void products_as_plain_loops(void)
{
    enum { M = 7, K = 1100, N = 45 };
    static float want[M * N];
    fm_tensor in = {FM_F32, 2, {M, K}, NULL}, out = {FM_F32, 2, {M, N}, want};

    for (int turned = 0; turned < 2; turned++) {
        const float *a = numbers(0, 1, M * K), *b = numbers(1, 2, K * N), *c = numbers(2, 3, N);
        onnx_model m = ONNX_MODEL_INIT, mm = ONNX_MODEL_INIT;

        in.data = (void *)a;
        for (int i = 0; i < M * N; i++) {
            double sum = 0;

            for (int k = 0; k < K; k++)
                sum += (double)a[i / N * K + k] * (turned ? b[i % N * K + k] : b[k * N + i % N]);
            want[i] = (float)(0.5 * sum + 2 * c[i % N]);
        }
        onnx_input(&m, "in", FM_F32, 2, in.dims);
        onnx_f32(&m, "b", 2, turned ? D(N, K) : D(K, N), b);
        onnx_f32(&m, "c", 1, D(N), c);
        onnx_attr_float(&m, "alpha", 0.5f);
        onnx_attr_float(&m, "beta", 2);
        onnx_attr_int(&m, "transB", turned);
        onnx_node(&m, "Gemm", "in b c", "out");
        onnx_output(&m, "out");
        compare("gemm", onnx_close(&m, 11), &in, &out, 2e-5);
        if (turned)
            continue;
        for (int i = 0; i < M * N; i++)
            want[i] = 2 * (want[i] - 2 * c[i % N]);
        onnx_input(&mm, "in", FM_F32, 2, in.dims);
        onnx_f32(&mm, "b", 2, D(K, N), b);
        onnx_node(&mm, "MatMul", "in b", "out");
        onnx_output(&mm, "out");
        compare("matmul", onnx_close(&mm, 13), &in, &out, 2e-5);
    }
}

CHECK_MAIN(CHECK_CASE(transposed_convolution_as_plain_loops), CHECK_CASE(convolutions_together_as_plain_loops),
           CHECK_CASE(pooling_as_plain_loops), CHECK_CASE(functions_as_libm), CHECK_CASE(arithmetic_broadcasts), CHECK_CASE(products_as_plain_loops))

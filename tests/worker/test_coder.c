/* ONNX networks as encoders: what is found out about them, what is refused, and
 * codes against plain loops; masks put on chips. */
#include <errno.h>
#include <stdlib.h>

#include "tests/check.h"
#include "tests/onnx_models.h"
#include "worker/coder.h"
#include "worker/face_network.h"
#include "worker/image/resample.h"

#define SIZE 16
#define WIDTH 10
#define OUT 12
#define MANY 21

/* A weight in (-0.5, 0.5). */
static float weight(unsigned i)
{
    return (float)(i * 2654435761u >> 16 & 1023) / 1024 - 0.5f;
}

static float *weights(size_t n, unsigned seed)
{
    static float pool[3][8192];
    float *v = pool[seed % 3];

    for (size_t i = 0; i < n; i++)
        v[i] = weight((unsigned)i * 3 + seed);
    return v;
}

typedef struct {
    int64_t batch;              /* -1: free */
    int channels;
    bool last, two_outputs, odd, infinite;
    const char *metadata[6];    /* key, value, .. */
} model;

/* Convolution 3 x 3 of stride 2 without a frame, Relu, mean, a product; "code" is the output, "pooled" may be another. */
static fm_buf make(const model *w)
{
    static const float huge = 3e38f;
    onnx_model m = ONNX_MODEL_INIT;
    int64_t first[4] = {w->batch, w->channels, SIZE, SIZE}, last[4] = {w->batch, SIZE, SIZE, w->channels};
    fm_buf file;

    onnx_input(&m, "picture", FM_F32, 4, w->last ? last : first);
    onnx_f32(&m, "w", 4, (const int64_t[]){OUT, w->channels, 3, 3}, weights((size_t)(OUT * w->channels * 9), 0));
    onnx_f32(&m, "p", 2, (const int64_t[]){OUT, WIDTH}, weights(OUT * WIDTH, 1));
    onnx_f32(&m, "huge", 0, NULL, &huge);
    onnx_attr_ints(&m, "perm", 4, (const int64_t[]){0, w->last ? 3 : 1, w->last ? 1 : 2, w->last ? 2 : 3});
    onnx_node(&m, "Transpose", "picture", "turned");
    onnx_attr_ints(&m, "strides", 2, (const int64_t[]){2, 2});
    onnx_node(&m, "Conv", "turned w", "a");
    onnx_node(&m, w->odd ? "Foo" : "Relu", "a", "b");
    onnx_node(&m, "GlobalAveragePool", "b", "c");
    onnx_node(&m, "Flatten", "c", "pooled");
    onnx_node(&m, "MatMul", "pooled p", "d");
    onnx_node(&m, "Mul", w->infinite ? "d huge" : "d d", "e");
    onnx_node(&m, "Mul", w->infinite ? "e huge" : "e d", "f");
    onnx_node(&m, "Add", "f d", "code");        /* d^3 + d */
    onnx_output(&m, "code");
    if (w->two_outputs)
        onnx_output(&m, "pooled");
    file = onnx_close(&m, 13);
    for (int i = 0; i + 1 < 6 && w->metadata[i]; i += 2) {
        fm_buf entry = FM_BUF_INIT;

        onnx_bytes(&entry, 1, w->metadata[i], strlen(w->metadata[i]));
        onnx_bytes(&entry, 2, w->metadata[i + 1], strlen(w->metadata[i + 1]));
        onnx_bytes(&file, 14, entry.data, entry.size);
        fm_buf_fini(&entry);
    }
    return file;
}

/* The same in double precision. */
static void expected(const model *w, const fm_encoding *e, const float *rgb, double code[WIDTH])
{
    const float *kernel = weights((size_t)(OUT * w->channels * 9), 0), *product = weights(OUT * WIDTH, 1);
    static double x[3][SIZE][SIZE];
    double pooled[OUT] = {0};
    int side = (SIZE - 3) / 2 + 1;

    for (int i = 0; i < SIZE * SIZE; i++)
        for (int c = 0; c < w->channels; c++) {
            const float *p = rgb + 3 * i;
            double v = w->channels == 1 ? 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]
                                        : p[e->channels == FM_CHANNELS_BGR ? 2 - c : c];

            x[c][i / SIZE][i % SIZE] = (v - (double)e->mean[c]) * (double)e->scale[c];
        }
    for (int o = 0; o < OUT; o++)
        for (int y = 0; y < side; y++)
            for (int at = 0; at < side; at++) {
                double sum = 0;

                for (int c = 0; c < w->channels; c++)
                    for (int k = 0; k < 9; k++)
                        sum += (double)kernel[(o * w->channels + c) * 9 + k] * x[c][2 * y + k / 3][2 * at + k % 3];
                pooled[o] += sum > 0 ? sum / (side * side) : 0;
            }
    for (int j = 0; j < WIDTH; j++) {
        double d = 0;

        for (int o = 0; o < OUT; o++)
            d += pooled[o] * (double)product[o * WIDTH + j];
        code[j] = d * d * d + d;
    }
}

static void fill_chip(uint8_t *chip, int size, unsigned seed)
{
    for (int i = 0; i < 3 * size * size; i++)
        chip[i] = (uint8_t)(128 + 90 * sin(i * 0.01 * (1 + seed % 5) + seed) + (i * 31 + (int)seed) % 30);
}

static const fm_network_wish plain_wish = {.channels = -1, .layout = -1, .n_mean = 3, .n_scale = 1,
                                           .mean = {120, 110.5f, 100}, .scale = {0.01f}};

static void check_codes(const model *w, fm_network_wish wish, int size)
{
    static uint8_t chip[MANY][3 * 64 * 64];
    static float got[MANY][WIDTH], alone[WIDTH], rgb[3 * SIZE * SIZE];
    const uint8_t *chips[MANY];
    fm_resampler *r = NULL;
    fm_face_network *net = NULL;
    fm_encoding e = {.kind = FM_ENCODER_ONNX};
    fm_buf file = make(w);
    fm_err err = FM_ERR_INIT;
    size_t wrong;

    if (w->channels == 1)
        wish.n_mean = 1;
    for (int i = 0; i < MANY; i++) {
        fill_chip(chip[i], size, (unsigned)i * 7);
        chips[i] = chip[i];
    }
    CHECK_INT(fm_face_network_describe("a model", file.data, file.size, &wish, &e, &err), 0);
    CHECK_INT(e.width, WIDTH);
    if (!CHECK(fm_face_network_open(file.data, file.size, &e, &net, &err) == 0) ||
        !CHECK(fm_resampler_create(size, SIZE, &r, &err) == 0)) {
        printf("  %s\n", err.text);
        return;
    }
    CHECK_INT(fm_face_network_run(net, chips, size, MANY, got[0], &wrong, &err), 0);
    for (int i = 0; i < MANY; i++) {
        double want[WIDTH];

        fm_resample(r, chip[i], rgb);
        expected(w, &e, rgb, want);
        for (int j = 0; j < WIDTH; j++)
            CHECK_NEAR((double)got[i][j], want[j], 1e-4 * (1 + fabs(want[j])));
        CHECK_INT(fm_face_network_run(net, &chips[i], size, 1, alone, &wrong, &err), 0);
        CHECK(memcmp(alone, got[i], sizeof alone) == 0);        /* whatever stands beside it */
    }
    fm_face_network_close(net);
    fm_resampler_destroy(r);
    fm_buf_fini(&file);
}

static void codes_as_plain_loops(void)
{
    fm_network_wish bgr = plain_wish;

    bgr.channels = FM_CHANNELS_BGR;
    check_codes(&(model){.batch = -1, .channels = 3}, plain_wish, SIZE);
    check_codes(&(model){.batch = -1, .channels = 3}, bgr, SIZE);
    check_codes(&(model){.batch = 1, .channels = 3}, plain_wish, 40);
    check_codes(&(model){.batch = -1, .channels = 1}, plain_wish, 9);
    check_codes(&(model){.batch = -1, .channels = 3, .last = true}, bgr, 64);
}

static void metadata_says_what_the_study_leaves_open(void)
{
    static const model w = {.batch = -1, .channels = 3, .two_outputs = true,
                            .metadata = {"facemill.mean", "1, 2, 3", "facemill.scale", "0.5", "facemill.output", "pooled"}};
    fm_network_wish wish = FM_NETWORK_WISH_INIT;
    fm_encoding e = {.kind = FM_ENCODER_ONNX};
    fm_buf file = make(&w);

    CHECK_INT(fm_face_network_describe("m", file.data, file.size, &wish, &e, NULL), 0);
    CHECK(e.mean[0] == 1 && e.mean[2] == 3 && e.scale[1] == 0.5f && e.width == OUT && e.channels == FM_CHANNELS_RGB);
    CHECK_STR(e.output, "pooled");
    wish.n_mean = 1;
    wish.mean[0] = 9;
    strcpy(wish.output, "code");
    CHECK_INT(fm_face_network_describe("m", file.data, file.size, &wish, &e, NULL), 0);
    CHECK(e.mean[0] == 9 && e.mean[2] == 9 && e.width == WIDTH);
    fm_buf_fini(&file);
}

static void what_cannot_be_an_encoder_is_refused(void)
{
    static const struct {
        model m;
        const char *output;
        int64_t size;
        int channels, layout, n_mean;
        int rc;
        const char *say;
    } cases[] = {
        {{.batch = -1, .channels = 3}, "", 0, -1, -1, 0, -EINVAL, "neither the study nor the model says its mean"},
        {{.batch = -1, .channels = 3}, "", 20, -1, -1, 1, -EINVAL, "size: 20, and the model takes pictures of 16"},
        {{.batch = -1, .channels = 3}, "", 0, FM_CHANNELS_GREY, -1, 1, -EINVAL, "channels: grey, and the model takes 3"},
        {{.batch = -1, .channels = 3}, "", 0, -1, FM_LAYOUT_LAST, 1, -EINVAL, "layout: nhwc"},
        {{.batch = -1, .channels = 3}, "embedding", 0, -1, -1, 1, -ENOENT, "embedding"},
        {{.batch = -1, .channels = 3, .two_outputs = true}, "", 0, -1, -1, 1, -EINVAL, "2 outputs, the first is \"code\""},
        {{.batch = -1, .channels = 2}, "", 0, -1, -1, 1, -EINVAL, "an encoder takes square pictures"},
        {{.batch = 4, .channels = 3}, "", 0, -1, -1, 1, -EINVAL, "f32 [4, 10]; a code is f32 [1, ..]"},
        {{.batch = -1, .channels = 3, .odd = true}, "", 0, -1, -1, 1, -ENOTSUP, "node \"b\" (Foo): this operator"},
        {{.batch = -1, .channels = 3, .infinite = true}, "", 0, -1, -1, 1, -EDOM, "not finite"},
        {{.batch = -1, .channels = 3, .metadata = {"facemill.channels", "cmyk"}}, "", 0, -1, -1, 1, -EINVAL, "cmyk"},
        {{.batch = -1, .channels = 1}, "", 0, -1, -1, 3, -EINVAL, "mean: expected one number"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_network_wish wish = {.channels = cases[i].channels, .layout = cases[i].layout, .size = cases[i].size,
                                .n_mean = cases[i].n_mean, .n_scale = 1, .scale = {1}};
        fm_encoding e = {.kind = FM_ENCODER_ONNX};
        fm_buf file = make(&cases[i].m);
        fm_err err = FM_ERR_INIT;

        strcpy(wish.output, cases[i].output);
        CHECK_INT(fm_face_network_describe("face.onnx", file.data, file.size, &wish, &e, &err), cases[i].rc);
        if (!strstr(err.text, cases[i].say) || !strstr(err.text, "face.onnx"))
            check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, cases[i].say);
        fm_buf_fini(&file);
    }
}

/* Pixels alone decide whether the code of the nth chip is finite: d^3 passes 3e38 when colours are scaled up. */
static void a_code_that_is_not_finite_names_its_chip(void)
{
    static uint8_t chip[20][3 * SIZE * SIZE];
    static float codes[20][WIDTH];
    fm_network_wish wish = {.channels = -1, .layout = -1, .n_mean = 1, .mean = {128}, .n_scale = 1, .scale = {1e15f}};
    fm_encoding e = {.kind = FM_ENCODER_ONNX};
    fm_buf file = make(&(model){.batch = -1, .channels = 3});
    fm_face_network *net = NULL;
    const uint8_t *chips[20];
    size_t wrong = 99;

    for (int i = 0; i < 20; i++) {
        memset(chip[i], 128, sizeof chip[i]);       /* the mean: nothing comes out but 0 */
        chips[i] = chip[i];
    }
    chip[17][300] = 255;
    REQUIRE(fm_face_network_describe("m", file.data, file.size, &wish, &e, NULL) == 0);
    REQUIRE(fm_face_network_open(file.data, file.size, &e, &net, NULL) == 0);
    CHECK_INT(fm_face_network_run(net, chips, SIZE, 20, codes[0], &wrong, NULL), -EDOM);
    CHECK_INT(wrong, 17);
    fm_face_network_close(net);
    fm_buf_fini(&file);
}

static void pictures_of_another_size(void)
{
    static const int sizes[][2] = {{16, 16}, {150, 112}, {7, 30}, {100, 1}, {1, 5}};
    fm_resampler *r = NULL;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int from = sizes[i][0], to = sizes[i][1];
        uint8_t *in = malloc(3 * (size_t)from * (size_t)from);
        float *out = malloc(3 * (size_t)to * (size_t)to * sizeof *out);

        if (!CHECK(in && out && fm_resampler_create(from, to, &r, NULL) == 0))
            return;
        for (int k = 0; k < from * from; k++) {     /* one colour; a ramp to the right; itself when nothing changes */
            in[3 * k] = 77;
            in[3 * k + 1] = (uint8_t)(k % from);
            in[3 * k + 2] = (uint8_t)(k * 7);
        }
        fm_resample(r, in, out);
        for (int k = 0; k < to * to; k++) {
            double x = (k % to + 0.5) * from / to - 0.5, edge = from > to ? 1.0 * from / to : 1;

            CHECK_NEAR((double)out[3 * k], 77, 1e-4);
            if (x > edge && x < from - 1 - edge)
                CHECK_NEAR((double)out[3 * k + 1], x, 0.1);
            if (from == to)
                CHECK(out[3 * k + 2] == (float)in[3 * k + 2]);
        }
        fm_resampler_destroy(r);
        free(in);
        free(out);
    }
    CHECK_INT(fm_resampler_create(0, 5, &r, NULL), -EINVAL);
}

static void masks_are_put_on_softly(void)
{
    uint8_t chip[2 * 2 * 3] = {10, 20, 30, 0, 255, 100, 200, 200, 200, 1, 2, 3}, mask[4] = {255, 0, 128, 51};
    static const uint8_t fill[3] = {100, 110, 120}, want[12] = {10, 20, 30, 100, 110, 120, 150, 155, 160, 80, 88, 97};

    fm_mask_apply(chip, mask, 2, fill, chip);
    for (int i = 0; i < 12; i++)
        CHECK_INT(chip[i], want[i]);
}

CHECK_MAIN(CHECK_CASE(codes_as_plain_loops), CHECK_CASE(metadata_says_what_the_study_leaves_open),
           CHECK_CASE(what_cannot_be_an_encoder_is_refused), CHECK_CASE(a_code_that_is_not_finite_names_its_chip),
           CHECK_CASE(pictures_of_another_size), CHECK_CASE(masks_are_put_on_softly))

/* A dlib network is a type nested a hundred layers deep, and so is its file:
 * the versions of all layers from the last to the first, then each layer's
 * contents from the first to the last (dlib/dnn/core.h).  As the network is one
 * that is known, the file is checked against it word by word; nothing in it
 * decides a size or a loop. */
#include "worker/net/resnet.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/dat.h"

#define SAME(c) {FM_CONV_SAME, c, c}
#define BLOCK(c) SAME(c), SAME(c)
#define BLOCK_DOWN(from, c) {FM_CONV_DOWN, from, c}, SAME(c)

const fm_conv_shape fm_resnet_shapes[FM_RESNET_CONVS] = {
    {FM_CONV_STEM, 3, 32},
    BLOCK(32), BLOCK(32), BLOCK(32),
    BLOCK_DOWN(32, 64), BLOCK(64), BLOCK(64), BLOCK(64),
    BLOCK_DOWN(64, 128), BLOCK(128), BLOCK(128),
    BLOCK_DOWN(128, 256), BLOCK(256), BLOCK(256),
    BLOCK_DOWN(256, 256)};

#define LAYER_VERSION 2         /* of dlib's add_layer; 3 on the layer next to the input */
#define TAG_VERSION 1
#define EMBEDDING 128
#define POOLED 256

typedef struct {
    fm_reader r;
    const uint8_t *start;
    char expected[64];          /* the first thing that was not there */
    size_t at;
} source;

static void missing(source *s, const uint8_t *at, const char *what)
{
    if (!s->expected[0]) {
        snprintf(s->expected, sizeof s->expected, "%s", what);
        s->at = (size_t)(at - s->start);
    }
    s->r.failed = true;
}

static void read_int(source *s, int64_t want, const char *what)
{
    const uint8_t *at = s->r.at;

    if (fm_dat_int(&s->r) != want || s->r.failed)
        missing(s, at, what);
}

static void read_name(source *s, const char *want)
{
    const uint8_t *at = s->r.at;
    char name[32];

    fm_dat_str(&s->r, name, sizeof name);
    if (s->r.failed || strcmp(name, want) != 0)
        missing(s, at, want);
}

static double read_real(source *s)
{
    const uint8_t *at = s->r.at;
    double v = fm_dat_real(&s->r);

    if (s->r.failed)
        missing(s, at, "a number");
    return v;
}

static void read_shape(source *s, const int shape[4], const char *what)
{
    for (int i = 0; i < 4; i++)
        read_int(s, shape[i], what);
}

/* A tensor of the shape given, in place. */
static const uint8_t *read_tensor(source *s, const int shape[4], const char *what)
{
    const uint8_t *at = s->r.at, *numbers;

    read_int(s, 2, "a tensor of version 2");
    read_shape(s, shape, what);
    numbers = fm_reader_get(&s->r, 4 * (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * (size_t)shape[3]);
    if (!numbers)
        missing(s, at, what);
    return numbers;
}

/* Where a layer's slice of its parameters lies: only its shape is stored. */
static void read_alias(source *s, const int shape[4], const char *what)
{
    read_int(s, 1, "an alias tensor of version 1");
    read_shape(s, shape, what);
}

/* What follows every layer: flags, and tensors that only training uses, which published files leave empty. */
static void read_tail(source *s)
{
    static const int empty[4] = {0, 0, 0, 0};

    for (int i = 0; i < 3; i++) {
        const uint8_t *at = s->r.at;
        uint8_t flag = fm_reader_u8(&s->r);

        if (flag != '0' && flag != '1')
            missing(s, at, "a flag");
    }
    for (int i = 0; i < 3; i++)
        read_tensor(s, empty, "an empty training tensor");
}

static void read_rates(source *s)
{
    for (int i = 0; i < 4; i++)
        read_real(s);
}

int fm_conv_side(fm_conv_kind kind)
{
    return kind == FM_CONV_STEM ? 7 : 3;
}

static void read_conv(source *s, const fm_conv_shape *c, fm_resnet_conv *out)
{
    int side = fm_conv_side(c->kind), stride = c->kind == FM_CONV_SAME ? 1 : 2, pad = c->kind == FM_CONV_SAME;
    int filters = c->out * c->in * side * side;
    char what[64];

    snprintf(what, sizeof what, "a %d x %d convolution from %d to %d channels", side, side, c->in, c->out);
    read_name(s, "con_4");
    out->filters = read_tensor(s, (int[4]){filters + c->out, 1, 1, 1}, what);
    out->bias = out->filters ? out->filters + 4 * (size_t)filters : NULL;
    read_int(s, c->out, what);
    for (int i = 0; i < 2; i++)
        read_int(s, side, what);
    for (int i = 0; i < 2; i++)
        read_int(s, stride, what);
    for (int i = 0; i < 2; i++)
        read_int(s, pad, what);
    read_alias(s, (int[4]){c->out, c->in, side, side}, what);
    read_alias(s, (int[4]){1, c->out, 1, 1}, what);
    read_rates(s);
    read_tail(s);
}

static void read_affine(source *s, const fm_conv_shape *c, fm_resnet_conv *out)
{
    const char *what = "the affine layer of a convolution";

    read_name(s, "affine_");
    out->gamma = read_tensor(s, (int[4]){2 * c->out, 1, 1, 1}, what);
    out->beta = out->gamma ? out->gamma + 4 * (size_t)c->out : NULL;
    for (int i = 0; i < 2; i++)
        read_alias(s, (int[4]){1, c->out, 1, 1}, what);
    read_int(s, 0, what);
    read_tail(s);
}

static void read_plain(source *s, const char *name)
{
    read_name(s, name);
    read_tail(s);
}

static void read_pool(source *s, const char *name, int side, int stride)
{
    const int want[6] = {side, side, stride, stride, 0, 0};

    read_name(s, name);
    for (int i = 0; i < 6; i++)
        read_int(s, want[i], name);
    read_tail(s);
}

static void read_versions(source *s, int n, int version)
{
    for (int i = 0; i < n; i++)
        read_int(s, version, version == TAG_VERSION ? "a tag of version 1" : "a layer of version 2");
}

static void read_openings(source *s)
{
    read_int(s, 1, "a network with a loss layer of version 1");
    read_name(s, "loss_metric_2");
    read_real(s);
    read_real(s);
    read_versions(s, 2, LAYER_VERSION);                 /* fc, average over everything */
    for (int c = FM_RESNET_CONVS - 2; c >= 1; c -= 2) {
        read_versions(s, 2, LAYER_VERSION);             /* relu, add */
        if (fm_resnet_shapes[c].kind == FM_CONV_DOWN) {
            read_versions(s, 1, LAYER_VERSION);         /* average */
            read_versions(s, 2, TAG_VERSION);
        }
        read_versions(s, 5, LAYER_VERSION);             /* affine, con, relu, affine, con */
        read_versions(s, 1, TAG_VERSION);
    }
    read_versions(s, 3, LAYER_VERSION);                 /* max_pool, relu, affine */
    read_int(s, 3, "a first layer of version 3");
}

static void read_input(source *s, float mean[3])
{
    read_name(s, "input_rgb_image_sized");
    for (int i = 0; i < 3; i++)
        mean[i] = (float)read_real(s);
    for (int i = 0; i < 2; i++)
        read_int(s, 150, "an input of 150 x 150 pixels");
}

static void read_block(source *s, const fm_conv_shape *shape, fm_resnet_conv *conv)
{
    read_conv(s, &shape[0], &conv[0]);
    read_affine(s, &shape[0], &conv[0]);
    read_plain(s, "relu_");
    read_conv(s, &shape[1], &conv[1]);
    read_affine(s, &shape[1], &conv[1]);
    if (shape[0].kind == FM_CONV_DOWN)
        read_pool(s, "avg_pool_2", 2, 2);
    read_plain(s, "add_prev_");
    read_plain(s, "relu_");
}

static void read_fc(source *s, const uint8_t **weights)
{
    const char *what = "a last layer from 256 to 128 without bias";

    read_name(s, "fc_2");
    read_int(s, EMBEDDING, what);
    read_int(s, POOLED, what);
    *weights = read_tensor(s, (int[4]){POOLED, EMBEDDING, 1, 1}, what);
    read_alias(s, (int[4]){POOLED, EMBEDDING, 1, 1}, what);
    read_alias(s, (int[4]){0, 0, 0, 0}, what);
    read_int(s, 1, what);
    read_rates(s);
    read_tail(s);
}

int fm_resnet_read(const void *file, size_t n, fm_resnet *out, fm_err *err)
{
    source s = {.r = fm_reader_init(file, n), .start = file};
    fm_resnet net;

    read_openings(&s);
    read_input(&s, net.mean);
    read_conv(&s, &fm_resnet_shapes[0], &net.conv[0]);
    read_int(&s, 1, "a sample expansion of 1");
    read_affine(&s, &fm_resnet_shapes[0], &net.conv[0]);
    read_plain(&s, "relu_");
    read_pool(&s, "max_pool_2", 3, 2);
    for (int c = 1; c < FM_RESNET_CONVS; c += 2)
        read_block(&s, &fm_resnet_shapes[c], &net.conv[c]);
    read_pool(&s, "avg_pool_2", 0, 1);     /* over everything */
    read_fc(&s, &net.fc);
    if (!s.r.failed && fm_reader_left(&s.r) != 0)
        missing(&s, s.r.at, "the end of the file");
    if (s.r.failed)
        return fm_fail(err, -EBADMSG, "encoder: expected %s at byte %zu; it reads dlib_face_recognition_resnet_model_v1.dat "
                       "as ./setup fetches it", s.expected, s.at);
    *out = net;
    return 0;
}

float fm_resnet_number(const uint8_t *numbers, size_t i)
{
    const uint8_t *b = numbers + 4 * i;
    uint32_t bits = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

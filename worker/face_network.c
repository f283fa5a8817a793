/* Describing and running a network that takes one picture.
 *
 * Mean and scale are never guessed: a wrong guess gives codes that look like codes.
 * Channels are red, green, blue where nobody says otherwise, as everywhere else. */
#include "worker/face_network.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/text.h"
#include "worker/image/resample.h"
#include "worker/net/network.h"
#include "worker/net/onnx.h"

static const char *const channel_names[] = {"rgb", "bgr", "grey"};
static const char *const layout_names[] = {"nchw", "nhwc"};

struct fm_face_network {
    fm_encoding e;
    fm_network *net;
    fm_tensor in;               /* room for FM_FACE_NETWORK_BATCH pictures */
    size_t each;                /* numbers of one picture */
    int64_t batch;              /* pictures that may go in together */
    fm_resampler *resampler;    /* of from pixels; NULL: none was needed yet */
    int from;
    float *rgb;                 /* f32 [size, size, 3] */
};

/* The metadata's text for facemill.KEY; false when there is none. */
static bool metadata(const void *file, size_t n, const char *key, char *out, size_t size)
{
    char name[64];
    fm_span s;

    snprintf(name, sizeof name, "facemill.%s", key);
    s = fm_onnx_metadata(file, n, name);
    if (!s.at)
        return false;
    snprintf(out, size, "%.*s", (int)(s.n < size ? s.n : size), (const char *)s.at);
    return true;
}

static int choice(const char *model, const char *key, const char *text, const char *const *names, int n, int *out,
                  fm_err *err)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return 0;
        }
    return fm_fail(err, -EINVAL, "%s: metadata facemill.%s is \"%.40s\", which is none that there is", model, key, text);
}

/* One number, or three with commas or blanks between. */
static int numbers(const char *model, const char *key, char *text, int *n, float out[3], fm_err *err)
{
    char *save = NULL;
    double v;

    *n = 0;
    for (char *t = strtok_r(text, ", []", &save); t; t = strtok_r(NULL, ", []", &save)) {
        if (*n == 3 || !fm_parse_double(t, &v) || !isfinite((float)v))
            return fm_fail(err, -EINVAL, "%s: metadata facemill.%s: expected one number, or three", model, key);
        out[(*n)++] = (float)v;
    }
    return 0;
}

/* What the wish leaves open and the metadata says. */
static int complete(const char *model, const void *file, size_t n, fm_network_wish *w, fm_err *err)
{
    char text[256];
    int rc = 0;

    if (!w->input[0])
        metadata(file, n, "input", w->input, sizeof w->input);
    if (!w->output[0])
        metadata(file, n, "output", w->output, sizeof w->output);
    if (w->channels < 0 && metadata(file, n, "channels", text, sizeof text))
        rc = choice(model, "channels", text, channel_names, FM_CHANNELS_KINDS, &w->channels, err);
    if (rc == 0 && w->layout < 0 && metadata(file, n, "layout", text, sizeof text))
        rc = choice(model, "layout", text, layout_names, FM_LAYOUT_KINDS, &w->layout, err);
    if (rc == 0 && !w->n_mean && metadata(file, n, "mean", text, sizeof text))
        rc = numbers(model, "mean", text, &w->n_mean, w->mean, err);
    if (rc == 0 && !w->n_scale && metadata(file, n, "scale", text, sizeof text))
        rc = numbers(model, "scale", text, &w->n_scale, w->scale, err);
    return rc;
}

static int load(const void *file, size_t n, const char *output, fm_network **out, fm_err *err)
{
    const char *names[1] = {output};
    fm_network_options options = {.isa = fm_cpu_isa(), .outputs = output[0] ? names : NULL, .n_outputs = output[0] != 0};

    return fm_network_load(file, n, &options, out, err);
}

static bool is_colour(int64_t channels)
{
    return channels == 1 || channels == 3;
}

/* Where channels stand, which follows from the shape unless both ends could be channels. */
static int find_layout(const char *model, const fm_tensor *t, const fm_network_wish *w, fm_encoding *e, fm_err *err)
{
    bool first = t->rank == 4 && is_colour(t->dims[1]) && t->dims[2] == t->dims[3];
    bool last = t->rank == 4 && is_colour(t->dims[3]) && t->dims[1] == t->dims[2];
    char text[128];

    if (t->type != FM_F32 || (!first && !last) || t->dims[0] > 1)
        return fm_fail(err, -EINVAL, "%s: input \"%.100s\" is %s; an encoder takes square pictures, f32 [1 or free, 1 or 3, "
                       "size, size] or [1 or free, size, size, 1 or 3]", model, e->input,
                       fm_tensor_text(t, text, sizeof text));
    if ((w->layout == FM_LAYOUT_FIRST && !first) || (w->layout == FM_LAYOUT_LAST && !last))
        return fm_fail(err, -EINVAL, "%s: layout: %s, and input \"%.100s\" is %s", model, layout_names[w->layout], e->input,
                       fm_tensor_text(t, text, sizeof text));
    e->layout = (uint8_t)(w->layout >= 0 ? w->layout : first ? FM_LAYOUT_FIRST : FM_LAYOUT_LAST);
    return 0;
}

static int find_picture(const char *model, const fm_tensor *t, const fm_network_wish *w, fm_encoding *e, fm_err *err)
{
    int64_t size, channels;
    int rc = find_layout(model, t, w, e, err);

    if (rc != 0)
        return rc;
    size = t->dims[2];
    channels = t->dims[e->layout == FM_LAYOUT_FIRST ? 1 : 3];
    if (w->size && w->size != size)
        return fm_fail(err, -EINVAL, "%s: size: %lld, and the model takes pictures of %lld pixels", model,
                       (long long)w->size, (long long)size);
    if (size < 8 || size > 1024)
        return fm_fail(err, -EINVAL, "%s: pictures of %lld pixels a side; 8 to 1024 can be encoded", model,
                       (long long)size);
    if (w->channels >= 0 && (w->channels == FM_CHANNELS_GREY) != (channels == 1))
        return fm_fail(err, -EINVAL, "%s: channels: %s, and the model takes %lld", model, channel_names[w->channels],
                       (long long)channels);
    e->size = (uint16_t)size;
    e->channels = (uint8_t)(w->channels >= 0 ? w->channels : channels == 1 ? FM_CHANNELS_GREY : FM_CHANNELS_RGB);
    return 0;
}

/* One number for each channel from what was said. */
static int spread(const char *model, const char *key, int n, const float v[3], bool grey, float out[3], fm_err *err)
{
    if (n == 0)
        return fm_fail(err, -EINVAL, "%s: neither the study nor the model says its %s; the network is to see (v - mean) * "
                       "scale of colours v from 0 to 255, so write e.g. mean: 127.5, scale: 0.0078125", model, key);
    if (n == 2 || (n == 3 && grey))
        return fm_fail(err, -EINVAL, "%s: %s: expected one number%s", model, key, grey ? "" : ", or three");
    for (int c = 0; c < 3; c++)
        out[c] = v[n == 3 ? c : 0];
    return 0;
}

/* The one input and the one output, as far as their names go. */
static int find_values(const char *model, const fm_network *net, const fm_network_wish *w, fm_encoding *e, fm_tensor *in,
                       fm_err *err)
{
    fm_tensor out;
    const char *name = fm_network_input(net, 0, in), *result = fm_network_output(net, 0, &out);
    char text[128];

    if (fm_network_inputs(net) != 1)
        return fm_fail(err, -EINVAL, "%s: %zu inputs; an encoder has one, the picture", model, fm_network_inputs(net));
    if (w->input[0] && strcmp(w->input, name) != 0)
        return fm_fail(err, -EINVAL, "%s: no input \"%s\"; it is \"%.100s\"", model, w->input, name);
    if (fm_network_outputs(net) != 1)
        return fm_fail(err, -EINVAL, "%s: %zu outputs, the first is \"%.100s\"; name the one that is the code: "
                       "output: NAME", model, fm_network_outputs(net), result);
    if (strlen(name) >= sizeof e->input || strlen(result) >= sizeof e->output)
        return fm_fail(err, -EINVAL, "%s: the name of its input or output is longer than %d bytes", model,
                       FM_VALUE_NAME_MAX - 1);
    if (out.type != FM_F32 || out.rank < 1 || out.dims[0] != 1 || fm_tensor_count(&out) < 1 ||
        fm_tensor_count(&out) > FM_CODE_WIDTH_MAX)
        return fm_fail(err, -EINVAL, "%s: output \"%.100s\" is %s; a code is f32 [1, ..] of 1 to %d numbers", model, result,
                       fm_tensor_text(&out, text, sizeof text), FM_CODE_WIDTH_MAX);
    strcpy(e->input, name);
    strcpy(e->output, result);
    e->width = (uint32_t)fm_tensor_count(&out);
    return 0;
}

/* Numbers for the picture in the middle of all colours: a model with broken weights is found out before a build. */
static int try_out(const char *model, const void *file, size_t n, const fm_encoding *e, fm_err *err)
{
    size_t bytes = 3 * (size_t)e->size * e->size, wrong;
    uint8_t *grey = malloc(bytes);
    float *code = malloc(e->width * sizeof *code);
    fm_face_network *net = NULL;
    int rc = grey && code ? 0 : fm_fail_nomem(err, "a picture to try", bytes);

    if (rc == 0)
        rc = fm_face_network_open(file, n, e, &net, err);
    if (rc == 0) {
        memset(grey, 128, bytes);
        rc = fm_face_network_run(net, &(const uint8_t *){grey}, e->size, 1, code, &wrong, err);
    }
    fm_face_network_close(net);
    free(grey);
    free(code);
    return rc == 0 ? 0 : fm_fail_in(err, rc, "%s", model);
}

int fm_face_network_describe(const char *model, const void *file, size_t n, const fm_network_wish *wish, fm_encoding *out,
                             fm_err *err)
{
    fm_network_wish w = *wish;
    fm_network *net = NULL;
    fm_encoding e = *out;
    fm_tensor in;
    int rc = complete(model, file, n, &w, err);

    e.kind = FM_ENCODER_ONNX;
    if (rc == 0 && (rc = load(file, n, w.output, &net, err)) != 0)
        rc = fm_fail_in(err, rc, "%s", model);
    if (rc == 0)
        rc = find_values(model, net, &w, &e, &in, err);
    if (rc == 0)
        rc = find_picture(model, &in, &w, &e, err);
    if (rc == 0)
        rc = spread(model, "mean", w.n_mean, w.mean, e.channels == FM_CHANNELS_GREY, e.mean, err);
    if (rc == 0)
        rc = spread(model, "scale", w.n_scale, w.scale, e.channels == FM_CHANNELS_GREY, e.scale, err);
    fm_network_close(net);
    if (rc == 0)
        rc = try_out(model, file, n, &e, err);
    if (rc == 0)
        *out = e;
    return rc;
}

/* Is what was loaded what e describes?  And how many pictures may go in together. */
static int fit(fm_face_network *net, fm_err *err)
{
    const fm_encoding *e = &net->e;
    bool last = e->layout == FM_LAYOUT_LAST, apart = false;
    int64_t channels = e->channels == FM_CHANNELS_GREY ? 1 : 3;
    fm_tensor in, out;
    int rc = 0;

    if (fm_network_inputs(net->net) != 1 || strcmp(fm_network_input(net->net, 0, &in), e->input) != 0 || in.rank != 4 ||
        in.dims[2] != e->size || in.dims[last ? 1 : 3] != e->size || in.dims[last ? 3 : 1] != channels ||
        !fm_network_output(net->net, 0, &out) || fm_tensor_count(&out) != e->width || e->width == 0)
        return fm_fail(err, -EINVAL, "the network is not the one that the study describes");
    net->in = in;
    net->batch = 1;
    net->each = (size_t)channels * e->size * e->size;
    if (in.dims[0] < 0)
        rc = fm_network_apart(net->net, FM_FACE_NETWORK_BATCH, &apart, err);
    if (rc == 0 && apart)
        net->batch = FM_FACE_NETWORK_BATCH;
    return rc == -ENOTSUP ? 0 : rc;     /* it works for one picture at a time */
}

int fm_face_network_open(const void *file, size_t n, const fm_encoding *e, fm_face_network **out, fm_err *err)
{
    fm_face_network *net = calloc(1, sizeof *net);
    size_t bytes;
    int rc;

    if (!net)
        return fm_fail_nomem(err, "encoder", sizeof *net);
    net->e = *e;
    rc = load(file, n, e->output, &net->net, err);
    if (rc == 0)
        rc = fit(net, err);
    if (rc == 0) {
        bytes = (FM_FACE_NETWORK_BATCH * net->each * sizeof(float) + 63) / 64 * 64;
        net->in.data = aligned_alloc(64, bytes);
        net->rgb = malloc(3 * (size_t)e->size * e->size * sizeof *net->rgb);
        if (!net->in.data || !net->rgb)
            rc = fm_fail_nomem(err, "pictures for an encoder", bytes);
    }
    if (rc == 0)
        *out = net;
    else
        fm_face_network_close(net);
    return rc;
}

void fm_face_network_close(fm_face_network *net)
{
    if (!net)
        return;
    fm_network_close(net->net);
    fm_resampler_destroy(net->resampler);
    free(net->in.data);
    free(net->rgb);
    free(net);
}

/* The chip as the network's picture i. */
static void place(fm_face_network *net, const uint8_t *chip, int size, size_t i)
{
    const fm_encoding *e = &net->e;
    size_t pixels = (size_t)e->size * e->size, channels = e->channels == FM_CHANNELS_GREY ? 1 : 3;
    size_t step = e->layout == FM_LAYOUT_LAST ? channels : 1, plane = e->layout == FM_LAYOUT_LAST ? 1 : pixels;
    float *to = (float *)net->in.data + i * net->each;

    if (size != e->size)
        fm_resample(net->resampler, chip, net->rgb);
    else
        for (size_t k = 0; k < 3 * pixels; k++)
            net->rgb[k] = chip[k];
    for (size_t p = 0; p < pixels; p++) {
        const float *rgb = net->rgb + 3 * p;

        if (channels == 1)
            to[p] = (0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2] - e->mean[0]) * e->scale[0];
        for (size_t c = 0; channels == 3 && c < 3; c++)
            to[p * step + c * plane] = (rgb[e->channels == FM_CHANNELS_BGR ? 2 - c : c] - e->mean[c]) * e->scale[c];
    }
}

static int run_batch(fm_face_network *net, size_t n, float *codes, size_t *wrong, fm_err *err)
{
    size_t width = net->e.width;
    fm_tensor out;
    int rc;

    net->in.dims[0] = (int64_t)n;
    rc = fm_network_run(net->net, &net->in, &out, err);
    if (rc != 0)
        return rc;
    memcpy(codes, out.data, n * width * sizeof *codes);
    for (size_t i = 0; i < n * width; i++)
        if (!isfinite(codes[i])) {
            *wrong = i / width;
            return fm_fail(err, -EDOM, "the network's output \"%s\" has a number that is not finite (%g, column %zu)",
                           net->e.output, (double)codes[i], i % width);
        }
    return 0;
}

int fm_face_network_run(fm_face_network *net, const uint8_t *const *chips, int size, size_t n, float *codes, size_t *wrong,
                        fm_err *err)
{
    int rc = 0;

    if (size != net->e.size && size != net->from) {
        fm_resampler_destroy(net->resampler);
        net->resampler = NULL;
        net->from = 0;
        rc = fm_resampler_create(size, net->e.size, &net->resampler, err);
        if (rc == 0)
            net->from = size;
    }
    for (size_t at = 0, count; rc == 0 && at < n; at += count) {
        count = n - at < (size_t)net->batch ? n - at : (size_t)net->batch;
        for (size_t i = 0; i < count; i++)
            place(net, chips[at + i], size, i);
        rc = run_batch(net, count, codes + at * net->e.width, wrong, err);
        if (rc == -EDOM)
            *wrong += at;
    }
    return rc;
}

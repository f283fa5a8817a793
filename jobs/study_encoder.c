/* Section encoder, and the recipe's mask: what codes are made with. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "jobs/study_parts.h"
#include "worker/net/encoder.h"

static const char *const code_names[] = {"pooled", "embedding", NULL};
static const char *const channel_names[] = {"rgb", "bgr", "grey", NULL};
static const char *const layout_names[] = {"nchw", "nhwc", NULL};
static const char *const mask_names[] = {"none", "portrait", NULL};

/* One number for all channels, or three. */
static int read_numbers(const fm_yaml *y, const yaml_node_t *node, const char *key, int *n, float out[3], fm_err *err)
{
    bool list = node->type == YAML_SEQUENCE_NODE;
    int count = list ? (int)(node->data.sequence.items.top - node->data.sequence.items.start) : 1;
    double v;

    if (count != 1 && count != 3)
        return fm_yaml_fail(y, node, err, "%s: expected one number, or three, one a channel", key);
    for (int i = 0; i < count; i++) {
        const yaml_node_t *item = list ? fm_yaml_node(y, node->data.sequence.items.start[i]) : node;
        const char *text = fm_yaml_text(item);

        if (!text || !fm_parse_double(text, &v) || !isfinite((float)v))
            return fm_yaml_fail(y, item, err, "%s: expected a number", key);
        out[i] = (float)v;
    }
    *n = count;
    return 0;
}

typedef struct {
    char model[FM_PATH_MAX];
    int code, channels, layout;         /* -1: not said */
    char input[FM_VALUE_NAME_MAX], output[FM_VALUE_NAME_MAX];
    int64_t size;
    const yaml_node_t *mean, *scale;
} raw_encoder;

static const fm_yaml_key encoder_keys[] = {
    KEY(STRING, raw_encoder, model, "model", 0, FM_PATH_MAX),
    CHOICE(raw_encoder, code, "code", code_names, false),
    KEY(STRING, raw_encoder, input, "input", 0, FM_VALUE_NAME_MAX),
    KEY(STRING, raw_encoder, output, "output", 0, FM_VALUE_NAME_MAX),
    KEY(INT, raw_encoder, size, "size", 8, 1024),
    CHOICE(raw_encoder, channels, "channels", channel_names, false),
    CHOICE(raw_encoder, layout, "layout", layout_names, false),
    KEY(NODE, raw_encoder, mean, "mean", 0, 0),
    KEY(NODE, raw_encoder, scale, "scale", 0, 0),
};

static int read_network(const fm_yaml *y, const yaml_node_t *node, const raw_encoder *raw, fm_study *s, fm_err *err)
{
    const char *name = strrchr(raw->model, '/') ? strrchr(raw->model, '/') + 1 : raw->model;
    fm_network_wish *w = &s->wish;
    int rc = 0;

    if (raw->code >= 0)
        return fm_yaml_fail(y, node, err, "code: pooled and embedding are dlib-resnet's; of an ONNX model name the output "
                            "that is the code: output: NAME");
    if (strlen(name) >= sizeof s->encoder)
        return fm_yaml_fail(y, node, err, "model: the file's name is longer than %zu bytes", sizeof s->encoder - 1);
    strcpy(s->encoder, name);
    s->encoding.kind = FM_ENCODER_ONNX;
    memcpy(w->input, raw->input, sizeof w->input);
    memcpy(w->output, raw->output, sizeof w->output);
    w->size = raw->size;
    w->channels = raw->channels;
    w->layout = raw->layout;
    if (raw->mean)
        rc = read_numbers(y, raw->mean, "mean", &w->n_mean, w->mean, err);
    if (rc == 0 && raw->scale)
        rc = read_numbers(y, raw->scale, "scale", &w->n_scale, w->scale, err);
    return rc == 0 ? fm_path_join(s->encoder_file, sizeof s->encoder_file, s->dir, raw->model, err) : rc;
}

int fm_study_read_encoder(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    raw_encoder raw = {.model = "dlib-resnet", .code = -1, .channels = -1, .layout = -1};
    int rc = fm_yaml_map(y, node, "encoder", encoder_keys, COUNT(encoder_keys), &raw, err);
    size_t n = strlen(raw.model);

    if (rc != 0)
        return rc;
    if (n > 5 && strcasecmp(raw.model + n - 5, ".onnx") == 0)
        return read_network(y, node, &raw, s, err);
    if (strcmp(raw.model, "dlib-resnet") != 0)
        return fm_yaml_fail(y, node, err, "model: \"%.100s\" is neither dlib-resnet nor an .onnx file", raw.model);
    if (raw.input[0] || raw.output[0] || raw.size || raw.channels >= 0 || raw.layout >= 0 || raw.mean || raw.scale)
        return fm_yaml_fail(y, node, err, "dlib-resnet takes no key but code; the others describe an ONNX model");
    s->embedding = raw.code == 1;
    return 0;
}

static int read_fill(const fm_yaml *y, const yaml_node_t *node, uint8_t fill[3], fm_err *err)
{
    float v[3];
    int n, rc = read_numbers(y, node, "fill", &n, v, err);

    for (int c = 0; rc == 0 && c < 3; c++) {
        float x = v[n == 3 ? c : 0];

        if (!(x >= 0 && x <= 255 && x == (float)(int)x))
            return fm_yaml_fail(y, node, err, "fill: expected red, green and blue, whole numbers from 0 to 255");
        fill[c] = (uint8_t)x;
    }
    return rc;
}

int fm_study_read_mask(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    struct { int kind; const yaml_node_t *fill; } raw = {0, NULL};
    const fm_yaml_key keys[] = {
        {"kind", FM_YAML_CHOICE, offsetof(__typeof__(raw), kind), 0, 0, mask_names, true},
        {"fill", FM_YAML_NODE, offsetof(__typeof__(raw), fill), 0, 0, NULL, false},
    };
    const char *text = fm_yaml_text(node);
    int rc = 0;

    if (text && strcmp(text, "none") != 0 && strcmp(text, "portrait") != 0)
        return fm_yaml_fail(y, node, err, "mask: \"%.40s\" is none of: none, portrait, {kind: portrait, fill: [R, G, B]}",
                            text);
    if (!text)
        rc = fm_yaml_map(y, node, "mask", keys, COUNT(keys), &raw, err);
    s->recipe.mask = s->encoding.mask = text ? strcmp(text, "portrait") == 0 : raw.kind == 1;
    if (rc == 0 && raw.fill)
        rc = read_fill(y, raw.fill, s->encoding.fill, err);
    return rc;
}

void fm_study_code(const fm_study *s, uint32_t *offset, uint32_t *width)
{
    bool dlib = s->encoding.kind == FM_ENCODER_DLIB;

    *offset = dlib && !s->embedding ? FM_ENCODER_EMBEDDING : 0;
    *width = !dlib ? s->encoding.width : s->embedding ? FM_ENCODER_EMBEDDING : FM_ENCODER_POOLED;
}

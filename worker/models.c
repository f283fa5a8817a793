/* The packed block: a header, then the parts, each at a multiple of 64
 * bytes.  Parts are found by offset, so the block may lie at any (aligned)
 * address: every rank of a node maps the same one. */
#include "worker/models.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x324d4d46u       /* "FMM2" */
#define ALIGNMENT 64

typedef struct { uint64_t offset, size; } part;

typedef struct {
    uint32_t magic, isa;
    uint64_t bytes;                     /* of the whole block */
    part detector, landmarks;
    part encoder, network, mask;        /* size 0: there is none; encoder is dlib's, network an ONNX file */
} header;

struct fm_models {
    const void *detector;
    size_t detector_size;
    fm_landmarks *landmarks;
    fm_encoder *encoder;
    const void *network, *mask;
    size_t network_size, mask_size;
};

static void align(fm_buf *b)
{
    size_t n = (ALIGNMENT - b->size % ALIGNMENT) % ALIGNMENT;
    uint8_t *gap = n ? fm_buf_add(b, n) : NULL;

    if (gap)
        memset(gap, 0, n);
}

/* Where the next part starts. */
static uint64_t next_part(fm_buf *b)
{
    align(b);
    return b->size;
}

/* dlib's files begin with a whole number of one byte; no ONNX file does, as its fields count from 1. */
static bool is_dlib(const fm_model_files *files)
{
    return files->encoder_size > 0 && *(const uint8_t *)files->encoder == 1;
}

static void put_part(const void *bytes, size_t n, part *p, fm_buf *out)
{
    p->offset = next_part(out);
    if (n)
        fm_buf_put(out, bytes, n);
    p->size = n;
}

int fm_models_pack(const fm_model_files *files, fm_isa isa, fm_buf *out, fm_err *err)
{
    header h = {.magic = MAGIC, .isa = (uint32_t)isa};
    int rc;

    fm_buf_put(out, &h, sizeof h);
    put_part(files->detector, files->detector_size, &h.detector, out);
    h.landmarks.offset = next_part(out);
    if (out->failed)
        return fm_fail_nomem(err, "models", out->size);
    rc = fm_landmarks_pack(files->landmarks, files->landmarks_size, out, err);
    if (rc != 0)
        return rc;
    h.landmarks.size = out->size - h.landmarks.offset;
    h.encoder.offset = next_part(out);
    if (is_dlib(files) && !out->failed && (rc = fm_encoder_pack(files->encoder, files->encoder_size, isa, out, err)) != 0)
        return rc;
    h.encoder.size = out->size - h.encoder.offset;
    put_part(files->encoder, is_dlib(files) ? 0 : files->encoder_size, &h.network, out);
    put_part(files->mask, files->mask_size, &h.mask, out);
    align(out);
    if (out->failed)
        return fm_fail_nomem(err, "models", out->size);
    h.bytes = out->size;
    memcpy(out->data, &h, sizeof h);
    return 0;
}

static bool part_fits(const part *p, size_t n)
{
    return p->offset % ALIGNMENT == 0 && p->offset >= sizeof(header) && p->offset <= n && p->size <= n - p->offset;
}

int fm_models_open(const void *packed, size_t n, fm_models **out, fm_err *err)
{
    const uint8_t *bytes = packed;
    fm_models *m;
    header h;
    int rc;

    if (n < sizeof h || (uintptr_t)packed % ALIGNMENT != 0)
        return fm_fail(err, -EBADMSG, "packed models: %zu bytes, not a block of models", n);
    memcpy(&h, packed, sizeof h);
    if (h.magic != MAGIC || h.bytes != n || !part_fits(&h.detector, n) || !part_fits(&h.landmarks, n) ||
        !part_fits(&h.encoder, n) || !part_fits(&h.network, n) || !part_fits(&h.mask, n))
        return fm_fail(err, -EBADMSG, "packed models: damaged, or of another version");
    m = calloc(1, sizeof *m);
    if (!m)
        return fm_fail_nomem(err, "models", sizeof *m);
    m->detector = bytes + h.detector.offset;
    m->detector_size = h.detector.size;
    m->network = h.network.size ? bytes + h.network.offset : NULL;
    m->network_size = h.network.size;
    m->mask = h.mask.size ? bytes + h.mask.offset : NULL;
    m->mask_size = h.mask.size;
    rc = fm_landmarks_open(bytes + h.landmarks.offset, h.landmarks.size, &m->landmarks, err);
    if (rc == 0 && h.encoder.size)
        rc = fm_encoder_open(bytes + h.encoder.offset, h.encoder.size, &m->encoder, err);
    if (rc != 0)
        fm_models_close(m);
    else
        *out = m;
    return rc;
}

void fm_models_close(fm_models *m)
{
    if (!m)
        return;
    fm_landmarks_close(m->landmarks);
    fm_encoder_close(m->encoder);
    free(m);
}

const void *fm_models_detector(const fm_models *m, size_t *n_bytes)
{
    *n_bytes = m->detector_size;
    return m->detector;
}

const fm_landmarks *fm_models_landmarks(const fm_models *m)
{
    return m->landmarks;
}

fm_encoder *fm_models_encoder(const fm_models *m)
{
    return m->encoder;
}

const void *fm_models_network(const fm_models *m, size_t *n_bytes)
{
    *n_bytes = m->network_size;
    return m->network;
}

const void *fm_models_mask(const fm_models *m, size_t *n_bytes)
{
    *n_bytes = m->mask_size;
    return m->mask;
}

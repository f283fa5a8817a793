#include "proto/encoding.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define ENCODING_VERSION 1

void fm_encoding_encode(const fm_encoding *e, fm_buf *out)
{
    fm_buf_u8(out, ENCODING_VERSION);
    fm_buf_u8(out, e->kind);
    fm_buf_put(out, e->model.b, FM_DIGEST_BYTES);
    fm_buf_u32(out, e->width);
    fm_buf_u8(out, e->mask);
    fm_buf_put(out, e->fill, sizeof e->fill);
    if (e->kind != FM_ENCODER_ONNX)
        return;
    fm_buf_str(out, e->input);
    fm_buf_str(out, e->output);
    fm_buf_u16(out, e->size);
    fm_buf_u8(out, e->channels);
    fm_buf_u8(out, e->layout);
    for (int c = 0; c < 3; c++) {
        fm_buf_f32(out, e->mean[c]);
        fm_buf_f32(out, e->scale[c]);
    }
}

static void network_decode(fm_reader *in, fm_encoding *e)
{
    fm_reader_str(in, e->input, sizeof e->input);
    fm_reader_str(in, e->output, sizeof e->output);
    e->size = fm_reader_u16(in);
    e->channels = fm_reader_u8(in);
    e->layout = fm_reader_u8(in);
    for (int c = 0; c < 3; c++) {
        e->mean[c] = fm_reader_f32(in);
        e->scale[c] = fm_reader_f32(in);
        in->failed = in->failed || !isfinite(e->mean[c]) || !isfinite(e->scale[c]);
    }
    in->failed = in->failed || e->size < 8 || e->size > 1024 || e->channels >= FM_CHANNELS_KINDS ||
                 e->layout >= FM_LAYOUT_KINDS;
}

int fm_encoding_decode(fm_reader *in, fm_encoding *out, fm_err *err)
{
    uint8_t version = fm_reader_u8(in);
    const uint8_t *bytes;
    fm_encoding e;

    memset(&e, 0, sizeof e);
    e.kind = fm_reader_u8(in);
    if ((bytes = fm_reader_get(in, FM_DIGEST_BYTES)))
        memcpy(e.model.b, bytes, FM_DIGEST_BYTES);
    e.width = fm_reader_u32(in);
    e.mask = fm_reader_u8(in) != 0;
    if ((bytes = fm_reader_get(in, sizeof e.fill)))
        memcpy(e.fill, bytes, sizeof e.fill);
    if (e.kind == FM_ENCODER_ONNX)
        network_decode(in, &e);
    if (in->failed || version != ENCODING_VERSION || e.kind >= FM_ENCODER_KINDS || e.width > FM_CODE_WIDTH_MAX)
        return fm_fail(err, -EBADMSG, "encoding: cut short, of another version, or a value is out of range");
    *out = e;
    return 0;
}

int fm_encoding_digest(const fm_encoding *e, fm_digest *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    if (e->kind == FM_ENCODER_DLIB && !e->mask) {
        *out = e->model;
        return 0;
    }
    fm_encoding_encode(e, &b);
    if (b.failed)
        rc = fm_fail_nomem(err, "encoding", b.size);
    else
        fm_digest_of(b.data, b.size, out);
    fm_buf_fini(&b);
    return rc;
}

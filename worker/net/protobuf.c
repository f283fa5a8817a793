#include "worker/net/protobuf.h"

#include <string.h>

#define FIELD_MAX ((1u << 29) - 1)

fm_reader fm_pb_open(fm_span message)
{
    return fm_reader_init(message.at, message.n);
}

uint64_t fm_pb_varint(fm_reader *r)
{
    uint64_t v = 0;

    for (int shift = 0; shift < 70; shift += 7) {
        uint8_t b = fm_reader_u8(r);

        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->failed = true;
    return 0;
}

bool fm_pb_next(fm_reader *r, fm_pb_field *f)
{
    uint64_t key, n;

    if (r->failed || fm_reader_left(r) == 0)
        return false;
    key = fm_pb_varint(r);
    memset(f, 0, sizeof *f);
    f->wire = (fm_pb_wire)(key & 7);
    f->number = (uint32_t)(key >> 3);
    if (key >> 3 == 0 || key >> 3 > FIELD_MAX)
        r->failed = true;
    switch ((int)f->wire) {
    case FM_PB_VARINT:
        f->value = fm_pb_varint(r);
        break;
    case FM_PB_FIXED64:
        f->value = fm_reader_u64(r);
        break;
    case FM_PB_FIXED32:
        f->value = fm_reader_u32(r);
        break;
    case FM_PB_BYTES:
        n = fm_pb_varint(r);
        if (n > fm_reader_left(r))
            r->failed = true;
        else
            f->bytes = (fm_span){fm_reader_get(r, (size_t)n), (size_t)n};
        break;
    default:        /* groups, which ONNX never had */
        r->failed = true;
    }
    return !r->failed;
}

fm_span fm_pb_bytes(fm_reader *r, const fm_pb_field *f)
{
    if (f->wire != FM_PB_BYTES)
        r->failed = true;
    return f->bytes;
}

int64_t fm_pb_int(fm_reader *r, const fm_pb_field *f)
{
    if (f->wire != FM_PB_VARINT)
        r->failed = true;
    return (int64_t)f->value;
}

static float float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float v;

    memcpy(&v, &low, sizeof v);
    return v;
}

float fm_pb_float(fm_reader *r, const fm_pb_field *f)
{
    if (f->wire != FM_PB_FIXED32)
        r->failed = true;
    return float_of(f->value);
}

void fm_pb_floats(fm_reader *r, const fm_pb_field *f, fm_buf *out)
{
    if (f->wire == FM_PB_BYTES && f->bytes.n % sizeof(float) == 0)
        fm_buf_put(out, f->bytes.at, f->bytes.n);
    else if (f->wire == FM_PB_FIXED32)
        fm_buf_f32(out, float_of(f->value));
    else
        r->failed = true;
}

void fm_pb_ints(fm_reader *r, const fm_pb_field *f, fm_buf *out)
{
    if (f->wire == FM_PB_VARINT) {
        fm_buf_u64(out, f->value);
    } else if (f->wire == FM_PB_BYTES) {
        fm_reader packed = fm_pb_open(f->bytes);

        while (!packed.failed && fm_reader_left(&packed) > 0)
            fm_buf_u64(out, fm_pb_varint(&packed));
        r->failed |= packed.failed;
    } else {
        r->failed = true;
    }
}

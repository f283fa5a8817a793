/* TensorProto to tensor and back. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "worker/net/onnx.h"

enum {
    DIMS = 1, DATA_TYPE = 2, SEGMENT = 3, FLOAT_DATA = 4, INT64_DATA = 7, NAME = 8, RAW_DATA = 9, EXTERNAL_DATA = 13,
    DATA_LOCATION = 14
};

typedef struct {
    char name[64];
    int64_t type, location;
    fm_buf dims, floats, ints;
    fm_span raw;
    bool has_raw, external;
} proto;

static void read_fields(fm_reader *r, proto *p)
{
    fm_pb_field f;
    fm_span s;

    while (fm_pb_next(r, &f)) {
        switch (f.number) {
        case DIMS:
            fm_pb_ints(r, &f, &p->dims);
            break;
        case DATA_TYPE:
            p->type = fm_pb_int(r, &f);
            break;
        case FLOAT_DATA:
            fm_pb_floats(r, &f, &p->floats);
            break;
        case INT64_DATA:
            fm_pb_ints(r, &f, &p->ints);
            break;
        case NAME:
            s = fm_pb_bytes(r, &f);
            snprintf(p->name, sizeof p->name, "%.*s", s.n < 60 ? (int)s.n : 60, s.n ? (const char *)s.at : "");
            break;
        case RAW_DATA:
            p->raw = fm_pb_bytes(r, &f);
            p->has_raw = true;
            break;
        case DATA_LOCATION:
            p->location = fm_pb_int(r, &f);
            break;
        case SEGMENT: case EXTERNAL_DATA:
            p->external = true;
            break;
        }
    }
}

static int shape_of(const proto *p, fm_tensor *t, fm_err *err)
{
    if (p->location != 0 || p->external)
        return fm_fail(err, -ENOTSUP, "tensor \"%s\": its data lies outside the model's file; save the model with its "
                       "data inside", p->name);
    if (p->type != FM_F32 && p->type != FM_I64)
        return fm_fail(err, -ENOTSUP, "tensor \"%s\": data type %" PRId64 "; supported are float32 (1) and int64 (7)",
                       p->name, p->type);
    if (p->dims.size / 8 > FM_RANK_MAX)
        return fm_fail(err, -ENOTSUP, "tensor \"%s\": %zu dimensions; supported are up to %d", p->name,
                       p->dims.size / 8, FM_RANK_MAX);
    *t = (fm_tensor){.type = (fm_type)p->type, .rank = (int)(p->dims.size / 8)};
    if (t->rank)
        memcpy(t->dims, p->dims.data, p->dims.size);
    if (!fm_tensor_valid(t))
        return fm_fail(err, -EBADMSG, "tensor \"%s\": negative or too large dimensions", p->name);
    return 0;
}

static int take(const proto *p, fm_arena *arena, fm_tensor *t, fm_err *err)
{
    const fm_buf *b = t->type == FM_F32 ? &p->floats : &p->ints;
    fm_span from = p->has_raw ? p->raw : (fm_span){b->data, b->size};
    size_t want = fm_tensor_bytes(t);

    if (from.n != want)
        return fm_fail(err, -EBADMSG, "tensor \"%s\": %zu bytes of data, expected %zu", p->name, from.n, want);
    t->data = fm_arena_get(arena, want);
    if (!t->data)
        return fm_fail(err, -ENOMEM, "tensor \"%s\": needs more memory than the network may have", p->name);
    if (want)
        memcpy(t->data, from.at, want);
    return 0;
}

int fm_onnx_tensor_read(fm_span bytes, const char *what, fm_arena *arena, fm_tensor *out, fm_err *err)
{
    fm_reader r = fm_pb_open(bytes);
    proto p = {.dims = FM_BUF_INIT};
    fm_tensor t;
    int rc;

    snprintf(p.name, sizeof p.name, "%.60s", what);
    read_fields(&r, &p);
    if (p.dims.failed || p.floats.failed || p.ints.failed)
        rc = fm_fail_nomem(err, "tensor", bytes.n);
    else if (r.failed)
        rc = fm_fail(err, -EBADMSG, "tensor \"%s\": not a TensorProto, or cut short", p.name);
    else if ((rc = shape_of(&p, &t, err)) == 0)
        rc = take(&p, arena, &t, err);
    if (rc == 0)
        *out = t;
    fm_buf_fini(&p.dims);
    fm_buf_fini(&p.floats);
    fm_buf_fini(&p.ints);
    return rc;
}

static void put_varint(fm_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        fm_buf_u8(b, (uint8_t)(v | 0x80));
    fm_buf_u8(b, (uint8_t)v);
}

static void put_bytes(fm_buf *b, unsigned number, const void *bytes, size_t n)
{
    put_varint(b, number << 3 | FM_PB_BYTES);
    put_varint(b, n);
    fm_buf_put(b, bytes, n);
}

void fm_onnx_tensor_write(const fm_tensor *t, const char *name, fm_buf *out)
{
    for (int i = 0; i < t->rank; i++) {
        put_varint(out, DIMS << 3 | FM_PB_VARINT);
        put_varint(out, (uint64_t)t->dims[i]);
    }
    put_varint(out, DATA_TYPE << 3 | FM_PB_VARINT);
    put_varint(out, (uint64_t)t->type);
    put_bytes(out, NAME, name, strlen(name));
    put_bytes(out, RAW_DATA, t->data, fm_tensor_bytes(t));
}

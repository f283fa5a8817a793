/* Protocol buffers, read in place: fields of a message one after the other, on
 * a reader that remembers the first thing that does not fit.  Nothing is
 * allocated, and no length in the input is believed before it is compared with
 * the bytes that are there. */
#ifndef FM_WORKER_NET_PROTOBUF_H
#define FM_WORKER_NET_PROTOBUF_H

#include "base/buf.h"

/* Bytes of the input, borrowed. */
typedef struct {
    const uint8_t *at;
    size_t n;
} fm_span;

typedef enum { FM_PB_VARINT = 0, FM_PB_FIXED64 = 1, FM_PB_BYTES = 2, FM_PB_FIXED32 = 5 } fm_pb_wire;

typedef struct {
    uint32_t number;
    fm_pb_wire wire;
    uint64_t value;     /* VARINT, FIXED32, FIXED64 */
    fm_span bytes;      /* BYTES */
} fm_pb_field;

fm_reader fm_pb_open(fm_span message);
/* The next field; false at the end of the message or when r->failed. */
bool fm_pb_next(fm_reader *r, fm_pb_field *f);
uint64_t fm_pb_varint(fm_reader *r);

/* What a field must be: each sets r->failed when it is of another wire type. */
fm_span fm_pb_bytes(fm_reader *r, const fm_pb_field *f);
int64_t fm_pb_int(fm_reader *r, const fm_pb_field *f);
float fm_pb_float(fm_reader *r, const fm_pb_field *f);

/* Repeated numbers come one a field or packed in one: append what f holds to out (f32, i64). */
void fm_pb_floats(fm_reader *r, const fm_pb_field *f, fm_buf *out);
void fm_pb_ints(fm_reader *r, const fm_pb_field *f, fm_buf *out);

#endif

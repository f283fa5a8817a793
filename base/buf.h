/* Bytes: a growable buffer to write little-endian values to, and a bounded
 * reader that remembers the first overrun, so that codecs need one check at
 * the end.  Both are pure: no files, no sockets. */
#ifndef FM_BASE_BUF_H
#define FM_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *data;      /* owned; free with fm_buf_fini */
    size_t size;        /* bytes used */
    size_t capacity;
    bool failed;        /* an allocation failed; later puts do nothing */
} fm_buf;

#define FM_BUF_INIT {NULL, 0, 0, false}

void fm_buf_fini(fm_buf *b);
/* Room for n more bytes; returns where they start (size already grown), or NULL with failed set.
 * Valid until the next call that grows the buffer. */
uint8_t *fm_buf_add(fm_buf *b, size_t n);
void fm_buf_put(fm_buf *b, const void *bytes, size_t n);
void fm_buf_u8(fm_buf *b, uint8_t v);
void fm_buf_u16(fm_buf *b, uint16_t v);
void fm_buf_u32(fm_buf *b, uint32_t v);
void fm_buf_u64(fm_buf *b, uint64_t v);
void fm_buf_i32(fm_buf *b, int32_t v);
void fm_buf_f32(fm_buf *b, float v);
void fm_buf_f64(fm_buf *b, double v);
/* u32 length, then the bytes without a NUL. */
void fm_buf_str(fm_buf *b, const char *s);

typedef struct {
    const uint8_t *at, *end;    /* borrowed */
    bool failed;                /* something was asked for past the end; every later get gives 0 */
} fm_reader;

fm_reader fm_reader_init(const void *bytes, size_t n);
size_t fm_reader_left(const fm_reader *r);
/* n bytes in place, borrowed from the input; NULL past the end. */
const uint8_t *fm_reader_get(fm_reader *r, size_t n);
uint8_t fm_reader_u8(fm_reader *r);
uint16_t fm_reader_u16(fm_reader *r);
uint32_t fm_reader_u32(fm_reader *r);
uint64_t fm_reader_u64(fm_reader *r);
int32_t fm_reader_i32(fm_reader *r);
float fm_reader_f32(fm_reader *r);
double fm_reader_f64(fm_reader *r);
/* As fm_buf_str wrote it, into out with a NUL.  Fails when it needs more than out_size bytes or holds a NUL. */
void fm_reader_str(fm_reader *r, char *out, size_t out_size);

#endif

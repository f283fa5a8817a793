#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

void fm_buf_fini(fm_buf *b)
{
    free(b->data);
    *b = (fm_buf)FM_BUF_INIT;
}

uint8_t *fm_buf_add(fm_buf *b, size_t n)
{
    if (b->failed || n > SIZE_MAX / 4 - b->size) {
        b->failed = true;
        return NULL;
    }
    if (!b->data || b->size + n > b->capacity) {
        size_t want = b->capacity ? b->capacity * 2 : 256;
        uint8_t *grown;

        if (want < b->size + n)
            want = b->size + n;
        grown = realloc(b->data, want);
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->capacity = want;
    }
    b->size += n;
    return b->data + b->size - n;
}

void fm_buf_put(fm_buf *b, const void *bytes, size_t n)
{
    uint8_t *to = fm_buf_add(b, n);

    if (to && n)
        memcpy(to, bytes, n);
}

static void put_le(fm_buf *b, uint64_t v, size_t n)
{
    uint8_t *to = fm_buf_add(b, n);

    for (size_t i = 0; to && i < n; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

void fm_buf_u8(fm_buf *b, uint8_t v)   { put_le(b, v, 1); }
void fm_buf_u16(fm_buf *b, uint16_t v) { put_le(b, v, 2); }
void fm_buf_u32(fm_buf *b, uint32_t v) { put_le(b, v, 4); }
void fm_buf_u64(fm_buf *b, uint64_t v) { put_le(b, v, 8); }
void fm_buf_i32(fm_buf *b, int32_t v)  { put_le(b, (uint32_t)v, 4); }

void fm_buf_f32(fm_buf *b, float v)
{
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    fm_buf_u32(b, bits);
}

void fm_buf_f64(fm_buf *b, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    fm_buf_u64(b, bits);
}

void fm_buf_str(fm_buf *b, const char *s)
{
    size_t n = strlen(s);

    if (n > UINT32_MAX) {
        b->failed = true;
        return;
    }
    fm_buf_u32(b, (uint32_t)n);
    fm_buf_put(b, s, n);
}

fm_reader fm_reader_init(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    return (fm_reader){p, n ? p + n : p, false};
}

size_t fm_reader_left(const fm_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

const uint8_t *fm_reader_get(fm_reader *r, size_t n)
{
    const uint8_t *p = r->at;

    if (r->failed || n > (size_t)(r->end - r->at)) {
        r->failed = true;
        return NULL;
    }
    r->at += n;
    return p;
}

static uint64_t get_le(fm_reader *r, size_t n)
{
    const uint8_t *p = fm_reader_get(r, n);
    uint64_t v = 0;

    for (size_t i = 0; p && i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint8_t fm_reader_u8(fm_reader *r)   { return (uint8_t)get_le(r, 1); }
uint16_t fm_reader_u16(fm_reader *r) { return (uint16_t)get_le(r, 2); }
uint32_t fm_reader_u32(fm_reader *r) { return (uint32_t)get_le(r, 4); }
uint64_t fm_reader_u64(fm_reader *r) { return get_le(r, 8); }
int32_t fm_reader_i32(fm_reader *r)  { return (int32_t)(uint32_t)get_le(r, 4); }

float fm_reader_f32(fm_reader *r)
{
    uint32_t bits = fm_reader_u32(r);
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

double fm_reader_f64(fm_reader *r)
{
    uint64_t bits = fm_reader_u64(r);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

void fm_reader_str(fm_reader *r, char *out, size_t out_size)
{
    uint32_t n = fm_reader_u32(r);
    const uint8_t *p = NULL;

    out[0] = '\0';
    if (n >= out_size)
        r->failed = true;
    else
        p = fm_reader_get(r, n);
    if (p && n && memchr(p, 0, n))
        r->failed = true;
    if (!r->failed && n)
        memcpy(out, p, n);
    if (!r->failed)
        out[n] = '\0';
}

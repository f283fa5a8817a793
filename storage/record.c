/* Records and the CODE payload.  The digest covers header and payload alike, so
 * that a record found under another's key is told as surely as a flipped bit. */
#include "storage/record.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x524d4604u       /* "\4FMR" */
#define VERSION 1
#define CHECKED_BYTES 48        /* header before the digest */
#define HEADER_BYTES (CHECKED_BYTES + FM_DIGEST_BYTES)
#define CODE_HEADER_BYTES 8

const char *fm_record_kind_name(fm_record_kind kind)
{
    switch (kind) {
    case FM_RECORD_PHOTO: return "photo";
    case FM_RECORD_CODE: return "code";
    case FM_RECORD_KIND_END: break;
    }
    return "unknown";
}

static void digest_of_record(const uint8_t *header, const void *payload, size_t n, fm_digest *out)
{
    fm_hasher h;

    fm_hasher_init(&h);
    fm_hasher_add(&h, header, CHECKED_BYTES);
    fm_hasher_add(&h, payload, n);
    fm_hasher_end(&h, out);
}

void fm_record_encode(fm_record_kind kind, const fm_digest *key, const void *payload, size_t n, fm_buf *out)
{
    size_t start = out->size;
    fm_digest hash;

    fm_buf_u32(out, MAGIC);
    fm_buf_u8(out, VERSION);
    fm_buf_u8(out, (uint8_t)kind);
    fm_buf_u16(out, 0);
    fm_buf_put(out, key->b, FM_DIGEST_BYTES);
    fm_buf_u64(out, n);
    if (out->failed)
        return;
    digest_of_record(out->data + start, payload, n, &hash);
    fm_buf_put(out, hash.b, FM_DIGEST_BYTES);
    fm_buf_put(out, payload, n);
}

/* What is wrong with a record of this version, or NULL.
 * r  behind magic and version. */
static const char *damage(fm_reader r, const uint8_t *bytes, size_t n, fm_record_kind kind, const fm_digest *key,
                          fm_digest *hash)
{
    if (n < HEADER_BYTES)
        return "cut short";
    if (fm_reader_u8(&r) != kind)
        return "a record of another kind";
    fm_reader_get(&r, 2);
    if (memcmp(fm_reader_get(&r, FM_DIGEST_BYTES), key->b, FM_DIGEST_BYTES) != 0)
        return "a record of another key";
    if (fm_reader_u64(&r) != n - HEADER_BYTES)
        return "of another length than it says";
    digest_of_record(bytes, bytes + HEADER_BYTES, n - HEADER_BYTES, hash);
    if (memcmp(fm_reader_get(&r, FM_DIGEST_BYTES), hash->b, FM_DIGEST_BYTES) != 0)
        return "its bytes have changed";
    return NULL;
}

int fm_record_decode(const void *bytes, size_t n, fm_record_kind kind, const fm_digest *key, const void **payload,
                     size_t *payload_size, fm_digest *hash, fm_err *err)
{
    fm_reader r = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&r);
    uint8_t version = fm_reader_u8(&r);
    char hex[FM_DIGEST_HEX];
    const char *wrong;
    fm_digest found;

    fm_digest_hex(key, hex);
    if (r.failed || magic != MAGIC)
        return fm_fail(err, -EBADMSG, "%s record %s: not one of facemill's", fm_record_kind_name(kind), hex);
    if (version != VERSION)
        return fm_fail(err, -EPROTO, "%s record %s: format version %u where %u is expected; use the one that wrote it",
                       fm_record_kind_name(kind), hex, version, VERSION);
    if ((wrong = damage(r, bytes, n, kind, key, &found)))
        return fm_fail(err, -EBADMSG, "%s record %s: %s", fm_record_kind_name(kind), hex, wrong);
    *payload = (const uint8_t *)bytes + HEADER_BYTES;
    *payload_size = n - HEADER_BYTES;
    if (hash)
        *hash = found;
    return 0;
}

void fm_code_encode(uint32_t faces, uint32_t width, const float *codes, fm_buf *out)
{
    fm_buf_u32(out, faces);
    fm_buf_u32(out, width);
    for (size_t i = 0, n = (size_t)faces * width; i < n; i++)
        fm_buf_f32(out, codes[i]);
}

int fm_code_shape(const void *payload, size_t n, uint32_t *faces, uint32_t *width, fm_err *err)
{
    fm_reader r = fm_reader_init(payload, n);
    uint32_t rows = fm_reader_u32(&r), columns = fm_reader_u32(&r);
    uint64_t values = (uint64_t)rows * columns;

    if (r.failed || values > (n - CODE_HEADER_BYTES) / 4 || n != CODE_HEADER_BYTES + 4 * values)
        return fm_fail(err, -EBADMSG, "code record of %zu bytes: damaged", n);
    *faces = rows;
    *width = columns;
    return 0;
}

int fm_code_decode(const void *payload, size_t n, uint32_t width, uint32_t faces_max, float *codes, uint32_t *faces,
                   fm_err *err)
{
    fm_reader r = fm_reader_init(payload, n);
    uint32_t rows = 0, columns = 0;
    int rc = fm_code_shape(payload, n, &rows, &columns, err);

    if (rc != 0)
        return rc;
    fm_reader_get(&r, CODE_HEADER_BYTES);
    if (columns != width)
        return fm_fail(err, -EBADMSG, "code record: %u values a face where %u are expected", columns, width);
    if (rows > faces_max)
        return fm_fail(err, -EBADMSG, "code record: %u faces where at most %u are expected", rows, faces_max);
    for (uint64_t i = 0; i < (uint64_t)rows * columns; i++)
        codes[i] = fm_reader_f32(&r);
    *faces = rows;
    return 0;
}

/* A record: what a segment keeps under a key.  Pure codec.
 *
 * Bytes: magic u32, version u8, kind u8, flags u16, key 32, payload length u64,
 * BLAKE2b-256 over all of that and the payload, payload.  LMDB checks nothing it
 * reads, so every record is checked here. */
#ifndef FM_STORAGE_RECORD_H
#define FM_STORAGE_RECORD_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

#define FM_RECORD_KEY_AT 8     /* where the key stands */

typedef enum {
    FM_RECORD_PHOTO = 1,    /* storage/photo.h, key fm_key_photo */
    FM_RECORD_CODE = 2,     /* fm_code_encode, key fm_key_code */
    FM_RECORD_KIND_END
} fm_record_kind;

const char *fm_record_kind_name(fm_record_kind kind);

/* Append a record; sets out->failed when memory runs out. */
void fm_record_encode(fm_record_kind kind, const fm_digest *key, const void *payload, size_t n, fm_buf *out);

/* Check a record and find its payload, borrowed from bytes.
 * hash  the record's own digest; may be NULL.
 * Errors: -EBADMSG naming kind and key (cut short, another kind or key, or a bit has changed),
 * -EPROTO (of another format version). */
int fm_record_decode(const void *bytes, size_t n, fm_record_kind kind, const fm_digest *key, const void **payload,
                     size_t *payload_size, fm_digest *hash, fm_err *err);

/* The CODE payload: codes of all kept faces of a photograph.
 * codes  f32 [faces, width]. */
void fm_code_encode(uint32_t faces, uint32_t width, const float *codes, fm_buf *out);
/* How many faces and columns a payload holds.  Errors: -EBADMSG. */
int fm_code_shape(const void *payload, size_t n, uint32_t *faces, uint32_t *width, fm_err *err);
/* codes  caller's, f32 [faces_max, width]; *faces is set to how many there are.
 * Errors: -EBADMSG (damaged, another width, or more faces than faces_max). */
int fm_code_decode(const void *payload, size_t n, uint32_t width, uint32_t faces_max, float *codes, uint32_t *faces,
                   fm_err *err);

#endif

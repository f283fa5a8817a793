/* Data keys are random and used once, so that no nonce can come twice under one key;
 * the nonce is random all the same. */
#include "storage/envelope.h"

#include <errno.h>
#include <string.h>

#include "storage/vault_file.h"

#define MAGIC 0x454d4604u       /* "\4FME" */
#define VERSION 1
#define HEADER_BYTES 16

void fm_envelope_key(const fm_vault *vault, fm_record_kind kind, const fm_digest *key, uint8_t out[FM_SEGMENT_KEY_BYTES])
{
    fm_digest hidden;

    fm_vault_blind(vault, key, &hidden);
    out[0] = (uint8_t)kind;
    memcpy(out + 1, hidden.b, FM_DIGEST_BYTES);
}

/* What a record is authenticated with. */
typedef struct { uint8_t b[HEADER_BYTES + FM_SEGMENT_KEY_BYTES]; } record_about;

static record_about describe(const uint8_t *header, const uint8_t *at)
{
    record_about a;

    memcpy(a.b, header, HEADER_BYTES);
    memcpy(a.b + HEADER_BYTES, at, FM_SEGMENT_KEY_BYTES);
    return a;
}

int fm_envelope_seal(fm_key_table *table, const fm_key_owner *owner, const uint8_t at[FM_SEGMENT_KEY_BYTES],
                     const fm_buf *record, fm_buf *out, fm_err *err)
{
    uint8_t key[FM_VAULT_KEY_BYTES], *to;
    size_t start = out->size;
    record_about about;
    uint64_t slot;
    int rc = fm_key_table_add(table, owner, &slot, key, err);

    if (rc != 0)
        return rc;
    fm_buf_u32(out, MAGIC);
    fm_buf_u8(out, VERSION);
    fm_buf_u8(out, at[0]);
    fm_buf_u16(out, 0);
    fm_buf_u64(out, slot);
    to = fm_buf_add(out, record->size + FM_VAULT_SEAL_BYTES);
    if (to) {
        about = describe(out->data + start, at);
        fm_seal_bytes(key, &about, sizeof about, record->data, record->size, to);
    }
    sodium_memzero(key, sizeof key);
    return to ? 0 : fm_fail_nomem(err, "a record", record->size);
}

int fm_envelope_open(fm_key_table *table, const uint8_t at[FM_SEGMENT_KEY_BYTES], const void *bytes, size_t n,
                     fm_buf *record, fm_err *err)
{
    fm_reader r = fm_reader_init(bytes, n);
    uint32_t magic = fm_reader_u32(&r);
    uint8_t version = fm_reader_u8(&r), key[FM_VAULT_KEY_BYTES], *to;
    record_about about;
    bool whole;
    int rc;

    if (r.failed || magic != MAGIC || n < HEADER_BYTES + FM_VAULT_SEAL_BYTES)
        return fm_fail(err, -EBADMSG, "damaged, or not encrypted");
    if (version != VERSION)
        return fm_fail(err, -EPROTO, "encrypted in format version %u where %u is expected; use the one that wrote it",
                       version, VERSION);
    fm_reader_get(&r, 3);
    rc = fm_key_table_get(table, fm_reader_u64(&r), key, err);
    if (rc != 0)
        return rc;
    to = fm_buf_add(record, n - HEADER_BYTES - FM_VAULT_SEAL_BYTES);
    about = describe(bytes, at);
    whole = to && fm_unseal_bytes(key, &about, sizeof about, (const uint8_t *)bytes + HEADER_BYTES, n - HEADER_BYTES, to);
    sodium_memzero(key, sizeof key);
    if (!to)
        return fm_fail_nomem(err, "a record", n);
    return whole ? 0 : fm_fail(err, -EBADMSG, "its bytes have changed");
}

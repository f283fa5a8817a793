/* A record as an encrypted store's segments hold it: sealed under its own data key
 * (storage/key_table.h).
 *
 * Bytes: magic u32, version u8, kind u8, flags u16, slot u64, nonce, the record of storage/record.h sealed with
 * XChaCha20-Poly1305, authenticated with what stands before and with its key in the segment.  The record's own hash
 * is inside: the digest of a store is over what it says, encrypted or not. */
#ifndef FM_STORAGE_ENVELOPE_H
#define FM_STORAGE_ENVELOPE_H

#include "base/buf.h"
#include "storage/key_table.h"
#include "storage/record.h"

/* The key of a record in a segment: kind, then its key, hidden when vault is not NULL. */
#define FM_SEGMENT_KEY_BYTES (1 + FM_DIGEST_BYTES)
void fm_envelope_key(const fm_vault *vault, fm_record_kind kind, const fm_digest *key, uint8_t out[FM_SEGMENT_KEY_BYTES]);

/* Append a record, sealed under a new key of the table.  Errors: what the table gives, -ENOMEM. */
int fm_envelope_seal(fm_key_table *table, const fm_key_owner *owner, const uint8_t at[FM_SEGMENT_KEY_BYTES],
                     const fm_buf *record, fm_buf *out, fm_err *err);
/* Append the record.  Errors: -EBADMSG (damaged, at another key's place, not encrypted), -EPROTO (another version),
 * -EKEYREVOKED (forgotten), -ENOMEM. */
int fm_envelope_open(fm_key_table *table, const uint8_t at[FM_SEGMENT_KEY_BYTES], const void *bytes, size_t n,
                     fm_buf *record, fm_err *err);

#endif

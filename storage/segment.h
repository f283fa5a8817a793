/* A segment: an LMDB environment that one worker writes, then seals.
 *
 * Open segments live in a scratch folder (SCRATCH/NAME.open); sealing syncs them
 * and renames them into STORE/segments/NAME, where they never change again.
 * Never MDB_WRITEMAP: a full disk would be a SIGBUS.
 * Threads: one a handle. */
#ifndef FM_STORAGE_SEGMENT_H
#define FM_STORAGE_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "storage/key_table.h"
#include "storage/record.h"

#define FM_SEGMENT_NAME_MAX 64      /* with the NUL; letters, digits, "-" and "_" */

typedef struct fm_segment_writer fm_segment_writer;
typedef struct fm_segment fm_segment;

bool fm_segment_name_valid(const char *name);

/* Start a segment.  The folder scratch is made when missing.
 * map_bytes  first size of the memory map; it grows by itself.  0: 64 MiB.
 * Errors: -EEXIST (the name is taken), -EINVAL (not a name), what the file system gives. */
int fm_segment_create(const char *scratch, const char *name, size_t map_bytes, fm_segment_writer **out, fm_err *err);

/* Seal the records of a segment just created, each under a key of its own in the vault's key table.
 * vault  borrowed for the life of w; NULL: nothing is sealed.
 * Errors: what fm_key_table_create gives. */
int fm_segment_encrypt(fm_segment_writer *w, const fm_vault *vault, fm_err *err);
/* Whose records the next puts are; without, a forgotten photograph's would not be found.  owner  copied, what it
 * points to borrowed until the next call of this. */
void fm_segment_of(fm_segment_writer *w, const fm_key_owner *owner);

/* Put a record.  A key that is there already keeps its first record (0 is returned all the same).
 * After any failed call but -ENOMEM the segment is condemned: only abandon is left. */
int fm_segment_put(fm_segment_writer *w, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                   fm_err *err);
/* Look a record up in what this writer put.  payload is borrowed until the next call.
 * -ENOENT when there is none, which condemns nothing. */
int fm_segment_find(fm_segment_writer *w, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                    fm_err *err);
/* Make everything put so far durable: when this returns 0 a power cut loses none of it. */
int fm_segment_commit(fm_segment_writer *w, fm_err *err);
uint64_t fm_segment_records(const fm_segment_writer *w);    /* committed */
uint64_t fm_segment_bytes(const fm_segment_writer *w);      /* payload put */

/* Commit, sync, move into the store.  Frees w whatever happens; on failure the open segment stays
 * where it is, for fm_segment_adopt.  Works from another file system too (copy, sync, rename). */
int fm_segment_seal(fm_segment_writer *w, const char *store_dir, fm_err *err);
/* Free w and leave the open segment's committed records where they are. */
void fm_segment_close(fm_segment_writer *w);

/* Seal what a dead worker left in SCRATCH/NAME.open; one without records is removed.
 * One that its writer had moved into the store already counts as adopted.
 * records  how many it holds; 0 when it was removed or is not there.
 * The caller must know that its writer is dead.
 * Errors: -EBUSY (its writer lives), -EBADMSG (damaged), -EEXIST (another segment of this name is in the store). */
int fm_segment_adopt(const char *scratch, const char *name, const char *store_dir, uint64_t *records, fm_err *err);

/* Read a sealed segment.  Checks the file's structure before LMDB maps it: reads all its pages but those of large
 * records.
 * Errors: -ENOENT, -EBADMSG (no LMDB data of ours, or cut short), -ENOKEY (fm_vault_open). */
int fm_segment_open(const char *store_dir, const char *name, fm_segment **out, fm_err *err);
void fm_segment_release(fm_segment *s);
uint64_t fm_segment_count(const fm_segment *s);     /* records */
/* payload is borrowed until the next call with s.  -ENOENT; -EBADMSG (or -EPROTO: another format version) when the
 * record is damaged; -EKEYREVOKED when its photograph was forgotten. */
int fm_segment_get(fm_segment *s, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                   fm_digest *hash, fm_err *err);
/* Whether it holds a record whose key begins with these n bytes: 1 or 0; -EBADMSG.
 * n  FM_DIGEST_BYTES: a whole key; fewer: one as the catalog keeps it (fm_catalog_each_record). */
int fm_segment_has(fm_segment *s, fm_record_kind kind, const uint8_t *prefix, size_t n, fm_err *err);
/* Calls fn for each record in key order; damaged and forgotten ones with rc as fm_segment_get's and why in their
 * err, under the key of a segment (hidden in an encrypted store).
 * Stops when fn returns other than 0, and returns that. */
typedef int (*fm_segment_fn)(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                             const fm_digest *hash, int rc, const fm_err *why);
int fm_segment_each(fm_segment *s, fm_segment_fn fn, void *ctx, fm_err *err);

#endif

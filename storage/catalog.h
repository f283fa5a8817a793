/* The catalog: the coordinator's LMDB environment (STORE/catalog).  Which files
 * were seen and what became of them, which segment holds which record, which
 * segments there are, and the epoch. */
#ifndef FM_STORAGE_CATALOG_H
#define FM_STORAGE_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/reason.h"
#include "storage/record.h"
#include "storage/segment.h"

typedef struct fm_catalog fm_catalog;

/* What is known of a file, under its path. */
typedef struct {
    uint64_t size_bytes;
    int64_t mtime_ns;
    fm_digest image;        /* of its bytes; zero when it could not be read */
    fm_reason reason;       /* last outcome: FM_USED, or why it was left out */
    fm_digest photo_key;    /* of the photo record that says so: under another recipe it may end otherwise; zero: none */
} fm_catalog_file;

typedef enum { FM_SEGMENT_OPEN, FM_SEGMENT_SEALED } fm_segment_state;

typedef struct {
    uint32_t number;
    fm_segment_state state;
    uint64_t records;       /* sealed ones */
    char name[FM_SEGMENT_NAME_MAX];
} fm_catalog_segment;

/* One acknowledged photograph. */
typedef struct {
    const char *path;
    fm_catalog_file file;
    fm_digest photo_key;    /* zero: no record */
    fm_digest code_key;     /* zero: no record */
    bool photo_here, code_here;     /* the record is in the acknowledging worker's segment */
} fm_catalog_ack_item;

/* Open STORE/catalog to read, also while a coordinator of another process writes.  With create the store is made
 * when missing (in a temporary folder, then renamed).  Whoever may read the files may open them.  The file's
 * structure is checked first, which reads all of it.
 * A process has a store's catalog open once (LMDB).  Threads: one.
 * Errors: -ENOENT (no store here), -ENOKEY (encrypted; fm_vault_unlock first), -EPROTO (of another format version, which is named), -EBADMSG,
 * -EAGAIN (another process is just creating it). */
int fm_catalog_open(const char *store_dir, bool create, fm_catalog **out, fm_err *err);
void fm_catalog_close(fm_catalog *c);

/* Become the store's coordinator: lock it for the life of c and grow the epoch, durably.  Everything that writes
 * needs it: -EPERM without, -ESTALE once another coordinator has taken over.  After -EIO from a write nothing more
 * is written: what the disk holds is not known until the catalog is opened again.
 * Errors: -EAGAIN naming who holds it. */
int fm_catalog_take(fm_catalog *c, uint64_t *epoch, fm_err *err);
/* Are we still?  For what is written beside the store, which no transaction guards.  -ESTALE, as from a write. */
int fm_catalog_check_ours(fm_catalog *c, fm_err *err);

/* -ENOENT when the path was never seen, or what is known of it rests on a photo record that is lost. */
int fm_catalog_find_file(fm_catalog *c, const char *path, fm_catalog_file *out, fm_err *err);
/* The segment, open or sealed, that holds a record.  -ENOENT when none does. */
int fm_catalog_find_record(fm_catalog *c, fm_record_kind kind, const fm_digest *key, uint32_t *segment, fm_err *err);

/* Ask many questions of one snapshot, each of which costs less: until fm_catalog_let_go everything is found as it was at
 * fm_catalog_hold, and nothing may be written through c. */
int fm_catalog_hold(fm_catalog *c, fm_err *err);
void fm_catalog_let_go(fm_catalog *c);

/* Was the photograph forgotten (facemill forget), by its bytes or its path?  Either may be NULL.  Never in a plain
 * store. */
bool fm_catalog_forgotten(const fm_catalog *c, const fm_digest *image, const char *path);

/* Segments.  add gives the new one's number; a name that is there already gives -EEXIST. */
int fm_catalog_add_segment(fm_catalog *c, const char *name, uint32_t *number, fm_err *err);
int fm_catalog_find_segment(fm_catalog *c, uint32_t number, fm_catalog_segment *out, fm_err *err);
int fm_catalog_segment_sealed(fm_catalog *c, uint32_t number, uint64_t records, fm_err *err);
/* The segment is gone: whatever it held has to be done again. */
int fm_catalog_segment_lost(fm_catalog *c, uint32_t number, fm_err *err);
/* All segments in number order, as they were at the call, so that fn may change them; fn stops by returning other
 * than 0, which is returned. */
int fm_catalog_each_segment(fm_catalog *c, int (*fn)(void *ctx, const fm_catalog_segment *segment), void *ctx,
                            fm_err *err);

/* Take down what a worker acknowledged, in one durable transaction.
 * segment  its open segment's number; not looked at when no item has a record there.
 * Errors: -ESTALE (epoch is not the store's any more: another coordinator took over), -ENOENT (the segment is not
 * in the catalog, or was given up as lost); nothing is written then. */
int fm_catalog_ack(fm_catalog *c, uint64_t epoch, uint32_t segment, const fm_catalog_ack_item *items, size_t n,
                   fm_err *err);

/* For fm_store_verify: the record index in key order, one snapshot.  Keys are kept shortened: 88 bits tell records
 * of one store apart, and a wrong hit is found when the record is read.  In an encrypted store they are hidden, as in
 * its segments.
 * fn  stops by returning other than 0, which is returned; it must not call the catalog. */
#define FM_CATALOG_KEY_BYTES 11
int fm_catalog_each_record(fm_catalog *c,
                           int (*fn)(void *ctx, fm_record_kind kind, const uint8_t key[FM_CATALOG_KEY_BYTES],
                                     uint32_t segment),
                           void *ctx, fm_err *err);

#endif

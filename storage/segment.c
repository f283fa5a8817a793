/* Writing segments.
 *
 * One LMDB file without locks: its one writer is the only process that has it
 * open, and holds a flock on it so that nobody adopts it under its hands.  The
 * main tree maps (kind, key) to records, and nothing is ever replaced or removed.
 *
 * LMDB ends a transaction whose map is full, and what it held is lost.  So the
 * map is never let run full: each put is counted with the pages that it can cost
 * at most, and before that passes the end of the map, or holds too much memory,
 * what is there is committed and the map doubled.  Rejected: keeping a copy of
 * every uncommitted record to put it again; one huge map from the start, which
 * limits on address space refuse.
 *
 * What always holds: a sealed file is whole (storage/pages.h), synced, and as
 * long as its pages in use. */
#define _GNU_SOURCE
#include "storage/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "storage/envelope.h"
#include "storage/lmdb.h"
#include "storage/seal.h"

#define MAP_FIRST ((size_t)64 << 20)
#define MAP_STEP ((size_t)64 << 10)     /* maps are a multiple: of any page size */
#define PENDING_MAX ((size_t)64 << 20)  /* LMDB keeps uncommitted pages in memory */
#define PUT_PAGES 16                    /* copied or split on the way down, in a tree of up to seven levels */

struct fm_segment_writer {
    char name[FM_SEGMENT_NAME_MAX], path[FM_PATH_MAX];
    MDB_env *env;
    MDB_dbi records;
    MDB_txn *txn;               /* NULL between commits */
    fm_buf record;              /* the one being put */
    fm_buf sealed, plain;       /* with a vault: the one being put, the one found */
    const fm_vault *vault;      /* NULL: nothing is sealed */
    fm_key_table *table;
    fm_key_owner owner;
    size_t page_bytes, map_bytes, used_bytes;
    size_t pending_bytes;       /* at most, of pages put and not committed */
    uint64_t committed, pending, payload_bytes;
    bool condemned;
};

bool fm_segment_name_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

    return n > 0 && n < FM_SEGMENT_NAME_MAX && name[n] == '\0';
}

int fm_segment_open_path(char *out, const char *scratch, const char *name, fm_err *err)
{
    char file[FM_SEGMENT_NAME_MAX + 8];

    if (!fm_segment_name_valid(name))
        return fm_fail(err, -EINVAL, "segment \"%.80s\": a name is at most %d letters, digits, \"-\" and \"_\"", name,
                       FM_SEGMENT_NAME_MAX - 1);
    snprintf(file, sizeof file, "%s.open", name);
    return fm_path_join(out, FM_PATH_MAX, scratch, file, err);
}

static int condemn(fm_segment_writer *w, int rc)
{
    w->condemned = true;
    mdb_txn_abort(w->txn);
    w->txn = NULL;
    return rc;
}

static int check_usable(const fm_segment_writer *w, fm_err *err)
{
    return w->condemned ? fm_fail(err, -EIO, "segment %s failed before and takes nothing more", w->name) : 0;
}

/* LMDB's -ENOMEM has ended the transaction: to the caller that is no -ENOMEM to try again after. */
static int lmdb_failed(fm_segment_writer *w, int rc, const char *doing, fm_err *err)
{
    rc = fm_lmdb_fail(err, rc, w->path, doing);
    if (err && rc == -ENOMEM)
        err->code = -EIO;
    return condemn(w, rc == -ENOMEM ? -EIO : rc);
}

static int begin(fm_segment_writer *w, fm_err *err)
{
    int rc = w->txn ? 0 : mdb_txn_begin(w->env, NULL, 0, &w->txn);

    return rc != 0 ? lmdb_failed(w, rc, "begin a transaction", err) : 0;
}

static void note_used(fm_segment_writer *w)
{
    MDB_envinfo info;

    mdb_env_info(w->env, &info);
    w->used_bytes = (info.me_last_pgno + 1) * w->page_bytes;
    w->pending_bytes = 0;
    w->committed += w->pending;
    w->pending = 0;
}

static int commit(fm_segment_writer *w, fm_err *err)
{
    MDB_txn *txn = w->txn;
    int rc;

    if (!txn)
        return 0;
    if (w->table && (rc = fm_key_table_sync(w->table, err)) != 0)
        return condemn(w, rc);
    if (w->pending && fm_fault("segment.commit"))
        return lmdb_failed(w, errno, "commit", err);
    w->txn = NULL;
    rc = mdb_txn_commit(txn);
    if (rc != 0)
        return lmdb_failed(w, rc, "commit", err);
    note_used(w);
    return 0;
}

/* Whether n bytes more fit, with what LMDB needs at commit to list free pages. */
static bool fits(const fm_segment_writer *w, size_t n)
{
    size_t spare = ((size_t)1 << 20) + w->used_bytes / 256;

    return w->used_bytes + w->pending_bytes + n + spare <= w->map_bytes;
}

static int make_room(fm_segment_writer *w, size_t n, fm_err *err)
{
    size_t map = w->map_bytes;
    int rc;

    if (fits(w, n) && w->pending_bytes <= PENDING_MAX)
        return 0;
    if ((rc = commit(w, err)) != 0)
        return rc;
    while (!fits(w, n) && w->map_bytes < SIZE_MAX / 4)
        w->map_bytes *= 2;
    rc = w->map_bytes == map ? 0 : mdb_env_set_mapsize(w->env, w->map_bytes);
    return rc != 0 ? lmdb_failed(w, rc, "grow the memory map", err) : 0;
}

/* The scratch folder, to outlast a power cut as well. */
static int make_scratch(const char *scratch, fm_err *err)
{
    bool there = fm_path_exists(scratch);
    char parent[FM_PATH_MAX];
    int rc = fm_dir_make(scratch, err);

    if (rc != 0 || there)
        return rc;
    rc = fm_path_join(parent, sizeof parent, scratch, "..", err);
    return rc != 0 ? rc : fm_dir_sync(parent, err);
}

/* An empty file that was not there, so that two writers never share one. */
static int create_file(const fm_segment_writer *w, fm_err *err)
{
    int fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return fm_fail(err, -EEXIST, "%s: this segment is there already", w->path);
    if (fd < 0)
        return fm_fail(err, -errno, "%s: cannot create: %s", w->path, strerror(errno));
    close(fd);
    return 0;
}

static int open_env(fm_segment_writer *w, fm_err *err)
{
    MDB_stat st;
    int fd, rc = fm_lmdb_open(w->path, MDB_NOSUBDIR | MDB_NOLOCK, w->map_bytes, &w->env, err);

    if (rc != 0)
        return rc;
    rc = mdb_env_get_fd(w->env, &fd);
    if (rc == 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        rc = EBUSY;     /* other errors: a file system without locks, where adopting rests on the caller's word */
    if (rc == 0)
        rc = mdb_txn_begin(w->env, NULL, 0, &w->txn);
    if (rc == 0)
        rc = mdb_dbi_open(w->txn, NULL, 0, &w->records);
    if (rc == 0) {
        mdb_env_stat(w->env, &st);
        w->page_bytes = st.ms_psize;
        note_used(w);
    }
    return rc != 0 ? fm_lmdb_fail(err, rc, w->path, "start the segment") : 0;
}

int fm_segment_create(const char *scratch, const char *name, size_t map_bytes, fm_segment_writer **out, fm_err *err)
{
    fm_segment_writer *w = calloc(1, sizeof *w);
    int rc;

    if (!w)
        return fm_fail_nomem(err, "segment writer", sizeof *w);
    snprintf(w->name, sizeof w->name, "%s", name);
    w->map_bytes = map_bytes && map_bytes < SIZE_MAX / 4 ? (map_bytes + MAP_STEP - 1) / MAP_STEP * MAP_STEP : MAP_FIRST;
    rc = fm_segment_open_path(w->path, scratch, name, err);
    if (rc == 0)
        rc = make_scratch(scratch, err);
    if (rc == 0 && (rc = create_file(w, err)) == 0) {
        rc = open_env(w, err);
        if (rc == 0)
            rc = fm_dir_sync(scratch, err);
        if (rc != 0)
            unlink(w->path);
    }
    if (rc != 0) {
        fm_segment_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

int fm_segment_encrypt(fm_segment_writer *w, const fm_vault *vault, fm_err *err)
{
    int rc = vault ? fm_key_table_create(vault, w->name, &w->table, err) : 0;

    if (rc != 0)
        return condemn(w, rc);
    w->vault = vault;
    return 0;
}

void fm_segment_of(fm_segment_writer *w, const fm_key_owner *owner)
{
    w->owner = *owner;
}

static MDB_val record_key(const fm_vault *vault, uint8_t out[FM_SEGMENT_KEY_BYTES], fm_record_kind kind,
                          const fm_digest *key)
{
    fm_envelope_key(vault, kind, key, out);
    return (MDB_val){FM_SEGMENT_KEY_BYTES, out};
}

/* The record as it is kept, in w's buffers.  -ENOMEM leaves the segment as it was. */
static int make_value(fm_segment_writer *w, fm_record_kind kind, const fm_digest *key, const uint8_t *at,
                      const void *payload, size_t n, MDB_val *out, fm_err *err)
{
    int rc;

    w->record.size = w->sealed.size = 0;
    w->record.failed = w->sealed.failed = false;
    fm_record_encode(kind, key, payload, n, &w->record);
    if (w->record.failed)
        return fm_fail_nomem(err, "a record", n);
    *out = (MDB_val){w->record.size, w->record.data};
    if (!w->table)
        return 0;
    rc = fm_envelope_seal(w->table, &w->owner, at, &w->record, &w->sealed, err);
    if (rc != 0)
        return rc == -ENOMEM ? rc : condemn(w, rc);
    *out = (MDB_val){w->sealed.size, w->sealed.data};
    return 0;
}

int fm_segment_put(fm_segment_writer *w, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                   fm_err *err)
{
    uint8_t k[FM_SEGMENT_KEY_BYTES];
    MDB_val at = record_key(w->vault, k, kind, key), value;
    int rc = check_usable(w, err);

    if (rc != 0 || (rc = make_value(w, kind, key, k, payload, n, &value, err)) != 0)
        return rc;
    if ((rc = make_room(w, value.mv_size + PUT_PAGES * w->page_bytes, err)) != 0 || (rc = begin(w, err)) != 0)
        return rc;
    rc = fm_fault("segment.put") ? errno : mdb_put(w->txn, w->records, &at, &value, MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST)
        return 0;
    if (rc != 0)
        return lmdb_failed(w, rc, "put a record", err);
    w->pending++;
    w->pending_bytes += value.mv_size + PUT_PAGES * w->page_bytes;
    w->payload_bytes += n;
    return 0;
}

int fm_segment_find(fm_segment_writer *w, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                    fm_err *err)
{
    uint8_t k[FM_SEGMENT_KEY_BYTES];
    MDB_val at = record_key(w->vault, k, kind, key), value;
    char hex[FM_DIGEST_HEX];
    int rc = check_usable(w, err);

    if (rc != 0 || (rc = begin(w, err)) != 0)
        return rc;
    rc = mdb_get(w->txn, w->records, &at, &value);
    if (rc == MDB_NOTFOUND) {
        fm_digest_hex(key, hex);
        return fm_fail(err, -ENOENT, "segment %s: no %s record %s", w->name, fm_record_kind_name(kind), hex);
    }
    if (rc != 0)
        return lmdb_failed(w, rc, "look a record up", err);
    if (w->table) {
        w->plain.size = 0;
        w->plain.failed = false;
        rc = fm_envelope_open(w->table, k, value.mv_data, value.mv_size, &w->plain, err);
        value = (MDB_val){w->plain.size, w->plain.data};
    }
    if (rc == 0)
        rc = fm_record_decode(value.mv_data, value.mv_size, kind, key, payload, n, NULL, err);
    return rc != 0 ? condemn(w, rc) : 0;
}

int fm_segment_commit(fm_segment_writer *w, fm_err *err)
{
    int rc = check_usable(w, err);

    return rc != 0 ? rc : commit(w, err);
}

uint64_t fm_segment_records(const fm_segment_writer *w)
{
    return w->committed;
}

uint64_t fm_segment_bytes(const fm_segment_writer *w)
{
    return w->payload_bytes;
}

int fm_segment_seal(fm_segment_writer *w, const char *store_dir, fm_err *err)
{
    char name[FM_SEGMENT_NAME_MAX], path[FM_PATH_MAX];
    int rc = fm_segment_commit(w, err);

    if (rc == 0 && !w->vault && fm_vault_exists(store_dir))
        rc = fm_fail(err, -EPERM, "segment %s is not encrypted and %s is: it does not go there", w->name, store_dir);
    if (rc == 0) {
        rc = fm_fault("segment.seal") ? errno : mdb_env_sync(w->env, 1);
        rc = rc != 0 ? lmdb_failed(w, rc, "sync", err) : 0;
    }
    memcpy(name, w->name, sizeof name);
    memcpy(path, w->path, sizeof path);
    fm_segment_close(w);
    return rc != 0 ? rc : fm_segment_move(path, name, store_dir, err);
}

void fm_segment_close(fm_segment_writer *w)
{
    if (!w)
        return;
    mdb_txn_abort(w->txn);
    mdb_env_close(w->env);
    fm_key_table_close(w->table);
    fm_buf_fini(&w->record);
    fm_buf_fini(&w->sealed);
    fm_buf_fini(&w->plain);
    free(w);
}

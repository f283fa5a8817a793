/* Reading sealed segments: one snapshot for the life of the handle, which is
 * what lets payloads be borrowed.  No locks, since nothing changes.  The file's
 * structure is checked first and the map is as long as the file, so that no
 * record can lie outside it; each record's digest is checked as it is read. */
#define _GNU_SOURCE
#include "storage/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/envelope.h"
#include "storage/lmdb.h"
#include "storage/pages.h"
#include "storage/seal.h"

struct fm_segment {
    char name[FM_SEGMENT_NAME_MAX], path[FM_PATH_MAX];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi records;
    uint64_t count;
    fm_vault *vault;        /* owned; NULL in a plain store, as the table */
    fm_key_table *table;
    fm_buf plain;           /* the record read last */
};

static int check_file(const char *path, fm_pages *out, fm_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc;

    if (fd < 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    rc = fm_pages_check(fd, path, 0, true, out, err);
    if (rc == 0 && out->file_bytes < out->used_bytes)
        rc = fm_fail(err, -EBADMSG, "%s: cut short: %llu bytes where %llu are expected", path,
                     (unsigned long long)out->file_bytes, (unsigned long long)out->used_bytes);
    close(fd);
    return rc;
}

int fm_segment_open(const char *store_dir, const char *name, fm_segment **out, fm_err *err)
{
    fm_segment *s = calloc(1, sizeof *s);
    fm_pages pages = {0};
    int rc;

    if (!s)
        return fm_fail_nomem(err, "segment", sizeof *s);
    rc = fm_segment_store_path(s->path, store_dir, name, err);
    if (rc == 0)
        rc = check_file(s->path, &pages, err);
    if (rc == 0)
        rc = fm_vault_open(store_dir, &s->vault, err);
    if (rc == 0 && s->vault)
        rc = fm_key_table_open(s->vault, name, &s->table, err);
    if (rc == 0)
        rc = fm_lmdb_open(s->path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_RDONLY, pages.used_bytes, &s->env, err);
    if (rc == 0 && ((rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn)) != 0 ||
                    (rc = mdb_dbi_open(s->txn, NULL, 0, &s->records)) != 0))
        rc = fm_lmdb_fail(err, rc, s->path, "read");
    if (rc != 0) {
        fm_segment_release(s);
        return rc;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    s->count = pages.entries;
    *out = s;
    return 0;
}

void fm_segment_release(fm_segment *s)
{
    if (!s)
        return;
    mdb_txn_abort(s->txn);
    mdb_env_close(s->env);
    fm_key_table_close(s->table);
    fm_vault_close(s->vault);
    fm_buf_fini(&s->plain);
    free(s);
}

uint64_t fm_segment_count(const fm_segment *s)
{
    return s->count;
}

/* The record in a value, out of its envelope when it is in one; what is wrong is said with kind and key. */
static int open_value(fm_segment *s, const uint8_t *at, MDB_val *value, fm_err *err)
{
    char hex[FM_DIGEST_HEX];
    fm_digest shown;
    int rc;

    if (!s->table)
        return 0;
    s->plain.size = 0;
    s->plain.failed = false;
    rc = fm_envelope_open(s->table, at, value->mv_data, value->mv_size, &s->plain, err);
    *value = (MDB_val){s->plain.size, s->plain.data};
    if (rc == 0)
        return 0;
    memcpy(shown.b, at + 1, FM_DIGEST_BYTES);
    fm_digest_hex(&shown, hex);
    return fm_fail_in(err, rc, "segment %s: %s record %s", s->name, fm_record_kind_name((fm_record_kind)at[0]), hex);
}

/* A record of this segment, or what is wrong with it and where. */
static int decode(const fm_segment *s, const MDB_val *value, fm_record_kind kind, const fm_digest *key,
                  const void **payload, size_t *n, fm_digest *hash, fm_err *err)
{
    int rc = fm_record_decode(value->mv_data, value->mv_size, kind, key, payload, n, hash, err);

    return rc != 0 ? fm_fail_in(err, rc, "segment %s", s->name) : 0;
}

int fm_segment_get(fm_segment *s, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                   fm_digest *hash, fm_err *err)
{
    uint8_t k[FM_SEGMENT_KEY_BYTES];
    MDB_val at = {sizeof k, k}, value;
    char hex[FM_DIGEST_HEX];
    int rc;

    fm_envelope_key(s->vault, kind, key, k);
    rc = mdb_get(s->txn, s->records, &at, &value);
    if (rc == MDB_NOTFOUND) {
        fm_digest_hex(key, hex);
        return fm_fail(err, -ENOENT, "segment %s: no %s record %s", s->name, fm_record_kind_name(kind), hex);
    }
    if (rc != 0)
        return fm_lmdb_fail(err, rc, s->path, "read");
    rc = open_value(s, k, &value, err);
    return rc != 0 ? rc : decode(s, &value, kind, key, payload, n, hash, err);
}

int fm_segment_has(fm_segment *s, fm_record_kind kind, const uint8_t *prefix, size_t n, fm_err *err)
{
    uint8_t k[FM_SEGMENT_KEY_BYTES] = {(uint8_t)kind};
    MDB_val at = {sizeof k, k}, value;
    MDB_cursor *cursor;
    fm_digest whole;
    int rc, found = 0;

    memcpy(k + 1, prefix, n);
    if (n == FM_DIGEST_BYTES) {
        memcpy(whole.b, prefix, n);
        fm_envelope_key(s->vault, kind, &whole, k);
    }
    rc = mdb_cursor_open(s->txn, s->records, &cursor);
    if (rc != 0)
        return fm_lmdb_fail(err, rc, s->path, "read");
    rc = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    if (rc == 0)
        found = at.mv_size > n && memcmp(at.mv_data, k, 1 + n) == 0;
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? found : fm_lmdb_fail(err, rc, s->path, "read");
}

/* The key that a record says it has; that this is its place is what its envelope proves. */
static void key_inside(const MDB_val *value, fm_digest *key)
{
    if (value->mv_size >= FM_RECORD_KEY_AT + FM_DIGEST_BYTES)
        memcpy(key->b, (const uint8_t *)value->mv_data + FM_RECORD_KEY_AT, FM_DIGEST_BYTES);
}

static int visit(fm_segment *s, const MDB_val *at, const MDB_val *in_file, fm_segment_fn fn, void *ctx)
{
    const uint8_t *k = at->mv_data;
    fm_err why = FM_ERR_INIT;
    fm_digest key = {{0}}, hash = {{0}};
    const void *payload = NULL;
    MDB_val value = *in_file;
    size_t n = 0;
    int rc;

    if (at->mv_size != FM_SEGMENT_KEY_BYTES) {
        rc = fm_fail(&why, -EBADMSG, "segment %s: a key of %zu bytes where %d are expected", s->name, at->mv_size,
                     FM_SEGMENT_KEY_BYTES);
        return fn(ctx, FM_RECORD_KIND_END, &key, NULL, 0, &hash, rc, &why);
    }
    memcpy(key.b, k + 1, FM_DIGEST_BYTES);
    rc = open_value(s, k, &value, &why);
    if (rc == 0 && s->vault)
        key_inside(&value, &key);
    if (rc == 0)
        rc = decode(s, &value, (fm_record_kind)k[0], &key, &payload, &n, &hash, &why);
    return fn(ctx, (fm_record_kind)k[0], &key, payload, n, &hash, rc, &why);
}

int fm_segment_each(fm_segment *s, fm_segment_fn fn, void *ctx, fm_err *err)
{
    MDB_val at, value;
    MDB_cursor *cursor;
    int rc, stop = 0;

    rc = mdb_cursor_open(s->txn, s->records, &cursor);
    if (rc != 0)
        return fm_lmdb_fail(err, rc, s->path, "read");
    while (stop == 0 && (rc = mdb_cursor_get(cursor, &at, &value, MDB_NEXT)) == 0)
        stop = visit(s, &at, &value, fn, ctx);
    mdb_cursor_close(cursor);
    if (stop != 0)
        return stop;
    return rc == MDB_NOTFOUND ? 0 : fm_lmdb_fail(err, rc, s->path, "read");
}

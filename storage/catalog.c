/* What the catalog knows, on the transactions of storage/catalog_env.h.
 *
 * Files and records are kept under the first 11 bytes of a digest: a photograph
 * costs three entries, and a million of them must stay small.  A segment that is
 * lost loses its own entry and nothing else: whatever points at a segment that is
 * not there counts as not there, and is overwritten when it has been done again.
 * Numbers of segments are never given twice, so nothing points at another's. */
#include "storage/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "storage/catalog_env.h"

#define KEY_BYTES (1 + FM_CATALOG_KEY_BYTES)
#define FILE_BYTES (8 + 8 + 1 + 2 * FM_DIGEST_BYTES)
#define SEGMENT_KEY_BYTES 5
#define SEGMENT_HEADER_BYTES 9

typedef struct { uint8_t b[KEY_BYTES]; } short_key;
typedef struct { uint8_t b[SEGMENT_KEY_BYTES]; } segment_key;
typedef struct { uint8_t b[FM_SEGMENT_NAME_MAX]; size_t n; } name_key;

static short_key key_of(const fm_catalog *c, uint8_t letter, const fm_digest *digest)
{
    short_key k = {{letter}};
    fm_digest kept;

    fm_vault_blind(c->vault, digest, &kept);
    memcpy(k.b + 1, kept.b, FM_CATALOG_KEY_BYTES);
    return k;
}

static short_key key_of_path(const fm_catalog *c, const char *path)
{
    fm_digest d;

    fm_digest_of(path, strlen(path), &d);
    return key_of(c, FM_CATALOG_FILE, &d);
}

static uint8_t letter_of(fm_record_kind kind)
{
    return kind == FM_RECORD_PHOTO ? FM_CATALOG_PHOTO : FM_CATALOG_CODE;
}

/* Big-endian, so that they lie in number order. */
static segment_key key_of_segment(uint32_t number)
{
    return (segment_key){{FM_CATALOG_SEGMENT, (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
                          (uint8_t)number}};
}

static name_key key_of_name(const char *name)
{
    name_key k = {.b = {FM_CATALOG_NAME}, .n = 1 + strlen(name)};

    memcpy(k.b + 1, name, k.n - 1);
    return k;
}

static uint32_t u32_of(const MDB_val *v)
{
    fm_reader r = fm_reader_init(v->mv_data, v->mv_size);

    return fm_reader_u32(&r);
}

static int segment_parse(const fm_catalog *c, uint32_t number, const MDB_val *v, fm_catalog_segment *out, fm_err *err)
{
    fm_reader r = fm_reader_init(v->mv_data, v->mv_size);
    fm_catalog_segment s = {.number = number};

    s.state = (fm_segment_state)fm_reader_u8(&r);
    s.records = fm_reader_u64(&r);
    if (!r.failed && fm_reader_left(&r) < sizeof s.name)
        memcpy(s.name, r.at, fm_reader_left(&r));
    if (r.failed || s.state > FM_SEGMENT_SEALED || !fm_segment_name_valid(s.name))
        return fm_fail(err, -EBADMSG, "%s: entry of segment %u is damaged", c->dir, number);
    *out = s;
    return 0;
}

static int segment_get(fm_catalog *c, MDB_txn *txn, uint32_t number, fm_catalog_segment *out, fm_err *err)
{
    segment_key k = key_of_segment(number);
    MDB_val v;
    int rc = fm_catalog_get(c, txn, k.b, sizeof k.b, 0, &v, err);

    if (rc == -ENOENT)
        return fm_fail(err, rc, "%s: segment %u is not in the catalog", c->dir, number);
    return rc != 0 ? rc : segment_parse(c, number, &v, out, err);
}

static int segment_put(fm_catalog *c, MDB_txn *txn, const fm_catalog_segment *s, fm_err *err)
{
    uint8_t v[SEGMENT_HEADER_BYTES + FM_SEGMENT_NAME_MAX];
    segment_key k = key_of_segment(s->number);
    size_t n = strlen(s->name);

    v[0] = (uint8_t)s->state;
    fm_catalog_le(v + 1, s->records, 8);
    memcpy(v + SEGMENT_HEADER_BYTES, s->name, n);
    return fm_catalog_put(c, txn, k.b, sizeof k.b, v, SEGMENT_HEADER_BYTES + n, err);
}

static int add_segment(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    fm_catalog_segment *s = ctx;
    name_key k = key_of_name(s->name);
    uint64_t number = 0;
    uint8_t value[4];
    MDB_val v;
    int rc = fm_catalog_get(c, txn, k.b, k.n, 4, &v, err);

    if (rc == 0)
        return fm_fail(err, -EEXIST, "%s: there is a segment %s already", c->dir, s->name);
    if (rc != -ENOENT || (rc = fm_catalog_get_number(c, txn, FM_CATALOG_NEXT, 4, &number, err)) != 0)
        return rc;
    if (number >= UINT32_MAX)
        return fm_fail(err, -EOVERFLOW, "%s: no segment numbers are left", c->dir);
    s->number = (uint32_t)number;
    if ((rc = fm_catalog_put_number(c, txn, FM_CATALOG_NEXT, 4, number + 1, err)) != 0 ||
        (rc = segment_put(c, txn, s, err)) != 0)
        return rc;
    fm_catalog_le(value, number, sizeof value);
    return fm_catalog_put(c, txn, k.b, k.n, value, sizeof value, err);
}

int fm_catalog_add_segment(fm_catalog *c, const char *name, uint32_t *number, fm_err *err)
{
    fm_catalog_segment s = {.state = FM_SEGMENT_OPEN};
    int rc;

    if (!fm_segment_name_valid(name))
        return fm_fail(err, -EINVAL, "\"%.80s\" is not a segment's name", name);
    snprintf(s.name, sizeof s.name, "%s", name);
    rc = fm_catalog_write(c, add_segment, &s, err);
    if (rc == 0)
        *number = s.number;
    return rc;
}

int fm_catalog_find_segment(fm_catalog *c, uint32_t number, fm_catalog_segment *out, fm_err *err)
{
    MDB_txn *txn;
    int rc = fm_catalog_read(c, &txn, err);

    if (rc != 0)
        return rc;
    rc = segment_get(c, txn, number, out, err);
    fm_catalog_read_end(c);
    return rc;
}

static int seal_segment(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    const fm_catalog_segment *now = ctx;
    fm_catalog_segment s;
    int rc = segment_get(c, txn, now->number, &s, err);

    if (rc != 0)
        return rc;
    s.state = FM_SEGMENT_SEALED;
    s.records = now->records;
    return segment_put(c, txn, &s, err);
}

int fm_catalog_segment_sealed(fm_catalog *c, uint32_t number, uint64_t records, fm_err *err)
{
    fm_catalog_segment s = {.number = number, .records = records};

    return fm_catalog_write(c, seal_segment, &s, err);
}

static int delete_key(fm_catalog *c, MDB_txn *txn, void *key, size_t n, fm_err *err)
{
    MDB_val at = {n, key};
    int rc = mdb_del(txn, c->all, &at, NULL);

    if (rc == 0 || rc == MDB_NOTFOUND)
        return 0;
    return rc == MDB_MAP_FULL ? rc : fm_lmdb_fail(err, rc, c->dir, "remove an entry");
}

static int lose_segment(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    uint32_t number = *(const uint32_t *)ctx;
    segment_key k = key_of_segment(number);
    fm_catalog_segment s;
    name_key name;
    int rc = segment_get(c, txn, number, &s, err);

    if (rc != 0)
        return rc;
    name = key_of_name(s.name);
    rc = delete_key(c, txn, name.b, name.n, err);
    return rc != 0 ? rc : delete_key(c, txn, k.b, sizeof k.b, err);
}

int fm_catalog_segment_lost(fm_catalog *c, uint32_t number, fm_err *err)
{
    return fm_catalog_write(c, lose_segment, &number, err);
}

/* Calls fn for every entry under a letter. */
typedef int (*entry_fn)(const fm_catalog *c, const MDB_val *key, const MDB_val *value, void *ctx, fm_err *err);

static int each_entry(fm_catalog *c, uint8_t letter, entry_fn fn, void *ctx, fm_err *err)
{
    MDB_val key = {1, &letter}, value;
    MDB_cursor *cursor;
    MDB_txn *txn;
    int stop = 0, rc = fm_catalog_read(c, &txn, err);

    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, c->all, &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        while (rc == 0 && *(uint8_t *)key.mv_data == letter && (stop = fn(c, &key, &value, ctx, err)) == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        mdb_cursor_close(cursor);
    }
    fm_catalog_read_end(c);
    if (stop != 0 || rc == 0 || rc == MDB_NOTFOUND)
        return stop;
    return fm_lmdb_fail(err, rc, c->dir, "read");
}

static int collect_segment(const fm_catalog *c, const MDB_val *key, const MDB_val *value, void *ctx, fm_err *err)
{
    const uint8_t *k = key->mv_data;
    fm_catalog_segment s;
    int rc;

    if (key->mv_size != SEGMENT_KEY_BYTES)
        return fm_fail(err, -EBADMSG, "%s: a segment's number is damaged", c->dir);
    rc = segment_parse(c, (uint32_t)k[1] << 24 | (uint32_t)k[2] << 16 | (uint32_t)k[3] << 8 | k[4], value, &s, err);
    if (rc != 0)
        return rc;
    fm_buf_put(ctx, &s, sizeof s);
    return ((fm_buf *)ctx)->failed ? fm_fail_nomem(err, "list of segments", sizeof s) : 0;
}

int fm_catalog_each_segment(fm_catalog *c, int (*fn)(void *ctx, const fm_catalog_segment *segment), void *ctx,
                            fm_err *err)
{
    fm_buf all = FM_BUF_INIT;
    fm_catalog_segment s;
    int rc = each_entry(c, FM_CATALOG_SEGMENT, collect_segment, &all, err);

    for (size_t at = 0; rc == 0 && at < all.size; at += sizeof s) {
        memcpy(&s, all.data + at, sizeof s);
        rc = fn(ctx, &s);
    }
    fm_buf_fini(&all);
    return rc;
}

/* -ENOENT without a word. */
static int record_get(fm_catalog *c, MDB_txn *txn, fm_record_kind kind, const fm_digest *key, uint32_t *segment,
                      fm_err *err)
{
    short_key k = key_of(c, letter_of(kind), key);
    segment_key s;
    MDB_val v;
    int rc = fm_catalog_get(c, txn, k.b, sizeof k.b, 4, &v, err);

    if (rc != 0)
        return rc;
    *segment = u32_of(&v);
    if (c->held && c->there != 0 && *segment == c->there)
        return 0;
    s = key_of_segment(*segment);
    rc = fm_catalog_get(c, txn, s.b, sizeof s.b, 0, &v, err);
    if (rc == 0 && c->held)
        c->there = *segment;
    return rc;
}

int fm_catalog_find_record(fm_catalog *c, fm_record_kind kind, const fm_digest *key, uint32_t *segment, fm_err *err)
{
    char hex[FM_DIGEST_HEX];
    uint32_t found = 0;
    MDB_txn *txn;
    int rc = fm_catalog_read(c, &txn, err);

    if (rc != 0)
        return rc;
    rc = record_get(c, txn, kind, key, &found, err);
    fm_catalog_read_end(c);
    if (rc == -ENOENT) {
        fm_digest_hex(key, hex);
        return fm_fail(err, rc, "%s: no %s record %s", c->store, fm_record_kind_name(kind), hex);
    }
    if (rc == 0)
        *segment = found;
    return rc;
}

typedef struct {
    int (*fn)(void *ctx, fm_record_kind kind, const uint8_t key[FM_CATALOG_KEY_BYTES], uint32_t segment);
    void *ctx;
    fm_record_kind kind;
} record_visit;

static int visit_record(const fm_catalog *c, const MDB_val *key, const MDB_val *value, void *ctx, fm_err *err)
{
    const record_visit *v = ctx;

    if (key->mv_size != KEY_BYTES || value->mv_size != 4)
        return fm_fail(err, -EBADMSG, "%s: an entry of a %s record is damaged", c->dir, fm_record_kind_name(v->kind));
    return v->fn(v->ctx, v->kind, (const uint8_t *)key->mv_data + 1, u32_of(value));
}

int fm_catalog_each_record(fm_catalog *c,
                           int (*fn)(void *ctx, fm_record_kind kind, const uint8_t key[FM_CATALOG_KEY_BYTES],
                                     uint32_t segment),
                           void *ctx, fm_err *err)
{
    record_visit photo = {fn, ctx, FM_RECORD_PHOTO}, code = {fn, ctx, FM_RECORD_CODE};
    int rc = each_entry(c, FM_CATALOG_CODE, visit_record, &code, err);

    return rc != 0 ? rc : each_entry(c, FM_CATALOG_PHOTO, visit_record, &photo, err);
}

static int file_parse(const fm_catalog *c, const MDB_val *v, fm_catalog_file *out, fm_err *err)
{
    fm_reader r = fm_reader_init(v->mv_data, v->mv_size);
    fm_catalog_file f = {0};

    f.size_bytes = fm_reader_u64(&r);
    f.mtime_ns = (int64_t)fm_reader_u64(&r);
    f.reason = (fm_reason)fm_reader_u8(&r);
    if (f.reason >= FM_REASON_COUNT)
        return fm_fail(err, -EBADMSG, "%s: a file's entry is damaged", c->dir);
    memcpy(f.image.b, fm_reader_get(&r, FM_DIGEST_BYTES), FM_DIGEST_BYTES);
    memcpy(f.photo_key.b, fm_reader_get(&r, FM_DIGEST_BYTES), FM_DIGEST_BYTES);
    *out = f;
    return 0;
}

static int file_get(fm_catalog *c, MDB_txn *txn, const char *path, fm_catalog_file *out, fm_err *err)
{
    short_key k = key_of_path(c, path);
    fm_catalog_file f;
    uint32_t segment;
    fm_buf plain = FM_BUF_INIT;
    MDB_val v;
    int rc = fm_catalog_get(c, txn, k.b, sizeof k.b, FILE_BYTES + (c->vault ? FM_VAULT_SEAL_BYTES : 0), &v, err);

    if (rc == 0 && c->vault) {
        rc = fm_vault_unseal(c->vault, k.b, sizeof k.b, v.mv_data, v.mv_size, &plain);
        v = (MDB_val){plain.size, plain.data};
        if (rc != 0)
            fm_fail(err, rc, "%s: a file's entry is damaged", c->dir);
    }
    if (rc == 0)
        rc = file_parse(c, &v, &f, err);
    fm_buf_fini(&plain);
    if (rc == 0 && !fm_digest_is_zero(&f.photo_key))
        rc = record_get(c, txn, FM_RECORD_PHOTO, &f.photo_key, &segment, err);
    if (rc == 0)
        *out = f;
    return rc;
}

int fm_catalog_find_file(fm_catalog *c, const char *path, fm_catalog_file *out, fm_err *err)
{
    MDB_txn *txn;
    int rc = fm_catalog_read(c, &txn, err);

    if (rc != 0)
        return rc;
    rc = file_get(c, txn, path, out, err);
    fm_catalog_read_end(c);
    return rc == -ENOENT ? fm_fail(err, rc, "%s: nothing is known of %s", c->store, path) : rc;
}

bool fm_catalog_forgotten(const fm_catalog *c, const fm_digest *image, const char *path)
{
    return fm_vault_forgotten(c->vault, image, path);
}

typedef struct {
    uint32_t segment;
    const fm_catalog_ack_item *items;
    size_t n;
} acknowledgement;

static int file_put(fm_catalog *c, MDB_txn *txn, const char *path, const fm_catalog_file *f, fm_err *err)
{
    short_key k = key_of_path(c, path);
    fm_buf sealed = FM_BUF_INIT;
    uint8_t v[FILE_BYTES];
    int rc;

    fm_catalog_le(v, f->size_bytes, 8);
    fm_catalog_le(v + 8, (uint64_t)f->mtime_ns, 8);
    v[16] = (uint8_t)f->reason;
    memcpy(v + 17, f->image.b, FM_DIGEST_BYTES);
    memcpy(v + 17 + FM_DIGEST_BYTES, f->photo_key.b, FM_DIGEST_BYTES);
    if (!c->vault)
        return fm_catalog_put(c, txn, k.b, sizeof k.b, v, sizeof v, err);
    fm_vault_seal(c->vault, k.b, sizeof k.b, v, sizeof v, &sealed);
    rc = sealed.failed ? fm_fail_nomem(err, "a file's entry", sizeof v)
                       : fm_catalog_put(c, txn, k.b, sizeof k.b, sealed.data, sealed.size, err);
    fm_buf_fini(&sealed);
    return rc;
}

static int record_put(fm_catalog *c, MDB_txn *txn, fm_record_kind kind, const fm_digest *key, uint32_t segment,
                      fm_err *err)
{
    short_key k = key_of(c, letter_of(kind), key);
    uint8_t v[4];

    fm_catalog_le(v, segment, sizeof v);
    return fm_catalog_put(c, txn, k.b, sizeof k.b, v, sizeof v, err);
}

static int ack_item(fm_catalog *c, MDB_txn *txn, const fm_catalog_ack_item *item, uint32_t segment, fm_err *err)
{
    int rc = item->path ? file_put(c, txn, item->path, &item->file, err) : 0;

    if (rc == 0 && item->photo_here && !fm_digest_is_zero(&item->photo_key))
        rc = record_put(c, txn, FM_RECORD_PHOTO, &item->photo_key, segment, err);
    if (rc == 0 && item->code_here && !fm_digest_is_zero(&item->code_key))
        rc = record_put(c, txn, FM_RECORD_CODE, &item->code_key, segment, err);
    return rc;
}

static int ack(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    const acknowledgement *a = ctx;
    fm_catalog_segment s;
    bool here = false;
    int rc = 0;

    for (size_t i = 0; i < a->n; i++)
        here = here || a->items[i].photo_here || a->items[i].code_here;
    if (here)
        rc = segment_get(c, txn, a->segment, &s, err);
    for (size_t i = 0; i < a->n && rc == 0; i++)
        rc = ack_item(c, txn, &a->items[i], a->segment, err);
    return rc;
}

int fm_catalog_ack(fm_catalog *c, uint64_t epoch, uint32_t segment, const fm_catalog_ack_item *items, size_t n,
                   fm_err *err)
{
    acknowledgement a = {segment, items, n};

    if (c->epoch != 0 && epoch != c->epoch)
        return fm_fail(err, -ESTALE, "%s: an acknowledgement of epoch %llu where %llu is current", c->dir,
                       (unsigned long long)epoch, (unsigned long long)c->epoch);
    return fm_catalog_write(c, ack, &a, err);
}

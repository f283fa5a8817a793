/* Reading a store: the catalog says which segment holds a record, and segments
 * stay open from their first use, since payloads are borrowed from them. */
#include "storage/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

typedef struct {
    uint32_t number;
    fm_segment *segment;    /* owned */
} open_segment;

struct fm_store {
    char dir[FM_PATH_MAX];
    fm_catalog *catalog;
    open_segment *open;     /* [n_open], those used last in front */
    size_t n_open;
};

int fm_store_open(const char *store_dir, fm_store **out, fm_err *err)
{
    fm_store *s = calloc(1, sizeof *s);
    int rc;

    if (!s)
        return fm_fail_nomem(err, "store", sizeof *s);
    rc = fm_path_join(s->dir, sizeof s->dir, "", store_dir, err);
    if (rc == 0)
        rc = fm_catalog_open(store_dir, false, &s->catalog, err);
    if (rc != 0) {
        fm_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void fm_store_close(fm_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_open; i++)
        fm_segment_release(s->open[i].segment);
    free(s->open);
    fm_catalog_close(s->catalog);
    free(s);
}

fm_catalog *fm_store_catalog(fm_store *s)
{
    return s->catalog;
}

const char *fm_store_dir(const fm_store *s)
{
    return s->dir;
}

/* A segment that the catalog calls sealed is there: -ENOENT becomes -EBADMSG. */
static int open_sealed(const fm_store *s, const char *name, fm_segment **out, fm_err *err)
{
    int rc = fm_segment_open(s->dir, name, out, err);

    if (rc == -EMFILE)
        return fm_fail(err, rc, "segment %s: too many files are open; raise the limit (ulimit -n)", name);
    return rc == -ENOENT ? fm_fail(err, -EBADMSG, "%s: segment %s of the catalog is gone", s->dir, name) : rc;
}

static int add_open(fm_store *s, uint32_t number, fm_err *err)
{
    fm_catalog_segment about;
    open_segment *grown;
    int rc = fm_catalog_find_segment(s->catalog, number, &about, err);

    if (rc != 0)
        return rc;
    if (about.state != FM_SEGMENT_SEALED)
        return fm_fail(err, -ENOENT, "segment %s is not sealed yet", about.name);
    grown = realloc(s->open, (s->n_open + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "open segments", (s->n_open + 1) * sizeof *grown);
    s->open = grown;
    s->open[s->n_open].number = number;
    rc = open_sealed(s, about.name, &s->open[s->n_open].segment, err);
    if (rc == 0)
        s->n_open++;
    return rc;
}

static int find_open(fm_store *s, uint32_t number, fm_segment **out, fm_err *err)
{
    open_segment found;
    size_t i = 0;
    int rc = 0;

    while (i < s->n_open && s->open[i].number != number)
        i++;
    if (i == s->n_open && (rc = add_open(s, number, err)) != 0)
        return rc;
    found = s->open[i];
    memmove(s->open + 1, s->open, i * sizeof found);
    s->open[0] = found;
    *out = found.segment;
    return 0;
}

int fm_store_get(fm_store *s, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                 fm_digest *hash, fm_err *err)
{
    char hex[FM_DIGEST_HEX];
    fm_segment *segment;
    uint32_t number;
    int rc = fm_catalog_find_record(s->catalog, kind, key, &number, err);

    if (rc != 0)
        return rc;
    rc = find_open(s, number, &segment, err);
    if (rc == 0) {
        rc = fm_segment_get(segment, kind, key, payload, n, hash, err);
        if (rc == -ENOENT)
            rc = fm_fail_in(err, -EBADMSG, "%s: not where the catalog says", s->dir);
        return rc;
    }
    fm_digest_hex(key, hex);
    return fm_fail_in(err, rc, "%s record %s", fm_record_kind_name(kind), hex);
}

/* The digest. */

typedef struct {
    uint8_t kind;
    fm_digest key;
} wanted;

static int compare_wanted(const void *a, const void *b)
{
    const wanted *x = a, *y = b;

    return x->kind != y->kind ? (x->kind > y->kind) - (x->kind < y->kind) : fm_digest_compare(&x->key, &y->key);
}

static size_t collect(wanted *to, fm_record_kind kind, const fm_digest *keys, size_t n)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++)
        if (!fm_digest_is_zero(&keys[i]))
            to[used++] = (wanted){(uint8_t)kind, keys[i]};
    return used;
}

int fm_store_digest(fm_store *s, const fm_digest *photo, const fm_digest *code, size_t n, fm_digest *out, fm_err *err)
{
    wanted *all = n < SIZE_MAX / (2 * sizeof *all) ? malloc(2 * n * sizeof *all + 1) : NULL;
    size_t used;
    fm_hasher h;
    int rc = 0;

    if (!all)
        return fm_fail_nomem(err, "keys of a store's digest", 2ull * n * sizeof *all);
    used = collect(all, FM_RECORD_PHOTO, photo, n);
    used += collect(all + used, FM_RECORD_CODE, code, n);
    qsort(all, used, sizeof *all, compare_wanted);
    fm_hasher_init(&h);
    for (size_t i = 0; i < used && rc == 0; i++) {
        const void *payload;
        size_t size;
        fm_digest hash;

        if (i > 0 && compare_wanted(&all[i - 1], &all[i]) == 0)
            continue;
        rc = fm_store_get(s, (fm_record_kind)all[i].kind, &all[i].key, &payload, &size, &hash, err);
        if (rc != 0)
            break;
        fm_hasher_add(&h, &all[i].kind, 1);
        fm_hasher_add(&h, all[i].key.b, FM_DIGEST_BYTES);
        fm_hasher_add(&h, hash.b, FM_DIGEST_BYTES);
    }
    free(all);
    if (rc == 0)
        fm_hasher_end(&h, out);
    return rc;
}

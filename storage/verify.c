/* Proving a store whole: every record of every sealed segment is read and its
 * digest checked, every segment holds as many as it was sealed with, and every
 * record that the catalog places in a sealed segment is there.  A catalog older
 * than the store shows in segments that it does not know, and in records of the
 * study that it does not know.  What is wrong is told and counted, and the checking
 * goes on. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "storage/keys.h"
#include "storage/segment.h"
#include "storage/store.h"

typedef struct {
    uint32_t number;
    char name[FM_SEGMENT_NAME_MAX];
    bool sealed;
    fm_segment *segment;    /* owned; NULL when it is not sealed, or cannot be read */
    bool short_of;          /* of records: they are counted already */
} known;

typedef struct {
    const char *dir;
    fm_catalog *catalog;
    fm_store_wrong tell;
    void *ctx;
    uint64_t checked, damaged;
    uint64_t wrong;         /* of the segment at hand */
    const char *at;         /* its name */
    known *segments;        /* [n], by number */
    size_t n;
    fm_err *err;
} verifier;

static void tell(const verifier *v, const char *segment, const char *fmt, ...) FM_PRINTF(3, 4);

static void tell(const verifier *v, const char *segment, const char *fmt, ...)
{
    char what[sizeof v->err->text];
    va_list ap;

    if (!v->tell)
        return;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    v->tell(v->ctx, segment, what);
}

static int check_record(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                        const fm_digest *hash, int rc, const fm_err *why)
{
    verifier *v = ctx;

    (void)kind, (void)key, (void)payload, (void)n, (void)hash;
    v->checked++;
    if (rc == 0 || rc == -EKEYREVOKED)      /* a forgotten one is unreadable as it should be */
        return 0;
    v->wrong++;
    tell(v, v->at, "%s", why->text);
    return 0;
}

/* All that a segment was sealed with, when it cannot be read at all. */
static void segment_unreadable(verifier *v, const fm_catalog_segment *about, const char *why)
{
    v->checked += about->records;
    v->damaged += about->records ? about->records : 1;
    tell(v, about->name, "segment %s with %llu records cannot be read: %s", about->name, (unsigned long long)about->records, why);
}

/* Each record of a segment, and how many there are. */
static int check_records(verifier *v, const fm_catalog_segment *about, known *k)
{
    uint64_t before = v->checked;
    fm_err why = FM_ERR_INIT;
    int rc;

    v->wrong = 0;
    v->at = about->name;
    if (v->tell)
        v->tell(v->ctx, about->name, NULL);
    if (fm_fault("verify.segment"))
        return fm_fail(v->err, -EIO, "segment %s: refused by a fault", about->name);
    rc = fm_segment_open(v->dir, about->name, &k->segment, &why);
    if (rc == 0)
        rc = fm_segment_each(k->segment, check_record, v, &why);
    if (rc != 0) {
        fm_segment_release(k->segment);
        k->segment = NULL;
    }
    if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)        /* says nothing of the segment */
        return fm_fail(v->err, rc, "segment %s: %s", about->name, why.text);
    if (rc != 0) {
        v->checked = before;
        v->wrong = 0;
        segment_unreadable(v, about, why.text);
    } else if (fm_segment_count(k->segment) < about->records) {
        k->short_of = true;
        v->wrong += about->records - fm_segment_count(k->segment);
        tell(v, about->name, "segment %s: %llu records where %llu were sealed", about->name,
             (unsigned long long)fm_segment_count(k->segment), (unsigned long long)about->records);
    }
    v->damaged += v->wrong;
    return 0;
}

static int check_segment(void *ctx, const fm_catalog_segment *about)
{
    verifier *v = ctx;
    known *grown, k = {.number = about->number};
    int rc = 0;

    grown = realloc(v->segments, (v->n + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(v->err, "list of segments", (v->n + 1) * sizeof *grown);
    v->segments = grown;
    memcpy(k.name, about->name, sizeof k.name);
    k.sealed = about->state == FM_SEGMENT_SEALED;
    if (k.sealed)
        rc = check_records(v, about, &k);
    if (rc == 0)
        v->segments[v->n++] = k;
    return rc;
}

static int compare_number(const void *a, const void *b)
{
    const known *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static known *find_segment(const verifier *v, uint32_t number)
{
    known at = {.number = number};

    return v->n ? bsearch(&at, v->segments, v->n, sizeof at, compare_number) : NULL;
}

/* Records of segments that are open, lost or unreadable are not looked for: that is known or told already. */
static int check_entry(void *ctx, fm_record_kind kind, const uint8_t key[FM_CATALOG_KEY_BYTES], uint32_t segment)
{
    verifier *v = ctx;
    const known *s = find_segment(v, segment);
    char hex[2 * FM_CATALOG_KEY_BYTES + 1];
    int rc = 0;

    if (s && !s->segment)
        return 0;
    if (s)
        rc = fm_segment_has(s->segment, kind, key, FM_CATALOG_KEY_BYTES, v->err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    for (int i = 0; i < FM_CATALOG_KEY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    v->damaged += s && s->short_of ? 0 : 1;
    if (!s) {
        tell(v, NULL, "%s record %s...: the catalog has it in segment %u, which it does not know",
             fm_record_kind_name(kind), hex, segment);
        return 0;
    }
    tell(v, s->name, "%s record %s...: the catalog has it in segment %s, which does not", fm_record_kind_name(kind),
         hex, s->name);
    return 0;
}

static bool is_known(const verifier *v, const char *name)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->segments[i].name, name) == 0)
            return true;
    return false;
}

/* Segments in the store that the catalog does not know. */
static int check_folder(verifier *v)
{
    char path[FM_PATH_MAX];
    int rc = fm_path_join(path, sizeof path, v->dir, "segments", v->err);
    struct dirent *entry;
    DIR *dir;

    if (rc != 0)
        return rc;
    dir = opendir(path);
    if (!dir && errno != ENOENT)
        return fm_fail(v->err, -errno, "%s: cannot open: %s", path, strerror(errno));
    while (dir && (entry = readdir(dir)))
        if (fm_segment_name_valid(entry->d_name) && !is_known(v, entry->d_name)) {
            v->damaged++;
            tell(v, entry->d_name, "segment %s is in the store and not in its catalog, which is older or another's",
                 entry->d_name);
        }
    if (dir)
        closedir(dir);
    return 0;
}

static int check_key(verifier *v, fm_record_kind kind, const fm_digest *key)
{
    const known *s = NULL;
    char hex[FM_DIGEST_HEX];
    uint32_t segment;
    int rc;

    if (fm_digest_is_zero(key))
        return 0;
    rc = fm_catalog_find_record(v->catalog, kind, key, &segment, NULL);
    if (rc != 0 && rc != -ENOENT)
        return fm_fail(v->err, rc, "%s: the catalog cannot be searched", v->dir);
    if (rc == 0)
        s = find_segment(v, segment);
    if (rc == 0 && (!s || s->sealed))       /* told already where anything is wrong with it */
        return 0;
    fm_digest_hex(key, hex);
    v->damaged++;
    if (s)
        tell(v, s->name, "%s record %s: the last build made or found it, and the catalog says that segment %s was "
             "never sealed", fm_record_kind_name(kind), hex, s->name);
    else
        tell(v, NULL, "%s record %s: the last build made or found it, and the catalog does not know it",
             fm_record_kind_name(kind), hex);
    return 0;
}

/* What the last build that was finished left. */
static int check_study(verifier *v)
{
    fm_study_keys keys = {NULL, 0};
    fm_err why = FM_ERR_INIT;
    int rc = fm_keys_read(v->dir, &keys, &why);

    if (rc == -ENOENT)
        return 0;
    if (rc == -EBADMSG) {
        v->damaged++;
        tell(v, NULL, "%s", why.text);
        return 0;
    }
    if (rc != 0)
        return fm_fail(v->err, rc, "%s", why.text);
    for (size_t i = 0; rc == 0 && i < keys.n; i++) {
        rc = check_key(v, FM_RECORD_PHOTO, &keys.v[i].photo);
        if (rc == 0)
            rc = check_key(v, FM_RECORD_CODE, &keys.v[i].code);
    }
    fm_keys_fini(&keys);
    return rc;
}

int fm_store_verify(fm_store *s, fm_store_wrong fn, void *ctx, uint64_t *checked, uint64_t *damaged, fm_err *err)
{
    verifier v = {.dir = fm_store_dir(s), .catalog = fm_store_catalog(s), .tell = fn, .ctx = ctx, .err = err};
    int rc = fm_catalog_each_segment(v.catalog, check_segment, &v, err);

    if (rc == 0)
        rc = fm_catalog_each_record(v.catalog, check_entry, &v, err);
    if (rc == 0)
        rc = check_folder(&v);
    if (rc == 0)
        rc = check_study(&v);
    for (size_t i = 0; i < v.n; i++)
        fm_segment_release(v.segments[i].segment);
    free(v.segments);
    if (rc == 0) {
        *checked = v.checked;
        *damaged = v.damaged;
    }
    return rc;
}

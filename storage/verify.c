/* Proving a store whole: every record of every sealed segment is read and its
 * digest checked, every segment holds as many as it was sealed with, and every
 * record that the catalog places in a sealed segment is there.  What is wrong is
 * told and counted, and the checking goes on. */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/segment.h"
#include "storage/store.h"

typedef struct {
    uint32_t number;
    fm_segment *segment;    /* owned; NULL when it cannot be read */
    bool short_of;          /* of records: they are counted already */
} sealed;

typedef struct {
    const char *dir;
    void (*tell)(void *ctx, const char *what);
    void *ctx;
    uint64_t checked, damaged;
    uint64_t wrong;         /* of the segment at hand */
    sealed *segments;       /* [n], by number */
    size_t n;
    fm_err *err;
} verifier;

static void tell(const verifier *v, const char *fmt, ...) FM_PRINTF(2, 3);

static void tell(const verifier *v, const char *fmt, ...)
{
    char what[sizeof v->err->text];
    va_list ap;

    if (!v->tell)
        return;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    v->tell(v->ctx, what);
}

static int check_record(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                        const fm_digest *hash, int rc, const fm_err *why)
{
    verifier *v = ctx;

    (void)kind, (void)key, (void)payload, (void)n, (void)hash;
    v->checked++;
    if (rc == 0)
        return 0;
    v->wrong++;
    tell(v, "%s", why->text);
    return 0;
}

/* All that a segment was sealed with, when it cannot be read at all. */
static void segment_unreadable(verifier *v, const fm_catalog_segment *about, const char *why)
{
    v->checked += about->records;
    v->damaged += about->records ? about->records : 1;
    tell(v, "segment %s with %llu records cannot be read: %s", about->name, (unsigned long long)about->records, why);
}

static int check_segment(void *ctx, const fm_catalog_segment *about)
{
    verifier *v = ctx;
    fm_err why = FM_ERR_INIT;
    sealed *grown, s = {about->number, NULL, false};
    uint64_t before = v->checked;
    int rc;

    if (about->state != FM_SEGMENT_SEALED)
        return 0;
    grown = realloc(v->segments, (v->n + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(v->err, "list of segments", (v->n + 1) * sizeof *grown);
    v->segments = grown;
    v->wrong = 0;
    rc = fm_segment_open(v->dir, about->name, &s.segment, &why);
    if (rc == 0)
        rc = fm_segment_each(s.segment, check_record, v, &why);
    if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE) {      /* says nothing of the segment */
        fm_segment_release(s.segment);
        return fm_fail(v->err, rc, "segment %s: %s", about->name, why.text);
    }
    if (rc != 0) {
        fm_segment_release(s.segment);
        s.segment = NULL;
        v->checked = before;
        v->wrong = 0;
        segment_unreadable(v, about, why.text);
    } else if (fm_segment_count(s.segment) < about->records) {
        s.short_of = true;
        v->wrong += about->records - fm_segment_count(s.segment);
        tell(v, "segment %s: %llu records where %llu were sealed", about->name,
             (unsigned long long)fm_segment_count(s.segment), (unsigned long long)about->records);
    }
    v->damaged += v->wrong;
    v->segments[v->n++] = s;
    return 0;
}

static int compare_number(const void *a, const void *b)
{
    const sealed *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

/* Records of segments that are open, lost or unreadable are not looked for: that is known or told already. */
static int check_entry(void *ctx, fm_record_kind kind, const uint8_t key[FM_CATALOG_KEY_BYTES], uint32_t segment)
{
    verifier *v = ctx;
    sealed at = {.number = segment}, *s = v->n ? bsearch(&at, v->segments, v->n, sizeof at, compare_number) : NULL;
    char hex[2 * FM_CATALOG_KEY_BYTES + 1];
    int rc;

    if (!s || !s->segment)
        return 0;
    rc = fm_segment_has(s->segment, kind, key, FM_CATALOG_KEY_BYTES, v->err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    for (int i = 0; i < FM_CATALOG_KEY_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", key[i]);
    v->damaged += s->short_of ? 0 : 1;
    tell(v, "%s record %s...: the catalog has it in segment %u, which does not", fm_record_kind_name(kind), hex,
         segment);
    return 0;
}

int fm_store_verify(fm_store *s, void (*fn)(void *ctx, const char *what), void *ctx, uint64_t *checked,
                    uint64_t *damaged, fm_err *err)
{
    verifier v = {.dir = fm_store_dir(s), .tell = fn, .ctx = ctx, .err = err};
    int rc = fm_catalog_each_segment(fm_store_catalog(s), check_segment, &v, err);

    if (rc == 0)
        rc = fm_catalog_each_record(fm_store_catalog(s), check_entry, &v, err);
    for (size_t i = 0; i < v.n; i++)
        fm_segment_release(v.segments[i].segment);
    free(v.segments);
    if (rc == 0) {
        *checked = v.checked;
        *damaged = v.damaged;
    }
    return rc;
}

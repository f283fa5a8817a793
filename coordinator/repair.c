/* One damaged segment after another: its whole records are copied to a new segment,
 * the catalog is told where they are now, and only then the old one is given up.  A
 * kill at any point leaves the old segment or both, never neither.
 *
 * Rejected: removing single records from the catalog, whose entries are many and
 * hold no way back to a path; what points at a segment that is given up counts as
 * not there (storage/catalog.c), which is all that is needed. */
#include "coordinator/repair.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "coordinator/segments.h"
#include "storage/catalog.h"
#include "storage/keys.h"
#include "storage/segment.h"
#include "storage/vault.h"

#define BATCH 1024              /* records told to the catalog at once */

typedef struct {
    fm_catalog *catalog;
    const char *store_dir, *scratch_dir;
    uint64_t epoch;
    bool encrypted;             /* then nothing is copied: whose a record is, which forgetting asks for, its build knows */
    uint32_t made;              /* new segments */
    fm_digest *wanted;          /* [n_wanted], sorted: keys that the last build left; owned */
    size_t n_wanted;
    fm_repair_counts counts;
    /* The segment at hand. */
    fm_segment_writer *writer;  /* NULL until there is a record to keep */
    uint32_t number;            /* of the new one */
    fm_catalog_ack_item items[BATCH];
    size_t n_items;
    fm_err *err;
} repair;

static int by_bytes(const void *a, const void *b)
{
    return fm_digest_compare(a, b);
}

/* Without keys of a build that was finished the catalog alone tells what is ours. */
static int read_wanted(repair *r)
{
    fm_study_keys keys = {NULL, 0};
    int rc = fm_keys_read(r->store_dir, &keys, r->err);

    if (rc == -ENOENT || rc == -EBADMSG)
        return 0;
    if (rc != 0)
        return rc;
    r->wanted = malloc((2 * keys.n + 1) * sizeof *r->wanted);
    if (!r->wanted)
        rc = fm_fail_nomem(r->err, "keys", 2 * keys.n * sizeof *r->wanted);
    for (size_t i = 0; rc == 0 && i < keys.n; i++) {
        r->wanted[r->n_wanted++] = keys.v[i].photo;
        r->wanted[r->n_wanted++] = keys.v[i].code;
    }
    fm_keys_fini(&keys);
    if (rc == 0)
        qsort(r->wanted, r->n_wanted, sizeof *r->wanted, by_bytes);
    return rc;
}

/* 1, 0 or negative. */
static int is_ours(const repair *r, fm_record_kind kind, const fm_digest *key)
{
    uint32_t segment;
    int rc = fm_catalog_find_record(r->catalog, kind, key, &segment, r->err);

    if (rc != -ENOENT)
        return rc == 0 ? 1 : rc;
    return r->n_wanted && bsearch(key, r->wanted, r->n_wanted, sizeof *key, by_bytes) != NULL;
}

/* STORE/FOLDER/NAME. */
static int store_path(const repair *r, const char *folder, const char *name, char out[FM_PATH_MAX])
{
    char dir[FM_PATH_MAX];
    int rc = fm_path_join(dir, sizeof dir, r->store_dir, folder, r->err);

    return rc != 0 ? rc : fm_path_join(out, FM_PATH_MAX, dir, name, r->err);
}

/* Beside a catalog that is older than the store there may be segments of this very epoch. */
static int start_segment(repair *r)
{
    char name[FM_SEGMENT_NAME_MAX], path[FM_PATH_MAX], host[256] = "";
    int rc;

    gethostname(host, sizeof host - 1);
    do {
        fm_segments_name(r->epoch, ++r->made, host, (uint32_t)getpid(), name);
        rc = store_path(r, "segments", name, path);
    } while (rc == 0 && fm_path_exists(path));
    if (rc == 0)
        rc = fm_catalog_add_segment(r->catalog, name, &r->number, r->err);
    return rc != 0 ? rc : fm_segment_create(r->scratch_dir, name, 0, &r->writer, r->err);
}

/* What was put is durable before the catalog says so. */
static int tell_catalog(repair *r)
{
    int rc = fm_segment_commit(r->writer, r->err);

    if (rc == 0)
        rc = fm_catalog_ack(r->catalog, r->epoch, r->number, r->items, r->n_items, r->err);
    r->n_items = 0;
    return rc;
}

static int keep(repair *r, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n)
{
    fm_catalog_ack_item *item = &r->items[r->n_items];
    int rc = r->writer ? 0 : start_segment(r);

    if (rc == 0)
        rc = fm_segment_put(r->writer, kind, key, payload, n, r->err);
    if (rc != 0)
        return rc;
    *item = (fm_catalog_ack_item){.photo_here = kind == FM_RECORD_PHOTO, .code_here = kind == FM_RECORD_CODE};
    *(item->photo_here ? &item->photo_key : &item->code_key) = *key;
    r->counts.kept++;
    return ++r->n_items == BATCH ? tell_catalog(r) : 0;
}

static int take_record(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                       const fm_digest *hash, int damage, const fm_err *why)
{
    repair *r = ctx;
    int ours;

    (void)hash, (void)why;
    ours = damage == 0 && !r->encrypted ? is_ours(r, kind, key) : 0;
    if (ours == 1)
        return keep(r, kind, key, payload, n);
    r->counts.gone++;
    return ours;
}

static int seal(repair *r)
{
    uint64_t records;
    int rc = r->n_items ? tell_catalog(r) : 0;

    if (rc != 0)
        return rc;
    records = fm_segment_records(r->writer);
    rc = fm_segment_seal(r->writer, r->store_dir, r->err);
    r->writer = NULL;
    return rc != 0 ? rc : fm_catalog_segment_sealed(r->catalog, r->number, records, r->err);
}

/* Everything whole in it moves.  1 when it cannot be read. */
static int empty_segment(repair *r, const char *name)
{
    fm_segment *old;
    fm_err why = FM_ERR_INIT;
    int rc = fm_segment_open(r->store_dir, name, &old, &why);

    if (rc == -EBADMSG || rc == -ENOENT || rc == -EPROTO) {
        fm_warn("%s", why.text);
        r->counts.unreadable++;
        return 1;
    }
    if (rc != 0)
        return fm_fail(r->err, rc, "%s", why.text);
    rc = fm_segment_each(old, take_record, r, r->err);
    if (rc == 0 && r->writer)
        rc = seal(r);
    fm_segment_release(old);
    return rc;
}

typedef struct {
    const char *name;
    uint32_t number;        /* 0: not found, and none has it */
} search;

static int compare_name(void *ctx, const fm_catalog_segment *segment)
{
    search *s = ctx;

    if (strcmp(segment->name, s->name) != 0)
        return 0;
    s->number = segment->number;
    return 1;
}

/* The old file goes, after the catalog has let go of it; one that could not be read is set aside. */
static int give_up(const repair *r, const char *name, bool unreadable)
{
    char path[FM_PATH_MAX], folder[FM_PATH_MAX], aside[FM_PATH_MAX];
    search s = {name, 0};
    int rc = fm_catalog_each_segment(r->catalog, compare_name, &s, r->err);

    if (rc >= 0)
        rc = s.number ? fm_catalog_segment_lost(r->catalog, s.number, r->err) : 0;
    if (rc != 0 || (rc = store_path(r, "segments", name, path)) != 0 ||
        (rc = store_path(r, "damaged", name, aside)) != 0 ||
        (rc = fm_path_join(folder, sizeof folder, r->store_dir, "damaged", r->err)) != 0)
        return rc;
    if (unreadable && (rc = fm_dir_make(folder, r->err)) != 0)
        return rc;
    if ((unreadable ? rename(path, aside) : unlink(path)) != 0 && errno != ENOENT)
        return fm_fail(r->err, -errno, "%s: cannot be taken out of the store: %s", path, strerror(errno));
    return 0;
}

static int repair_segment(repair *r, const char *name)
{
    int rc = empty_segment(r, name);

    return rc < 0 ? rc : give_up(r, name, rc == 1);
}

int fm_repair_run(const char *store_dir, const char *scratch_dir, const char *const *segments, size_t n,
                  fm_repair_counts *counts, fm_err *err)
{
    repair *r = calloc(1, sizeof *r);
    char open_dir[FM_PATH_MAX];
    int rc;

    if (!r)
        return fm_fail_nomem(err, "repair", sizeof *r);
    r->store_dir = store_dir;
    r->scratch_dir = scratch_dir ? scratch_dir : open_dir;
    r->err = err;
    r->encrypted = fm_vault_exists(store_dir);
    rc = fm_path_join(open_dir, sizeof open_dir, store_dir, "open", err);
    if (rc == 0)
        rc = fm_catalog_open(store_dir, false, &r->catalog, err);
    if (rc == 0)
        rc = fm_catalog_take(r->catalog, &r->epoch, err);
    if (rc == 0)
        rc = read_wanted(r);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = repair_segment(r, segments[i]);
    *counts = r->counts;
    fm_segment_close(r->writer);        /* what it holds is adopted by the next build */
    fm_catalog_close(r->catalog);
    free(r->wanted);
    free(r);
    return rc;
}

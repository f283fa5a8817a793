#include "tests/coordinator/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "storage/segment.h"

#define NONE UINT32_MAX

memory_world memory;

static int which(fm_record_kind kind)
{
    return kind == FM_RECORD_PHOTO ? 0 : 1;
}

static uint32_t item_of_key(fm_record_kind kind, const uint8_t *key)
{
    uint32_t i = 0;

    while (i < MEMORY_PHOTOS && memcmp(memory.key[which(kind)][i].b, key, 8) != 0)
        i++;
    return i < MEMORY_PHOTOS ? i : NONE;
}

static uint32_t item_of_path(const char *path)
{
    uint32_t i = 0;

    while (i < MEMORY_PHOTOS && memory.paths[i] != path)
        i++;
    return i < MEMORY_PHOTOS ? i : NONE;
}

void memory_clear(void)
{
    memory.epoch = 0;
    memory.n_segments = 0;
    memset(memory.known, 0, sizeof memory.known);
    memset(memory.where, 0xff, sizeof memory.where);
}

memory_segment *memory_find(const char *name)
{
    for (uint32_t i = 0; i < memory.n_segments; i++)
        if (strcmp(memory.segment[i].name, name) == 0)
            return &memory.segment[i];
    return NULL;
}

int fm_catalog_hold(fm_catalog *c, fm_err *err)
{
    (void)c;
    (void)err;
    return 0;
}

void fm_catalog_let_go(fm_catalog *c)
{
    (void)c;
}

int fm_catalog_find_file(fm_catalog *c, const char *path, fm_catalog_file *out, fm_err *err)
{
    uint32_t i = item_of_path(path);

    (void)c;
    (void)err;
    if (i == NONE || !memory.known[i] ||
        (!fm_digest_is_zero(&memory.file[i].photo_key) && memory.where[0][i] == NONE))
        return -ENOENT;
    *out = memory.file[i];
    return 0;
}

int fm_catalog_find_record(fm_catalog *c, fm_record_kind kind, const fm_digest *key, uint32_t *segment, fm_err *err)
{
    uint32_t i = item_of_key(kind, key->b);

    (void)c;
    (void)err;
    if (i == NONE || memory.where[which(kind)][i] == NONE)
        return -ENOENT;
    *segment = memory.where[which(kind)][i];
    return 0;
}

bool fm_catalog_forgotten(const fm_catalog *c, const fm_digest *image, const char *path)
{
    (void)c;
    (void)image;
    (void)path;
    return false;
}

static int check_writer(const fm_catalog *c, fm_err *err)
{
    return c->epoch == memory.epoch ? 0 : fm_fail(err, -ESTALE, "another coordinator took over");
}

int fm_catalog_add_segment(fm_catalog *c, const char *name, uint32_t *number, fm_err *err)
{
    int rc = check_writer(c, err);

    if (rc != 0)
        return rc;
    if (memory_find(name) || memory.n_segments == MEMORY_SEGMENTS)
        abort();
    *number = memory.n_segments++;
    memory.segment[*number] = (memory_segment){.in_catalog = true};
    strcpy(memory.segment[*number].name, name);
    return 0;
}

int fm_catalog_find_segment(fm_catalog *c, uint32_t number, fm_catalog_segment *out, fm_err *err)
{
    const memory_segment *s = &memory.segment[number];

    (void)c;
    (void)err;
    if (number >= memory.n_segments || !s->in_catalog)
        return -ENOENT;
    memset(out, 0, sizeof *out);
    out->number = number;
    out->state = s->sealed_there ? FM_SEGMENT_SEALED : FM_SEGMENT_OPEN;
    strcpy(out->name, s->name);
    return 0;
}

int fm_catalog_segment_sealed(fm_catalog *c, uint32_t number, uint64_t records, fm_err *err)
{
    int rc = check_writer(c, err);

    (void)records;
    if (rc == 0)
        memory.segment[number].sealed_there = true;
    return rc;
}

int fm_catalog_segment_lost(fm_catalog *c, uint32_t number, fm_err *err)
{
    int rc = check_writer(c, err);

    if (rc != 0)
        return rc;
    memory.segment[number].in_catalog = false;
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < MEMORY_PHOTOS; i++)
            if (memory.where[kind][i] == number)
                memory.where[kind][i] = NONE;
    return 0;
}

int fm_catalog_each_segment(fm_catalog *c, int (*fn)(void *ctx, const fm_catalog_segment *segment), void *ctx,
                            fm_err *err)
{
    uint32_t n = memory.n_segments;
    fm_catalog_segment s;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < n; i++)
        if (fm_catalog_find_segment(c, i, &s, err) == 0)
            rc = fn(ctx, &s);
    return rc;
}

int fm_catalog_ack(fm_catalog *c, uint64_t epoch, uint32_t segment, const fm_catalog_ack_item *items, size_t n,
                   fm_err *err)
{
    int rc = epoch == c->epoch ? check_writer(c, err) : -ESTALE;

    for (size_t k = 0; rc == 0 && k < n; k++)
        if ((items[k].photo_here || items[k].code_here) && !memory.segment[segment].in_catalog)
            rc = -ENOENT;
    for (size_t k = 0; rc == 0 && k < n; k++) {
        uint32_t i = items[k].path ? item_of_path(items[k].path) : NONE;

        if (i != NONE) {
            memory.file[i] = items[k].file;
            memory.known[i] = true;
        }
        if (items[k].photo_here)
            memory.where[0][item_of_key(FM_RECORD_PHOTO, items[k].photo_key.b)] = segment;
        if (items[k].code_here)
            memory.where[1][item_of_key(FM_RECORD_CODE, items[k].code_key.b)] = segment;
    }
    return rc;
}

int fm_segment_adopt(const char *scratch, const char *name, const char *store_dir, uint64_t *records, fm_err *err)
{
    memory_segment *s = memory_find(name);

    (void)scratch;
    (void)store_dir;
    if (s->in_scratch && s->writer_lives)
        return fm_fail(err, -EBUSY, "its writer lives");
    if (s->damaged)
        return fm_fail(err, -EBADMSG, "damaged");
    if (s->in_scratch && (s->has[0] | s->has[1]))
        s->in_store = true;
    s->in_scratch = false;
    *records = s->in_store ? (uint64_t)(__builtin_popcountll(s->has[0]) + __builtin_popcountll(s->has[1])) : 0;
    return 0;
}

int fm_segment_open(const char *store_dir, const char *name, fm_segment **out, fm_err *err)
{
    memory_segment *s = memory_find(name);

    (void)store_dir;
    (void)err;
    *out = (fm_segment *)s;
    return s && s->in_store ? 0 : -ENOENT;
}

void fm_segment_release(fm_segment *s)
{
    (void)s;
}

int fm_segment_has(fm_segment *s, fm_record_kind kind, const uint8_t *prefix, size_t n, fm_err *err)
{
    uint32_t i = item_of_key(kind, prefix);

    (void)n;
    (void)err;
    return i != NONE && (((const memory_segment *)(const void *)s)->has[which(kind)] >> i & 1);
}

int fm_journal_read(const char *store_dir, const char *name, fm_journal_entry *out, fm_err *err)
{
    const memory_segment *s = memory_find(name);

    (void)store_dir;
    (void)err;
    memset(out, 0, sizeof *out);
    if (!s || !s->journal_there)
        return -ENOENT;
    *out = s->journal;
    return 0;
}

void fm_journal_remove(const char *store_dir, const char *name)
{
    memory_segment *s = memory_find(name);

    (void)store_dir;
    if (s)
        s->journal_there = false;
}

/* Numbered photographs for tests of the catalog: what is acknowledged of each, and whether the catalog knows it. */
#ifndef FM_TESTS_STORAGE_PHOTOGRAPHS_H
#define FM_TESTS_STORAGE_PHOTOGRAPHS_H

#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/file.h"
#include "storage/catalog.h"

static char store[FM_PATH_MAX];

static inline bool place(void)
{
    fm_fault_set(NULL);
    return CHECK(fm_path_join(store, sizeof store, check_tmpdir(), "out/store", NULL) == 0);
}

/* Open, made when missing, and taken. */
static inline fm_catalog *taken(uint64_t *epoch)
{
    fm_err err = FM_ERR_INIT;
    fm_catalog *c;

    if (fm_catalog_open(store, true, &c, &err) != 0 || fm_catalog_take(c, epoch, &err) != 0) {
        check_failed(__FILE__, __LINE__, "%s", err.text);
        return NULL;
    }
    return c;
}

static inline fm_digest key_of(uint64_t i)
{
    fm_digest d;

    fm_digest_of(&i, sizeof i, &d);
    return d;
}

/* What a worker acknowledges of photograph i. */
static inline fm_catalog_ack_item item_of(uint64_t i, char path[40])
{
    fm_catalog_ack_item item = {.path = path, .photo_here = true, .code_here = true};

    snprintf(path, 40, "/photos/%llu.jpg", (unsigned long long)i);
    item.file = (fm_catalog_file){.size_bytes = i, .mtime_ns = -(int64_t)i, .image = key_of(3 * i), .reason = FM_USED};
    item.photo_key = item.file.photo_key = key_of(3 * i + 1);
    item.code_key = key_of(3 * i + 2);
    return item;
}

static inline int ack(fm_catalog *c, uint64_t epoch, uint32_t segment, uint64_t first, size_t n, fm_err *err)
{
    fm_catalog_ack_item *items = calloc(n, sizeof *items);
    char (*paths)[40] = calloc(n, sizeof *paths);
    int rc = -ENOMEM;

    for (size_t i = 0; items && paths && i < n; i++)
        items[i] = item_of(first + i, paths[i]);
    if (items && paths)
        rc = fm_catalog_ack(c, epoch, segment, items, n, err);
    free(items);
    free(paths);
    return rc;
}

/* Photograph i is known with all that was acknowledged of it, in that segment. */
static inline bool known(fm_catalog *c, uint64_t i, uint32_t segment)
{
    char path[40];
    fm_catalog_ack_item item = item_of(i, path);
    fm_catalog_file f;
    uint32_t photo = 0, code = 0;

    return fm_catalog_find_file(c, path, &f, NULL) == 0 && f.size_bytes == item.file.size_bytes &&
           f.mtime_ns == item.file.mtime_ns && f.reason == FM_USED && fm_digest_equal(&f.image, &item.file.image) &&
           fm_digest_equal(&f.photo_key, &item.photo_key) &&
           fm_catalog_find_record(c, FM_RECORD_PHOTO, &item.photo_key, &photo, NULL) == 0 &&
           fm_catalog_find_record(c, FM_RECORD_CODE, &item.code_key, &code, NULL) == 0 && photo == segment &&
           code == segment;
}

static inline bool unknown(fm_catalog *c, uint64_t i)
{
    char path[40];
    fm_catalog_ack_item item = item_of(i, path);
    fm_catalog_file f;
    uint32_t segment;

    return fm_catalog_find_file(c, path, &f, NULL) == -ENOENT &&
           fm_catalog_find_record(c, FM_RECORD_PHOTO, &item.photo_key, &segment, NULL) == -ENOENT &&
           fm_catalog_find_record(c, FM_RECORD_CODE, &item.code_key, &segment, NULL) == -ENOENT;
}

#endif

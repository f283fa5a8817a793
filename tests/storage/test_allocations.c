/* Every allocation of every operation fails once, LMDB's too: a clear error, no crash, and what was there reads back.
 * malloc is replaced for the whole program; sanitizers have their own, so with them the cases are skipped. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/keys.h"
#include "storage/store.h"

#if defined(__SANITIZE_ADDRESS__)
#define REPLACES_MALLOC 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REPLACES_MALLOC 0
#endif
#endif
#ifndef REPLACES_MALLOC
#ifdef __GLIBC__
#define REPLACES_MALLOC 1
#else
#define REPLACES_MALLOC 0
#endif
#endif

#define NEVER (-1L)
#define ROUNDS_MAX 3000     /* allocations that one round may make, and more than it does */

static long until_failure = NEVER;

#if REPLACES_MALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static bool fails(void)
{
    return until_failure >= 0 && until_failure-- == 0;
}

void *malloc(size_t n)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_realloc(p, n);
}
#endif

static char scratch[FM_PATH_MAX], store[FM_PATH_MAX];
static fm_digest keys[40];

static bool places(void)
{
    const char *dir = check_tmpdir();

    until_failure = NEVER;
    if (!REPLACES_MALLOC) {
        check_skip("malloc cannot be replaced in this build");
        return false;
    }
    for (int i = 0; i < 40; i++)
        fm_digest_of(&i, sizeof i, &keys[i]);
    return CHECK(fm_path_join(scratch, sizeof scratch, dir, "scratch", NULL) == 0 &&
                 fm_path_join(store, sizeof store, dir, "store", NULL) == 0);
}

/* A failure must be the one that was made. */
static void check_code(int rc, const fm_err *err)
{
    CHECK(rc == 0 || rc == -ENOMEM || rc == -EIO);
    CHECK(rc == 0 || err->text[0]);
}

static int put(fm_segment_writer *w, int i, fm_err *err)
{
    static const uint8_t payload[9000];

    return fm_segment_put(w, FM_RECORD_PHOTO, &keys[i], payload, i % 3 ? 100 : sizeof payload, err);
}

/* Puts and commits twenty records, seals; gives how many were committed. */
static int write_segment(const char *name, int *committed, fm_err *err)
{
    fm_segment_writer *w;
    int rc = fm_segment_create(scratch, name, 1, &w, err);

    if (rc != 0)
        return rc;
    for (int i = 0; i < 20 && rc == 0; i++) {
        rc = put(w, i, err);
        if (rc == -ENOMEM)
            CHECK_INT(rc = put(w, i, err), 0);      /* condemns nothing */
        if (rc == 0 && i % 10 == 9 && (rc = fm_segment_commit(w, err)) == 0)
            *committed = i + 1;
    }
    if (rc == 0)
        return fm_segment_seal(w, store, err);
    CHECK(fm_segment_commit(w, NULL) != 0);
    fm_segment_close(w);
    return rc;
}

static void a_segment_keeps_what_is_committed(void)
{
    bool done = false;
    int n = 0;

    if (!places())
        return;
    for (; n < ROUNDS_MAX && !done; n++) {
        fm_err err = FM_ERR_INIT;
        uint64_t records = 0;
        char name[16];
        int committed = 0, rc;
        const void *payload;
        size_t size;
        fm_segment *s;

        snprintf(name, sizeof name, "s%d", n);
        until_failure = n;
        rc = write_segment(name, &committed, &err);
        done = until_failure >= 0;
        until_failure = NEVER;
        check_code(rc, &err);
        CHECK(!done || rc == 0);
        CHECK_INT(fm_segment_adopt(scratch, name, store, &records, NULL), 0);
        CHECK(records == (uint64_t)committed);
        if (records == 0)
            continue;
        REQUIRE(fm_segment_open(store, name, &s, NULL) == 0);
        for (int i = 0; i < committed; i++)
            CHECK_INT(fm_segment_get(s, FM_RECORD_PHOTO, &keys[i], &payload, &size, NULL, NULL), 0);
        fm_segment_release(s);
    }
    CHECK(done && n > 10);
}

static int acknowledge(fm_catalog *c, uint64_t epoch, uint32_t segment, int first, fm_err *err)
{
    fm_catalog_ack_item items[5];
    char paths[5][16];

    memset(items, 0, sizeof items);
    for (int i = 0; i < 5; i++) {
        snprintf(paths[i], sizeof paths[i], "/p/%d", first + i);
        items[i] = (fm_catalog_ack_item){.path = paths[i], .photo_key = keys[first + i], .photo_here = true};
    }
    return fm_catalog_ack(c, epoch, segment, items, 5, err);
}

static void a_catalog_keeps_what_is_acknowledged(void)
{
    fm_catalog *c;
    uint64_t epoch;
    uint32_t segment;
    bool done = false;
    int n = 0;

    if (!places())
        return;
    REQUIRE(fm_catalog_open(store, true, &c, NULL) == 0 && fm_catalog_take(c, &epoch, NULL) == 0);
    REQUIRE(fm_catalog_add_segment(c, "a", &segment, NULL) == 0 && acknowledge(c, epoch, segment, 0, NULL) == 0);
    fm_catalog_close(c);
    for (; n < ROUNDS_MAX && !done; n++) {
        fm_err err = FM_ERR_INIT;
        uint32_t found;
        int rc;

        until_failure = n;
        rc = fm_catalog_open(store, false, &c, &err);
        if (rc == 0) {
            rc = fm_catalog_take(c, &epoch, &err);
            if (rc == 0)
                rc = acknowledge(c, epoch, segment, 5, &err);
            fm_catalog_close(c);
        }
        done = until_failure >= 0;
        until_failure = NEVER;
        check_code(rc, &err);
        CHECK(!done || rc == 0);
        REQUIRE(fm_catalog_open(store, false, &c, NULL) == 0);
        for (int i = 0; i < (rc == 0 ? 10 : 5); i++)
            CHECK_INT(fm_catalog_find_record(c, FM_RECORD_PHOTO, &keys[i], &found, NULL), 0);
        fm_catalog_close(c);
    }
    CHECK(done && n > 5);
}

static int read_all(fm_digest *digest, uint64_t *checked, fm_err *err)
{
    uint64_t damaged = 1;
    fm_store *s;
    int rc = fm_store_open(store, &s, err);

    if (rc != 0)
        return rc;
    rc = fm_store_digest(s, keys, keys + 20, 20, digest, err);
    if (rc == 0)
        rc = fm_store_verify(s, NULL, NULL, checked, &damaged, err);
    CHECK(rc != 0 || damaged == 0);
    fm_store_close(s);
    return rc;
}

static void reading_is_right_or_an_error(void)
{
    static fm_study_key entry = {.name = (char *)"n", .path = (char *)"p"};
    fm_study_keys written = {&entry, 1}, read;
    fm_digest right, got;
    uint64_t epoch, checked;
    uint32_t segment;
    int committed = 0, n = 0;
    bool done = false;
    fm_catalog *c;

    if (!places())
        return;
    REQUIRE(fm_catalog_open(store, true, &c, NULL) == 0 && fm_catalog_take(c, &epoch, NULL) == 0);
    REQUIRE(fm_catalog_add_segment(c, "a", &segment, NULL) == 0 && write_segment("a", &committed, NULL) == 0);
    for (int i = 0; i < 20; i += 5)
        REQUIRE(acknowledge(c, epoch, segment, i, NULL) == 0);
    REQUIRE(fm_catalog_segment_sealed(c, segment, 20, NULL) == 0);
    fm_catalog_close(c);
    memset(keys + 20, 0, 20 * sizeof *keys);
    REQUIRE(read_all(&right, &checked, NULL) == 0 && fm_keys_write(store, &written, NULL) == 0);
    CHECK_INT(checked, 20);
    for (; n < ROUNDS_MAX && !done; n++) {
        fm_err err = FM_ERR_INIT;
        int rc;

        until_failure = n;
        rc = read_all(&got, &checked, &err);
        if (rc == 0 && (rc = fm_keys_write(store, &written, &err)) == 0 && (rc = fm_keys_read(store, &read, &err)) == 0)
            fm_keys_fini(&read);
        done = until_failure >= 0;
        until_failure = NEVER;
        check_code(rc, &err);
        CHECK(rc != 0 || fm_digest_equal(&right, &got));
        REQUIRE(fm_keys_read(store, &read, NULL) == 0);
        fm_keys_fini(&read);
    }
    CHECK(done && n > 10);
}

CHECK_MAIN(CHECK_CASE(a_segment_keeps_what_is_committed), CHECK_CASE(a_catalog_keeps_what_is_acknowledged),
           CHECK_CASE(reading_is_right_or_an_error))

/* The store as readers see it: records through the catalog, one digest however the work was shared, and every
 * damaged record found and named. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "storage/store.h"

#define PHOTOGRAPHS 40

static char scratch[FM_PATH_MAX], store[FM_PATH_MAX];
static fm_digest photo_keys[PHOTOGRAPHS], code_keys[PHOTOGRAPHS];

/* Payloads of 1 to 12,000 bytes, so that some have pages of their own. */
static size_t payload_of(const fm_digest *key, uint8_t *out)
{
    size_t n = 1 + (key->b[0] & 1 ? key->b[1] : (size_t)key->b[2] * 47);

    for (size_t i = 0; i < n; i++)
        out[i] = key->b[i % 32] ^ (uint8_t)i;
    return n;
}

static int put(fm_segment_writer *w, fm_record_kind kind, const fm_digest *key)
{
    uint8_t payload[16384];

    return fm_segment_put(w, kind, key, payload, payload_of(key, payload), NULL);
}

/* One segment with photographs first, first + step, ..., in the catalog. */
static bool make_segment(fm_catalog *c, uint64_t epoch, const char *name, int first, int step)
{
    fm_catalog_ack_item items[PHOTOGRAPHS];
    char paths[PHOTOGRAPHS][32];
    fm_segment_writer *w;
    uint64_t records;
    uint32_t number;
    size_t n = 0;

    if (fm_catalog_add_segment(c, name, &number, NULL) != 0 || fm_segment_create(scratch, name, 0, &w, NULL) != 0)
        return false;
    for (int i = first; i < PHOTOGRAPHS; i += step, n++) {
        snprintf(paths[n], sizeof paths[n], "/p/%d", i);
        items[n] = (fm_catalog_ack_item){.path = paths[n], .photo_key = photo_keys[i], .code_key = code_keys[i],
                                         .photo_here = true, .code_here = true};
        if (put(w, FM_RECORD_PHOTO, &photo_keys[i]) != 0 || put(w, FM_RECORD_CODE, &code_keys[i]) != 0)
            return false;
    }
    if (fm_segment_commit(w, NULL) != 0 || fm_catalog_ack(c, epoch, number, items, n, NULL) != 0)
        return false;
    records = fm_segment_records(w);
    return fm_segment_seal(w, store, NULL) == 0 && fm_catalog_segment_sealed(c, number, records, NULL) == 0;
}

/* A store whose records lie in so many segments, put in another order for each number. */
static bool make_store(const char *name, int segments)
{
    const char *dir = check_tmpdir();
    fm_catalog *c;
    uint64_t epoch;
    bool ok = true;

    for (int i = 0; i < PHOTOGRAPHS; i++) {
        fm_digest_of(&i, sizeof i, &photo_keys[i]);
        fm_digest_of(&photo_keys[i], 32, &code_keys[i]);
    }
    if (fm_path_join(store, sizeof store, dir, name, NULL) != 0 ||
        fm_path_join(scratch, sizeof scratch, store, "open", NULL) != 0 ||
        fm_catalog_open(store, true, &c, NULL) != 0)
        return CHECK(!"a store could be made");
    ok = fm_catalog_take(c, &epoch, NULL) == 0;
    for (int i = segments - 1; i >= 0 && ok; i--) {
        char segment[16];

        snprintf(segment, sizeof segment, "s%d", i);
        ok = make_segment(c, epoch, segment, i, segments);
    }
    fm_catalog_close(c);
    return CHECK(ok);
}

static void records_are_found_across_segments(void)
{
    fm_store *s;
    fm_digest absent = {{1}};
    const void *payload, *first;
    uint8_t expected[16384];
    size_t n, n_first;
    fm_err err = FM_ERR_INIT;

    if (!make_store("a", 3))
        return;
    REQUIRE(fm_store_open(store, &s, &err) == 0);
    REQUIRE(fm_store_get(s, FM_RECORD_PHOTO, &photo_keys[0], &first, &n_first, NULL, &err) == 0);
    for (int i = 0; i < PHOTOGRAPHS; i++) {
        REQUIRE(fm_store_get(s, FM_RECORD_CODE, &code_keys[i], &payload, &n, NULL, &err) == 0);
        CHECK(n == payload_of(&code_keys[i], expected) && memcmp(payload, expected, n) == 0);
    }
    CHECK(n_first == payload_of(&photo_keys[0], expected) && memcmp(first, expected, n_first) == 0);
    CHECK_INT(fm_store_get(s, FM_RECORD_PHOTO, &code_keys[0], &payload, &n, NULL, &err), -ENOENT);
    CHECK_INT(fm_store_get(s, FM_RECORD_PHOTO, &absent, &payload, &n, NULL, &err), -ENOENT);
    fm_store_close(s);
}

static bool digest(size_t n, fm_digest *out)
{
    fm_store *s;
    bool ok;

    if (fm_store_open(store, &s, NULL) != 0)
        return CHECK(!"the store opens");
    ok = fm_store_digest(s, photo_keys, code_keys, n, out, NULL) == 0;
    fm_store_close(s);
    return CHECK(ok);
}

static void the_digest_is_that_of_the_records(void)
{
    fm_digest one, other;

    if (!make_store("a", 1) || !digest(PHOTOGRAPHS, &one))
        return;
    for (int segments = 2; segments <= 4; segments++) {
        char name[2] = {(char)('a' + segments), 0};
        fm_digest swap;

        if (!make_store(name, segments) || !digest(PHOTOGRAPHS, &other))
            return;
        CHECK(fm_digest_equal(&one, &other));
        /* Order and repetition of the keys do not matter, nor keys that are zero. */
        swap = photo_keys[0];
        photo_keys[0] = photo_keys[1];
        photo_keys[1] = swap;
        memset(&code_keys[2], 0, sizeof code_keys[2]);
        code_keys[3] = code_keys[4];
        REQUIRE(digest(PHOTOGRAPHS, &other));
        CHECK(!fm_digest_equal(&one, &other));
        fm_digest_of(&photo_keys[2], 32, &code_keys[2]);
        fm_digest_of(&photo_keys[3], 32, &code_keys[3]);
        REQUIRE(digest(PHOTOGRAPHS, &other));
        CHECK(fm_digest_equal(&one, &other));
    }
    REQUIRE(digest(PHOTOGRAPHS - 1, &other));
    CHECK(!fm_digest_equal(&one, &other));
    REQUIRE(digest(0, &other));
}

static char told[1 << 16];

static void hear(void *ctx, const char *segment, const char *what)
{
    size_t used = strlen(told);

    (void)ctx, (void)segment;
    if (what)
        snprintf(told + used, sizeof told - used, "%s\n", what);
}

static int verify(uint64_t *checked, uint64_t *damaged)
{
    fm_store *s;
    fm_err err = FM_ERR_INIT;
    int rc = fm_store_open(store, &s, &err);

    told[0] = '\0';
    *checked = *damaged = 0;
    if (rc != 0)
        return rc;
    rc = fm_store_verify(s, hear, NULL, checked, damaged, &err);
    fm_store_close(s);
    return rc;
}

static bool flip(const char *path, size_t at, uint8_t mask)
{
    int fd = open(path, O_RDWR);
    uint8_t byte = 0;
    bool ok = fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1;

    byte ^= mask;
    ok = ok && pwrite(fd, &byte, 1, (off_t)at) == 1;
    return close(fd) == 0 && ok;
}

/* Flip bits of a record, at an offset from its payload's start; negative: in its header.  In every copy, since LMDB
 * leaves old ones in the gaps of its pages. */
static bool flip_record(const char *path, const fm_buf *file, const fm_digest *key, long offset, uint8_t mask)
{
    uint8_t payload[16384];
    size_t n = payload_of(key, payload);
    const uint8_t *at = file->data, *end = file->data + file->size;
    int copies = 0;

    for (; (at = memmem(at, (size_t)(end - at), payload, n)); at++)
        if (at - file->data >= 80 && memcmp(at - 80 + 8, key->b, 32) == 0)
            copies += flip(path, (size_t)(at - file->data + offset), mask);
    return copies > 0;
}

static void every_flipped_bit_is_named(void)
{
    uint64_t seed = check_seed(), checked, damaged;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("flips", 0, 0));
    fm_buf file = FM_BUF_INIT;
    char path[FM_PATH_MAX + 32];

    if (!make_store("a", 2))
        return;
    CHECK_INT(verify(&checked, &damaged), 0);
    CHECK_INT(checked, 2 * PHOTOGRAPHS);
    CHECK_INT(damaged, 0);
    CHECK_STR(told, "");
    snprintf(path, sizeof path, "%s/segments/s1", store);
    REQUIRE(fm_file_read(path, 64 << 20, &file, NULL) == 0);
    for (int k = 0; k < 200; k++) {
        uint32_t i = 1 + 2 * fm_rng_below(&r, PHOTOGRAPHS / 2);
        const fm_digest *key = k & 1 ? &photo_keys[i] : &code_keys[i];
        uint8_t mask = (uint8_t)(1u << fm_rng_below(&r, 8)), payload[16384];
        size_t n = payload_of(key, payload);
        /* All of the header but magic and version says that the record is damaged. */
        long offset = k % 4 ? (long)fm_rng_below(&r, (uint32_t)n) : -1 - (long)fm_rng_below(&r, 75);
        char named[FM_DIGEST_HEX + 16], hex[FM_DIGEST_HEX];

        REQUIRE(flip_record(path, &file, key, offset, mask));
        CHECK_INT(verify(&checked, &damaged), 0);
        CHECK_INT(damaged, 1);
        CHECK_INT(checked, 2 * PHOTOGRAPHS);
        fm_digest_hex(key, hex);
        snprintf(named, sizeof named, "%s record %s", k & 1 ? "photo" : "code", hex);
        CHECK(strstr(told, named) && strstr(told, "segment s1"));
        REQUIRE(flip_record(path, &file, key, offset, mask));
    }
    CHECK_INT(verify(&checked, &damaged), 0);
    CHECK_INT(damaged, 0);
    fm_buf_fini(&file);
}

static void a_cut_or_missing_segment_counts_all_its_records(void)
{
    uint64_t seed = check_seed(), checked, damaged;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("cuts", 0, 0));
    char path[FM_PATH_MAX + 32];
    const void *payload;
    struct stat st;
    fm_digest d;
    fm_store *s;
    size_t n;
    fm_err err = FM_ERR_INIT;

    if (!make_store("a", 4))
        return;
    snprintf(path, sizeof path, "%s/segments/s2", store);
    REQUIRE(stat(path, &st) == 0);
    for (off_t size = st.st_size - 1; size > 0; size = (off_t)fm_rng_below(&r, (uint32_t)size)) {
        REQUIRE(truncate(path, size) == 0);
        CHECK_INT(verify(&checked, &damaged), 0);
        CHECK_INT(damaged, 2 * PHOTOGRAPHS / 4);
        CHECK(strstr(told, "segment s2 with 20 records") != NULL);
        REQUIRE(fm_store_open(store, &s, &err) == 0);
        CHECK_INT(fm_store_get(s, FM_RECORD_PHOTO, &photo_keys[2], &payload, &n, NULL, &err), -EBADMSG);
        CHECK_INT(fm_store_digest(s, photo_keys, code_keys, PHOTOGRAPHS, &d, &err), -EBADMSG);
        CHECK_INT(fm_store_get(s, FM_RECORD_PHOTO, &photo_keys[1], &payload, &n, NULL, &err), 0);
        fm_store_close(s);
    }
    REQUIRE(unlink(path) == 0);
    CHECK_INT(verify(&checked, &damaged), 0);
    CHECK_INT(damaged, 2 * PHOTOGRAPHS / 4);
    REQUIRE(fm_store_open(store, &s, &err) == 0);
    CHECK_INT(fm_store_get(s, FM_RECORD_PHOTO, &photo_keys[2], &payload, &n, NULL, &err), -EBADMSG);
    CHECK(strstr(err.text, "s2") && strstr(err.text, "gone"));
    fm_store_close(s);
}

/* A sealed segment in another's place: each record of its own is missed, by the catalog's word. */
static void a_record_that_is_not_where_the_catalog_says_is_missed(void)
{
    char from[FM_PATH_MAX + 32], to[FM_PATH_MAX + 32], hex[FM_DIGEST_HEX];
    uint64_t checked, damaged;
    fm_buf b = FM_BUF_INIT;

    if (!make_store("a", 4))
        return;
    snprintf(from, sizeof from, "%s/segments/s0", store);
    snprintf(to, sizeof to, "%s/segments/s2", store);
    REQUIRE(fm_file_read(from, 64 << 20, &b, NULL) == 0 && fm_file_write(to, b.data, b.size, NULL) == 0);
    CHECK_INT(verify(&checked, &damaged), 0);
    CHECK_INT(damaged, 20);
    fm_digest_hex(&photo_keys[2], hex);
    hex[20] = '\0';
    CHECK(strstr(told, hex) != NULL);
    fm_buf_fini(&b);
}

static void what_is_not_sealed_yet_is_not_there(void)
{
    fm_catalog_ack_item item = {.path = "/p/new", .photo_here = true, .photo_key = {{42}}};
    uint64_t epoch, checked, damaged;
    const void *payload;
    uint32_t number;
    fm_catalog *c;
    fm_store *s;
    size_t n;
    fm_err err = FM_ERR_INIT;

    if (!make_store("a", 1))
        return;
    REQUIRE(fm_catalog_open(store, false, &c, &err) == 0 && fm_catalog_take(c, &epoch, &err) == 0);
    REQUIRE(fm_catalog_add_segment(c, "late", &number, &err) == 0);
    REQUIRE(fm_catalog_ack(c, epoch, number, &item, 1, &err) == 0);
    fm_catalog_close(c);
    REQUIRE(fm_store_open(store, &s, &err) == 0);
    CHECK_INT(fm_store_get(s, FM_RECORD_PHOTO, &item.photo_key, &payload, &n, NULL, &err), -ENOENT);
    CHECK(strstr(err.text, "late") != NULL);
    fm_store_close(s);
    CHECK_INT(verify(&checked, &damaged), 0);
    CHECK_INT(damaged, 0);
}

CHECK_MAIN(CHECK_CASE(records_are_found_across_segments), CHECK_CASE(the_digest_is_that_of_the_records),
           CHECK_CASE(every_flipped_bit_is_named), CHECK_CASE(a_cut_or_missing_segment_counts_all_its_records),
           CHECK_CASE(a_record_that_is_not_where_the_catalog_says_is_missed),
           CHECK_CASE(what_is_not_sealed_yet_is_not_there))

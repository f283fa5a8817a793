/* What fm_store_verify finds: every bit that has changed in a record or in a page of keys, every cut, segments in each
 * other's place, segments of another study, catalogs that are older than their store. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "storage/keys.h"
#include "storage/store.h"

enum { SEGMENTS = 3, EACH = 60, RECORDS = SEGMENTS * EACH, RECORD_FLIPS = 3000, KEY_FLIPS = 500, CATALOG_FLIPS = 500,
       CUTS = 300 };

static char store[FM_PATH_MAX], scratch[FM_PATH_MAX];
static uint64_t seed;
static int untold = -1;         /* the segment whose sealing the catalog is not told */

static fm_digest key_of(int study, int i)
{
    int both[2] = {study, i};
    fm_digest d;

    fm_digest_of(both, sizeof both, &d);
    return d;
}

/* Mostly small, so that pages are many; some have pages of their own. */
static size_t size_of(int i)
{
    return i % 16 ? 20 + (size_t)(i * 37 % 300) : 5000;
}

static bool make_segment(fm_catalog *c, uint64_t epoch, int study, int segment)
{
    static uint8_t payload[5000];
    fm_catalog_ack_item items[EACH];
    fm_segment_writer *w;
    uint32_t number;
    char name[16];

    memset(items, 0, sizeof items);
    snprintf(name, sizeof name, "s%d", segment);
    if (fm_catalog_add_segment(c, name, &number, NULL) != 0 || fm_segment_create(scratch, name, 0, &w, NULL) != 0)
        return false;
    for (int i = 0; i < EACH; i++) {
        fm_digest key = key_of(study, segment * EACH + i);

        memset(payload, i, sizeof payload);
        items[i].photo_here = i % 2;
        items[i].code_here = !(i % 2);
        *(i % 2 ? &items[i].photo_key : &items[i].code_key) = key;
        if (fm_segment_put(w, i % 2 ? FM_RECORD_PHOTO : FM_RECORD_CODE, &key, payload, size_of(i), NULL) != 0 ||
            (i % 20 == 19 && fm_segment_commit(w, NULL) != 0))
            return false;
    }
    return fm_catalog_ack(c, epoch, number, items, EACH, NULL) == 0 && fm_segment_seal(w, store, NULL) == 0 &&
           (segment == untold || fm_catalog_segment_sealed(c, number, EACH, NULL) == 0);
}

/* What a finished build leaves beside its segments. */
static bool write_keys(int study)
{
    static fm_study_key v[RECORDS];
    fm_study_keys keys = {v, RECORDS};

    memset(v, 0, sizeof v);
    for (int i = 0; i < RECORDS; i++) {
        v[i].name = v[i].path = (char *)"p";
        *(i % 2 ? &v[i].photo : &v[i].code) = key_of(study, i);
    }
    return fm_keys_write(store, &keys, NULL) == 0;
}

/* after  called behind each segment; may be NULL. */
static bool make_store(const char *name, int study, void (*after)(int segment))
{
    fm_catalog *c;
    uint64_t epoch;
    bool ok;

    seed = check_seed();
    if (fm_path_join(store, sizeof store, check_tmpdir(), name, NULL) != 0 ||
        fm_path_join(scratch, sizeof scratch, store, "open", NULL) != 0 ||
        fm_catalog_open(store, true, &c, NULL) != 0)
        return CHECK(!"a store could be made");
    ok = fm_catalog_take(c, &epoch, NULL) == 0;
    for (int i = 0; i < SEGMENTS && ok; i++) {
        ok = make_segment(c, epoch, study, i);
        if (ok && after)
            after(i);
    }
    fm_catalog_close(c);
    return CHECK(ok && write_keys(study));
}

static void segment_path(int segment, char out[FM_PATH_MAX])
{
    snprintf(out, FM_PATH_MAX, "%.4000s/segments/s%d", store, segment);
}

/* How many records are damaged; -1: checking ended with an error, which is a find too. */
static long long found(void)
{
    uint64_t checked = 0, damaged = 0;
    fm_store *s;
    int rc = fm_store_open(store, &s, NULL);

    if (rc != 0)
        return -1;
    rc = fm_store_verify(s, NULL, NULL, &checked, &damaged, NULL);
    fm_store_close(s);
    return rc != 0 ? -1 : (long long)damaged;
}

/* Which bytes of an LMDB file say something, and of what: walked as LMDB does, from the newest meta page. */
typedef enum { IDLE, IN_KEYS, IN_RECORD } place;

typedef struct {
    const fm_buf *file;
    uint8_t *of;                /* place [file->size] */
} byte_map;

static uint64_t number_at(const byte_map *m, size_t at, size_t bytes)
{
    uint64_t v = 0;

    memcpy(&v, m->file->data + at, bytes);
    return v;
}

static void mark(byte_map *m, size_t at, size_t n, place what)
{
    memset(m->of + at, what, n);
}

static void map_page(byte_map *m, uint64_t page)
{
    size_t at = page * 4096, nodes = (number_at(m, at + 12, 2) - 16) / 2;
    bool leaf = number_at(m, at + 10, 2) & 2;

    mark(m, at, 8, IN_KEYS);                        /* its number; two bytes of padding follow */
    mark(m, at + 10, 6 + 2 * nodes, IN_KEYS);
    for (size_t i = 0; i < nodes; i++) {
        size_t node = at + number_at(m, at + 16 + 2 * i, 2), key = number_at(m, node + 6, 2);
        size_t value = node + 8 + key, n = number_at(m, node, 4);

        mark(m, node, 8 + key, IN_KEYS);
        if (!leaf) {
            map_page(m, number_at(m, node, 4) | number_at(m, node + 4, 2) << 32);
        } else if (number_at(m, node + 4, 2) & 1) {
            mark(m, value, 8, IN_KEYS);
            mark(m, number_at(m, value, 8) * 4096 + 16, n, IN_RECORD);
        } else {
            mark(m, value, n, IN_RECORD);
        }
    }
}

static size_t newest_meta(const byte_map *m)
{
    return number_at(m, 144, 8) < number_at(m, 4096 + 144, 8) ? 4096 : 0;
}

static byte_map map_of(const fm_buf *file)
{
    byte_map m = {file, calloc(1, file->size + 1)};

    map_page(&m, number_at(&m, newest_meta(&m) + 88 + 40, 8));
    return m;
}

static void flip(const char *path, size_t at, uint8_t mask)
{
    int fd = open(path, O_RDWR);
    uint8_t byte = 0;

    CHECK(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
    byte ^= mask;
    CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
    close(fd);
}

/* A bit of a byte at such a place. */
static size_t choose(fm_rng *r, const byte_map *m, place what, uint8_t *mask)
{
    size_t at;

    do
        at = fm_rng_below(r, (uint32_t)m->file->size);
    while (m->of[at] != what);
    *mask = (uint8_t)(1u << fm_rng_below(r, 8));
    return at;
}

/* n flips of one bit each, every one found. */
static void flip_and_find(place what, int n, const char *stream)
{
    fm_rng r;
    int missed = 0;

    if (!make_store("a", 1, NULL))
        return;
    r = fm_rng_init(seed, fm_rng_stream(stream, 0, 0));
    CHECK_INT(found(), 0);
    for (int segment = 0; segment < SEGMENTS; segment++) {
        char path[FM_PATH_MAX];
        fm_buf file = FM_BUF_INIT;
        byte_map m;

        segment_path(segment, path);
        REQUIRE(fm_file_read(path, 64 << 20, &file, NULL) == 0);
        m = map_of(&file);
        for (int i = 0; i < n / SEGMENTS + (segment < n % SEGMENTS); i++) {
            uint8_t mask;
            size_t at = choose(&r, &m, what, &mask);

            flip(path, at, mask);
            if (found() == 0 && missed++ < 5)
                check_failed(__FILE__, __LINE__, "byte %zu of segment %d (in its page %zu), mask %02x: not found", at,
                             segment, at % 4096, mask);
            flip(path, at, mask);
        }
        free(m.of);
        fm_buf_fini(&file);
    }
    CHECK_INT(found(), 0);
}

static void every_bit_flipped_in_a_record_is_found(void)
{
    flip_and_find(IN_RECORD, RECORD_FLIPS, "record flips");
}

static void every_bit_flipped_in_a_page_of_keys_is_found(void)
{
    flip_and_find(IN_KEYS, KEY_FLIPS, "key flips");
}

static void every_cut_is_found(void)
{
    fm_buf file = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    fm_rng r;

    if (!make_store("a", 1, NULL))
        return;
    r = fm_rng_init(seed, fm_rng_stream("cuts", 0, 0));
    segment_path(1, path);
    REQUIRE(fm_file_read(path, 64 << 20, &file, NULL) == 0);
    for (int i = 0; i < CUTS; i++) {
        off_t size = i < 2 ? (i ? 0 : (off_t)file.size - 1) : (off_t)fm_rng_below(&r, (uint32_t)file.size);

        REQUIRE(truncate(path, size) == 0);
        CHECK_INT(found(), EACH);
        REQUIRE(fm_file_write(path, file.data, file.size, NULL) == 0);
    }
    CHECK_INT(found(), 0);
    fm_buf_fini(&file);
}

static void segments_in_each_others_place_are_found(void)
{
    if (!make_store("a", 1, NULL))
        return;
    for (int a = 0; a < SEGMENTS; a++)
        for (int b = 0; b < a; b++) {
            char one[FM_PATH_MAX], other[FM_PATH_MAX], aside[FM_PATH_MAX];

            segment_path(a, one);
            segment_path(b, other);
            segment_path(9, aside);
            for (int back = 0; back < 2; back++) {
                REQUIRE(rename(one, aside) == 0 && rename(other, one) == 0 && rename(aside, other) == 0);
                CHECK_INT(found(), back ? 0 : 2 * EACH);
            }
        }
}

static void a_segment_of_another_study_is_found(void)
{
    fm_buf theirs[SEGMENTS] = {FM_BUF_INIT, FM_BUF_INIT, FM_BUF_INIT};
    char path[FM_PATH_MAX];

    if (!make_store("theirs", 2, NULL))
        return;
    for (int i = 0; i < SEGMENTS; i++) {
        segment_path(i, path);
        REQUIRE(fm_file_read(path, 64 << 20, &theirs[i], NULL) == 0);
    }
    if (!make_store("ours", 1, NULL))
        return;
    segment_path(SEGMENTS, path);       /* beside ours */
    REQUIRE(fm_file_write(path, theirs[0].data, theirs[0].size, NULL) == 0);
    CHECK_INT(found(), 1);
    REQUIRE(unlink(path) == 0);
    for (int i = 0; i < SEGMENTS; i++) {
        segment_path(i, path);          /* instead of ours; the last round leaves all replaced */
        REQUIRE(fm_file_write(path, theirs[i].data, theirs[i].size, NULL) == 0);
        CHECK_INT(found(), EACH * (i + 1));
        fm_buf_fini(&theirs[i]);
    }
}

static fm_buf catalogs[SEGMENTS];       /* as they were behind each segment */

static void keep_catalog(int segment)
{
    char path[FM_PATH_MAX];

    snprintf(path, sizeof path, "%.4000s/catalog/data.mdb", store);
    CHECK_INT(fm_file_read(path, 64 << 20, &catalogs[segment], NULL), 0);
}

static void a_catalog_older_than_its_store_is_found(void)
{
    char path[FM_PATH_MAX];

    if (!make_store("a", 1, keep_catalog))
        return;
    snprintf(path, sizeof path, "%.4000s/catalog/data.mdb", store);
    for (int i = SEGMENTS - 1; i >= 0; i--) {
        int missing = SEGMENTS - 1 - i;

        REQUIRE(fm_file_write(path, catalogs[i].data, catalogs[i].size, NULL) == 0);
        CHECK_INT(found(), missing * (1 + EACH));       /* segments nobody knows, and their records */
        fm_buf_fini(&catalogs[i]);
    }
}

/* A changed catalog is found, or changes nothing of where records are found. */
static void a_flipped_bit_in_the_catalog_is_found_or_harmless(void)
{
    fm_buf file = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    int harmless = 0;
    byte_map m;
    fm_rng r;

    if (!make_store("a", 1, NULL))
        return;
    r = fm_rng_init(seed, fm_rng_stream("catalog flips", 0, 0));
    snprintf(path, sizeof path, "%.4000s/catalog/data.mdb", store);
    REQUIRE(fm_file_read(path, 64 << 20, &file, NULL) == 0);
    m = map_of(&file);
    for (int i = 0; i < CATALOG_FLIPS; i++) {
        uint8_t mask;
        size_t at = choose(&r, &m, i % 2 ? IN_KEYS : IN_RECORD, &mask);
        const void *payload;
        fm_digest key;
        fm_store *s;
        size_t n;

        flip(path, at, mask);
        if (found() == 0) {
            harmless++;
            REQUIRE(fm_store_open(store, &s, NULL) == 0);
            for (int k = 0; k < RECORDS; k++) {
                key = key_of(1, k);
                CHECK_INT(fm_store_get(s, k % 2 ? FM_RECORD_PHOTO : FM_RECORD_CODE, &key, &payload, &n, NULL, NULL), 0);
            }
            fm_store_close(s);
        }
        flip(path, at, mask);
    }
    printf("  %d of %d were harmless\n", harmless, CATALOG_FLIPS);
    CHECK(harmless < CATALOG_FLIPS / 2);
    free(m.of);
    fm_buf_fini(&file);
}

/* Of a build that was finished, every segment is sealed. */
static void a_sealed_segment_that_the_catalog_calls_open_is_found(void)
{
    untold = 1;
    if (make_store("a", 1, NULL))
        CHECK_INT(found(), EACH);
    untold = -1;
}

/* Where the first nodes of a page end: halved, it counts them, so that its lowest bit says nothing to LMDB. */
static void an_odd_end_of_the_nodes_is_found(void)
{
    fm_buf file = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    size_t meta;
    byte_map m;

    if (!make_store("a", 1, NULL))
        return;
    segment_path(0, path);
    REQUIRE(fm_file_read(path, 64 << 20, &file, NULL) == 0);
    m = map_of(&file);
    meta = newest_meta(&m);
    flip(path, number_at(&m, meta + 88 + 40, 8) * 4096 + 12, 1);
    CHECK_INT(found(), EACH);
    free(m.of);
    fm_buf_fini(&file);
}

CHECK_MAIN(CHECK_CASE(every_bit_flipped_in_a_record_is_found), CHECK_CASE(every_bit_flipped_in_a_page_of_keys_is_found),
           CHECK_CASE(every_cut_is_found), CHECK_CASE(segments_in_each_others_place_are_found),
           CHECK_CASE(a_segment_of_another_study_is_found), CHECK_CASE(a_catalog_older_than_its_store_is_found),
           CHECK_CASE(a_flipped_bit_in_the_catalog_is_found_or_harmless),
           CHECK_CASE(a_sealed_segment_that_the_catalog_calls_open_is_found), CHECK_CASE(an_odd_end_of_the_nodes_is_found))

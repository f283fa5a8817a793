/* A damaged store is made whole by a build that makes again what was damaged and nothing else. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "coordinator/repair.h"
#include "storage/store.h"
#include "tests/coordinator/bench.h"

enum { NAMES_MAX = 16 };

typedef struct {
    char name[NAMES_MAX][FM_SEGMENT_NAME_MAX];
    size_t n;
} damage;

static void note(void *ctx, const char *segment, const char *what)
{
    damage *d = ctx;
    size_t i = 0;

    if (!segment || !what)
        return;
    while (i < d->n && strcmp(d->name[i], segment) != 0)
        i++;
    if (i == d->n && CHECK(d->n < NAMES_MAX))
        memcpy(d->name[d->n++], segment, strlen(segment) + 1);
}

/* Verify, repair what is named, build.  Leaves what repair counted. */
static fm_repair_counts make_whole(bench *b)
{
    const char *names[NAMES_MAX];
    uint64_t checked = 0, damaged = 0;
    fm_repair_counts counts = {0};
    damage d = {.n = 0};
    fm_digest want = digest_undisturbed();
    fm_err err = FM_ERR_INIT;
    fm_store *store;

    if (fm_store_open(b->store, &store, &err) != 0 ||
        fm_store_verify(store, note, &d, &checked, &damaged, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    fm_store_close(store);
    CHECK(damaged > 0 && d.n > 0);
    for (size_t i = 0; i < d.n; i++)
        names[i] = d.name[i];
    if (fm_repair_run(b->store, NULL, names, d.n, &counts, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    open_bench = b;
    check_built(b, build(b), &want);
    return counts;
}

/* Paths of the store's segments, in the order of their names; how many. */
static int list_segments(const bench *b, char (*out)[FM_PATH_MAX])
{
    char dir[FM_PATH_MAX];
    struct dirent **entries;
    int n, kept = 0;

    snprintf(dir, sizeof dir, "%s/segments", b->store);
    n = scandir(dir, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.' && kept < NAMES_MAX)
            snprintf(out[kept++], FM_PATH_MAX, "%.2000s/%.200s", dir, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return kept;
}

static char segments[NAMES_MAX][FM_PATH_MAX];

/* A built store of three segments. */
static bench *built(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(3);

    b->world.pause_ms = 1;      /* so that each crew comes to work */
    check_built(b, build(b), &want);
    CHECK_INT(list_segments(b, segments), 3);
    return b;
}

/* Change one bit of each copy (LMDB leaves old ones in the gaps of its pages) of the records whose keys begin with a
 * small byte. */
static void damage_records(void)
{
    for (int s = 0; s < 3; s++) {
        fm_buf file = FM_BUF_INIT;
        uint8_t *at;

        if (!CHECK(fm_file_read(segments[s], 64 << 20, &file, NULL) == 0))
            return;
        /* A record begins with its magic; 8 bytes on is its key, 80 its payload. */
        for (at = file.data; (at = memmem(at, (size_t)(file.data + file.size - at), "\x04" "FM", 3)); at += 80)
            at[80] ^= at[8] < 16;
        CHECK_INT(fm_file_write(segments[s], file.data, file.size, NULL), 0);
        fm_buf_fini(&file);
    }
}

static void only_damaged_records_are_made_again(void)
{
    bench *b = built();
    fm_repair_counts counts;

    damage_records();
    counts = make_whole(b);
    CHECK(counts.gone >= 1 && counts.gone <= 40 && counts.unreadable == 0 && counts.kept > 40);
    CHECK_INT(b->counts.photos_made + b->counts.codes_made, counts.gone);
    bench_close(b);
}

static void a_cut_segment_is_made_again_and_set_aside(void)
{
    char aside[FM_PATH_MAX];
    bench *b = built();
    fm_repair_counts counts;

    CHECK(truncate(segments[1], 9000) == 0);
    counts = make_whole(b);
    CHECK(counts.unreadable == 1 && counts.gone == 0);
    CHECK(b->counts.photos_made > 0 && b->counts.photos_made < PHOTOGRAPHS);
    snprintf(aside, sizeof aside, "%s/damaged/%s", b->store, strrchr(segments[1], '/') + 1);
    CHECK(fm_path_exists(aside));
    bench_close(b);
}

static void swapped_segments_cost_nothing(void)
{
    char aside[FM_PATH_MAX];
    bench *b = built();

    snprintf(aside, sizeof aside, "%s/aside", b->dir);
    CHECK(rename(segments[0], aside) == 0 && rename(segments[1], segments[0]) == 0 && rename(aside, segments[1]) == 0);
    CHECK_INT(make_whole(b).gone, 0);
    CHECK_INT(b->counts.photos_made + b->counts.codes_made, 0);
    bench_close(b);
}

/* Segments that an old catalog does not know hold what the last build's keys name. */
static void a_stale_catalog_costs_nothing(void)
{
    bench *b = bench_open(3);
    fm_digest want = digest_undisturbed();
    fm_buf catalog = FM_BUF_INIT;
    char path[FM_PATH_MAX];

    b->spec.n_paths = 0;
    CHECK_INT(build(b), 0);
    snprintf(path, sizeof path, "%s/catalog/data.mdb", b->store);
    CHECK_INT(fm_file_read(path, 64 << 20, &catalog, NULL), 0);
    b->spec.n_paths = PHOTOGRAPHS;
    check_built(b, build(b), &want);
    CHECK_INT(fm_file_write(path, catalog.data, catalog.size, NULL), 0);
    fm_buf_fini(&catalog);
    CHECK_INT(make_whole(b).gone, 0);
    CHECK_INT(b->counts.photos_made + b->counts.codes_made, 0);
    bench_close(b);
}

static void another_studys_segment_leaves_nothing_behind(void)
{
    bench *b = built(), *other = bench_open(1);
    fm_repair_counts counts;
    char theirs[NAMES_MAX][FM_PATH_MAX];
    fm_buf file = FM_BUF_INIT;

    for (int i = 0; i < PHOTOGRAPHS; i++) {
        char bytes[64];

        snprintf(bytes, sizeof bytes, "Another study's %d", i);
        write_photograph(other->path[i], bytes);
    }
    CHECK_INT(build(other), 0);
    CHECK_INT(list_segments(other, theirs), 1);
    CHECK_INT(fm_file_read(theirs[0], 64 << 20, &file, NULL), 0);
    CHECK_INT(fm_file_write(segments[2], file.data, file.size, NULL), 0);
    fm_buf_fini(&file);
    bench_close(other);
    counts = make_whole(b);
    CHECK_INT(counts.kept, 0);
    CHECK_INT(counts.gone, 2 * PHOTOGRAPHS);
    CHECK(b->counts.photos_made > 0 && b->counts.photos_made < PHOTOGRAPHS);
    bench_close(b);
}

static void a_store_that_is_held_is_not_repaired(void)
{
    bench *b = built();
    fm_repair_counts counts;
    const char *name = strrchr(segments[0], '/') + 1;
    uint64_t epoch;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    REQUIRE(fm_catalog_open(b->store, false, &c, NULL) == 0 && fm_catalog_take(c, &epoch, NULL) == 0);
    CHECK_INT(fm_repair_run(b->store, NULL, &name, 1, &counts, &err), -EAGAIN);
    fm_catalog_close(c);
    CHECK(fm_path_exists(segments[0]));
    bench_close(b);
}

CHECK_MAIN(CHECK_CASE(only_damaged_records_are_made_again), CHECK_CASE(a_cut_segment_is_made_again_and_set_aside),
           CHECK_CASE(swapped_segments_cost_nothing), CHECK_CASE(a_stale_catalog_costs_nothing),
           CHECK_CASE(another_studys_segment_leaves_nothing_behind), CHECK_CASE(a_store_that_is_held_is_not_repaired))

/* What a coordinator takes to find that everything is done, a stage at a time:
 *   bench/restart PHOTOGRAPHS DIR
 *
 * The catalog is filled without workers.  All photographs are one file under as many paths, as in bench/scale.c; so
 * asking the file system for each is timed by itself, on paths that lead through three links, and what is left of
 * planning is the catalog's. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "coordinator/build.h"
#include "coordinator/worklist.h"
#include "storage/catalog.h"
#include "storage/segment.h"

#define BATCH 100000u

static void die(const char *what, const fm_err *err)
{
    fprintf(stderr, "restart: %s: %s\n", what, err ? err->text : strerror(errno));
    exit(1);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void make_photographs(const char *dir)
{
    char path[512];

    fm_dir_remove(dir, NULL);
    if (fm_dir_make(dir, NULL) != 0)
        die(dir, NULL);
    snprintf(path, sizeof path, "%s/p.jpg", dir);
    if (fm_file_write(path, "x", 1, NULL) != 0)
        die(path, NULL);
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "%s/%03d", dir, i);
        if (symlink(".", path) != 0)
            die(path, NULL);
    }
}

static const char **name_photographs(const char *dir, uint32_t n)
{
    const char **paths = malloc(n * sizeof *paths);
    char *text = malloc(n * (strlen(dir) + 24)), *at = text;

    if (!paths || !text)
        die("paths", NULL);
    for (uint32_t i = 0; i < n; i++) {
        paths[i] = at;
        at += sprintf(at, "%s/%03u/%03u/%03u/p.jpg", dir, i / 1000000, i / 1000 % 1000, i % 1000) + 1;
    }
    return paths;
}

/* The file that the catalog's only segment is expected to be. */
static void leave_segment(const char *store_dir)
{
    fm_segment_writer *writer = NULL;
    char open_dir[512];
    fm_digest key;
    fm_err err = FM_ERR_INIT;

    snprintf(open_dir, sizeof open_dir, "%s/open", store_dir);
    fm_digest_of("key", 3, &key);
    if (fm_dir_make(open_dir, &err) != 0 || fm_segment_create(open_dir, "all", 0, &writer, &err) != 0 ||
        fm_segment_put(writer, FM_RECORD_PHOTO, &key, "x", 1, &err) != 0 || fm_segment_commit(writer, &err) != 0 ||
        fm_segment_seal(writer, store_dir, &err) != 0)
        die("segment", &err);
}

static void fill(const fm_build_spec *spec, const struct stat *st)
{
    fm_catalog_ack_item *items = calloc(BATCH, sizeof *items);
    fm_worklist keys = {.encoder = spec->encoder};
    uint32_t segment = 0;
    uint64_t epoch = 0;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!items || fm_recipe_digest(spec->recipe, &keys.recipe, &err) != 0 ||
        fm_catalog_open(spec->store_dir, true, &c, &err) != 0 || fm_catalog_take(c, &epoch, &err) != 0 ||
        fm_catalog_add_segment(c, "all", &segment, &err) != 0)
        die("catalog", &err);
    for (uint32_t at = 0, n; at < spec->n_paths; at += n) {
        n = spec->n_paths - at < BATCH ? (uint32_t)spec->n_paths - at : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            fm_catalog_ack_item *a = &items[i];
            uint32_t number = at + i;

            *a = (fm_catalog_ack_item){.path = spec->paths[number], .photo_here = true, .code_here = true};
            a->file = (fm_catalog_file){.size_bytes = (uint64_t)st->st_size, .reason = FM_USED,
                                        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
            fm_digest_of(&number, sizeof number, &a->file.image);
            fm_worklist_keys(&keys, &a->file.image, FM_USED, &a->photo_key, &a->code_key);
            a->file.photo_key = a->photo_key;
        }
        if (fm_catalog_ack(c, epoch, segment, items, n, &err) != 0)
            die("fill", &err);
    }
    leave_segment(spec->store_dir);
    if (fm_catalog_segment_sealed(c, segment, 2 * spec->n_paths, &err) != 0)
        die("seal", &err);
    fm_catalog_close(c);
    free(items);
}

/* Since the last call, for each photograph. */
static void tell(const char *stage, double *since, size_t n)
{
    double now = cpu_seconds();

    printf("  %-24s %7.2f s of processor, %.2f microseconds a photograph\n", stage, now - *since,
           1e6 * (now - *since) / (double)n);
    *since = now;
}

static void time_stages(const fm_build_spec *spec)
{
    fm_worklist *list = NULL;
    fm_catalog *c = NULL;
    struct stat st;
    uint64_t epoch, bytes = 0;
    double since = cpu_seconds();
    fm_err err = FM_ERR_INIT;

    if (fm_catalog_open(spec->store_dir, false, &c, &err) != 0 || fm_catalog_take(c, &epoch, &err) != 0)
        die("open", &err);
    tell("open and check", &since, spec->n_paths);
    if (fm_worklist_create(spec, c, &list, &err) != 0 || list->n_todo != 0)
        die("plan", &err);
    tell("plan, stat included", &since, spec->n_paths);
    if (fm_worklist_write_keys(list, NULL, spec->store_dir, &err) != 0)
        die("keys", &err);
    tell("write study.keys", &since, spec->n_paths);
    fm_worklist_destroy(list);
    fm_catalog_close(c);
    since = cpu_seconds();
    for (size_t i = 0; i < spec->n_paths; i++)
        bytes += stat(spec->paths[i], &st) == 0 ? (uint64_t)st.st_size : 0;
    if (bytes != spec->n_paths)
        die("stat", NULL);
    tell("stat alone", &since, spec->n_paths);
}

int main(int argc, char **argv)
{
    fm_build_spec spec = {0};
    fm_build_counts counts;
    char store[512], run[512], photograph[512];
    struct rusage most;
    struct stat st;
    fm_recipe recipe;
    fm_err err = FM_ERR_INIT;
    double since, start;

    fm_log_set_level(FM_LOG_WARN);
    if (argc != 3 || (spec.n_paths = strtoul(argv[1], NULL, 10)) == 0 || spec.n_paths > 1000000000) {
        fprintf(stderr, "usage: restart PHOTOGRAPHS DIR\n");
        return 2;
    }
    snprintf(store, sizeof store, "%s/store", argv[2]);
    snprintf(run, sizeof run, "%s/run", argv[2]);
    snprintf(photograph, sizeof photograph, "%s/p.jpg", argv[2]);
    fm_recipe_default(&recipe);
    fm_digest_of("encoder", 7, &spec.encoder);
    spec.recipe = &recipe;
    spec.store_dir = store;
    spec.run_dir = run;
    make_photographs(argv[2]);
    spec.paths = name_photographs(argv[2], (uint32_t)spec.n_paths);
    if (stat(photograph, &st) != 0)
        die(photograph, NULL);
    fill(&spec, &st);
    printf("%zu photographs\n", spec.n_paths);
    time_stages(&spec);
    since = cpu_seconds();
    start = (double)fm_clock_us();
    if (fm_build_run(&spec, &counts, &err) != 0 || counts.done != spec.n_paths)
        die("restart", &err);
    tell("whole restart", &since, spec.n_paths);
    getrusage(RUSAGE_SELF, &most);
    printf("  whole restart            %7.2f s by the clock; %.0f bytes a photograph resident, the map included\n",
           ((double)fm_clock_us() - start) / 1e6, 1024.0 * (double)most.ru_maxrss / (double)spec.n_paths);
    fm_dir_remove(argv[2], NULL);
    return 0;
}

#define _GNU_SOURCE
#include "tests/coordinator/bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/keys.h"
#include "storage/store.h"
#include "tests/check.h"

bench *open_bench;       /* for hooks that are told of the world only */

void write_photograph(const char *path, const char *bytes)
{
    if (fm_file_write(path, bytes, strlen(bytes), NULL) != 0)
        abort();
}

/* Photograph i's bytes; every tenth has no face.  different: how many distinct ones there are. */
void write_photographs(bench *b, int different)
{
    char bytes[64];

    for (int i = 0; i < PHOTOGRAPHS; i++) {
        snprintf(bytes, sizeof bytes, "%s photograph %d", i % 10 == 3 ? "No face on" : "A", i % different);
        write_photograph(b->path[i], bytes);
    }
}

bench *bench_open(uint32_t crews)
{
    bench *b = calloc(1, sizeof *b);

    if (!b)
        abort();
    snprintf(b->dir, sizeof b->dir, "%s/facemill-test-XXXXXX", fm_path_exists("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(b->dir))       /* in memory: every acknowledgement is two fsyncs */
        abort();
    snprintf(b->store, sizeof b->store, "%s/out/store", b->dir);
    snprintf(b->run, sizeof b->run, "%s/out/run", b->dir);
    for (int i = 0; i < PHOTOGRAPHS; i++) {
        snprintf(b->path[i], sizeof b->path[i], "%s/%03d.jpg", b->dir, i);
        b->paths[i] = b->path[i];
    }
    fm_recipe_default(&b->recipe);
    fm_digest_of("encoder", 7, &b->spec.encoder);
    b->spec.store_dir = b->store;
    b->spec.run_dir = b->run;
    b->spec.recipe = &b->recipe;
    b->spec.paths = b->paths;
    b->spec.n_paths = PHOTOGRAPHS;
    b->spec.lease_timeout_ms = 5000;
    b->spec.stop = &b->world.stop;
    crew_world_ops(&b->world, crews, &b->spec.crews);
    write_photographs(b, PHOTOGRAPHS);
    open_bench = b;
    return b;
}

int build(bench *b)
{
    b->err = (fm_err)FM_ERR_INIT;
    for (int i = 0; i < CREWS_MAX; i++)
        b->world.starts[i] = 0;
    b->world.decoded = b->world.encoded = b->world.acked = b->world.stale = 0;
    return fm_build_run(&b->spec, &b->counts, &b->err);
}

void bench_close(bench *b)
{
    crew_world_end(&b->world);
    fm_dir_remove(b->dir, NULL);
    open_bench = NULL;
    free(b);
}

int starts(const bench *b)
{
    int n = 0;

    for (int i = 0; i < CREWS_MAX; i++)
        n += b->world.starts[i];
    return n;
}

bool in_run(const bench *b, const char *name)
{
    char path[FM_PATH_MAX];

    return fm_path_join(path, sizeof path, b->run, name, NULL) == 0 && fm_path_exists(path);
}

/* The digest that a bench's photographs must have: over the records that the fake workers make, read back. */
fm_digest digest_of(const bench *b)
{
    fm_digest out = {{0}}, *photo = calloc(PHOTOGRAPHS, sizeof *photo), *code = calloc(PHOTOGRAPHS, sizeof *code);
    fm_study_keys keys = {NULL, 0};
    fm_store *store = NULL;
    fm_err err = FM_ERR_INIT;

    if (fm_keys_read(b->store, &keys, &err) != 0 || fm_store_open(b->store, &store, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    CHECK_INT(keys.n, b->spec.n_paths);
    for (size_t i = 0; i < keys.n; i++) {
        photo[i] = keys.v[i].photo;
        code[i] = keys.v[i].code;
    }
    if (store && fm_store_digest(store, photo, code, keys.n, &out, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    fm_store_close(store);
    fm_keys_fini(&keys);
    free(photo);
    free(code);
    return out;
}

/* Everything is sealed and whole. */
void check_store(const bench *b)
{
    fm_err err = FM_ERR_INIT;
    uint64_t checked = 0, damaged = 1;
    fm_store *store;

    REQUIRE(fm_store_open(b->store, &store, &err) == 0);
    CHECK_INT(fm_store_verify(store, NULL, NULL, &checked, &damaged, &err), 0);
    CHECK_INT(damaged, 0);
    fm_store_close(store);
}

static fm_digest undisturbed;   /* digest of a bench nothing happened to */

fm_digest digest_undisturbed(void)
{
    if (fm_digest_is_zero(&undisturbed)) {
        bench *b = bench_open(1);

        if (build(b) != 0)
            check_failed(__FILE__, __LINE__, "%s", b->err.text);
        undisturbed = digest_of(b);
        bench_close(b);
    }
    return undisturbed;
}

/* The build went through, and the store holds what it holds without trouble. */
void check_built(bench *b, int rc, const fm_digest *want)
{
    fm_digest got;

    if (rc != 0)
        check_failed(__FILE__, __LINE__, "the build gave %d: %s", rc, b->err.text);
    CHECK_INT(b->counts.done, PHOTOGRAPHS);
    CHECK_INT(b->counts.photos_made + b->counts.photos_reused, PHOTOGRAPHS);
    CHECK_INT(b->counts.left_out[FM_NO_FACE], FACELESS);
    got = digest_of(b);
    CHECK(fm_digest_equal(&got, want));
    check_store(b);
    CHECK(!in_run(b, FM_RUN_CREW_JOIN) && !in_run(b, FM_RUN_OBSERVER_JOIN) && in_run(b, FM_RUN_STATUS));
}

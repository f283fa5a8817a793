/* The catalog when things go wrong: kills, failed writes, a full disk, damaged files. */
#define _GNU_SOURCE
#include "tests/storage/photographs.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"

/* Acknowledges one photograph after another and says how many, until killed. */
static _Noreturn void acknowledge_until_killed(int out)
{
    uint32_t segment = 0;
    uint64_t epoch;
    fm_catalog *c;

    if (fm_catalog_open(store, true, &c, NULL) != 0 || fm_catalog_take(c, &epoch, NULL) != 0 ||
        (fm_catalog_find_segment(c, 1, &(fm_catalog_segment){0}, NULL) != 0 &&
         fm_catalog_add_segment(c, "a", &segment, NULL) != 0))
        _exit(1);
    for (uint64_t i = 0;; i++) {
        if (ack(c, epoch, 1, i, 1, NULL) != 0 || write(out, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

static void what_was_acknowledged_survives_sigkill(void)
{
    uint64_t seed = check_seed(), epoch = 0, last = 0;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("kills", 0, 0));
    fm_catalog *c;

    if (!place())
        return;
    for (int k = 0; k < 25; k++) {
        struct timespec wait = {0, (long)fm_rng_below(&r, 30000000)};
        uint64_t i, said = 0;
        int pipes[2], status;
        pid_t child;

        REQUIRE(pipe(pipes) == 0 && (child = fork()) >= 0);
        if (child == 0)
            acknowledge_until_killed(pipes[1]);
        close(pipes[1]);
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        CHECK(WIFSIGNALED(status));
        while (read(pipes[0], &i, sizeof i) == (ssize_t)sizeof i)
            said = i + 1;
        close(pipes[0]);
        REQUIRE((c = taken(&epoch)) != NULL);
        CHECK(epoch > last);
        last = epoch;
        for (i = 0; i < said; i++)
            CHECK(known(c, i, 1));
        fm_catalog_close(c);
    }
}

static void a_failed_acknowledgement_changes_nothing(void)
{
    static const char *const faults[] = {"catalog.put:7", "catalog.commit"};
    uint64_t epoch;
    uint32_t segment;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    for (int i = 0; i < 2; i++) {
        REQUIRE((c = taken(&epoch)) != NULL);
        if (i == 0)
            REQUIRE(fm_catalog_add_segment(c, "a", &segment, &err) == 0 && ack(c, epoch, segment, 0, 5, &err) == 0);
        fm_fault_set(faults[i]);
        CHECK_INT(ack(c, epoch, segment, 5, 5, &err), -EIO);
        CHECK(strstr(err.text, "catalog") != NULL);
        fm_fault_set(NULL);
        CHECK(known(c, 4, segment) && unknown(c, 5) && unknown(c, 9));
        /* A put that failed left no doubt about the disk; a commit did. */
        CHECK_INT(ack(c, epoch, segment, 0, 5, &err), i == 0 ? 0 : -EIO);
        fm_catalog_close(c);
    }
    REQUIRE((c = taken(&epoch)) != NULL);
    CHECK_INT(ack(c, epoch, segment, 5, 5, &err), 0);
    CHECK(known(c, 9, segment));
    fm_catalog_close(c);
}

static void a_full_disk_is_an_error(void)
{
    struct rlimit old, small;
    uint64_t epoch, done = 0;
    uint32_t segment;
    fm_catalog *c;
    int rc = 0;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL && fm_catalog_add_segment(c, "a", &segment, &err) == 0);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = old;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    while (done < 20000 && (rc = ack(c, epoch, segment, done, 100, &err)) == 0)
        done += 100;
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(rc < 0 && done > 0);
    CHECK(known(c, done - 1, segment) && unknown(c, done));
    fm_catalog_close(c);
    REQUIRE((c = taken(&epoch)) != NULL);
    CHECK_INT(ack(c, epoch, segment, done, 100, &err), 0);
    for (uint64_t i = 0; i < done + 100; i++)
        CHECK(known(c, i, segment));
    fm_catalog_close(c);
}

/* Without the fsync that fm_file_write owes others. */
static bool overwrite(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fwrite(bytes, 1, n, f) == n;

    return f && fclose(f) == 0 && ok;
}

static int pass(void *ctx, const fm_catalog_segment *s)
{
    (void)ctx, (void)s;
    return 0;
}

/* Uses all of what may be a damaged catalog. */
static int use(uint64_t photographs)
{
    fm_catalog *c;
    uint64_t epoch;
    int rc = fm_catalog_open(store, false, &c, NULL);

    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < photographs; i++)
        known(c, i, 1);
    fm_catalog_each_segment(c, pass, NULL, NULL);
    rc = fm_catalog_take(c, &epoch, NULL);
    if (rc == 0)
        rc = ack(c, epoch, 1, 0, 50, NULL);
    fm_catalog_close(c);
    return rc;
}

static void damage_never_crashes(void)
{
    uint64_t seed = check_seed(), epoch;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("damage", 0, 0));
    char path[FM_PATH_MAX + 32];
    fm_buf b = FM_BUF_INIT;
    uint32_t segment;
    int noticed = 0;
    fm_catalog *c;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL && fm_catalog_add_segment(c, "a", &segment, NULL) == 0);
    for (uint64_t i = 0; i < 300; i += 50)
        REQUIRE(ack(c, epoch, segment, i, 50, NULL) == 0);
    fm_catalog_close(c);
    snprintf(path, sizeof path, "%s/catalog/data.mdb", store);
    REQUIRE(fm_file_read(path, 64 << 20, &b, NULL) == 0);
    for (int i = 0; i < 400; i++) {
        size_t page = fm_rng_below(&r, (uint32_t)(b.size / 4096)) * 4096;
        size_t at = page + fm_rng_below(&r, i % 2 ? 64 : 4096);
        uint8_t old = b.data[at];

        b.data[at] ^= (uint8_t)(1 + fm_rng_below(&r, 255));
        REQUIRE(overwrite(path, b.data, i % 10 ? b.size : at));
        b.data[at] = old;
        noticed += use(300) != 0;
    }
    CHECK(noticed > 100);
    REQUIRE(overwrite(path, b.data, b.size));
    CHECK_INT(use(300), 0);
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(what_was_acknowledged_survives_sigkill), CHECK_CASE(a_failed_acknowledgement_changes_nothing),
           CHECK_CASE(a_full_disk_is_an_error), CHECK_CASE(damage_never_crashes))

/* Segments: what is committed reads back, whatever fails, is killed or is damaged. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/rng.h"
#include "storage/segment.h"

static char scratch[FM_PATH_MAX], store[FM_PATH_MAX];

static bool places(void)
{
    const char *dir = check_tmpdir();

    fm_fault_set(NULL);
    return CHECK(fm_path_join(scratch, sizeof scratch, dir, "scratch", NULL) == 0 &&
                 fm_path_join(store, sizeof store, dir, "store", NULL) == 0);
}

static fm_digest key_of(uint64_t i)
{
    fm_digest d;

    fm_digest_of(&i, sizeof i, &d);
    return d;
}

/* Record i's payload: 0 to 40,000 bytes that depend on i only, so large and small nodes mix. */
static size_t payload_of(uint64_t i, uint8_t *out)
{
    fm_digest d = key_of(~i);
    size_t n = (d.b[0] & 1 ? d.b[1] : (size_t)d.b[2] * 157);

    for (size_t k = 0; k < n; k++)
        out[k] = d.b[k % 32] ^ (uint8_t)(k >> 5);
    return n;
}

static fm_record_kind kind_of(uint64_t i)
{
    return i & 1 ? FM_RECORD_PHOTO : FM_RECORD_CODE;
}

static int put(fm_segment_writer *w, uint64_t i, fm_err *err)
{
    static uint8_t payload[65536];
    fm_digest key = key_of(i);

    return fm_segment_put(w, kind_of(i), &key, payload, payload_of(i, payload), err);
}

static bool reads_back(fm_segment *s, uint64_t i)
{
    static uint8_t payload[65536];
    fm_digest key = key_of(i);
    const void *got;
    size_t n;

    return fm_segment_get(s, kind_of(i), &key, &got, &n, NULL, NULL) == 0 && n == payload_of(i, payload) &&
           memcmp(got, payload, n) == 0;
}

static void sealed_records_read_back(void)
{
    fm_segment_writer *w;
    fm_segment *s;
    fm_digest absent = key_of(999999), key = key_of(1);
    const void *payload;
    uint8_t expected[65536];
    size_t n;
    fm_err err = FM_ERR_INIT;

    if (!places())
        return;
    REQUIRE(fm_segment_create(scratch, "w-1_A", 0, &w, &err) == 0);
    for (uint64_t i = 0; i < 300; i++)
        REQUIRE(put(w, i, &err) == 0);
    CHECK_INT(put(w, 7, &err), 0);
    CHECK_INT(fm_segment_find(w, kind_of(1), &key, &payload, &n, &err), 0);
    CHECK(n == payload_of(1, expected) && memcmp(payload, expected, n) == 0);
    CHECK_INT(fm_segment_find(w, FM_RECORD_CODE, &absent, &payload, &n, &err), -ENOENT);
    CHECK_INT(fm_segment_records(w), 0);
    CHECK_INT(fm_segment_commit(w, &err), 0);
    CHECK_INT(fm_segment_records(w), 300);
    CHECK_INT(fm_segment_seal(w, store, &err), 0);
    CHECK_INT(fm_segment_open(store, "w-1_B", &s, &err), -ENOENT);
    REQUIRE(fm_segment_open(store, "w-1_A", &s, &err) == 0);
    CHECK_INT(fm_segment_count(s), 300);
    for (uint64_t i = 0; i < 300; i++)
        CHECK(reads_back(s, i));
    CHECK_INT(fm_segment_get(s, FM_RECORD_CODE, &absent, &payload, &n, NULL, &err), -ENOENT);
    CHECK_INT(fm_segment_has(s, kind_of(1), key.b, 11, &err), 1);
    CHECK_INT(fm_segment_has(s, kind_of(2), key.b, 11, &err), 0);
    CHECK_INT(fm_segment_has(s, FM_RECORD_CODE, absent.b, 11, &err), 0);
    fm_segment_release(s);
}

static void names_are_checked(void)
{
    static const char *const bad[] = {"", "a/b", "..", "a.b", "a b",
                                      "0123456789012345678901234567890123456789012345678901234567890123"};
    fm_segment_writer *w;
    fm_segment *s;
    uint64_t records;
    fm_err err = FM_ERR_INIT;

    if (!places())
        return;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(fm_segment_create(scratch, bad[i], 0, &w, &err), -EINVAL);
        CHECK_INT(fm_segment_open(store, bad[i], &s, &err), -EINVAL);
        CHECK_INT(fm_segment_adopt(scratch, bad[i], store, &records, &err), -EINVAL);
    }
    REQUIRE(fm_segment_create(scratch, "taken", 0, &w, &err) == 0);
    fm_segment_close(w);
    CHECK_INT(fm_segment_create(scratch, "taken", 0, &w, &err), -EEXIST);
}

/* A map that begins with next to nothing grows, and not one uncommitted record is lost on the way. */
static void the_map_grows_without_loss(void)
{
    fm_segment_writer *w;
    fm_segment *s;
    fm_err err = FM_ERR_INIT;
    uint8_t *large = calloc(1, 20 << 20);
    fm_digest key = key_of(5000);
    const void *payload;
    size_t n;

    if (!places() || !CHECK(large != NULL))
        return;
    REQUIRE(fm_segment_create(scratch, "small", 1, &w, &err) == 0);
    for (uint64_t i = 0; i < 1500; i++)
        REQUIRE(put(w, i, &err) == 0);
    CHECK_INT(fm_segment_put(w, FM_RECORD_PHOTO, &key, large, 20 << 20, &err), 0);
    REQUIRE(fm_segment_seal(w, store, &err) == 0);
    REQUIRE(fm_segment_open(store, "small", &s, &err) == 0);
    CHECK_INT(fm_segment_count(s), 1501);
    for (uint64_t i = 0; i < 1500; i++)
        CHECK(reads_back(s, i));
    CHECK_INT(fm_segment_get(s, FM_RECORD_PHOTO, &key, &payload, &n, NULL, &err), 0);
    CHECK(n == 20 << 20 && memcmp(payload, large, n) == 0);
    fm_segment_release(s);
    free(large);
}

typedef struct {
    uint64_t seen, damaged;
    uint8_t last[33];
    bool sorted;
    char why[512];
} tally;

static int count(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                 const fm_digest *hash, int rc, const fm_err *why)
{
    tally *t = ctx;
    uint8_t at[33] = {(uint8_t)kind};

    (void)payload, (void)n, (void)hash;
    memcpy(at + 1, key->b, 32);
    t->sorted = t->sorted && memcmp(t->last, at, sizeof at) < 0;
    memcpy(t->last, at, sizeof at);
    t->seen++;
    if (rc != 0) {
        t->damaged++;
        snprintf(t->why, sizeof t->why, "%s", why->text);
    }
    return 0;
}

static int stop_at_third(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                         const fm_digest *hash, int rc, const fm_err *why)
{
    (void)kind, (void)key, (void)payload, (void)n, (void)hash, (void)rc, (void)why;
    return ++*(int *)ctx == 3 ? -77 : 0;
}

static void each_visits_in_key_order(void)
{
    fm_segment_writer *w;
    fm_segment *s;
    tally t = {.sorted = true};
    int calls = 0;

    if (!places())
        return;
    REQUIRE(fm_segment_create(scratch, "each", 0, &w, NULL) == 0);
    for (uint64_t i = 0; i < 50; i++)
        REQUIRE(put(w, i, NULL) == 0);
    REQUIRE(fm_segment_seal(w, store, NULL) == 0 && fm_segment_open(store, "each", &s, NULL) == 0);
    CHECK_INT(fm_segment_each(s, count, &t, NULL), 0);
    CHECK(t.seen == 50 && t.damaged == 0 && t.sorted);
    CHECK_INT(fm_segment_each(s, stop_at_third, &calls, NULL), -77);
    CHECK_INT(calls, 3);
    fm_segment_release(s);
}

/* Commits two records, has a third fail there, and adopts. */
static void failing_at(const char *name, const char *fault, bool at_put)
{
    fm_segment_writer *w;
    fm_segment *s;
    uint64_t records = 0;
    fm_err err = FM_ERR_INIT;

    REQUIRE(fm_segment_create(scratch, name, 0, &w, &err) == 0);
    REQUIRE(put(w, 0, &err) == 0 && put(w, 1, &err) == 0 && fm_segment_commit(w, &err) == 0);
    fm_fault_set(fault);
    if (at_put || put(w, 2, &err) == 0)
        CHECK_INT(at_put ? put(w, 2, &err) : fm_segment_commit(w, &err), -EIO);
    fm_fault_set(NULL);
    CHECK(strstr(err.text, name) != NULL);
    CHECK_INT(put(w, 3, &err), -EIO);
    CHECK_INT(fm_segment_commit(w, &err), -EIO);
    CHECK_INT(fm_segment_seal(w, store, &err), -EIO);
    CHECK(strstr(err.text, name) != NULL);
    CHECK_INT(fm_segment_adopt(scratch, name, store, &records, &err), 0);
    CHECK_INT(records, 2);
    REQUIRE(fm_segment_open(store, name, &s, &err) == 0);
    CHECK(reads_back(s, 0) && reads_back(s, 1) && !reads_back(s, 2));
    fm_segment_release(s);
}

static void a_failure_condemns_and_keeps_what_is_committed(void)
{
    if (!places())
        return;
    failing_at("at-put", "segment.put", true);
    failing_at("at-commit", "segment.commit", false);
}

static void a_failed_seal_can_be_adopted(void)
{
    static const char *const faults[] = {"segment.seal", "segment.sync", "segment.rename"};
    char name[16], path[FM_PATH_MAX + 32];
    fm_segment_writer *w;
    fm_segment *s;
    uint64_t records;
    fm_err err = FM_ERR_INIT;

    for (size_t i = 0; i < 3 && places(); i++) {
        snprintf(name, sizeof name, "seal%zu", i);
        REQUIRE(fm_segment_create(scratch, name, 0, &w, &err) == 0 && put(w, i, &err) == 0);
        fm_fault_set(faults[i]);
        CHECK_INT(fm_segment_seal(w, store, &err), -EIO);
        fm_fault_set(NULL);
        snprintf(path, sizeof path, "%s/%s.open", scratch, name);
        CHECK(fm_path_exists(path));
        CHECK_INT(fm_segment_adopt(scratch, name, store, &records, &err), 0);
        CHECK_INT(records, 1);
        CHECK(!fm_path_exists(path));
        REQUIRE(fm_segment_open(store, name, &s, &err) == 0);
        CHECK(reads_back(s, i));
        fm_segment_release(s);
        /* Its writer had moved it, and died before it could say so. */
        CHECK_INT(fm_segment_adopt(scratch, name, store, &records, &err), 0);
        CHECK_INT(records, 1);
    }
}

static void adopting_refuses_what_it_must_not_touch(void)
{
    static const uint8_t noise[20000] = {1, 2, 3};
    char path[FM_PATH_MAX + 32];
    uint64_t records = 9;
    fm_segment_writer *w;
    fm_err err = FM_ERR_INIT;

    if (!places())
        return;
    CHECK_INT(fm_segment_adopt(scratch, "never", store, &records, &err), 0);
    CHECK_INT(records, 0);
    REQUIRE(fm_segment_create(scratch, "alive", 0, &w, &err) == 0);
    CHECK_INT(fm_segment_adopt(scratch, "alive", store, &records, &err), -EBUSY);
    REQUIRE(put(w, 1, &err) == 0);
    fm_segment_close(w);        /* nothing was committed */
    snprintf(path, sizeof path, "%s/alive.open", scratch);
    CHECK(fm_path_exists(path));
    CHECK_INT(fm_segment_adopt(scratch, "alive", store, &records, &err), 0);
    CHECK(records == 0 && !fm_path_exists(path));
    REQUIRE(fm_file_write(path, "", 0, &err) == 0);     /* killed before LMDB wrote a byte */
    CHECK_INT(fm_segment_adopt(scratch, "alive", store, &records, &err), 0);
    CHECK(records == 0 && !fm_path_exists(path));
    snprintf(path, sizeof path, "%s/foreign.open", scratch);
    REQUIRE(fm_file_write(path, noise, sizeof noise, &err) == 0);
    CHECK_INT(fm_segment_adopt(scratch, "foreign", store, &records, &err), -EBADMSG);
    CHECK(fm_path_exists(path));
    REQUIRE(fm_segment_create(scratch, "twice", 0, &w, &err) == 0 && put(w, 1, &err) == 0);
    REQUIRE(fm_segment_seal(w, store, &err) == 0);
    REQUIRE(fm_segment_create(scratch, "twice", 0, &w, &err) == 0 && put(w, 2, &err) == 0);
    CHECK_INT(fm_segment_seal(w, store, &err), -EEXIST);
    CHECK_INT(fm_segment_adopt(scratch, "twice", store, &records, &err), -EEXIST);
}

/* A full disk, by the limit on file sizes: the write fails, what was committed stays. */
static void a_full_disk_is_an_error(void)
{
    struct rlimit old, small;
    fm_segment_writer *w;
    fm_segment *s;
    uint64_t records = 0, committed = 0;
    int rc = 0;
    fm_err err = FM_ERR_INIT;

    if (!places())
        return;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
    small = old;
    small.rlim_cur = 1 << 20;
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(fm_segment_create(scratch, "full", 0, &w, &err) == 0);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    for (uint64_t i = 0; i < 1000 && rc == 0; i++) {
        rc = put(w, i, &err);
        if (rc == 0 && i % 10 == 9 && (rc = fm_segment_commit(w, &err)) == 0)
            committed = i + 1;
    }
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK(rc < 0 && committed > 0);
    CHECK(strstr(err.text, "full.open") != NULL);
    fm_segment_close(w);
    CHECK_INT(fm_segment_adopt(scratch, "full", store, &records, &err), 0);
    CHECK_INT(records, committed);
    REQUIRE(fm_segment_open(store, "full", &s, &err) == 0);
    for (uint64_t i = 0; i < committed; i++)
        CHECK(reads_back(s, i));
    fm_segment_release(s);
}

static _Noreturn void write_until_killed(const char *name, uint64_t seed, int acknowledge)
{
    fm_rng r = fm_rng_init(seed, fm_rng_stream("writer", 0, 0));
    fm_segment_writer *w;
    uint64_t i = 0;

    if (fm_segment_create(scratch, name, 1 << 20, &w, NULL) != 0)
        _exit(1);
    for (;;) {
        uint64_t until = i + 1 + fm_rng_below(&r, 20);

        while (i < until)
            if (put(w, i++, NULL) != 0)
                _exit(1);
        if (fm_segment_commit(w, NULL) != 0)
            _exit(1);
        if (write(acknowledge, &i, sizeof i) != sizeof i)
            _exit(1);
        if (i > 3000)
            break;
    }
    _exit(fm_segment_seal(w, store, NULL) == 0 ? 0 : 1);
}

/* Kill a writer after so many microseconds; returns how many records it had acknowledged. */
static bool kill_a_writer(const char *name, uint64_t seed, unsigned wait_us, uint64_t *acknowledged)
{
    struct timespec pause = {wait_us / 1000000, (long)(wait_us % 1000000) * 1000};
    int pipes[2], status;
    uint64_t i;
    pid_t child;

    *acknowledged = 0;
    if (pipe(pipes) != 0 || (child = fork()) < 0)
        return false;
    if (child == 0)
        write_until_killed(name, seed, pipes[1]);
    close(pipes[1]);
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    while (read(pipes[0], &i, sizeof i) == (ssize_t)sizeof i)
        *acknowledged = i;
    close(pipes[0]);
    return WIFSIGNALED(status) || WEXITSTATUS(status) == 0;
}

/* WRITER_KILLS=n: so many; 1,000 in a usual run. */
static void acknowledged_records_survive_sigkill(void)
{
    unsigned kills = getenv("WRITER_KILLS") ? (unsigned)strtoul(getenv("WRITER_KILLS"), NULL, 10) : 1000;
    uint64_t seed = check_seed(), total = 0;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("kills", 0, 0));

    if (!places())
        return;
    for (unsigned k = 0; k < kills; k++) {
        uint64_t acknowledged, records = 0;
        fm_err err = FM_ERR_INIT;
        fm_segment *s;
        char name[16], path[FM_PATH_MAX];

        snprintf(name, sizeof name, "k%u", k);
        REQUIRE(kill_a_writer(name, seed + k, fm_rng_below(&r, k % 8 ? 12000 : 60000), &acknowledged));
        CHECK_INT(fm_segment_adopt(scratch, name, store, &records, &err), 0);
        CHECK(records >= acknowledged);
        total += acknowledged;
        if (records == 0)
            continue;
        REQUIRE(fm_segment_open(store, name, &s, &err) == 0);
        for (uint64_t i = 0; i < records; i++)
            if (!reads_back(s, i))
                check_failed(__FILE__, __LINE__, "kill %u: record %llu of %llu is gone", k, (unsigned long long)i,
                             (unsigned long long)records);
        fm_segment_release(s);
        CHECK(snprintf(path, sizeof path, "%s/segments/%s", store, name) < (int)sizeof path);
        CHECK_INT(fm_dir_remove(path, NULL), 0);        /* thousands of them need not fit on the disk */
    }
    printf("  %u kills, %llu records acknowledged\n", kills, (unsigned long long)total);
    CHECK(total > 0);
}

/* Killed at each step of the way, not only where a clock happens to strike: thirty records, a commit after each ten. */
static void a_kill_at_any_step_loses_nothing_acknowledged(void)
{
    static const struct { const char *fault; uint64_t records; } steps[] = {
        {"segment.put:1:kill", 0},    {"segment.put:11:kill", 10},  {"segment.commit:1:kill", 0},
        {"segment.commit:3:kill", 20}, {"segment.seal:1:kill", 30}, {"segment.sync:1:kill", 30},
        {"segment.rename:1:kill", 30},
    };

    if (!places())
        return;
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        uint64_t records = 99;
        int status = 0;
        char name[16];
        pid_t child = fork();

        REQUIRE(child >= 0);
        snprintf(name, sizeof name, "step%zu", k);
        if (child == 0) {
            fm_segment_writer *w;

            fm_fault_set(steps[k].fault);
            if (fm_segment_create(scratch, name, 0, &w, NULL) != 0)
                _exit(1);
            for (uint64_t i = 0; i < 30; i++)
                if (put(w, i, NULL) != 0 || (i % 10 == 9 && fm_segment_commit(w, NULL) != 0))
                    _exit(1);
            _exit(fm_segment_seal(w, store, NULL) == 0 ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        CHECK_INT(fm_segment_adopt(scratch, name, store, &records, NULL), 0);
        CHECK_INT(records, steps[k].records);
    }
}

/* Another file system for the scratch folder: the segment is copied. */
static void sealing_crosses_file_systems(void)
{
    char elsewhere[] = "/dev/shm/facemill-test-XXXXXX", path[FM_PATH_MAX];
    struct stat here, there;
    fm_segment_writer *w;
    fm_segment *s;
    uint64_t records = 0;
    fm_err err = FM_ERR_INIT;

    if (!places())
        return;
    if (!mkdtemp(elsewhere) || stat(elsewhere, &there) != 0 || stat(check_tmpdir(), &here) != 0 ||
        here.st_dev == there.st_dev) {
        check_skip("no second file system at /dev/shm");
        return;
    }
    if (CHECK(fm_segment_create(elsewhere, "far", 0, &w, &err) == 0)) {
        for (uint64_t i = 0; i < 100; i++)
            CHECK_INT(put(w, i, &err), 0);
        fm_fault_set("segment.copy");
        CHECK_INT(fm_segment_seal(w, store, &err), -EIO);
        fm_fault_set(NULL);
        CHECK_INT(fm_segment_adopt(elsewhere, "far", store, &records, &err), 0);
        CHECK_INT(records, 100);
        snprintf(path, sizeof path, "%s/far.open", elsewhere);
        CHECK(!fm_path_exists(path));
        if (CHECK(fm_segment_open(store, "far", &s, &err) == 0)) {
            for (uint64_t i = 0; i < 100; i++)
                CHECK(reads_back(s, i));
            fm_segment_release(s);
        }
    }
    fm_dir_remove(elsewhere, NULL);
}

/* Reads a damaged file; whatever LMDB is shown, it must not crash.  True when something was noticed. */
static bool damage_is_noticed(const char *name, uint64_t records)
{
    tally t = {.sorted = true};
    fm_segment *s;
    fm_err err = FM_ERR_INIT;
    int rc = fm_segment_open(store, name, &s, &err);

    if (rc != 0)
        return CHECK(rc == -EBADMSG && strstr(err.text, name));
    rc = fm_segment_each(s, count, &t, &err);
    for (uint64_t i = 0; i < records; i++)
        t.damaged += !reads_back(s, i);
    fm_segment_release(s);
    return rc != 0 || t.damaged > 0 || t.seen != records;
}

/* Without the fsync that fm_file_write owes others. */
static bool overwrite(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fwrite(bytes, 1, n, f) == n;

    return f && fclose(f) == 0 && ok;
}

static void damage_never_crashes(void)
{
    uint64_t seed = check_seed();
    fm_rng r = fm_rng_init(seed, fm_rng_stream("damage", 0, 0));
    fm_segment_writer *w;
    fm_buf b = FM_BUF_INIT;
    char path[FM_PATH_MAX + 32];
    fm_err err = FM_ERR_INIT;

    if (!places())
        return;
    REQUIRE(fm_segment_create(scratch, "d", 0, &w, &err) == 0);
    for (uint64_t i = 0; i < 60; i++) {
        REQUIRE(put(w, i, &err) == 0);
        if (i % 7 == 0)
            REQUIRE(fm_segment_commit(w, &err) == 0);
    }
    REQUIRE(fm_segment_seal(w, store, &err) == 0);
    snprintf(path, sizeof path, "%s/segments/d", store);
    REQUIRE(fm_file_read(path, 64 << 20, &b, &err) == 0);
    for (int i = 0; i < 150; i++) {
        REQUIRE(truncate(path, (off_t)fm_rng_below(&r, (uint32_t)b.size)) == 0);
        CHECK(damage_is_noticed("d", 60));
        REQUIRE(overwrite(path, b.data, b.size));
    }
    CHECK(!damage_is_noticed("d", 60));
    /* Anywhere: it may hit what nobody reads, and is then rightly not noticed. */
    for (int i = 0; i < 1500; i++) {
        size_t page = fm_rng_below(&r, (uint32_t)(b.size / 4096)) * 4096;
        size_t at = page + fm_rng_below(&r, i % 3 ? 64 : 4096);
        uint8_t old = b.data[at];
        int fd = open(path, O_WRONLY);

        b.data[at] ^= (uint8_t)(i % 2 ? 1u << fm_rng_below(&r, 8) : 1 + fm_rng_below(&r, 255));
        REQUIRE(fd >= 0 && pwrite(fd, b.data + at, 1, (off_t)at) == 1);
        damage_is_noticed("d", 60);
        b.data[at] = old;
        REQUIRE(pwrite(fd, b.data + at, 1, (off_t)at) == 1);
        close(fd);
    }
    CHECK(!damage_is_noticed("d", 60));
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(sealed_records_read_back), CHECK_CASE(names_are_checked), CHECK_CASE(the_map_grows_without_loss),
           CHECK_CASE(each_visits_in_key_order), CHECK_CASE(a_failure_condemns_and_keeps_what_is_committed),
           CHECK_CASE(a_failed_seal_can_be_adopted), CHECK_CASE(adopting_refuses_what_it_must_not_touch),
           CHECK_CASE(a_full_disk_is_an_error), CHECK_CASE(acknowledged_records_survive_sigkill),
           CHECK_CASE(a_kill_at_any_step_loses_nothing_acknowledged),
           CHECK_CASE(sealing_crosses_file_systems), CHECK_CASE(damage_never_crashes))

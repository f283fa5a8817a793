/* The catalog: who may write, what an acknowledgement leaves, what a lost segment takes away. */
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
#include "storage/catalog.h"

static char store[FM_PATH_MAX];

static bool place(void)
{
    fm_fault_set(NULL);
    return CHECK(fm_path_join(store, sizeof store, check_tmpdir(), "out/store", NULL) == 0);
}

/* Open, made when missing, and taken. */
static fm_catalog *taken(uint64_t *epoch)
{
    fm_err err = FM_ERR_INIT;
    fm_catalog *c;

    if (fm_catalog_open(store, true, &c, &err) != 0 || fm_catalog_take(c, epoch, &err) != 0) {
        check_failed(__FILE__, __LINE__, "%s", err.text);
        return NULL;
    }
    return c;
}

static fm_digest key_of(uint64_t i)
{
    fm_digest d;

    fm_digest_of(&i, sizeof i, &d);
    return d;
}

/* What a worker acknowledges of photograph i. */
static fm_catalog_ack_item item_of(uint64_t i, char path[32])
{
    fm_catalog_ack_item item = {.path = path, .photo_here = true, .code_here = true};

    snprintf(path, 32, "/photos/%llu.jpg", (unsigned long long)i);
    item.file = (fm_catalog_file){.size_bytes = i, .mtime_ns = -(int64_t)i, .image = key_of(3 * i), .reason = FM_USED};
    item.photo_key = item.file.photo_key = key_of(3 * i + 1);
    item.code_key = key_of(3 * i + 2);
    return item;
}

static int ack(fm_catalog *c, uint64_t epoch, uint32_t segment, uint64_t first, size_t n, fm_err *err)
{
    fm_catalog_ack_item *items = calloc(n, sizeof *items);
    char (*paths)[32] = calloc(n, sizeof *paths);
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
static bool known(fm_catalog *c, uint64_t i, uint32_t segment)
{
    char path[32];
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

static bool unknown(fm_catalog *c, uint64_t i)
{
    char path[32];
    fm_catalog_ack_item item = item_of(i, path);
    fm_catalog_file f;
    uint32_t segment;

    return fm_catalog_find_file(c, path, &f, NULL) == -ENOENT &&
           fm_catalog_find_record(c, FM_RECORD_PHOTO, &item.photo_key, &segment, NULL) == -ENOENT &&
           fm_catalog_find_record(c, FM_RECORD_CODE, &item.code_key, &segment, NULL) == -ENOENT;
}

static void acknowledged_is_known_after_opening_again(void)
{
    uint64_t epoch = 0, second = 0;
    uint32_t segment = 0;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    CHECK_INT(fm_catalog_open(store, false, &c, &err), -ENOENT);
    CHECK(strstr(err.text, "no store") != NULL);
    REQUIRE((c = taken(&epoch)) != NULL);
    CHECK_INT(fm_catalog_add_segment(c, "a", &segment, &err), 0);
    CHECK(unknown(c, 1));
    CHECK_INT(ack(c, epoch, segment, 0, 200, &err), 0);
    CHECK(known(c, 1, segment) && known(c, 199, segment) && unknown(c, 200));
    CHECK_INT(fm_catalog_take(c, &second, &err), -EALREADY);
    fm_catalog_close(c);
    REQUIRE(fm_catalog_open(store, false, &c, &err) == 0);
    for (uint64_t i = 0; i < 200; i++)
        CHECK(known(c, i, segment));
    CHECK_INT(fm_catalog_take(c, &second, &err), 0);
    CHECK(second > epoch);
    fm_catalog_close(c);
}

static void an_outcome_without_a_record_is_kept(void)
{
    fm_catalog_ack_item item = {.path = "/broken.jpg", .file = {.size_bytes = 3, .reason = FM_UNREADABLE}};
    fm_catalog_file f;
    uint64_t epoch;
    fm_catalog *c;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL);
    CHECK_INT(fm_catalog_ack(c, epoch, 0, &item, 1, NULL), 0);
    CHECK_INT(fm_catalog_find_file(c, "/broken.jpg", &f, NULL), 0);
    CHECK(f.reason == FM_UNREADABLE && fm_digest_is_zero(&f.photo_key) && fm_digest_is_zero(&f.image));
    fm_catalog_close(c);
}

static int collect(void *ctx, const fm_catalog_segment *s)
{
    char *text = ctx;
    size_t used = strlen(text);

    snprintf(text + used, 256 - used, "%u:%s:%d:%llu ", s->number, s->name, s->state, (unsigned long long)s->records);
    return strcmp(s->name, "stop") == 0 ? -77 : 0;
}

static void segments_are_numbered_and_listed(void)
{
    char text[256] = "";
    uint32_t a, b, n;
    fm_catalog_segment s;
    uint64_t epoch;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL);
    REQUIRE(fm_catalog_add_segment(c, "zebra", &a, &err) == 0 && fm_catalog_add_segment(c, "ant", &b, &err) == 0);
    CHECK(a != b);
    CHECK_INT(fm_catalog_add_segment(c, "zebra", &n, &err), -EEXIST);
    CHECK_INT(fm_catalog_add_segment(c, "a/b", &n, &err), -EINVAL);
    CHECK_INT(fm_catalog_segment_sealed(c, b, 12, &err), 0);
    CHECK_INT(fm_catalog_segment_sealed(c, 77, 12, &err), -ENOENT);
    CHECK_INT(fm_catalog_find_segment(c, b, &s, &err), 0);
    CHECK(s.number == b && s.state == FM_SEGMENT_SEALED && s.records == 12);
    CHECK_STR(s.name, "ant");
    CHECK_INT(fm_catalog_each_segment(c, collect, text, &err), 0);
    CHECK_STR(text, "1:zebra:0:0 2:ant:1:12 ");
    CHECK_INT(fm_catalog_segment_lost(c, a, &err), 0);
    CHECK_INT(fm_catalog_find_segment(c, a, &s, &err), -ENOENT);
    CHECK_INT(fm_catalog_add_segment(c, "zebra", &n, &err), 0);
    CHECK(n != a && n != b);
    REQUIRE(fm_catalog_add_segment(c, "stop", &n, &err) == 0 && fm_catalog_add_segment(c, "more", &n, &err) == 0);
    text[0] = '\0';
    CHECK_INT(fm_catalog_each_segment(c, collect, text, &err), -77);
    CHECK_STR(text, "2:ant:1:12 3:zebra:0:0 4:stop:0:0 ");
    fm_catalog_close(c);
}

static void a_lost_segment_takes_its_photographs_along(void)
{
    uint32_t kept, lost, again;
    uint64_t epoch;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL);
    REQUIRE(fm_catalog_add_segment(c, "kept", &kept, &err) == 0 && fm_catalog_add_segment(c, "lost", &lost, &err) == 0);
    REQUIRE(ack(c, epoch, kept, 0, 20, &err) == 0 && ack(c, epoch, lost, 20, 20, &err) == 0);
    CHECK_INT(fm_catalog_segment_lost(c, lost, &err), 0);
    for (uint64_t i = 0; i < 20; i++)
        CHECK(known(c, i, kept) && unknown(c, 20 + i));
    /* A late acknowledgement of what went with it must not bring it back. */
    CHECK_INT(ack(c, epoch, lost, 20, 5, &err), -ENOENT);
    CHECK(unknown(c, 20));
    REQUIRE(fm_catalog_add_segment(c, "lost", &again, &err) == 0);
    CHECK(unknown(c, 20));
    CHECK_INT(ack(c, epoch, again, 20, 20, &err), 0);
    CHECK(known(c, 20, again) && known(c, 39, again));
    fm_catalog_close(c);
}

static void only_the_coordinator_writes(void)
{
    uint64_t epoch;
    uint32_t segment;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    REQUIRE(fm_catalog_open(store, true, &c, &err) == 0);
    CHECK_INT(fm_catalog_add_segment(c, "a", &segment, &err), -EPERM);
    CHECK_INT(ack(c, 0, 1, 0, 1, &err), -EPERM);
    REQUIRE(fm_catalog_take(c, &epoch, &err) == 0 && fm_catalog_add_segment(c, "a", &segment, &err) == 0);
    CHECK_INT(ack(c, epoch - 1, segment, 0, 3, &err), -ESTALE);
    CHECK_INT(ack(c, epoch + 1, segment, 0, 3, &err), -ESTALE);
    CHECK(unknown(c, 0) && unknown(c, 2));
    CHECK_INT(ack(c, epoch, segment, 0, 3, &err), 0);
    fm_catalog_close(c);
}

/* Takes the store, says so, and holds it until it is killed. */
static pid_t fork_holder(uint64_t *epoch)
{
    int pipes[2];
    pid_t child;

    *epoch = 0;
    if (pipe(pipes) != 0 || (child = fork()) < 0)
        return -1;
    if (child == 0) {
        fm_catalog *c;
        uint64_t e;

        if (fm_catalog_open(store, true, &c, NULL) != 0 || fm_catalog_take(c, &e, NULL) != 0 ||
            write(pipes[1], &e, sizeof e) != sizeof e)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    if (read(pipes[0], epoch, sizeof *epoch) != sizeof *epoch)
        *epoch = 0;
    close(pipes[0]);
    return child;
}

static void a_second_coordinator_is_refused_until_the_first_dies(void)
{
    uint64_t first, second;
    char pid[32];
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;
    pid_t holder;

    if (!place())
        return;
    holder = fork_holder(&first);
    REQUIRE(holder > 0);
    CHECK(first > 0);
    if (CHECK(fm_catalog_open(store, true, &c, &err) == 0)) {
        CHECK_INT(fm_catalog_take(c, &second, &err), -EAGAIN);
        snprintf(pid, sizeof pid, "pid %ld on ", (long)holder);
        CHECK(strstr(err.text, pid) != NULL);
    }
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    CHECK_INT(fm_catalog_take(c, &second, &err), 0);
    CHECK(second > first);
    fm_catalog_close(c);
}

/* Locks do not reach every host: then the epoch does. */
static void the_epoch_stops_one_whose_lock_did_not_reach(void)
{
    char lock[FM_PATH_MAX + 32];
    uint64_t old, new;
    uint32_t segment;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;
    pid_t other;

    if (!place())
        return;
    REQUIRE((c = taken(&old)) != NULL && fm_catalog_add_segment(c, "a", &segment, &err) == 0);
    snprintf(lock, sizeof lock, "%s/coordinator.lock", store);
    REQUIRE(unlink(lock) == 0);
    other = fork_holder(&new);
    CHECK(new > old);
    CHECK_INT(ack(c, old, segment, 0, 1, &err), -ESTALE);
    CHECK_INT(fm_catalog_segment_lost(c, segment, &err), -ESTALE);
    CHECK(unknown(c, 0));
    fm_catalog_close(c);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}

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
    uint64_t seed = (uint64_t)time(NULL), epoch = 0, last = 0;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("kills", 0, 0));
    fm_catalog *c;

    printf("  seed %llu\n", (unsigned long long)seed);
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

/* Another process reads while the coordinator writes, and sees whole acknowledgements only. */
static _Noreturn void observe(int ready, uint64_t photographs)
{
    fm_catalog *c;
    uint64_t seen = 0;

    if (fm_catalog_open(store, false, &c, NULL) != 0 || write(ready, "r", 1) != 1)
        _exit(1);
    for (int idle = 0; seen < photographs && idle < 100000; idle++) {
        struct timespec wait = {0, 1000000};

        if (!known(c, seen, 1)) {
            nanosleep(&wait, NULL);
            continue;
        }
        /* They are acknowledged by the hundred: one there, all there. */
        for (uint64_t i = 0; i < 100; i++)
            if (!known(c, seen + i, 1))
                _exit(2);
        seen += 100;
        idle = 0;
        fm_catalog_close(c);
        if (fm_catalog_open(store, false, &c, NULL) != 0)
            _exit(3);
    }
    fm_catalog_close(c);
    _exit(seen == photographs ? 0 : 4);
}

static void observers_read_while_the_coordinator_writes(void)
{
    uint64_t photographs = 20000, epoch = 0;
    uint32_t segment = 0;
    int pipes[2], status = -1;
    fm_catalog *c;
    pid_t child;
    char ready;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL && fm_catalog_add_segment(c, "a", &segment, NULL) == 0);
    fm_catalog_close(c);        /* an LMDB environment must not be open across a fork */
    REQUIRE(pipe(pipes) == 0 && (child = fork()) >= 0);
    if (child == 0)
        observe(pipes[1], photographs);
    close(pipes[1]);
    CHECK(read(pipes[0], &ready, 1) == 1);
    close(pipes[0]);
    if ((c = taken(&epoch))) {
        for (uint64_t i = 0; i < photographs; i += 100)
            CHECK_INT(ack(c, epoch, segment, i, 100, NULL), 0);
        fm_catalog_close(c);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(WEXITSTATUS(status), 0);
}

/* As another user, in a folder that is readable only: no lock file can be had. */
static void reading_needs_no_write_permission(void)
{
    uint64_t epoch = 0;
    uint32_t segment = 0;
    char path[FM_PATH_MAX + 32];
    int status = -1;
    fm_catalog *c;
    pid_t child;

    if (!place())
        return;
    if (geteuid() != 0) {
        check_skip("only root can become another user");
        return;
    }
    REQUIRE((c = taken(&epoch)) != NULL && fm_catalog_add_segment(c, "a", &segment, NULL) == 0);
    REQUIRE(ack(c, epoch, segment, 0, 10, NULL) == 0);
    fm_catalog_close(c);
    snprintf(path, sizeof path, "%s/catalog/data.mdb", store);
    REQUIRE(chmod(path, 0444) == 0);
    snprintf(path, sizeof path, "%s/catalog", store);
    for (char *slash; strcmp(path, "/tmp") != 0 && (slash = strrchr(path, '/')); *slash = '\0')
        chmod(path, 0755);
    REQUIRE((child = fork()) >= 0);
    if (child == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(9);
        _exit(fm_catalog_open(store, false, &c, NULL) != 0 ? 1 : !known(c, 9, segment) ? 2 : 0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_INT(WEXITSTATUS(status), 0);
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

/* The map begins at 16 MiB; this needs more. */
static void the_catalog_grows(void)
{
    uint64_t epoch, photographs = 80000;
    uint32_t segment;
    char path[FM_PATH_MAX + 32];
    struct stat st;
    fm_catalog *c;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL && fm_catalog_add_segment(c, "a", &segment, &err) == 0);
    for (uint64_t i = 0; i < photographs; i += 20000)
        REQUIRE(ack(c, epoch, segment, i, 20000, &err) == 0);
    for (uint64_t i = 0; i < photographs; i += 97)
        CHECK(known(c, i, segment));
    fm_catalog_close(c);
    snprintf(path, sizeof path, "%s/catalog/data.mdb", store);
    REQUIRE(stat(path, &st) == 0);
    CHECK(st.st_size > 16 << 20);
}

static void creating_is_whole_or_nothing(void)
{
    fm_catalog *c;
    uint64_t epoch;
    int status = -1;
    pid_t child;
    fm_err err = FM_ERR_INIT;

    if (!place())
        return;
    REQUIRE((child = fork()) >= 0);
    if (child == 0) {
        fm_fault_set("catalog.rename:1:kill");
        fm_catalog_open(store, true, &c, NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    CHECK_INT(fm_catalog_open(store, false, &c, &err), -ENOENT);
    REQUIRE((c = taken(&epoch)) != NULL);
    CHECK_INT(epoch, 1);
    fm_catalog_close(c);
}

/* Without the fsync that fm_file_write owes others. */
static bool overwrite(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fwrite(bytes, 1, n, f) == n;

    return f && fclose(f) == 0 && ok;
}

/* Uses all of what may be a damaged catalog. */
static int use(uint64_t photographs)
{
    char text[256] = "";
    fm_catalog *c;
    uint64_t epoch;
    int rc = fm_catalog_open(store, false, &c, NULL);

    if (rc != 0)
        return rc;
    for (uint64_t i = 0; i < photographs; i++)
        known(c, i, 1);
    fm_catalog_each_segment(c, collect, text, NULL);
    rc = fm_catalog_take(c, &epoch, NULL);
    if (rc == 0)
        rc = ack(c, epoch, 1, 0, 50, NULL);
    fm_catalog_close(c);
    return rc;
}

static void damage_never_crashes(void)
{
    uint64_t seed = (uint64_t)time(NULL), epoch;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("damage", 0, 0));
    char path[FM_PATH_MAX + 32];
    fm_buf b = FM_BUF_INIT;
    uint32_t segment;
    int noticed = 0;
    fm_catalog *c;

    printf("  seed %llu\n", (unsigned long long)seed);
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

CHECK_MAIN(CHECK_CASE(acknowledged_is_known_after_opening_again), CHECK_CASE(an_outcome_without_a_record_is_kept),
           CHECK_CASE(segments_are_numbered_and_listed), CHECK_CASE(a_lost_segment_takes_its_photographs_along),
           CHECK_CASE(only_the_coordinator_writes), CHECK_CASE(a_second_coordinator_is_refused_until_the_first_dies),
           CHECK_CASE(the_epoch_stops_one_whose_lock_did_not_reach),
           CHECK_CASE(what_was_acknowledged_survives_sigkill), CHECK_CASE(observers_read_while_the_coordinator_writes),
           CHECK_CASE(reading_needs_no_write_permission), CHECK_CASE(a_failed_acknowledgement_changes_nothing),
           CHECK_CASE(a_full_disk_is_an_error), CHECK_CASE(the_catalog_grows), CHECK_CASE(creating_is_whole_or_nothing),
           CHECK_CASE(damage_never_crashes))

/* The catalog: who may write, what an acknowledgement leaves, what a lost segment takes away. */
#define _GNU_SOURCE
#include "tests/storage/photographs.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* Beside a lost segment's photographs, which no remembered segment may bring back. */
static void a_held_snapshot_answers_as_single_questions_do(void)
{
    uint32_t kept, lost, other;
    uint64_t epoch;
    fm_catalog *c;

    if (!place())
        return;
    REQUIRE((c = taken(&epoch)) != NULL);
    REQUIRE(fm_catalog_add_segment(c, "kept", &kept, NULL) == 0 && fm_catalog_add_segment(c, "lost", &lost, NULL) == 0 &&
            fm_catalog_add_segment(c, "other", &other, NULL) == 0);
    REQUIRE(ack(c, epoch, kept, 0, 20, NULL) == 0 && ack(c, epoch, lost, 20, 20, NULL) == 0 &&
            ack(c, epoch, other, 40, 20, NULL) == 0);
    REQUIRE(fm_catalog_segment_lost(c, lost, NULL) == 0 && fm_catalog_hold(c, NULL) == 0);
    for (uint64_t i = 0; i < 20; i++)
        CHECK(known(c, i, kept) && unknown(c, 20 + i) && known(c, 40 + i, other) && unknown(c, 60 + i));
    CHECK(known(c, 0, kept));       /* remembered, and to be forgotten with the snapshot */
    fm_catalog_let_go(c);
    CHECK_INT(fm_catalog_segment_lost(c, kept, NULL), 0);
    REQUIRE(fm_catalog_hold(c, NULL) == 0);
    for (uint64_t i = 0; i < 20; i++)
        CHECK(unknown(c, i) && known(c, 40 + i, other));
    fm_catalog_let_go(c);
    fm_catalog_close(c);
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

CHECK_MAIN(CHECK_CASE(acknowledged_is_known_after_opening_again), CHECK_CASE(an_outcome_without_a_record_is_kept),
           CHECK_CASE(segments_are_numbered_and_listed), CHECK_CASE(a_lost_segment_takes_its_photographs_along),
           CHECK_CASE(a_held_snapshot_answers_as_single_questions_do),
           CHECK_CASE(only_the_coordinator_writes), CHECK_CASE(a_second_coordinator_is_refused_until_the_first_dies),
           CHECK_CASE(the_epoch_stops_one_whose_lock_did_not_reach),
           CHECK_CASE(observers_read_while_the_coordinator_writes), CHECK_CASE(reading_needs_no_write_permission),
           CHECK_CASE(the_catalog_grows), CHECK_CASE(creating_is_whole_or_nothing))

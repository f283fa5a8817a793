/* A real worker, in a process of its own, against a coordinator that the test
 * plays: answers that are late, missing or bad news, and workers that are killed. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/text.h"
#include "proto/socket.h"
#include "storage/segment.h"
#include "tests/worker/fixture.h"
#include "worker/worker.h"

#define ITEMS_MAX 64
#define SEGMENTS_MAX 16

static fixture_models models;
static volatile sig_atomic_t stop;

typedef struct {
    /* what the coordinator does */
    const char *dir;                /* store and scratch are in it */
    const char *paths[ITEMS_MAX];
    fm_digest images[ITEMS_MAX];    /* not zero: have_photo */
    uint32_t n, shard;              /* items; items a lease */
    bool chips_only, other_encoder;
    uint64_t segment_bytes;
    const char *names;              /* segments are called names-0, names-1, .. */
    const char *known[SEGMENTS_MAX];        /* sealed ones to name in WELCOME */
    const char *fault;              /* the worker's */
    int ignore_acks, stale_acks;    /* how many of the first ACKs */
    bool stale_beats, refuse, signal;       /* signal: ask the worker to stop at its first beat */
    uint32_t timeout_ms;
    /* what it saw */
    fm_ack_item acks[ITEMS_MAX];
    int n_acks, hellos, beats, n_sealed;
    char sealed[SEGMENTS_MAX][FM_SEGMENT_NAME_MAX];
    uint64_t records[SEGMENTS_MAX];
    bool bye;
    int status;                     /* the worker's exit status: 0 or -rc; 128 and a signal */
    /* how far it is */
    uint32_t next, held;            /* first item of the next lease, and of the one that is out */
    uint64_t lease;
    int named;
} script;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The child: waits for the join file, works, ends with -rc. */
static _Noreturn void be_worker(const script *s, const char *join_path)
{
    static fm_join join;
    fm_worker_spec spec = {.join = &join, .models = models.models, .segment_bytes = s->segment_bytes, .stop = &stop};
    fm_err err = FM_ERR_INIT;
    int rc;

    signal(SIGUSR1, on_signal);
    fm_fault_set(s->fault);
    while (fm_join_read(join_path, &join, NULL) != 0)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    rc = fm_worker_run(&spec, &err);
    if (rc != 0 && getenv("CHECK_VERBOSE"))
        printf("  worker: %s\n", err.text);
    _exit(-rc);
}

static void name_segment(script *s, fm_message *reply)
{
    char name[FM_SEGMENT_NAME_MAX];

    snprintf(name, sizeof name, "%s-%d", s->names, s->named++);
    CHECK(fm_message_set_text(reply, name, NULL) == 0);
}

static void welcome(script *s, fm_message *reply)
{
    fm_message_init(reply, FM_MSG_WELCOME);
    name_segment(s, reply);
    fm_recipe_default(&reply->recipe);
    reply->timeout_ms = s->timeout_ms ? s->timeout_ms : 30000;
    if (!s->chips_only)
        memset(reply->encoder.b, s->other_encoder ? 2 : 1, FM_DIGEST_BYTES);
    for (int i = 0; i < SEGMENTS_MAX && s->known[i]; i++)
        CHECK(fm_message_add_segment(reply, s->known[i], NULL) == 0);
}

static void lease(script *s, fm_message *reply)
{
    uint32_t n = s->n - s->next < s->shard ? s->n - s->next : s->shard;

    fm_message_init(reply, n ? FM_MSG_LEASE : FM_MSG_FINISH);
    if (n == 0)
        return;
    s->lease++;
    s->held = s->next;
    s->next += n;
    reply->lease = s->lease;
    reply->timeout_ms = 30000;
    CHECK(fm_message_room(reply, n, NULL) == 0);
    for (uint32_t i = 0; i < n; i++) {
        fm_lease_item *item = &reply->items[i];

        item->item = s->held + i;
        item->path = strdup(s->paths[item->item]);
        item->image = s->images[item->item];
        item->have_photo = !fm_digest_is_zero(&item->image);
    }
    for (int i = 0; i < SEGMENTS_MAX && s->known[i]; i++)
        CHECK(fm_message_add_segment(reply, s->known[i], NULL) == 0);
}

/* 1 when reply is to be sent. */
static int ack(script *s, const fm_message *m, fm_message *reply)
{
    fm_message_init(reply, FM_MSG_ACKED);
    reply->lease = m->lease;
    s->n_acks++;
    if (s->ignore_acks-- > 0)
        return 0;
    if (s->stale_acks-- > 0) {
        reply->type = FM_MSG_STALE;
        s->next = s->held;
        return 1;
    }
    for (uint32_t i = 0; i < m->n_items; i++)
        if (CHECK(m->acks[i].item < s->n))
            s->acks[m->acks[i].item] = m->acks[i];
    return 1;
}

static int hear(script *s, const fm_message *m, pid_t worker, fm_message *reply)
{
    switch (m->type) {
    case FM_MSG_HELLO:
        s->hellos++;
        welcome(s, reply);
        if (s->refuse) {
            fm_message_fini(reply);
            fm_message_init(reply, FM_MSG_REFUSED);
        }
        return 1;
    case FM_MSG_WANT:
        lease(s, reply);
        return 1;
    case FM_MSG_BEAT:
        fm_message_init(reply, s->stale_beats && s->beats == 0 ? FM_MSG_STALE : FM_MSG_ALIVE);
        if (reply->type == FM_MSG_STALE)
            s->next = s->held;
        reply->lease = m->lease;
        s->beats++;
        if (s->signal)
            kill(worker, SIGUSR1);
        return 1;
    case FM_MSG_ACK:
        return ack(s, m, reply);
    case FM_MSG_SEALED:
        snprintf(s->sealed[s->n_sealed], FM_SEGMENT_NAME_MAX, "%s", m->text);
        s->records[s->n_sealed++ % SEGMENTS_MAX] = m->records;
        fm_message_init(reply, FM_MSG_ACKED);
        if (s->next < s->n || s->signal)
            name_segment(s, reply);
        return 1;
    default:
        s->bye = s->bye || m->type == FM_MSG_BYE;
        return 0;
    }
}

static bool ended(script *s, pid_t worker)
{
    int raw;

    if (waitpid(worker, &raw, WNOHANG) != worker)
        return false;
    s->status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
    return true;
}

/* Start the worker and be its coordinator until it has ended. */
static void play(script *s)
{
    static fm_join join, observer;
    char join_path[FM_PATH_MAX];
    fm_server *server = NULL;
    bool over = false;
    pid_t worker;

    snprintf(join_path, sizeof join_path, "%s/join-%s", s->dir, s->names);
    fflush(stdout);
    worker = fork();
    if (worker == 0)
        be_worker(s, join_path);
    memset(&join, 0, sizeof join);
    REQUIRE(fm_server_open(true, 7, &join, &observer, &server, NULL) == 0);
    snprintf(join.store_dir, sizeof join.store_dir, "%s/store", s->dir);
    snprintf(join.scratch_dir, sizeof join.scratch_dir, "%s/open", s->dir);
    REQUIRE(fm_join_write(&join, join_path, NULL) == 0);
    while (!over) {
        fm_message m, reply;
        fm_peer from;

        over = ended(s, worker);
        while (fm_server_receive(server, over ? 100 : 20, &from, &m, NULL) == 1) {
            memset(&reply, 0, sizeof reply);
            if (hear(s, &m, worker, &reply)) {
                CHECK(fm_server_send(server, &from, &reply, NULL) == 0);
                fm_message_fini(&reply);
            }
            fm_message_fini(&m);
        }
    }
    fm_server_close(server);
}

/* A script of the first n oracle crops; false after skipping. */
static bool crops(script *s, uint32_t n)
{
    static char paths[ITEMS_MAX][FM_PATH_MAX];
    const char *table = check_data("oracle/utkface-2k/faces.tsv"), *data = check_data("utkface-2k");
    char line[8192], last[256] = "", root[FM_PATH_MAX - 256];
    FILE *f = table && data ? fopen(table, "re") : NULL;

    memset(s, 0, sizeof *s);
    s->dir = check_tmpdir();
    s->names = "s";
    s->shard = n;
    if (!f)
        return false;
    snprintf(root, sizeof root, "%s", data);
    if (!models.models && !fixture_open(&models, true)) {
        fclose(f);
        return false;
    }
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    while (s->n < n && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\t")] = '\0';
        if (strcmp(line, last) == 0)
            continue;
        snprintf(last, sizeof last, "%.255s", line);
        snprintf(paths[s->n], FM_PATH_MAX, "%s/%.255s", root, line);
        s->paths[s->n] = paths[s->n];
        s->n++;
    }
    fclose(f);
    return CHECK(s->n == n);
}

typedef struct {
    fm_digest key, hash;
    fm_record_kind kind;
} seen_record;

typedef struct {
    seen_record v[2 * ITEMS_MAX];
    size_t n;
} seen_records;

static int see(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
               const fm_digest *hash, int rc, const fm_err *why)
{
    seen_records *r = ctx;

    (void)payload;
    (void)n;
    (void)why;
    if (CHECK(rc == 0 && r->n < 2 * ITEMS_MAX))
        r->v[r->n++] = (seen_record){*key, *hash, kind};
    return 0;
}

static int by_key(const void *a, const void *b)
{
    return fm_digest_compare(&((const seen_record *)a)->key, &((const seen_record *)b)->key);
}

/* Records of all segments that a script sealed, sorted. */
static size_t look(const script *s, seen_records *r)
{
    char store[FM_PATH_MAX];

    r->n = 0;
    snprintf(store, sizeof store, "%s/store", s->dir);
    for (int i = 0; i < s->n_sealed; i++) {
        fm_segment *segment;

        if (!CHECK(fm_segment_open(store, s->sealed[i], &segment, NULL) == 0))
            return 0;
        CHECK(fm_segment_each(segment, see, r, NULL) == 0);
        fm_segment_release(segment);
    }
    qsort(r->v, r->n, sizeof *r->v, by_key);
    return r->n;
}

static void write_text(const char *dir, const char *name, const char *text, char *path)
{
    snprintf(path, FM_PATH_MAX, "%s/%s", dir, name);
    CHECK(fm_file_write(path, text, strlen(text), NULL) == 0);
}

static void every_photograph_has_an_outcome(void)
{
    char gone[FM_PATH_MAX], text[FM_PATH_MAX], empty[FM_PATH_MAX];
    seen_records r;
    script s;

    if (!crops(&s, 20))
        return;
    write_text(s.dir, "notes.jpg", "not a photograph", text);
    write_text(s.dir, "empty.jpg", "", empty);
    snprintf(gone, sizeof gone, "%s/gone.jpg", s.dir);
    s.paths[17] = gone;
    s.paths[18] = text;
    s.paths[19] = empty;
    s.paths[16] = s.paths[0];       /* a copy */
    play(&s);
    CHECK_INT(s.status, 0);
    CHECK(s.bye && s.n_sealed == 1 && s.n_acks == 1);
    for (int i = 0; i < 16; i++) {
        struct stat st;

        CHECK(s.acks[i].reason == FM_USED && s.acks[i].photo_made && s.acks[i].code_made && s.acks[i].micros > 0);
        CHECK(stat(s.paths[i], &st) == 0 && s.acks[i].size_bytes == (uint64_t)st.st_size);
        CHECK(s.acks[i].mtime_ns / 1000000000 == (int64_t)st.st_mtim.tv_sec);
    }
    CHECK(s.acks[16].reason == FM_USED && !s.acks[16].photo_made && !s.acks[16].code_made);
    CHECK(fm_digest_equal(&s.acks[16].image, &s.acks[0].image));
    CHECK(s.acks[17].reason == FM_UNREADABLE && !s.acks[17].photo_made && fm_digest_is_zero(&s.acks[17].image));
    CHECK(s.acks[18].reason == FM_UNSUPPORTED && s.acks[18].photo_made && !s.acks[18].code_made);
    CHECK(s.acks[19].reason == FM_UNREADABLE && !fm_digest_is_zero(&s.acks[19].image));
    CHECK_INT(look(&s, &r), 18 + 16);
    CHECK_INT(s.records[0], 18 + 16);
}

/* The same bytes whatever the order, the lease and so the batch. */
static void records_do_not_depend_on_how_they_were_handed_out(void)
{
    seen_records one, other;
    script s, t;

    if (!crops(&s, 21))
        return;
    t = s;
    play(&s);
    t.names = "t";
    t.shard = 4;
    t.segment_bytes = 150000;       /* full after each lease */
    for (uint32_t i = 0; i < t.n; i++)
        t.paths[i] = s.paths[t.n - 1 - i];
    play(&t);
    CHECK_INT(s.status, 0);
    CHECK_INT(t.status, 0);
    CHECK_INT(s.n_sealed, 1);
    CHECK_INT(t.n_sealed, 6);
    CHECK_INT(look(&s, &one), 42);
    REQUIRE(look(&t, &other) == one.n);
    for (size_t i = 0; i < one.n; i++)
        CHECK(one.v[i].kind == other.v[i].kind && fm_digest_equal(&one.v[i].key, &other.v[i].key) &&
              fm_digest_equal(&one.v[i].hash, &other.v[i].hash));
}

static void what_is_in_the_store_is_not_made_again(void)
{
    char moved[FM_PATH_MAX];
    fm_buf bytes = FM_BUF_INIT;
    script s, t;

    if (!crops(&s, 4))
        return;
    t = s;
    play(&s);
    REQUIRE(s.n_sealed == 1);
    REQUIRE(fm_file_read(s.paths[0], 1u << 20, &bytes, NULL) == 0);
    snprintf(moved, sizeof moved, "%s/moved.jpg", s.dir);
    REQUIRE(fm_file_write(moved, bytes.data, bytes.size, NULL) == 0);
    fm_buf_fini(&bytes);
    t.names = "t";
    t.n = 2;
    t.known[0] = s.sealed[0];
    t.known[1] = "no-such-segment";         /* is passed over */
    t.paths[0] = moved;
    t.paths[1] = "/nowhere/photograph.jpg";     /* its photo record is known: nobody reads the file */
    t.images[1] = s.acks[1].image;
    play(&t);
    CHECK_INT(t.status, 0);
    for (int i = 0; i < 2; i++)
        CHECK(t.acks[i].reason == FM_USED && !t.acks[i].photo_made && !t.acks[i].code_made);
    CHECK(t.acks[1].size_bytes == 0 && t.acks[1].mtime_ns == 0);
    t.names = "u";                          /* another encoder: codes are made, photographs not decoded */
    t.other_encoder = true;
    t.next = t.n_acks = t.n_sealed = t.named = 0;
    play(&t);
    for (int i = 0; i < 2; i++)
        CHECK(t.acks[i].reason == FM_USED && !t.acks[i].photo_made && t.acks[i].code_made);
}

static void a_lost_lease_is_dropped_and_its_records_found_again(void)
{
    seen_records r;
    script s;

    if (!crops(&s, 3))
        return;
    s.stale_acks = 1;
    play(&s);
    CHECK_INT(s.status, 0);
    CHECK_INT(s.n_acks, 2);
    for (int i = 0; i < 3; i++)
        CHECK(s.acks[i].reason == FM_USED && !s.acks[i].photo_made && !s.acks[i].code_made);
    CHECK_INT(look(&s, &r), 6);
}

static void a_stale_beat_ends_the_work_on_a_lease(void)
{
    script s;

    if (!crops(&s, 12))
        return;
    s.timeout_ms = 3;       /* a beat before each photograph */
    s.stale_beats = true;
    play(&s);
    CHECK_INT(s.status, 0);
    CHECK(s.beats > 5);
    CHECK_INT(s.n_acks, 1);     /* of the second time */
    CHECK_INT(s.lease, 2);
}

static void a_stop_gives_the_lease_back_and_seals(void)
{
    seen_records r;
    script s;

    if (!crops(&s, 30))
        return;
    s.timeout_ms = 3;
    s.signal = true;
    play(&s);
    CHECK_INT(s.status, 0);
    CHECK(s.bye && s.n_acks == 0 && s.n_sealed == 1);
    CHECK(look(&s, &r) < 30);
}

static void chips_alone_need_no_encoder(void)
{
    seen_records r;
    script s;

    if (!crops(&s, 3))
        return;
    s.chips_only = true;
    play(&s);
    CHECK_INT(s.status, 0);
    CHECK(s.acks[0].photo_made && !s.acks[0].code_made);
    CHECK_INT(look(&s, &r), 3);
}

static void refused_workers_end(void)
{
    script s;

    if (!crops(&s, 3))
        return;
    s.refuse = true;
    play(&s);
    CHECK_INT(s.status, EPERM);
}

/* Whatever a worker had not committed when it was killed is not in its segment; what it had is whole. */
static void killed_workers_leave_whole_segments(void)
{
    static const struct { const char *fault; uint64_t records; bool sealed; } cases[] = {
        {"worker.photo:3:kill", 0, false},     {"worker.encode:1:kill", 0, false},  {"worker.commit:1:kill", 0, false},
        {"worker.ack:1:kill", 6, false},       {"worker.acked:1:kill", 6, false},   {"worker.commit:2:kill", 6, false},
        {"worker.seal:1:kill", 12, false},     {"worker.sealed:1:kill", 12, true},  {"worker.bye:1:kill", 12, true},
    };
    char scratch[FM_PATH_MAX], store[FM_PATH_MAX], name[16];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t records = 99;
        script s;

        if (!crops(&s, 6))
            return;
        snprintf(scratch, sizeof scratch, "%s/open", s.dir);
        snprintf(store, sizeof store, "%s/store", s.dir);
        snprintf(name, sizeof name, "k%zu", i);
        s.names = name;
        s.shard = 3;
        s.fault = cases[i].fault;
        play(&s);
        CHECK_INT(s.status, 128 + SIGKILL);
        CHECK_INT(s.bye, false);
        snprintf(name, sizeof name, "k%zu-0", i);
        CHECK_INT(fm_segment_adopt(scratch, name, store, &records, NULL), 0);
        if (records != cases[i].records)
            check_failed(__FILE__, __LINE__, "%s: %llu records", cases[i].fault, (unsigned long long)records);
    }
}

static void failed_commits_end_the_worker(void)
{
    static const char *const faults[] = {"worker.commit", "worker.photo:2", "worker.encode", "worker.seal"};

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        script s;

        if (!crops(&s, 3))
            return;
        s.fault = faults[i];
        play(&s);
        CHECK_INT(s.status, EIO);
        CHECK(!s.bye && s.n_sealed == 0);
        fm_dir_remove(s.dir, NULL);
        mkdir(s.dir, 0700);
    }
}

static void an_unanswered_question_is_asked_again(void)
{
    script s;

    if (!crops(&s, 3))
        return;
    s.ignore_acks = 1;
    play(&s);
    CHECK_INT(s.status, 0);
    CHECK_INT(s.n_acks, 2);
    CHECK(s.acks[2].photo_made);
}

static pid_t silent_worker;
static uint64_t silent_since_ms;

/* FM_SILENCE_MS is long: this worker waits beside the other cases. */
static void start_silent_worker(void)
{
    static fm_join join, observer;
    fm_worker_spec spec = {.join = &join};
    fm_server *server;

    if (fm_server_open(true, 7, &join, &observer, &server, NULL) != 0)
        return;
    fm_server_close(server);
    silent_since_ms = fm_clock_ms();
    silent_worker = fork();
    if (silent_worker == 0)
        _exit(-fm_worker_run(&spec, NULL));
}

static void a_silent_coordinator_is_left(void)
{
    int raw = 0;

    REQUIRE(silent_worker > 0 && waitpid(silent_worker, &raw, 0) == silent_worker);
    CHECK(WIFEXITED(raw) && WEXITSTATUS(raw) == ECONNRESET);
    CHECK(fm_clock_ms() - silent_since_ms >= FM_SILENCE_MS);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        CHECK_CASE(every_photograph_has_an_outcome),
        CHECK_CASE(records_do_not_depend_on_how_they_were_handed_out),
        CHECK_CASE(what_is_in_the_store_is_not_made_again),
        CHECK_CASE(a_lost_lease_is_dropped_and_its_records_found_again),
        CHECK_CASE(a_stale_beat_ends_the_work_on_a_lease),
        CHECK_CASE(a_stop_gives_the_lease_back_and_seals),
        CHECK_CASE(chips_alone_need_no_encoder),
        CHECK_CASE(refused_workers_end),
        CHECK_CASE(killed_workers_leave_whole_segments),
        CHECK_CASE(failed_commits_end_the_worker),
        CHECK_CASE(an_unanswered_question_is_asked_again),
        CHECK_CASE(a_silent_coordinator_is_left),
    };

    start_silent_worker();
    return check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}

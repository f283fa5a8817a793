/* Builds from end to end with crews that are threads (tests/coordinator/crew.h). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "coordinator/build.h"
#include "proto/socket.h"
#include "storage/keys.h"
#include "storage/store.h"
#include "tests/check.h"
#include "tests/coordinator/bench.h"

static void from_nothing_to_a_digest(void)
{
    fm_digest want = digest_undisturbed();

    for (uint32_t shard_size = 0, crews = 1; crews <= 3; crews++, shard_size = 2 * shard_size + 1) {
        bench *b = bench_open(crews);
        int rc;

        b->spec.shard_size = shard_size;
        rc = build(b);
        check_built(b, rc, &want);
        CHECK_INT(b->counts.photos_made, PHOTOGRAPHS);
        CHECK_INT(b->counts.codes_made, PHOTOGRAPHS - FACELESS);
        CHECK_INT(b->counts.codes_reused, 0);
        CHECK_INT(b->counts.leases_lost + b->counts.crews_lost, 0);
        CHECK_INT(b->counts.workers, crews);
        bench_close(b);
    }
}

static void a_second_run_hands_nothing_out(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(2);

    REQUIRE(build(b) == 0);
    check_built(b, build(b), &want);
    CHECK_INT(starts(b), 0);
    CHECK_INT(b->counts.photos_reused, PHOTOGRAPHS);
    CHECK_INT(b->counts.codes_reused, PHOTOGRAPHS - FACELESS);
    CHECK_INT(b->counts.codes_made, 0);
    b->spec.paranoid = true;
    check_built(b, build(b), &want);
    CHECK_INT(b->world.decoded + b->world.encoded, 0);
    CHECK_INT(b->counts.photos_reused, PHOTOGRAPHS);
    CHECK(b->world.acked > 0);
    bench_close(b);
}

static void only_what_changed(void)
{
    bench *b = bench_open(2);
    fm_digest before, other;

    REQUIRE(build(b) == 0);
    before = b->spec.encoder;
    fm_digest_of("another", 7, &b->spec.encoder);
    CHECK_INT(build(b), 0);
    CHECK_INT(b->world.decoded, 0);
    CHECK_INT(b->world.encoded, PHOTOGRAPHS - FACELESS);
    CHECK_INT(b->counts.codes_made, PHOTOGRAPHS - FACELESS);
    CHECK_INT(b->counts.photos_reused, PHOTOGRAPHS);
    CHECK_INT(build(b), 0);
    CHECK_INT(starts(b), 0);        /* the files' sizes and times are still known */
    b->recipe.chip_size = 160;
    CHECK_INT(build(b), 0);
    CHECK_INT(b->world.decoded, PHOTOGRAPHS);
    b->recipe.chip_size = 150;
    b->spec.encoder = before;
    CHECK_INT(build(b), 0);         /* back: how each ended is read from its record */
    CHECK_INT(b->world.decoded + b->world.encoded, 0);
    CHECK_INT(b->counts.left_out[FM_NO_FACE], FACELESS);
    memset(&b->spec.encoder, 0, sizeof b->spec.encoder);
    CHECK_INT(build(b), 0);         /* chips only */
    CHECK_INT(starts(b) + (int)b->counts.codes_reused, 0);
    other = digest_of(b);
    CHECK(!fm_digest_is_zero(&other));
    bench_close(b);
}

static void files_that_moved_or_changed(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(2);
    struct timespec touched[2] = {{1000000000, 5}, {1000000000, 5}};
    char moved[160];

    REQUIRE(build(b) == 0);
    CHECK_INT(utimensat(AT_FDCWD, b->path[7], touched, 0), 0);
    snprintf(moved, sizeof moved, "%s.moved", b->path[8]);
    CHECK_INT(rename(b->path[8], moved), 0);
    b->paths[8] = moved;
    check_built(b, build(b), &want);
    CHECK_INT(b->world.decoded + b->world.encoded, 0);
    CHECK_INT(b->counts.photos_reused, PHOTOGRAPHS);
    CHECK_INT(b->world.acked, 1);
    write_photograph(b->path[7], "A photograph of something else");
    CHECK_INT(unlink(moved), 0);
    CHECK_INT(unlink(b->path[9]) + mkdir(b->path[9], 0700), 0);
    CHECK_INT(build(b), 0);
    CHECK_INT(b->world.decoded, 1);
    CHECK_INT(b->counts.left_out[FM_UNREADABLE], 2);
    CHECK_INT(b->counts.done, PHOTOGRAPHS);
    CHECK_INT(b->counts.photos_reused, PHOTOGRAPHS - 3);
    digest_of(b);
    CHECK_INT(build(b), 0);         /* still gone */
    CHECK_INT(starts(b), 0);
    CHECK_INT(b->counts.left_out[FM_UNREADABLE], 2);
    CHECK_INT(rmdir(b->path[9]), 0);
    write_photograph(b->path[9], "A photograph 9");
    CHECK_INT(build(b), 0);
    CHECK_INT(b->world.decoded, 0);
    CHECK_INT(b->counts.left_out[FM_UNREADABLE], 1);
    bench_close(b);
}

static void a_worker_dies_holding_a_lease(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);

    b->spec.shard_size = 10;
    b->world.habits[0][0] = DIE_HOLDING;
    check_built(b, build(b), &want);
    CHECK_INT(b->counts.leases_lost, 1);
    CHECK_INT(b->counts.crews_lost, 1);
    CHECK_INT(b->world.decoded, PHOTOGRAPHS);       /* what it had acknowledged is adopted */
    bench_close(b);
}

static void acknowledged_is_kept_unsealed(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);

    b->spec.shard_size = 50;
    b->world.habits[0][0] = b->world.habits[0][1] = DIE_AFTER_ACK;
    check_built(b, build(b), &want);
    CHECK_INT(b->world.decoded, PHOTOGRAPHS);
    CHECK_INT(b->counts.leases_lost, 0);
    CHECK_INT(b->counts.crews_lost, 2);
    CHECK_INT(starts(b), 3);
    bench_close(b);
}

static void committed_and_unacknowledged_is_found(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);

    b->spec.shard_size = 50;
    b->world.habits[0][0] = DIE_COMMITTED;
    check_built(b, build(b), &want);
    CHECK_INT(b->world.decoded, PHOTOGRAPHS);
    CHECK_INT(b->counts.photos_reused, 50);
    CHECK_INT(b->counts.leases_lost, 1);
    bench_close(b);
}

/* Copies lie in everybody's shards, so that a shard relies on records that another worker's loss takes along. */
static void a_lost_segment_is_made_again(void)
{
    for (int copies = 0; copies < 2; copies++) {
        bench *b = bench_open(copies ? 3 : 1);
        fm_digest want, got;
        int rc;

        write_photographs(b, copies ? 20 : PHOTOGRAPHS);
        REQUIRE(build(b) == 0);
        want = digest_of(b);
        CHECK_INT(b->counts.done, PHOTOGRAPHS);
        fm_dir_remove(b->store, NULL);
        b->spec.shard_size = 10;
        b->world.pause_ms = 1;
        b->world.habits[0][0] = b->world.habits[1][0] = DIE_AND_LOSE;
        rc = build(b);
        CHECK_INT(rc, 0);
        CHECK_INT(b->counts.done, PHOTOGRAPHS);
        CHECK(copies || (b->counts.leases_lost >= 1 && b->world.decoded > PHOTOGRAPHS));
        got = digest_of(b);
        CHECK(fm_digest_equal(&got, &want));
        check_store(b);
        bench_close(b);
    }
}

static void a_late_acknowledgement_is_stale(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);

    b->spec.shard_size = 30;
    b->spec.lease_timeout_ms = 500;
    b->world.silence_ms = 1200;
    b->world.habits[0][0] = FALL_SILENT;
    check_built(b, build(b), &want);
    CHECK_INT(b->world.stale, 1);
    CHECK_INT(b->counts.leases_lost, 1);
    CHECK_INT(b->counts.crews_lost, 0);
    bench_close(b);
}

static void a_crew_that_hangs_is_ended(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);

    b->spec.lease_timeout_ms = 200;
    b->spec.limit_ms = 400;
    b->world.habits[0][0] = HANG;
    check_built(b, build(b), &want);
    CHECK_INT(b->world.stopped, 1);
    CHECK_INT(b->counts.crews_lost, 1);
    bench_close(b);
}

static void copies_are_accounted_for(void)
{
    fm_digest first = {{0}};

    for (uint32_t crews = 1; crews <= 3; crews++) {
        bench *b = bench_open(crews);
        fm_digest got;

        write_photographs(b, 20);
        b->paths[5] = b->paths[4];      /* one file listed twice, too */
        b->spec.shard_size = 7;
        CHECK_INT(build(b), 0);
        CHECK_INT(b->counts.done, PHOTOGRAPHS);
        CHECK_INT(b->counts.left_out[FM_NO_FACE], FACELESS);
        CHECK_INT(b->counts.photos_made + b->counts.photos_reused, PHOTOGRAPHS);
        CHECK_INT(b->counts.codes_made + b->counts.codes_reused, PHOTOGRAPHS - FACELESS);
        got = digest_of(b);
        CHECK(crews == 1 || fm_digest_equal(&got, &first));
        first = got;
        CHECK_INT(build(b), 0);
        CHECK_INT(starts(b), 0);
        bench_close(b);
    }
}

static pthread_t builder;

static void on_signal(int number)
{
    (void)number;
    open_bench->world.stop = 1;
}

/* As a user's signal does it: on the thread that builds. */
static void stop_after_three(crew_world *w)
{
    if (w->acked >= 3)
        pthread_kill(builder, SIGUSR1);
}

static void stopped_and_gone_on_with(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(2);
    uint64_t before;

    b->spec.shard_size = 10;
    b->world.pause_ms = 2;
    b->world.after_ack = stop_after_three;
    builder = pthread_self();
    signal(SIGUSR1, on_signal);
    CHECK_INT(build(b), -EINTR);
    signal(SIGUSR1, SIG_DFL);
    before = b->counts.done;
    CHECK(before >= 30 && before < PHOTOGRAPHS);
    check_store(b);
    CHECK_INT(b->counts.leases_lost + b->counts.crews_lost, 0);
    b->world.stop = 0;
    b->world.after_ack = NULL;
    check_built(b, build(b), &want);
    CHECK_INT(b->counts.photos_reused, before);
    CHECK_INT(b->world.decoded, PHOTOGRAPHS - (int)before);
    bench_close(b);
}

/* What an observer is answered; "" when it is not. */
static void observe(const bench *b, fm_message_type type, fm_message_type want, char *text, size_t n)
{
    char path[FM_PATH_MAX];
    fm_join *join = malloc(sizeof *join);
    fm_client *client = NULL;
    fm_message m;

    text[0] = '\0';
    if (join && fm_path_join(path, sizeof path, b->run, FM_RUN_OBSERVER_JOIN, NULL) == 0 &&
        fm_join_read(path, join, NULL) == 0 && fm_client_open(join, &client, NULL) == 0) {
        fm_message_init(&m, type);
        fm_client_send(client, &m, NULL);
        if (fm_client_receive(client, 5000, &m, NULL) == 1) {
            if (m.type == want)
                snprintf(text, n, "%s", m.text ? m.text : "yes");
            fm_message_fini(&m);
        }
    }
    fm_client_close(client, 0);
    free(join);
}

static char observed[2][2048];

static void ask_to_drain(crew_world *w)
{
    if (w->acked != 2)
        return;
    observe(open_bench, FM_MSG_STATUS_ASK, FM_MSG_STATUS, observed[0], sizeof observed[0]);
    observe(open_bench, FM_MSG_DRAIN_ASK, FM_MSG_ACKED, observed[1], sizeof observed[1]);
}

static void an_observer_asks_and_drains(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(1);

    b->spec.shard_size = 10;
    b->world.after_ack = ask_to_drain;
    CHECK_INT(build(b), -EINTR);
    CHECK_INT(b->counts.done, 20);
    CHECK(strstr(observed[0], "\"state\": \"running\"") && strstr(observed[0], "\"done\": 20,"));
    CHECK_STR(observed[1], "yes");
    b->world.after_ack = NULL;
    check_built(b, build(b), &want);
    bench_close(b);
}

/* Everything that holds a valid key may say anything. */
static void talk_nonsense(crew_world *w)
{
    fm_rng r = fm_rng_init(11, (uint64_t)w->acked);
    fm_client *client;
    fm_message m;

    if (fm_client_open(&(fm_join){0}, &client, NULL) == 0)
        fm_client_close(client, 0);
    for (int peer = 0; peer < 3; peer++) {
        fm_join *join = malloc(sizeof *join);

        if (!join || fm_join_read(w->crew[0].join_file, join, NULL) != 0 || fm_client_open(join, &client, NULL) != 0)
            abort();
        for (int i = 0; i < 60; i++) {
            fm_message_init(&m, i == 0 && peer ? FM_MSG_HELLO : (fm_message_type)(1 + fm_rng_below(&r, FM_MSG_DRAIN_ASK)));
            m.lease = fm_rng_below(&r, 3) ? (uint64_t)1 << 32 | fm_rng_below(&r, 12) : UINT64_MAX;
            m.crew = 1000;
            if (m.type == FM_MSG_WELCOME)
                fm_recipe_default(&m.recipe);
            if (m.type == FM_MSG_ACK)
                fm_message_room(&m, fm_rng_below(&r, 20), NULL);
            if (fm_rng_below(&r, 2))
                fm_message_set_text(&m, "e1-n0-h0-p0", NULL);
            fm_client_send(client, &m, NULL);
            fm_message_fini(&m);
        }
        fm_client_close(client, 200);
        free(join);
    }
}

static void nonsense_does_not_disturb(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(2);

    printf("seed 11\n");
    b->spec.shard_size = 10;
    b->spec.lease_timeout_ms = 1000;
    b->world.after_ack = talk_nonsense;
    check_built(b, build(b), &want);
    bench_close(b);
}

static void crews_that_die_at_once(void)
{
    bench *b = bench_open(2);

    b->world.all_alike = true;
    b->world.habits[0][0] = DIE_AT_START;
    CHECK_INT(build(b), -EIO);
    CHECK_INT(starts(b), 8);
    CHECK_INT(b->counts.crews_lost, 8);
    CHECK_INT(b->counts.done, 0);
    CHECK(!in_run(b, FM_RUN_CREW_JOIN));
    b->world.start_code = -ENOENT;
    CHECK_INT(build(b), -EIO);
    CHECK(strstr(b->err.text, "there is no mpirun") != NULL);
    bench_close(b);
}

static volatile uint64_t alone;

static int count_up(void *ctx, uint32_t crew, const char *join_file, fm_err *err)
{
    (void)ctx;
    (void)crew;
    (void)join_file;
    (void)err;
    alone++;
    return 0;
}

/* Works until there is something to keep, says so with a file, and waits to be killed. */
static void say_so_and_wait(crew_world *w)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;     /* two workers writing one file would be in each other's way */

    if (w->acked < 3)
        return;
    if (!atomic_flag_test_and_set(&said))
        write_photograph(open_bench->path[0], "A photograph 0");
    nanosleep(&(struct timespec){60, 0}, NULL);
}

static pid_t fork_coordinator(bench *b)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    b->spec.shard_size = 10;
    b->spec.paths++;        /* its crew says with the first one's file how far it is */
    b->spec.n_paths--;
    b->world.after_ack = say_so_and_wait;
    fm_build_run(&b->spec, &b->counts, NULL);
    _exit(0);
}

static void one_coordinator_a_store(void)
{
    fm_digest want = digest_undisturbed();
    bench *b = bench_open(2);
    pid_t other;

    CHECK_INT(unlink(b->path[0]), 0);
    other = fork_coordinator(b);
    REQUIRE(other > 0);
    for (int i = 0; i < 3000 && !fm_path_exists(b->path[0]); i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    b->spec.crews.start = count_up;
    CHECK_INT(build(b), -EAGAIN);
    CHECK_INT(alone, 0);
    CHECK(in_run(b, FM_RUN_CREW_JOIN));         /* the other's, left alone */
    CHECK_INT(kill(other, SIGKILL), 0);
    waitpid(other, NULL, 0);
    crew_world_ops(&b->world, 2, &b->spec.crews);
    check_built(b, build(b), &want);
    CHECK(b->counts.photos_reused >= 30);       /* acknowledged, never sealed, adopted */
    CHECK_INT(b->world.decoded, PHOTOGRAPHS - (int)b->counts.photos_reused);
    bench_close(b);
}

CHECK_MAIN(CHECK_CASE(one_coordinator_a_store), CHECK_CASE(from_nothing_to_a_digest),
           CHECK_CASE(a_second_run_hands_nothing_out), CHECK_CASE(only_what_changed),
           CHECK_CASE(files_that_moved_or_changed), CHECK_CASE(a_worker_dies_holding_a_lease),
           CHECK_CASE(acknowledged_is_kept_unsealed),
           CHECK_CASE(committed_and_unacknowledged_is_found), CHECK_CASE(a_lost_segment_is_made_again),
           CHECK_CASE(a_late_acknowledgement_is_stale), CHECK_CASE(a_crew_that_hangs_is_ended),
           CHECK_CASE(copies_are_accounted_for), CHECK_CASE(stopped_and_gone_on_with),
           CHECK_CASE(an_observer_asks_and_drains), CHECK_CASE(nonsense_does_not_disturb),
           CHECK_CASE(crews_that_die_at_once))

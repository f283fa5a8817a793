/* A deterministic simulator: coordinators, crews of workers and a network that loses, delays, doubles and reorders
 * messages, around the state machines that run (conversation, leases, worklist, handout, segments, crews), with time that
 * jumps, workers that are stopped and woken, crews and coordinators that are killed, a coordinator that wakes after
 * another took over, segments that are lost, and a photograph that kills.  Only storage is a stand-in
 * (tests/coordinator/memory.h).
 *
 * Each seed is one history: disorder first, then calm, in which it has to end.
 *   SEEDS=n   so many histories; SEED=s the first one's number (to replay one: SEEDS=1 SEED=s) */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/check.h"
#include "tests/coordinator/simulated.h"

enum { STORM_STEPS = 150, CALM_STEPS = 4000, SEEDS_USUAL = 100000 };

static fm_recipe recipe;
static fm_digest encoder;
static uint64_t n_twice, n_stale, n_kills, n_coordinators, n_condemned, n_lost;

static fm_peer peer(int who)
{
    return (fm_peer){.size = 3, .id = {1, (uint8_t)(who >> 8), (uint8_t)who}, .role = FM_PEER_WORKER};
}

/* The coordinator. */

static void bury(coordinator *k)
{
    fm_crews_destroy(k->crews);
    fm_conversation_destroy(k->c);
    fm_worklist_destroy(k->todo);
    memset(k, 0, sizeof *k);
}

/* Shards and photographs add up. */
static void check_counts(const coordinator *k)
{
    fm_conversation_state s;
    uint64_t done = 0;

    fm_conversation_look(k->c, &s);
    CHECK_INT(s.queued + s.leased + s.done + s.condemned, k->todo->n_shards);
    for (uint32_t i = 0; i < k->todo->n; i++)
        done += k->todo->photos[i].done;
    CHECK_INT(k->todo->counts.done, done);
}

/* An acknowledgement counts only when none of its photographs was done, and all are afterwards. */
static void check_counted_once(const coordinator *k, const fm_message *m, uint64_t acked, const bool *was_done)
{
    fm_conversation_state s;

    fm_conversation_look(k->c, &s);
    CHECK(s.acked == acked || (s.acked == acked + 1 && m->type == FM_MSG_ACK));
    for (uint32_t i = 0; s.acked != acked && i < m->n_items; i++)
        CHECK(!was_done[m->acks[i].item] && k->todo->photos[m->acks[i].item].done);
    CHECK(s.acked == acked || m->epoch == memory.epoch);
}

static void hear(world *w, coordinator *k, int who, const fm_message *m)
{
    bool current = k == &w->now_up, answered, was_done[MEMORY_PHOTOS];
    fm_peer from = peer(who);
    fm_conversation_state before, after;
    fm_message reply;
    int rc;

    fm_conversation_look(k->c, &before);
    for (uint32_t i = 0; i < MEMORY_PHOTOS; i++)
        was_done[i] = k->todo->photos[i].done;
    rc = fm_conversation_hear(k->c, &from, m, w->now, &reply, &answered, NULL);
    if (!current && rc == -ESTALE)
        n_stale++;
    CHECK(rc == 0 || (!current && rc == -ESTALE));
    if (current) {
        check_counted_once(k, m, before.acked, was_done);
        check_counts(k);
    } else {
        fm_conversation_look(k->c, &after);
        CHECK(after.acked == before.acked);
    }
    if (rc == 0 && answered)
        post(w, who, true, &reply);
    fm_message_fini(&reply);
    while (rc == 0 && fm_conversation_notice(k->c, &from, &reply)) {
        n_twice++;
        post(w, from.id[1] << 8 | from.id[2], true, &reply);
        fm_message_fini(&reply);
    }
    if (!current && rc != 0)
        bury(k);
}

/* Everything together. */

static bool crew_lives(const world *w, uint32_t crew)
{
    for (int i = 0; i < ACTORS; i++)
        if (w->actors[i].phase != DEAD && w->actors[i].crew == crew && w->actors[i].epoch == memory.epoch)
            return true;
    return false;
}

static int start(void *ctx, uint32_t crew, const char *join_file, fm_err *err)
{
    (void)join_file;
    (void)err;
    start_crew(ctx, crew);
    return 0;
}

static int poll_crew(void *ctx, uint32_t crew, bool *ended, int *status, fm_err *err)
{
    (void)err;
    *ended = !crew_lives(ctx, crew);
    *status = 0;
    return 0;
}

static void stop(void *ctx, uint32_t crew)
{
    end_crew(ctx, crew, memory.epoch);
}

static void take_over(world *w)
{
    fm_build_spec spec = {.recipe = &recipe, .encoder = encoder, .paths = memory.paths, .n_paths = MEMORY_PHOTOS,
                          .shard_size = SHARD};
    fm_crew_ops ops = {start, poll_crew, stop, w, CREWS, false};
    coordinator *k = &w->now_up;
    fm_conversation_spec talk = {.recipe = &recipe, .timeout_ms = LEASE_MS, .limit_ms = LIMIT_MS, .crews = CREWS};

    k->handle.epoch = ++memory.epoch;
    talk.segments = (fm_segments){&k->handle, "store", "scratch", memory.epoch};
    talk.epoch = memory.epoch;
    CHECK_INT(fm_segments_recover(&talk.segments, 0, NULL, NULL), 0);
    CHECK_INT(fm_worklist_create(&spec, &k->handle, &k->todo, NULL), 0);
    talk.todo = k->todo;
    CHECK_INT(fm_conversation_create(&talk, &k->c, NULL), 0);
    CHECK_INT(fm_crews_create(&ops, "", &k->crews, NULL), 0);
    n_coordinators++;
}

static actor *find_actor(world *w, int who)
{
    for (int i = 0; i < ACTORS; i++)
        if (w->actors[i].phase != DEAD && w->actors[i].who == who)
            return &w->actors[i];
    return NULL;
}

static void deliver(world *w, letter *l)
{
    actor *a = l->to_worker ? find_actor(w, l->who) : NULL;
    fm_message m;

    if (a && w->now < a->paused_ms)
        return;                     /* it waits in the socket */
    l->flies = false;
    if (l->to_worker && !a)
        return;
    if (fm_message_decode(l->bytes.data, l->bytes.size, &m, NULL) != 0)
        abort();
    if (a)
        obey(w, a, &m);
    else if (w->old.c && m.epoch == w->old.handle.epoch && roll(w, 2))
        hear(w, &w->old, l->who, &m);
    else
        hear(w, &w->now_up, l->who, &m);
    fm_message_fini(&m);
}

static void kill_somebody(world *w)
{
    if (chance(w, 40)) {
        actor *a = &w->actors[roll(w, 2 * CREWS * RANKS)];

        if (a->phase != DEAD) {
            n_kills++;
            if (chance(w, 6) && memory_find(a->name))
                memory_find(a->name)->damaged = true;
            end_crew(w, a->crew, a->epoch);
        }
    }
    if (chance(w, 300)) {           /* the coordinator's machine hangs; another takes over */
        bury(&w->old);
        w->old = w->now_up;
        for (uint32_t i = 0; i < memory.n_segments; i++)
            memory.segment[i].journal_there = false;
        take_over(w);
    }
}

static void step(world *w)
{
    fm_build_counts *counts;
    int rc;

    w->now += 1 + roll(w, 60) + (chance(w, 200) ? 5000 : 0);
    kill_somebody(w);
    counts = &w->now_up.todo->counts;
    for (int i = 0; i < FLYING; i++)
        if (w->letters[i].flies && w->letters[i].due_ms <= w->now)
            deliver(w, &w->letters[i]);
    for (int i = 0; i < ACTORS; i++)
        if (w->actors[i].phase != DEAD)
            live(w, &w->actors[i]);
    CHECK_INT(fm_conversation_tick(w->now_up.c, w->now, NULL), 0);
    rc = fm_crews_tick(w->now_up.crews, w->now_up.c, w->now, counts, NULL);
    check_counts(&w->now_up);
    if (rc == -EIO) {               /* too many deaths in a row, of which the last may come with the calm */
        CHECK(w->storm || w->given_up++ == 0);
        fm_crews_stop(w->now_up.crews);
        bury(&w->now_up);
        take_over(w);
    } else {
        CHECK_INT(rc, 0);
    }
}

static bool over(const world *w)
{
    fm_conversation_state s;

    fm_conversation_look(w->now_up.c, &s);
    return s.complete && s.here == 0 && fm_crews_down(w->now_up.crews);
}

/* Every photograph that was acknowledged has its records in a sealed segment that holds them. */
static void check_end(const world *w)
{
    const fm_worklist *p = w->now_up.todo;

    CHECK_INT(p->counts.done, MEMORY_PHOTOS);
    for (uint32_t i = 0; i < MEMORY_PHOTOS; i++) {
        bool crashed = p->photos[i].reason == FM_CRASHED || p->photos[i].reason == FM_TIMED_OUT;

        n_condemned += crashed;
        CHECK(i == w->deadly ? crashed : !crashed || w->other_deaths >= 2);
        for (int kind = 0; kind < 2 && !crashed; kind++) {
            uint32_t at = memory.where[kind][i];

            if (!CHECK(at != UINT32_MAX))
                continue;
            CHECK(memory.segment[at].in_catalog && memory.segment[at].sealed_there && memory.segment[at].in_store);
            CHECK(memory.segment[at].has[kind] >> i & 1);
        }
    }
    n_lost += p->counts.leases_lost;
}

static void one_history(world *w, uint64_t seed)
{
    int steps = 0;

    w->rng = fm_rng_init(seed, 0);
    w->storm = true;
    w->now = 1;
    w->next_who = 1;
    w->deadly = roll(w, 4) ? MEMORY_PHOTOS : roll(w, MEMORY_PHOTOS);
    w->other_deaths = w->given_up = 0;
    memset(w->actors, 0, sizeof w->actors);
    for (int i = 0; i < FLYING; i++)
        w->letters[i].flies = false;
    memory_clear();
    take_over(w);
    for (; steps < STORM_STEPS && check_ok_so_far(); steps++)
        step(w);
    w->storm = false;
    while (!over(w) && steps++ < CALM_STEPS && check_ok_so_far())
        step(w);
    if (CHECK(over(w)))
        check_end(w);
    bury(&w->now_up);
    bury(&w->old);
}

static void name_everything(const char *dir)
{
    static char paths[MEMORY_PHOTOS][128];
    fm_digest digest;

    fm_recipe_default(&recipe);
    fm_recipe_digest(&recipe, &digest, NULL);
    fm_digest_of("encoder", 7, &encoder);
    for (uint32_t i = 0; i < MEMORY_PHOTOS; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%u.jpg", dir, i);
        memory.paths[i] = paths[i];
        fm_digest_of(&i, sizeof i, &memory.image[i]);
        fm_key_photo(&memory.image[i], &digest, &memory.key[0][i]);
        fm_key_code(&memory.key[0][i], &encoder, &memory.key[1][i]);
    }
}

static uint64_t number_in(const char *name, uint64_t usual)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : usual;
}

static void histories(void)
{
    uint64_t first = number_in("SEED", 1), n = number_in("SEEDS", SEEDS_USUAL), seed = first;
    world *w = calloc(1, sizeof *w);

    REQUIRE(w != NULL);
    name_everything(check_tmpdir());
    for (; seed < first + n && check_ok_so_far(); seed++)
        one_history(w, seed);
    if (!check_ok_so_far())
        printf("seed %llu: replay it with SEEDS=1 SEED=%llu\n", (unsigned long long)seed - 1,
               (unsigned long long)seed - 1);
    printf("%llu histories: %llu coordinators, %llu kills, %llu leases lost, %llu stale writes refused, "
           "%llu photographs quarantined, %llu shards done twice\n", (unsigned long long)(seed - first), (unsigned long long)n_coordinators,
           (unsigned long long)n_kills, (unsigned long long)n_lost, (unsigned long long)n_stale,
           (unsigned long long)n_condemned, (unsigned long long)n_twice);
    CHECK(n < 1000 || (n_kills > n / 10 && n_coordinators > n && n_stale > 0 && n_condemned > 0 && n_lost > n / 10 && n_twice > n / 100));
    for (int i = 0; i < FLYING; i++)
        fm_buf_fini(&w->letters[i].bytes);
    free(w);
}

CHECK_MAIN(CHECK_CASE(histories))

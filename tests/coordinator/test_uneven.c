/* How long uneven workers take, in simulated time: each asks, works so long a photograph, acknowledges.  Nothing is random
 * and no clock is read, so that the figures are the same everywhere. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "coordinator/conversation.h"
#include "tests/check.h"

enum { WORKERS_MAX = 64, PHOTO_US = 50000, TIMEOUT_MS = 30000 };

typedef struct {
    double slowness;            /* 1: PHOTO_US a photograph */
    uint64_t next_us;           /* when it does something again; UINT64_MAX: it has left */
    uint64_t stops_us;          /* from here on it says nothing any more; 0: it goes on */
    char name[FM_SEGMENT_NAME_MAX];
    fm_message lease;           /* what it works on; type 0: nothing */
} sim_worker;

typedef struct {
    char dir[64], store[96];
    const char **paths;
    fm_recipe recipe;
    fm_catalog *catalog;
    fm_worklist *todo;
    fm_conversation *c;
    uint64_t epoch, now_us, ended_us;
    int n_workers;
    sim_worker worker[WORKERS_MAX];
    uint64_t acks, twice, stale;
} sim;

static sim *sim_open(uint32_t photographs, int workers, uint32_t shard)
{
    sim *s = calloc(1, sizeof *s);
    fm_build_spec spec = {.n_paths = photographs, .shard_size = shard};
    fm_conversation_spec talk = {.timeout_ms = TIMEOUT_MS, .crews = 1};

    if (!s || !(s->paths = calloc(photographs, sizeof *s->paths)))
        abort();
    snprintf(s->dir, sizeof s->dir, "%s/facemill-test-XXXXXX", fm_path_exists("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(s->dir))
        abort();
    snprintf(s->store, sizeof s->store, "%s/store", s->dir);
    for (uint32_t i = 0; i < photographs; i++)
        if (asprintf((char **)&s->paths[i], "%s/%u.jpg", s->dir, i) < 0)
            abort();
    fm_recipe_default(&s->recipe);
    spec.recipe = talk.recipe = &s->recipe;
    spec.paths = s->paths;
    if (fm_catalog_open(s->store, true, &s->catalog, NULL) != 0 || fm_catalog_take(s->catalog, &s->epoch, NULL) != 0 ||
        fm_worklist_create(&spec, s->catalog, &s->todo, NULL) != 0)
        abort();
    talk.segments = (fm_segments){s->catalog, s->store, s->dir, s->epoch};
    talk.todo = s->todo;
    talk.epoch = s->epoch;
    if (fm_conversation_create(&talk, &s->c, NULL) != 0)
        abort();
    s->n_workers = workers;
    for (int i = 0; i < workers; i++)
        s->worker[i].slowness = 1;
    return s;
}

static void sim_close(sim *s)
{
    for (int i = 0; i < s->n_workers; i++)
        fm_message_fini(&s->worker[i].lease);
    for (uint32_t i = 0; i < s->todo->n; i++)
        free((char *)s->paths[i]);
    fm_conversation_destroy(s->c);
    fm_worklist_destroy(s->todo);
    fm_catalog_close(s->catalog);
    fm_dir_remove(s->dir, NULL);
    free(s->paths);
    free(s);
}

static fm_peer peer_of(int i)
{
    return (fm_peer){.size = 2, .id = {1, (uint8_t)i}, .role = FM_PEER_WORKER};
}

static fm_message say(sim *s, int i, fm_message *m)
{
    fm_peer from = peer_of(i);
    fm_message reply;
    bool answered;

    m->epoch = s->epoch;
    if (fm_conversation_hear(s->c, &from, m, s->now_us / 1000, &reply, &answered, NULL) != 0)
        abort();
    fm_message_fini(m);
    return reply;
}

static void join(sim *s, int i)
{
    fm_message m, reply;

    fm_message_init(&m, FM_MSG_HELLO);
    m.rank = (uint32_t)i;
    reply = say(s, i, &m);
    snprintf(s->worker[i].name, sizeof s->worker[i].name, "%.60s", reply.text);
    fm_message_fini(&reply);
}

/* What was leased is done: all photographs unreadable, so that nothing has to be stored. */
static void acknowledge(sim *s, int i)
{
    sim_worker *w = &s->worker[i];
    uint32_t took_us = (uint32_t)(w->lease.n_items * w->slowness * PHOTO_US), n = w->lease.n_items;
    fm_message m, reply;

    fm_message_init(&m, FM_MSG_ACK);
    m.lease = w->lease.lease;
    fm_message_set_text(&m, w->name, NULL);
    fm_message_room(&m, n, NULL);
    for (uint32_t k = 0; k < n; k++)
        m.acks[k] = (fm_ack_item){.item = w->lease.items[k].item, .reason = FM_UNREADABLE};
    fm_message_add_span(&m, &(fm_span){FM_SPAN_CHIP, took_us, took_us, n}, NULL);
    reply = say(s, i, &m);
    s->acks += reply.type == FM_MSG_ACKED;
    s->stale += reply.type == FM_MSG_STALE;
    fm_message_fini(&reply);
    fm_message_fini(&w->lease);
}

static void want(sim *s, int i)
{
    sim_worker *w = &s->worker[i];
    fm_message m, reply;

    fm_message_init(&m, FM_MSG_WANT);
    reply = say(s, i, &m);
    if (reply.type == FM_MSG_LEASE) {
        w->lease = reply;
        w->next_us = s->now_us + (uint64_t)(reply.n_items * w->slowness * PHOTO_US);
        return;
    }
    w->next_us = reply.type == FM_MSG_WAIT ? s->now_us + reply.timeout_ms * 1000 : UINT64_MAX;
    if (reply.type == FM_MSG_FINISH) {
        s->ended_us = s->now_us;
        fm_message_init(&m, FM_MSG_BYE);
        say(s, i, &m);
    }
}

/* Workers that are told that another was first ask for the next at once. */
static void deliver_notices(sim *s)
{
    fm_peer to;
    fm_message m;

    while (fm_conversation_notice(s->c, &to, &m)) {
        sim_worker *w = &s->worker[to.id[1]];

        CHECK(m.type == FM_MSG_STALE && m.lease == w->lease.lease);
        fm_message_fini(&w->lease);
        if (!w->stops_us || s->now_us < w->stops_us)
            w->next_us = s->now_us;
    }
}

/* Run to the end; how much longer than the ideal it took, at which all workers end together. */
static double overhead(sim *s)
{
    fm_conversation_state state;
    double speed = 0;

    for (int i = 0; i < s->n_workers; i++) {
        join(s, i);
        speed += s->worker[i].stops_us ? 0 : 1 / s->worker[i].slowness;
    }
    for (;;) {
        int first = 0;

        for (int i = 1; i < s->n_workers; i++)
            if (s->worker[i].next_us < s->worker[first].next_us)
                first = i;
        if (s->worker[first].next_us == UINT64_MAX)
            break;
        s->now_us = s->worker[first].next_us;
        if (s->worker[first].stops_us && s->now_us >= s->worker[first].stops_us) {
            s->worker[first].next_us = UINT64_MAX;
            continue;
        }
        if (s->worker[first].lease.type)
            acknowledge(s, first);
        deliver_notices(s);
        want(s, first);
    }
    fm_conversation_look(s->c, &state);
    s->twice = state.twice;
    CHECK(state.complete && s->todo->counts.done == s->todo->n);
    CHECK_INT((long long)state.acked, (long long)s->acks);      /* each shard counted once */
    return (double)s->ended_us * speed / ((double)s->todo->n * PHOTO_US) - 1;
}

/* One of them is slowed to a third. */
static void a_slow_rank_costs_little(void)
{
    static const struct { uint32_t photographs; int workers; } cases[] = {
        {200, 4}, {400, 2}, {400, 4}, {2000, 4}, {2000, 16}, {20000, 64},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sim *s = sim_open(cases[i].photographs, cases[i].workers, 0);
        double more;

        s->worker[0].slowness = 3;
        more = overhead(s);
        printf("%u photographs, %d ranks, one at a third: %.1f %% over the ideal, %llu shards twice\n",
               cases[i].photographs, cases[i].workers, 100 * more, (unsigned long long)s->twice);
        CHECK(more <= 0.10);
        sim_close(s);
    }
}

static void even_ranks_are_not_helped_for_nothing(void)
{
    sim *s = sim_open(2000, 4, 0);

    CHECK(overhead(s) <= 0.05);
    CHECK(s->twice <= 4);
    sim_close(s);
}

/* Shards as large as the study says: what is left to help with is the end. */
static void large_shards_are_handed_out_twice(void)
{
    sim *s = sim_open(1920, 4, 64);

    s->worker[3].slowness = 5;
    CHECK(overhead(s) < 0.30);
    CHECK(s->twice >= 1 && s->stale == 0);
    for (uint32_t k = 0; k < s->todo->n_shards; k++)
        CHECK_INT(s->todo->end[k] - s->todo->first[k], 64);
    sim_close(s);
}

/* One that stops answering with a shard in its hands is not waited for until its lease runs out. */
static void a_rank_that_stops_is_not_waited_for(void)
{
    sim *s = sim_open(2000, 4, 0);

    s->worker[2].stops_us = 20000000;
    overhead(s);
    CHECK(s->ended_us < 30000000);              /* its lease would have run out at 50 s */
    CHECK(s->twice >= 1);
    sim_close(s);
}

CHECK_MAIN(CHECK_CASE(a_slow_rank_costs_little), CHECK_CASE(even_ranks_are_not_helped_for_nothing),
           CHECK_CASE(large_shards_are_handed_out_twice), CHECK_CASE(a_rank_that_stops_is_not_waited_for))

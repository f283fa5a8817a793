/* Conversations with workers in a world where messages are lost, said twice or late, and crews die. */
#include <stdlib.h>

#include "base/rng.h"
#include "tests/check.h"
#include "tests/coordinator/talk.h"

enum { WORKERS = 4 };

typedef struct {
    int who;                /* peer; a new one after each death */
    enum { JOINING, ASKING, HOLDING, SEALING, GONE } phase;
    bool finishing;
    uint64_t lease, idle_until;
    char name[FM_SEGMENT_NAME_MAX];
    uint64_t old_lease;     /* acknowledged once more, now and then */
} actor;

static void rise(actor *a, int *next_peer)
{
    memset(a, 0, sizeof *a);
    a->who = (*next_peer)++;
}

/* What the actor has to say. */
static fm_message next_message(const talk *t, const actor *a, uint32_t crew, bool made)
{
    fm_message m = talk_message(t, a->phase == JOINING ? FM_MSG_HELLO
                                   : a->phase == ASKING ? FM_MSG_WANT : FM_MSG_SEALED);

    if (a->phase == HOLDING)
        return talk_ack(t, a->lease, a->name, made);
    if (a->phase == SEALING && fm_message_set_text(&m, a->name, NULL) != 0)
        abort();
    m.records = 1;
    m.crew = crew;
    m.pid = (uint32_t)a->who;
    return m;
}

/* It says it, and obeys the answer. */
static void act(talk *t, actor *a, uint32_t crew, fm_rng *r)
{
    fm_message m = next_message(t, a, crew, fm_rng_below(r, 2)), reply = talk_say(t, a->who, &m);

    if (fm_rng_below(r, 10) == 0) {
        ;       /* the answer is lost: it will be asked again */
    } else if (reply.type == FM_MSG_WELCOME) {
        snprintf(a->name, sizeof a->name, "%.63s", reply.text);
        a->phase = ASKING;
    } else if (reply.type == FM_MSG_LEASE) {
        a->lease = reply.lease;
        a->idle_until = t->now + (fm_rng_below(r, 8) ? 0 : 2 * TIMEOUT_MS);
        a->phase = HOLDING;
    } else if (a->phase == HOLDING) {
        CHECK(reply.type == FM_MSG_ACKED || reply.type == FM_MSG_STALE);
        a->old_lease = a->lease;
        a->phase = fm_rng_below(r, 4) ? ASKING : SEALING;
    } else if (reply.type == FM_MSG_FINISH) {
        a->finishing = true;
        a->phase = SEALING;
    } else if (a->phase == SEALING) {
        CHECK_INT(reply.type, FM_MSG_ACKED);
        CHECK(strcmp(reply.text, a->name) != 0);
        snprintf(a->name, sizeof a->name, "%.63s", reply.text);
        a->phase = a->finishing ? GONE : ASKING;
    } else {
        CHECK_INT(reply.type, FM_MSG_WAIT);
    }
    fm_message_fini(&reply);
}

static void one_step(talk *t, actor *actors, int *next_peer, fm_rng *r, bool deadly)
{
    uint32_t crew = fm_rng_below(r, WORKERS);
    actor *a = &actors[crew];
    bool clean;

    t->now += fm_rng_below(r, 60);
    CHECK_INT(fm_conversation_tick(t->c, t->now, NULL), 0);
    if (a->phase == GONE || (deadly && fm_rng_below(r, 40) == 0)) {
        bool heard = fm_conversation_crew_heard(t->c, crew) > 0;

        if (a->phase == GONE)
            talk_ask(t, a->who, FM_MSG_BYE, NULL, NULL);
        CHECK_INT(fm_conversation_crew_ended(t->c, crew, t->now, &clean, NULL), 0);
        CHECK_INT(clean, heard && a->phase == GONE);
        rise(a, next_peer);
        return;
    }
    if (a->old_lease && fm_rng_below(r, 10) == 0)
        talk_say_ack(t, a->who, a->old_lease, a->name, false);
    if (a->idle_until <= t->now)
        act(t, a, crew, r);
}

static void random_histories_end_well(void)
{
    const uint64_t seed = 21;
    uint64_t lost = 0;

    printf("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 40; round++) {
        fm_rng r = fm_rng_init(seed, round);
        actor actors[WORKERS];
        fm_conversation_state state;
        int next_peer = 1, steps = 0;
        talk *t = talk_open();
        bool clean, held = true;

        for (int i = 0; i < WORKERS; i++)
            rise(&actors[i], &next_peer);
        do {
            one_step(t, actors, &next_peer, &r, steps < 300);
            fm_conversation_look(t->c, &state);
        } while ((!state.complete || steps < 300) && ++steps < 5000 && check_ok_so_far());
        CHECK(state.complete);
        CHECK_INT(t->todo->counts.done, PHOTOGRAPHS);
        CHECK_INT(t->todo->counts.photos_made + t->todo->counts.photos_reused, PHOTOGRAPHS);
        for (uint32_t s = 0; s < t->todo->n_shards && state.complete; s++)
            CHECK(fm_worklist_shard_held(t->todo, s, t->catalog, &held, NULL) == 0 && held);
        lost += t->todo->counts.leases_lost;
        for (uint32_t crew = 0; crew < WORKERS; crew++)
            fm_conversation_crew_ended(t->c, crew, t->now, &clean, NULL);
        fm_conversation_look(t->c, &state);
        CHECK_INT(state.here, 0);
        talk_close(t);
    }
    printf("%llu leases lost\n", (unsigned long long)lost);
    CHECK(lost > 100);      /* or nothing was tried */
}

CHECK_MAIN(CHECK_CASE(random_histories_end_well))

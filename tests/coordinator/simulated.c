/* Workers as worker/worker.c is one, in miniature: they ask, ask again, work with beats in between, commit, acknowledge
 * and seal, and know when the coordinator is dead.  Records are bits. */
#include "tests/coordinator/simulated.h"

#include <stdlib.h>
#include <string.h>

uint32_t roll(world *w, uint32_t n)
{
    return fm_rng_below(&w->rng, n);
}

bool chance(world *w, uint32_t one_in)
{
    return w->storm && roll(w, one_in) == 0;
}

void post(world *w, int who, bool to_worker, const fm_message *m)
{
    int copies = chance(w, 12) ? 0 : chance(w, 12) ? 2 : 1;

    for (int i = 0; i < FLYING && copies > 0; i++) {
        letter *l = &w->letters[i];

        if (l->flies)
            continue;
        l->flies = true;
        l->to_worker = to_worker;
        l->who = who;
        l->due_ms = w->now + roll(w, 30) + (chance(w, 10) ? roll(w, 3000) : 0);
        l->bytes.size = 0;
        fm_message_encode(m, &l->bytes);
        copies--;
    }
}

static void end_actor(actor *a)
{
    memory_segment *s = memory_find(a->name);

    if (s)
        s->writer_lives = false;
    a->phase = DEAD;
}

void end_crew(world *w, uint32_t crew, uint64_t epoch)
{
    w->other_deaths++;
    for (int i = 0; i < ACTORS; i++)
        if (w->actors[i].phase != DEAD && w->actors[i].crew == crew && w->actors[i].epoch == epoch)
            end_actor(&w->actors[i]);
}

void start_crew(world *w, uint32_t crew)
{
    for (int i = 0, n = 0; i < ACTORS && n < RANKS; i++) {
        if (w->actors[i].phase != DEAD)
            continue;
        w->actors[i] = (actor){.phase = JOINING, .who = w->next_who++, .crew = crew, .epoch = memory.epoch,
                               .heard_ms = w->now};
        n++;
    }
}

static void ask(world *w, actor *a)
{
    static const fm_message_type types[] = {[JOINING] = FM_MSG_HELLO, [ASKING] = FM_MSG_WANT, [ACKING] = FM_MSG_ACK,
                                            [SEALING] = FM_MSG_SEALED};
    memory_segment *s = memory_find(a->name);
    fm_message m;

    fm_message_init(&m, types[a->phase]);
    m.epoch = a->epoch;
    m.crew = a->crew;
    m.pid = (uint32_t)a->who;
    m.lease = a->lease;
    if (a->phase == ACKING || a->phase == SEALING)
        fm_message_set_text(&m, a->name, NULL);
    m.records = s ? (uint64_t)(__builtin_popcountll(s->has[0]) + __builtin_popcountll(s->has[1])) : 0;
    if (a->phase == ACKING)
        fm_message_room(&m, a->n_items, NULL);
    for (uint32_t i = 0; a->phase == ACKING && i < a->n_items; i++)
        m.acks[i] = (fm_ack_item){.item = a->items[i], .size_bytes = 1, .image = memory.image[a->items[i]],
                                  .mtime_ns = 1, .reason = FM_USED, .photo_made = a->made[i][0],
                                  .code_made = a->made[i][1]};
    if (a->phase == ACKING)         /* so that ranks are known to be of different speed, and help each other at the end */
        fm_message_add_span(&m, &(fm_span){FM_SPAN_CHIP, 0, 1000 + 200000 * roll(w, 2), a->n_items}, NULL);
    post(w, a->who, false, &m);
    fm_message_fini(&m);
    a->ask_ms = w->now + AGAIN_MS;
}

static void enter(world *w, actor *a, phase next)
{
    a->phase = next;
    a->heard_ms = w->now;
    if (next != WORKING)
        ask(w, a);
}

static void seal(world *w, actor *a)
{
    memory_segment *s = memory_find(a->name);

    if (!(s->has[0] | s->has[1])) {
        if (a->finishing)
            a->phase = DEAD;
        else
            enter(w, a, ASKING);
        return;
    }
    if (s->in_scratch) {            /* else somebody has adopted it: sealing finds the file gone */
        s->in_scratch = false;
        s->in_store = true;
        s->writer_lives = false;
        enter(w, a, SEALING);
    } else {
        end_crew(w, a->crew, a->epoch);
    }
}

static void say_bye(world *w, const actor *a)
{
    fm_message m;

    fm_message_init(&m, FM_MSG_BYE);
    m.epoch = a->epoch;
    post(w, a->who, false, &m);
    fm_message_fini(&m);
}

static void take_name(actor *a, const char *name)
{
    snprintf(a->name, sizeof a->name, "%s", name);
    a->put[0] = a->put[1] = 0;
}

void obey(world *w, actor *a, const fm_message *m)
{
    memory_segment *s;

    if (m->type == FM_MSG_REFUSED || (m->type == FM_MSG_STALE && m->lease == 0)) {
        end_crew(w, a->crew, a->epoch);
        return;
    }
    a->heard_ms = w->now;
    if (a->phase == JOINING && m->type == FM_MSG_WELCOME) {
        take_name(a, m->text);
        memcpy(a->first, a->name, sizeof a->first);
        if ((s = memory_find(a->first)))
            s->journal_there = true;
        enter(w, a, ASKING);
    } else if (a->phase == ASKING && m->type == FM_MSG_LEASE && m->lease != a->done_lease) {
        a->lease = m->lease;
        a->n_items = m->n_items;
        for (uint32_t i = 0; i < m->n_items && i < SHARD; i++)
            a->items[i] = (uint32_t)m->items[i].item;
        a->at = 0;
        a->busy_ms = a->beat_ms = w->now;
        enter(w, a, WORKING);
    } else if (a->phase == ASKING && m->type == FM_MSG_WAIT) {
        a->ask_ms = w->now + m->timeout_ms;
    } else if (a->phase == ASKING && m->type == FM_MSG_FINISH) {
        a->finishing = true;
        seal(w, a);
        if (a->phase == DEAD)
            say_bye(w, a);
    } else if (a->phase == WORKING && m->type == FM_MSG_STALE && m->lease == a->lease) {
        a->at = a->n_items;         /* what it has it commits, and is told again */
    } else if (a->phase == ACKING && m->lease == a->lease && (m->type == FM_MSG_ACKED || m->type == FM_MSG_STALE)) {
        a->done_lease = m->type == FM_MSG_ACKED ? a->lease : a->done_lease;
        a->lease = 0;
        if (roll(w, 4) == 0)
            seal(w, a);
        else
            enter(w, a, ASKING);
    } else if (a->phase == SEALING && m->type == FM_MSG_ACKED && m->lease == 0 && strcmp(m->text, a->name) != 0) {
        take_name(a, m->text);
        if (a->finishing) {
            a->phase = DEAD;
            say_bye(w, a);
        } else {
            enter(w, a, ASKING);
        }
    }
}

/* Workers are told of segments that the catalog has as sealed only.  Not every one has been told of each. */
static bool in_some_store(world *w, int kind, uint32_t item)
{
    for (uint32_t i = 0; i < memory.n_segments; i++)
        if (memory.segment[i].in_store && memory.segment[i].in_catalog && memory.segment[i].sealed_there &&
            (memory.segment[i].has[kind] >> item & 1))
            return roll(w, 2);
    return false;
}

/* The next photograph of the lease: found or made, uncommitted. */
static void do_photo(world *w, actor *a)
{
    memory_segment *first = memory_find(a->first);
    uint32_t item = a->items[a->at];

    first->journal = (fm_journal_entry){.lease = a->lease, .item = item, .busy = true};
    if (item == w->deadly) {
        end_crew(w, a->crew, a->epoch);
        w->other_deaths--;
        return;
    }
    for (int kind = 0; kind < 2; kind++) {
        bool there = (a->put[kind] >> item & 1) || in_some_store(w, kind, item);

        a->made[a->at][kind] = !there;
        if (!there)
            a->put[kind] |= (uint64_t)1 << item;
    }
    a->at++;
    a->busy_ms = w->now + 20 + roll(w, chance(w, 20) ? 2500 : 100);
}

static void commit(world *w, actor *a)
{
    memory_segment *s = memory_find(a->name), *first = memory_find(a->first);

    first->journal.busy = false;
    if (a->at != a->n_items || !a->lease) {
        end_crew(w, a->crew, a->epoch);
        return;
    }
    if ((a->put[0] | a->put[1]) && !s->in_scratch && (s->has[0] | s->has[1] || s->in_store)) {
        end_crew(w, a->crew, a->epoch);     /* adopted under its hands */
        return;
    }
    if (a->put[0] | a->put[1]) {
        s->in_scratch = s->writer_lives = true;
        s->has[0] = a->put[0];
        s->has[1] = a->put[1];
    }
    enter(w, a, ACKING);
}

void live(world *w, actor *a)
{
    fm_message m;

    if (w->now < a->paused_ms)
        return;
    if (chance(w, 400))
        a->paused_ms = w->now + roll(w, 9000);
    if (a->phase == WORKING) {
        if (w->now >= a->beat_ms + LEASE_MS / 3) {
            fm_message_init(&m, FM_MSG_BEAT);
            m.epoch = a->epoch;
            m.lease = a->lease;
            post(w, a->who, false, &m);
            a->beat_ms = w->now;
        }
        if (w->now >= a->busy_ms && a->at < a->n_items)
            do_photo(w, a);
        else if (w->now >= a->busy_ms)
            commit(w, a);
    } else if (w->now >= a->heard_ms + SILENCE_MS) {
        end_crew(w, a->crew, a->epoch);
    } else if (w->now >= a->ask_ms) {
        ask(w, a);
    }
}

/* Who says what is one table of handlers; each writes at most one reply.
 *
 * A worker is known by its peer id for the life of the build.  One that left, died
 * or talked nonsense is never let in again under that id: its segment is settled,
 * and REFUSED is what ends it should it still run (coordinator/segments.c says why
 * that is safe).  Always: ACKED is said only after the catalog has it durably; a
 * worker's open segment stands in the catalog before the worker hears its name, so
 * that no record is ever written where the next coordinator would not look. */
#include "coordinator/conversation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "coordinator/handout.h"
#include "coordinator/lease.h"
#include "coordinator/status.h"
#include "proto/journal.h"

#define NONE UINT32_MAX
#define WAIT_MS 1000
#define HOST_MAX 64
#define DEATHS 2                /* of workers at a photograph that is tried alone, until it is quarantined */
#define SILENT_LEASES 4         /* lease timeouts without a word, after which a worker is taken for dead or hung */

typedef enum { HERE, LEFT, GONE } presence;

typedef struct {
    fm_peer peer;
    presence presence;
    uint32_t crew;                      /* NONE once that crew has ended */
    uint32_t pid;
    char host[HOST_MAX];
    uint64_t heard_ms;
    uint64_t lease;                     /* 0: none */
    bool alone;                         /* the last lease was of a suspect's shard */
    bool overdue;                       /* lost a lease and has not asked for another: may still be at it */
    char journal[FM_SEGMENT_NAME_MAX];
    bool finishing;                     /* was told FINISH */
    uint32_t segment;                   /* its open one; NONE: none */
    bool relied_on;                     /* acknowledged records are in it */
    char name[FM_SEGMENT_NAME_MAX];     /* of segment */
    uint64_t gone_ms;                   /* GONE: since when */
    char sealed[FM_SEGMENT_NAME_MAX];   /* the last that it sealed; "" when none */
} worker;

struct fm_conversation {
    fm_conversation_spec spec;
    fm_leases *leases;
    worker *workers;                    /* a worker's place here is its holder number */
    uint32_t n_workers, room_workers, here;
    uint32_t unsettled;                 /* workers not here whose open segments are not settled */
    uint32_t names;                     /* segments named in this epoch */
    uint64_t acked, suspected, condemned;
    uint32_t *retired, n_retired;       /* crews that are given no more */
    bool draining;
};

int fm_conversation_create(const fm_conversation_spec *spec, fm_conversation **out, fm_err *err)
{
    fm_conversation *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return fm_fail_nomem(err, "conversation", sizeof *c);
    c->spec = *spec;
    rc = fm_leases_create(spec->todo->n_shards, spec->epoch, spec->timeout_ms, &c->leases, err);
    if (rc == 0)
        *out = c;
    else
        free(c);
    return rc;
}

void fm_conversation_destroy(fm_conversation *c)
{
    if (!c)
        return;
    fm_leases_destroy(c->leases);
    free(c->workers);
    free(c->retired);
    free(c);
}

static uint32_t holder_of(const fm_conversation *c, const worker *w)
{
    return (uint32_t)(w - c->workers);
}

static worker *find_worker(fm_conversation *c, const fm_peer *peer)
{
    for (uint32_t i = 0; i < c->n_workers; i++)
        if (fm_peer_equal(&c->workers[i].peer, peer))
            return &c->workers[i];
    return NULL;
}

static bool complete(const fm_conversation *c)
{
    return fm_leases_count(c->leases, FM_SHARD_DONE) + fm_leases_count(c->leases, FM_SHARD_POISON) ==
           c->spec.todo->n_shards;
}

static int refuse(fm_message *reply, const char *why, fm_err *err)
{
    fm_message_init(reply, FM_MSG_REFUSED);
    return fm_message_set_text(reply, why, err);
}

/* Records were lost: every done shard that needs one of them goes back. */
static int take_back(fm_conversation *c, fm_err *err)
{
    fm_worklist *p = c->spec.todo;
    int rc = 0;

    for (uint32_t s = 0; rc == 0 && s < p->n_shards; s++) {
        bool held = true;

        if (fm_leases_state(c->leases, s) == FM_SHARD_DONE)
            rc = fm_worklist_shard_held(p, s, c->spec.segments.catalog, &held, err);
        if (rc != 0 || held)
            continue;
        for (uint32_t k = p->first[s]; k < p->end[s]; k++)
            fm_worklist_undo(p, p->todo[k]);
        fm_leases_lose(c->leases, s);
        p->counts.leases_lost++;
    }
    return rc;
}

/* The worker has nothing to do with its open segment any more. */
static int drop_segment(fm_conversation *c, worker *w, bool lost, fm_err *err)
{
    bool relied_on = w->relied_on;

    w->segment = NONE;
    w->relied_on = false;
    return lost && relied_on ? take_back(c, err) : 0;
}

static int name_segment(fm_conversation *c, worker *w, fm_err *err)
{
    int rc;

    fm_segments_name(c->spec.epoch, c->names++, w->host, w->pid, w->name);
    rc = fm_catalog_add_segment(c->spec.segments.catalog, w->name, &w->segment, err);
    if (rc != 0)
        w->segment = NONE;
    return rc;
}

/* What becomes of the open segment of a worker that is gone.  While its writer lives after all it is left for
 * the next tick, and given up in the end. */
static int settle(fm_conversation *c, worker *w, uint64_t now_ms, fm_err *err)
{
    const fm_segments *segments = &c->spec.segments;
    bool lost = true;
    int rc = fm_segments_settle(segments, w->segment, w->name, &lost, err);

    if (rc == -EBUSY && now_ms - w->gone_ms < fm_conversation_silence_ms(c))
        return 0;
    if (rc == -EBUSY)
        rc = fm_segments_abandon(segments, w->segment, w->name, err);
    if (rc != 0)
        return rc;
    c->unsettled--;
    return drop_segment(c, w, lost, err);
}

/* The worker is gone, one way or the other: what it holds goes back, its open segment is settled. */
static int part_with(fm_conversation *c, worker *w, presence how, uint64_t now_ms, fm_err *err)
{
    c->here--;
    w->presence = how;
    w->gone_ms = now_ms;
    w->lease = 0;
    if (how == LEFT)
        fm_journal_remove(c->spec.segments.store_dir, w->journal);
    if (fm_leases_give_up(c->leases, holder_of(c, w)))
        c->spec.todo->counts.leases_lost++;
    if (w->segment == NONE)
        return 0;
    c->unsettled++;
    return settle(c, w, now_ms, err);
}

/* A worker that says what no worker of this version would say. */
static int dismiss(fm_conversation *c, worker *w, const char *why, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    int rc;

    fm_warn("worker %u of crew %u is dismissed: %s", holder_of(c, w), w->crew, why);
    rc = part_with(c, w, GONE, now_ms, err);
    return rc == 0 ? refuse(reply, why, err) : rc;
}

static int add_worker(fm_conversation *c, const fm_peer *from, const fm_message *m, worker **out, fm_err *err)
{
    worker *w;
    int rc;

    if (c->n_workers == c->room_workers) {
        uint32_t room = 2 * c->room_workers + 16;
        worker *grown = realloc(c->workers, room * sizeof *grown);

        if (!grown)
            return fm_fail_nomem(err, "workers", room * sizeof *grown);
        c->workers = grown;
        c->room_workers = room;
    }
    w = &c->workers[c->n_workers++];
    memset(w, 0, sizeof *w);
    w->peer = *from;
    w->crew = m->crew;
    w->pid = m->pid;
    w->finishing = fm_conversation_retired(c, m->crew);
    w->segment = NONE;
    strncpy(w->host, m->text ? m->text : "", sizeof w->host - 1);
    if (++c->here > c->spec.todo->counts.workers)
        c->spec.todo->counts.workers = c->here;
    *out = w;
    rc = name_segment(c, w, err);
    memcpy(w->journal, w->name, sizeof w->journal);
    return rc;
}

typedef struct {
    fm_message *message;
    fm_err *err;
} segment_names;

static int add_name(void *ctx, const fm_catalog_segment *segment)
{
    segment_names *names = ctx;

    if (segment->state != FM_SEGMENT_SEALED || names->message->n_segments == FM_SEGMENTS_MAX)
        return 0;
    return fm_message_add_segment(names->message, segment->name, names->err);
}

static int hello(fm_conversation *c, const fm_peer *from, worker *w, const fm_message *m, uint64_t now_ms,
                 fm_message *reply, fm_err *err)
{
    segment_names names = {reply, err};
    int rc = 0;

    if (w && w->presence != HERE)
        return refuse(reply, "you have left, or were taken for dead: start again", err);
    if (!w && c->n_workers == FM_WORKERS_MAX)
        return refuse(reply, "too many workers have joined this build", err);
    if (!w)
        rc = add_worker(c, from, m, &w, err);
    if (rc != 0)
        return rc;
    w->heard_ms = now_ms;
    fm_message_init(reply, FM_MSG_WELCOME);
    reply->timeout_ms = c->spec.timeout_ms;
    reply->limit_ms = c->spec.limit_ms;
    reply->recipe = *c->spec.recipe;
    reply->encoder = c->spec.todo->encoder;
    rc = fm_message_set_text(reply, w->name, err);
    return rc == 0 ? fm_catalog_each_segment(c->spec.segments.catalog, add_name, &names, err) : rc;
}

/* Who works beside this one, in its crew: somebody who may be at a photograph, or at a suspect even. */
static void look_beside(const fm_conversation *c, const worker *w, bool *somebody, bool *suspect)
{
    *somebody = *suspect = false;
    for (uint32_t i = 0; i < c->n_workers; i++) {
        const worker *other = &c->workers[i];

        if (other == w || other->presence != HERE || other->crew != w->crew || (!other->lease && !other->overdue))
            continue;
        *somebody = true;
        *suspect = *suspect || other->alone;
    }
}

static int want(fm_conversation *c, worker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    bool granted = false, somebody, suspect;
    uint32_t shard;
    int rc = 0;

    (void)m;
    w->overdue = false;
    look_beside(c, w, &somebody, &suspect);
    if (w->lease || (!w->finishing && !c->draining && !suspect))
        rc = fm_leases_grant(c->leases, holder_of(c, w), !somebody, now_ms, &granted, &w->lease, &shard, err);
    if (rc != 0)
        return rc;
    if (granted) {
        w->alone = fm_leases_alone(c->leases, shard);
        fm_message_init(reply, FM_MSG_LEASE);
        reply->lease = w->lease;
        reply->timeout_ms = c->spec.timeout_ms;
        return fm_handout_fill(c->spec.todo, c->spec.segments.catalog, shard, reply, err);
    }
    w->finishing = w->finishing || c->draining || complete(c);
    fm_message_init(reply, w->finishing ? FM_MSG_FINISH : FM_MSG_WAIT);
    if (!w->finishing)
        reply->timeout_ms = c->spec.timeout_ms / 4 < WAIT_MS ? c->spec.timeout_ms / 4 + 1 : WAIT_MS;
    return 0;
}

static int beat(fm_conversation *c, worker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    fm_lease_verdict verdict = fm_leases_beat(c->leases, m->epoch, m->lease, holder_of(c, w), now_ms);

    (void)err;
    fm_message_init(reply, verdict == FM_LEASE_STALE ? FM_MSG_STALE : FM_MSG_ALIVE);
    reply->lease = m->lease;
    return 0;
}

static int ack(fm_conversation *c, worker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    uint32_t shard;
    fm_lease_verdict verdict = fm_leases_check(c->leases, m->epoch, m->lease, holder_of(c, w), &shard);
    int rc;

    if (verdict == FM_LEASE_OK) {
        if (w->segment == NONE || (m->text && strcmp(m->text, w->name) != 0))
            return dismiss(c, w, "you acknowledged into a segment that is not yours", now_ms, reply, err);
        if (!fm_handout_matches(c->spec.todo, shard, m))
            return dismiss(c, w, "you acknowledged other photographs than you were given", now_ms, reply, err);
        rc = fm_handout_take(c->spec.todo, &c->spec.segments, w->segment, m, &w->relied_on, err);
        if (rc != 0)
            return rc;
        fm_leases_ack(c->leases, m->epoch, m->lease, holder_of(c, w));
        w->lease = 0;
        c->acked++;
    }
    fm_message_init(reply, verdict == FM_LEASE_STALE ? FM_MSG_STALE : FM_MSG_ACKED);
    reply->lease = m->lease;
    return 0;
}

static int sealed(fm_conversation *c, worker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    const char *name = m->text ? m->text : "";
    bool now = w->segment != NONE && strcmp(name, w->name) == 0;
    fm_catalog *catalog = c->spec.segments.catalog;
    int rc = 0;

    if (!now && (!w->sealed[0] || strcmp(name, w->sealed) != 0))
        return dismiss(c, w, "you sealed a segment that is not yours", now_ms, reply, err);
    if (now) {
        rc = m->records ? fm_catalog_segment_sealed(catalog, w->segment, m->records, err)
                        : fm_catalog_segment_lost(catalog, w->segment, err);
        memcpy(w->sealed, w->name, sizeof w->sealed);
        if (rc == 0)
            rc = drop_segment(c, w, m->records == 0, err);
        if (rc == 0)
            rc = name_segment(c, w, err);
    }
    if (rc != 0)
        return rc;
    fm_message_init(reply, FM_MSG_ACKED);
    return fm_message_set_text(reply, w->name, err);
}

typedef int (*handler)(fm_conversation *c, worker *w, const fm_message *m, uint64_t now_ms, fm_message *reply,
                       fm_err *err);

static const handler handlers[FM_MSG_TYPE_END] = {
    [FM_MSG_WANT] = want, [FM_MSG_BEAT] = beat, [FM_MSG_ACK] = ack, [FM_MSG_SEALED] = sealed,
};

static int hear_worker(fm_conversation *c, const fm_peer *from, const fm_message *m, uint64_t now_ms,
                       fm_message *reply, bool *answered, fm_err *err)
{
    worker *w = find_worker(c, from);

    if (m->type == FM_MSG_BYE)
        return w && w->presence == HERE ? part_with(c, w, LEFT, now_ms, err) : 0;
    if (m->type != FM_MSG_HELLO && !handlers[m->type])
        return 0;
    *answered = true;
    if (m->epoch != c->spec.epoch) {
        fm_message_init(reply, FM_MSG_STALE);
        reply->lease = m->lease;
        return 0;
    }
    if (m->type == FM_MSG_HELLO)
        return hello(c, from, w, m, now_ms, reply, err);
    if (!w || w->presence != HERE)
        return refuse(reply, w ? "you were taken for dead: start again" : "say HELLO first", err);
    w->heard_ms = now_ms;
    return handlers[m->type](c, w, m, now_ms, reply, err);
}

static int drain_asked(fm_conversation *c, const char *node, fm_message *reply, fm_err *err)
{
    uint32_t told = c->here;
    int rc = 0;

    if (node)
        rc = fm_conversation_retire(c, node, &told, err);
    else
        fm_conversation_drain(c);
    if (told || !node)
        fm_info("asked to drain%s%s: no more work is handed out to %u workers", node ? " " : "", node ? node : "", told);
    fm_message_init(reply, FM_MSG_ACKED);
    reply->records = told;
    return rc;
}

static int hear_observer(fm_conversation *c, const fm_message *m, fm_message *reply, bool *answered, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc = 0;

    if (m->type == FM_MSG_DRAIN_ASK) {
        *answered = true;
        rc = drain_asked(c, m->text, reply, err);
    } else if (m->type == FM_MSG_STATUS_ASK) {
        fm_message_init(reply, FM_MSG_STATUS);
        *answered = true;
        fm_status_json(c->draining ? "draining" : "running", c->spec.epoch, &c->spec.todo->counts, &b);
        fm_buf_u8(&b, 0);
        rc = b.failed ? fm_fail_nomem(err, "status", b.size) : fm_message_set_text(reply, (const char *)b.data, err);
        fm_buf_fini(&b);
    }
    return rc;
}

int fm_conversation_hear(fm_conversation *c, const fm_peer *from, const fm_message *m, uint64_t now_ms,
                         fm_message *reply, bool *answered, fm_err *err)
{
    int rc;

    memset(reply, 0, sizeof *reply);
    *answered = false;
    rc = from->role == FM_PEER_OBSERVER ? hear_observer(c, m, reply, answered, err)
                                        : hear_worker(c, from, m, now_ms, reply, answered, err);
    if (rc != 0)
        fm_message_fini(reply);
    if (rc != 0)
        *answered = false;
    reply->epoch = c->spec.epoch;
    return rc;
}

static void expired(void *ctx, uint32_t holder, uint32_t shard)
{
    fm_conversation *c = ctx;

    fm_warn("worker %u of crew %u was silent too long: shard %u goes back", holder, c->workers[holder].crew, shard);
    c->workers[holder].lease = 0;
    c->workers[holder].overdue = true;
    c->spec.todo->counts.leases_lost++;
}

int fm_conversation_tick(fm_conversation *c, uint64_t now_ms, fm_err *err)
{
    int rc = 0;

    fm_leases_expire(c->leases, now_ms, expired, c);
    for (uint32_t i = 0; rc == 0 && c->unsettled && i < c->n_workers; i++)
        if (c->workers[i].presence != HERE && c->workers[i].segment != NONE)
            rc = settle(c, &c->workers[i], now_ms, err);
    return rc;
}

uint64_t fm_conversation_silence_ms(const fm_conversation *c)
{
    uint64_t leases = (uint64_t)SILENT_LEASES * c->spec.timeout_ms;
    uint64_t photograph = (uint64_t)c->spec.limit_ms + c->spec.timeout_ms;      /* a worker at one says nothing */

    return leases > photograph ? leases : photograph;
}

/* A suspect's shard is its own by now: two deaths there, and it is quarantined. */
static int blame(fm_conversation *c, uint32_t shard, fm_reason reason, fm_err *err)
{
    const char *path = c->spec.todo->paths[c->spec.todo->todo[c->spec.todo->first[shard]]];
    int rc;

    if (fm_leases_blame(c->leases, shard) < DEATHS)
        return 0;
    fm_warn("a photograph is quarantined as %s, %d workers died of it: the ledger names it", fm_reason_name(reason),
            DEATHS);
    fm_debug("quarantined: %s", path);
    rc = fm_handout_condemn(c->spec.todo, &c->spec.segments, shard, reason, err);
    if (rc != 0)
        return rc;
    fm_leases_condemn(c->leases, shard);
    c->condemned++;
    return 0;
}

/* The photograph gets a shard of its own. */
static int isolate(fm_conversation *c, uint32_t shard, uint32_t place, fm_err *err)
{
    uint32_t before = c->spec.todo->n_shards;
    int rc = fm_worklist_split(c->spec.todo, shard, place, err);

    if (rc == 0)
        rc = fm_leases_add(c->leases, c->spec.todo->n_shards - before, err);
    if (rc != 0)
        return rc;
    fm_leases_isolate(c->leases, shard);
    c->suspected++;
    return 0;
}

/* The worker died.  What its journal names is done or somebody else's by now, or it is the suspect. */
static int suspect(fm_conversation *c, worker *w, uint64_t now_ms, fm_err *err)
{
    fm_journal_entry at;
    int rc = fm_journal_read(c->spec.segments.store_dir, w->journal, &at, NULL);
    uint32_t shard = (uint32_t)at.lease, place;
    bool silent = now_ms - w->heard_ms >= fm_conversation_silence_ms(c);

    fm_journal_remove(c->spec.segments.store_dir, w->journal);
    if (rc != 0 || !at.busy || !fm_leases_given(c->leases, at.lease) ||
        fm_leases_state(c->leases, shard) != FM_SHARD_QUEUED)
        return 0;
    place = fm_worklist_place(c->spec.todo, shard, at.item);
    if (place == NONE)
        return 0;
    if (!fm_leases_alone(c->leases, shard))
        return isolate(c, shard, place, err);
    return w->alone ? blame(c, shard, at.timed_out || silent ? FM_TIMED_OUT : FM_CRASHED, err) : 0;
}

int fm_conversation_crew_ended(fm_conversation *c, uint32_t crew, uint64_t now_ms, bool *clean, fm_err *err)
{
    uint32_t left = 0, died = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {
        worker *w = &c->workers[i];

        if (w->crew != crew)
            continue;
        *(w->presence == LEFT ? &left : &died) += 1;
        if (w->presence == HERE)
            rc = part_with(c, w, GONE, now_ms, err);
    }
    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {    /* when all have given back what they held */
        worker *w = &c->workers[i];

        if (w->crew != crew)
            continue;
        if (w->presence == GONE)
            rc = suspect(c, w, now_ms, err);
        w->crew = NONE;
    }
    *clean = left > 0 && died == 0;
    return rc;
}

uint64_t fm_conversation_crew_heard(const fm_conversation *c, uint32_t crew)
{
    uint64_t heard_ms = 0;

    for (uint32_t i = 0; i < c->n_workers; i++)
        if (c->workers[i].crew == crew && c->workers[i].heard_ms > heard_ms)
            heard_ms = c->workers[i].heard_ms;
    return heard_ms;
}

int fm_conversation_dismiss_silent(fm_conversation *c, uint64_t now_ms, fm_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {
        worker *w = &c->workers[i];

        if (w->presence != HERE || w->crew < c->spec.crews || now_ms - w->heard_ms < fm_conversation_silence_ms(c))
            continue;
        fm_warn("worker %u of crew %u has been silent for %llu s and is given up", i, w->crew,
                (unsigned long long)(now_ms - w->heard_ms) / 1000);
        rc = part_with(c, w, GONE, now_ms, err);
    }
    return rc;
}

void fm_conversation_drain(fm_conversation *c)
{
    c->draining = true;
}

bool fm_conversation_retired(const fm_conversation *c, uint32_t crew)
{
    for (uint32_t i = 0; i < c->n_retired; i++)
        if (c->retired[i] == crew)
            return true;
    return false;
}

static int retire(fm_conversation *c, uint32_t crew, fm_err *err)
{
    uint32_t *grown;

    if (fm_conversation_retired(c, crew))
        return 0;
    grown = realloc(c->retired, (c->n_retired + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "crews", (c->n_retired + 1) * sizeof *grown);
    c->retired = grown;
    c->retired[c->n_retired++] = crew;
    return 0;
}

static bool is_on(const worker *w, const char *node)
{
    size_t n = strcspn(node, ".");
    char number[16];

    snprintf(number, sizeof number, "%u", w->crew);
    return strcmp(number, node) == 0 || strcmp(w->host, node) == 0 ||
           (strcspn(w->host, ".") == n && strncmp(w->host, node, n) == 0);
}

int fm_conversation_retire(fm_conversation *c, const char *node, uint32_t *told, fm_err *err)
{
    int rc = 0;

    *told = 0;
    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {
        worker *w = &c->workers[i];

        if (w->presence != HERE || !is_on(w, node))
            continue;
        w->finishing = true;
        ++*told;
        rc = retire(c, w->crew, err);
    }
    return rc;
}

uint32_t fm_conversation_crew_size(const fm_conversation *c, uint32_t crew, bool *known)
{
    uint32_t n = 0;

    *known = false;
    for (uint32_t i = 0; i < c->n_workers; i++) {
        *known = *known || c->workers[i].crew == crew;
        n += c->workers[i].crew == crew && c->workers[i].presence == HERE;
    }
    return n;
}

void fm_conversation_look(const fm_conversation *c, fm_conversation_state *out)
{
    out->queued = fm_leases_count(c->leases, FM_SHARD_QUEUED);
    out->leased = fm_leases_count(c->leases, FM_SHARD_LEASED);
    out->done = fm_leases_count(c->leases, FM_SHARD_DONE);
    out->here = c->here + c->unsettled;
    out->acked = c->acked;
    out->suspected = c->suspected;
    out->condemned = c->condemned;
    out->complete = complete(c);
    out->draining = c->draining;
}

/* Who says what is one table of handlers; each writes at most one reply.
 *
 * A worker is known by its peer id for the life of the build.  One that left, died
 * or talked nonsense is never let in again under that id: its segment is settled,
 * and REFUSED is what ends it should it still run (coordinator/segments.c says why
 * that is safe).  Always: ACKED is said only after the catalog has it durably; a
 * worker's open segment stands in the catalog before the worker hears its name, so
 * that no record is ever written where the next coordinator would not look. */
#include "coordinator/conversation_parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "coordinator/handout.h"
#include "proto/journal.h"

#define WAIT_MS 1000
#define WAIT_MIN_MS 100
#define SILENT_LEASES 4         /* lease timeouts without a word, after which a worker is taken for dead or hung */

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

uint32_t fm_conversation_holder(const fm_conversation *c, const fm_talker *w)
{
    return (uint32_t)(w - c->workers);
}

static fm_talker *find_worker(fm_conversation *c, const fm_peer *peer)
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
static int drop_segment(fm_conversation *c, fm_talker *w, bool lost, fm_err *err)
{
    bool relied_on = w->relied_on;

    w->segment = FM_NOBODY;
    w->relied_on = false;
    return lost && relied_on ? take_back(c, err) : 0;
}

static int name_segment(fm_conversation *c, fm_talker *w, fm_err *err)
{
    int rc;

    fm_segments_name(c->spec.epoch, c->names++, w->host, w->pid, w->name);
    rc = fm_catalog_add_segment(c->spec.segments.catalog, w->name, &w->segment, err);
    if (rc != 0)
        w->segment = FM_NOBODY;
    return rc;
}

/* What becomes of the open segment of a worker that is gone.  While its writer lives after all it is left for
 * the next tick, and given up in the end. */
static int settle(fm_conversation *c, fm_talker *w, uint64_t now_ms, fm_err *err)
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
int fm_conversation_part_with(fm_conversation *c, fm_talker *w, fm_presence how, uint64_t now_ms, fm_err *err)
{
    c->here--;
    w->presence = how;
    w->gone_ms = now_ms;
    w->lease = 0;
    if (how == FM_LEFT)
        fm_journal_remove(c->spec.segments.store_dir, w->journal);
    if (fm_leases_give_up(c->leases, fm_conversation_holder(c, w)))
        c->spec.todo->counts.leases_lost++;
    if (w->segment == FM_NOBODY)
        return 0;
    c->unsettled++;
    return settle(c, w, now_ms, err);
}

/* A worker that says what no worker of this version would say. */
static int dismiss(fm_conversation *c, fm_talker *w, const char *why, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    int rc;

    fm_warn("worker %u of crew %u is dismissed: %s", fm_conversation_holder(c, w), w->crew, why);
    rc = fm_conversation_part_with(c, w, FM_GONE, now_ms, err);
    return rc == 0 ? refuse(reply, why, err) : rc;
}

/* It goes into names of files, into JSON and into metrics. */
static void take_host(fm_talker *w, const char *host)
{
    size_t n = 0;

    for (; host[n] && n < sizeof w->host - 1; n++)
        w->host[n] = isalnum((unsigned char)host[n]) || strchr("._-", host[n]) ? host[n] : '_';
    w->host[n] = '\0';
}

static int add_worker(fm_conversation *c, const fm_peer *from, const fm_message *m, fm_talker **out, fm_err *err)
{
    fm_talker *w;
    int rc;

    if (c->n_workers == c->room_workers) {
        uint32_t room = 2 * c->room_workers + 16;
        fm_talker *grown = realloc(c->workers, room * sizeof *grown);

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
    w->rank = m->rank;
    w->finishing = fm_conversation_retired(c, m->crew);
    w->segment = FM_NOBODY;
    take_host(w, m->text ? m->text : "");
    if (++c->here > c->spec.todo->counts.workers)
        c->spec.todo->counts.workers = c->here;
    *out = w;
    fm_conversation_name_track(c, w);
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

static int hello(fm_conversation *c, const fm_peer *from, fm_talker *w, const fm_message *m, uint64_t now_ms,
                 fm_message *reply, fm_err *err)
{
    segment_names names = {reply, err};
    int rc = 0;

    if (w && w->presence != FM_HERE)
        return refuse(reply, "you have left, or were taken for dead: start again", err);
    if (!w && c->n_workers == FM_WORKERS_MAX)
        return refuse(reply, "too many workers have joined this build", err);
    if (!w)
        rc = add_worker(c, from, m, &w, err);
    if (rc != 0)
        return rc;
    w->heard_ms = now_ms;
    if (!w->since_ms)
        w->since_ms = now_ms;
    fm_message_init(reply, FM_MSG_WELCOME);
    reply->timeout_ms = c->spec.timeout_ms;
    reply->limit_ms = c->spec.limit_ms;
    reply->recipe = *c->spec.recipe;
    reply->encoder = c->spec.todo->encoder;
    rc = fm_message_set_text(reply, w->name, err);
    return rc == 0 ? fm_catalog_each_segment(c->spec.segments.catalog, add_name, &names, err) : rc;
}

/* The fewer wait, the oftener each may ask. */
static uint32_t wait_ms(const fm_conversation *c)
{
    uint32_t ms = WAIT_MIN_MS + c->here < WAIT_MS ? WAIT_MIN_MS + c->here : WAIT_MS;

    return c->spec.timeout_ms / 4 < ms ? c->spec.timeout_ms / 4 + 1 : ms;
}

/* Those who work beside somebody. */
typedef struct {
    bool somebody, suspect;     /* in its crew: who may be at a photograph, or at a suspect even */
    uint64_t out;               /* photographs that others have */
    uint32_t sharing;           /* workers that are given more, itself included */
} neighbours;

static neighbours look_beside(const fm_conversation *c, const fm_talker *w)
{
    neighbours n = {.out = 0};

    for (uint32_t i = 0; i < c->n_workers; i++) {
        const fm_talker *other = &c->workers[i];

        if (other->presence != FM_HERE)
            continue;
        n.sharing += !other->finishing;
        if (other == w || (!other->lease && !other->overdue))
            continue;
        n.out += other->lease ? other->items : 0;
        n.somebody = n.somebody || other->crew == w->crew;
        n.suspect = n.suspect || (other->crew == w->crew && other->alone);
    }
    return n;
}

/* Give a worker no more of a shard than its share. */
static int cut_to_share(fm_conversation *c, uint32_t shard, const neighbours *n, fm_err *err)
{
    fm_worklist *p = c->spec.todo;
    uint32_t share = fm_worklist_share(p, n->out, n->sharing), size = p->end[shard] - p->first[shard];
    int rc;

    if (size <= share || size - share < share / 2)      /* not for a few that would be left over */
        return 0;
    rc = fm_worklist_cut(p, shard, share, err);
    return rc == 0 ? fm_leases_add(c->leases, 1, err) : rc;
}

/* Milliseconds that so many photographs take this worker; 0: not known. */
static double expected_ms(const fm_talker *w, uint32_t n)
{
    return w->photographs ? (double)n * (double)w->busy_us / (double)w->photographs / 1000 : 0;
}

/* How much sooner this worker would be done with another's shard than its holder, who, once late, is taken to need as
 * long again; 0 or less: no sooner. */
static double gain_ms(const fm_talker *w, const fm_talker *holder, uint64_t since_ms, uint64_t now_ms)
{
    double mine = expected_ms(w, holder->items), elapsed = (double)(now_ms - since_ms);
    double left = expected_ms(holder, holder->items) - elapsed;

    return mine > 0 ? (left > elapsed ? left : elapsed) - mine : 0;
}

/* Nothing is queued: help whoever is slowest at what is out, if that helps. */
static int help_out(fm_conversation *c, fm_talker *w, uint64_t now_ms, bool *granted, uint32_t *shard, fm_err *err)
{
    uint32_t out, holder, helped = FM_NOBODY;
    uint64_t since_ms;
    double most = 0;

    for (uint32_t i = 0; fm_leases_out(c->leases, i, &out, &holder, &since_ms); i++) {
        double gain = holder == FM_NOBODY || holder == fm_conversation_holder(c, w)
                          ? 0 : gain_ms(w, &c->workers[holder], since_ms, now_ms);

        if (gain > most) {
            most = gain;
            *shard = out;
            helped = holder;
        }
    }
    *granted = helped != FM_NOBODY;
    if (!*granted)
        return 0;
    c->twice++;
    return fm_leases_double(c->leases, *shard, fm_conversation_holder(c, w), now_ms, &w->lease, err);
}

static int want(fm_conversation *c, fm_talker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    neighbours beside = look_beside(c, w);
    bool granted = false, more = !w->finishing && !c->draining && !beside.suspect, had = w->lease != 0;
    uint32_t shard;
    int rc = 0;

    (void)m;
    w->overdue = false;
    if (had || more)
        rc = fm_leases_grant(c->leases, fm_conversation_holder(c, w), !beside.somebody, now_ms, &granted, &w->lease,
                             &shard, err);
    if (rc == 0 && granted && !had)
        rc = cut_to_share(c, shard, &beside, err);
    if (rc == 0 && !granted && more)
        rc = help_out(c, w, now_ms, &granted, &shard, err);
    if (rc != 0)
        return rc;
    if (granted) {
        w->alone = fm_leases_alone(c->leases, shard);
        w->items = c->spec.todo->end[shard] - c->spec.todo->first[shard];
        fm_message_init(reply, FM_MSG_LEASE);
        reply->lease = w->lease;
        reply->timeout_ms = c->spec.timeout_ms;
        return fm_handout_fill(c->spec.todo, c->spec.segments.catalog, shard, reply, err);
    }
    w->finishing = w->finishing || c->draining || complete(c);
    fm_message_init(reply, w->finishing ? FM_MSG_FINISH : FM_MSG_WAIT);
    if (!w->finishing)
        reply->timeout_ms = wait_ms(c);
    return 0;
}

static int beat(fm_conversation *c, fm_talker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    fm_lease_verdict verdict = fm_leases_beat(c->leases, m->epoch, m->lease, fm_conversation_holder(c, w), now_ms);

    (void)err;
    fm_message_init(reply, verdict == FM_LEASE_STALE ? FM_MSG_STALE : FM_MSG_ALIVE);
    reply->lease = m->lease;
    return 0;
}

/* Whoever else was at this shard need not go on. */
static void tell_the_other(fm_conversation *c, const fm_talker *w, uint32_t shard)
{
    uint64_t lease;
    uint32_t other = fm_leases_other(c->leases, shard, fm_conversation_holder(c, w), &lease);

    if (other == FM_NOBODY)
        return;
    c->notices += c->workers[other].notice == 0;
    c->workers[other].notice = lease;
    c->workers[other].lease = 0;
    c->workers[other].overdue = true;
}

bool fm_conversation_notice(fm_conversation *c, fm_peer *to, fm_message *m)
{
    for (uint32_t i = 0; c->notices && i < c->n_workers; i++) {
        fm_talker *w = &c->workers[i];

        if (!w->notice)
            continue;
        fm_message_init(m, FM_MSG_STALE);
        m->epoch = c->spec.epoch;
        m->lease = w->notice;
        *to = w->peer;
        w->notice = 0;
        c->notices--;
        return true;
    }
    return false;
}

static int ack(fm_conversation *c, fm_talker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    uint32_t shard;
    fm_lease_verdict verdict = fm_leases_check(c->leases, m->epoch, m->lease, fm_conversation_holder(c, w), &shard);
    int rc;

    if (verdict != FM_LEASE_AGAIN)
        fm_conversation_account(c, w, m);
    if (verdict == FM_LEASE_OK) {
        if (w->segment == FM_NOBODY || (m->text && strcmp(m->text, w->name) != 0))
            return dismiss(c, w, "you acknowledged into a segment that is not yours", now_ms, reply, err);
        if (!fm_handout_matches(c->spec.todo, shard, m))
            return dismiss(c, w, "you acknowledged other photographs than you were given", now_ms, reply, err);
        rc = fm_handout_take(c->spec.todo, &c->spec.segments, w->segment, m, &w->relied_on, err);
        if (rc != 0)
            return rc;
        tell_the_other(c, w, shard);
        fm_leases_ack(c->leases, m->epoch, m->lease, fm_conversation_holder(c, w));
        w->lease = 0;
        w->photographs += m->n_items;
        c->acked++;
    }
    fm_message_init(reply, verdict == FM_LEASE_STALE ? FM_MSG_STALE : FM_MSG_ACKED);
    reply->lease = m->lease;
    return 0;
}

static int sealed(fm_conversation *c, fm_talker *w, const fm_message *m, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    const char *name = m->text ? m->text : "";
    bool now = w->segment != FM_NOBODY && strcmp(name, w->name) == 0;
    fm_catalog *catalog = c->spec.segments.catalog;
    int rc = 0;

    if (now)
        fm_conversation_account(c, w, m);
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

typedef int (*handler)(fm_conversation *c, fm_talker *w, const fm_message *m, uint64_t now_ms, fm_message *reply,
                       fm_err *err);

static const handler handlers[FM_MSG_TYPE_END] = {
    [FM_MSG_WANT] = want, [FM_MSG_BEAT] = beat, [FM_MSG_ACK] = ack, [FM_MSG_SEALED] = sealed,
};

static int hear_worker(fm_conversation *c, const fm_peer *from, const fm_message *m, uint64_t now_ms,
                       fm_message *reply, bool *answered, fm_err *err)
{
    fm_talker *w = find_worker(c, from);

    if (m->type == FM_MSG_BYE)
        return w && w->presence == FM_HERE ? fm_conversation_part_with(c, w, FM_LEFT, now_ms, err) : 0;
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
    if (!w || w->presence != FM_HERE)
        return refuse(reply, w ? "you were taken for dead: start again" : "say HELLO first", err);
    w->heard_ms = now_ms;
    return handlers[m->type](c, w, m, now_ms, reply, err);
}

int fm_conversation_hear(fm_conversation *c, const fm_peer *from, const fm_message *m, uint64_t now_ms,
                         fm_message *reply, bool *answered, fm_err *err)
{
    int rc;

    memset(reply, 0, sizeof *reply);
    *answered = false;
    rc = from->role == FM_PEER_OBSERVER ? fm_conversation_hear_observer(c, m, now_ms, reply, answered, err)
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

    bool back = fm_leases_state(c->leases, shard) == FM_SHARD_QUEUED;

    fm_warn("worker %u of crew %u was silent too long: shard %u %s", holder, c->workers[holder].crew, shard,
            back ? "goes back" : "is left to another");
    c->workers[holder].lease = 0;
    c->workers[holder].overdue = true;
    c->spec.todo->counts.leases_lost += back;
}

int fm_conversation_tick(fm_conversation *c, uint64_t now_ms, fm_err *err)
{
    int rc = 0;

    fm_leases_expire(c->leases, now_ms, expired, c);
    for (uint32_t i = 0; rc == 0 && c->unsettled && i < c->n_workers; i++)
        if (c->workers[i].presence != FM_HERE && c->workers[i].segment != FM_NOBODY)
            rc = settle(c, &c->workers[i], now_ms, err);
    return rc;
}

uint64_t fm_conversation_silence_ms(const fm_conversation *c)
{
    uint64_t leases = (uint64_t)SILENT_LEASES * c->spec.timeout_ms;
    uint64_t photograph = (uint64_t)c->spec.limit_ms + c->spec.timeout_ms;      /* a worker at one says nothing */

    return leases > photograph ? leases : photograph;
}

void fm_conversation_drain(fm_conversation *c)
{
    c->draining = true;
}

void fm_conversation_look(const fm_conversation *c, fm_conversation_state *out)
{
    out->queued = fm_leases_count(c->leases, FM_SHARD_QUEUED);
    out->leased = fm_leases_count(c->leases, FM_SHARD_LEASED);
    out->done = fm_leases_count(c->leases, FM_SHARD_DONE);
    out->here = c->here + c->unsettled;
    out->acked = c->acked;
    out->twice = c->twice;
    out->suspected = c->suspected;
    out->condemned = c->condemned;
    out->complete = complete(c);
    out->draining = c->draining;
}

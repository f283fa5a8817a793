/* Leases as a table of transitions, an array of shards and a short list of what
 * is out.
 *
 * There are at most as many leases out as workers, so the list is searched
 * rather than indexed.  Shards that come back form a chain through the shard
 * array and are handed out before fresh ones: they are the oldest work.  Those that
 * are alone form a chain of their own, the last that came back first, so that one
 * suspect after the other is settled.  Always:
 * every change of state goes through move(), which looks it up in the table. */
#include "coordinator/lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define NONE UINT32_MAX
#define NO (-1)

static const signed char table[FM_SHARD_STATES][FM_LEASE_EVENTS] = {
    /*                     LEASE            ACK            EXPIRE           GIVE_UP          LOSE             CONDEMN */
    [FM_SHARD_QUEUED] = {FM_SHARD_LEASED, NO,            NO,              NO,              NO,              FM_SHARD_POISON},
    [FM_SHARD_LEASED] = {NO,              FM_SHARD_DONE, FM_SHARD_QUEUED, FM_SHARD_QUEUED, NO,              FM_SHARD_POISON},
    [FM_SHARD_DONE]   = {NO,              NO,            NO,              NO,              FM_SHARD_QUEUED, NO},
    [FM_SHARD_POISON] = {NO,              NO,            NO,              NO,              NO,              NO},
};

typedef struct {
    uint8_t state;          /* fm_shard_state */
    bool alone;
    uint16_t deaths;        /* while it was alone */
    uint32_t turn;          /* how many leases it has had */
    uint32_t won, holder;   /* DONE: which of them did it, and whose that was */
    uint32_t next;          /* QUEUED and back: the next in its chain */
} shard_entry;

typedef struct {
    uint32_t shard, turn, holder;
    uint64_t since_ms, deadline_ms;
} lease_out;

struct fm_leases {
    uint64_t epoch;
    uint32_t timeout_ms;
    uint32_t n_shards, fresh;           /* fresh: the first that was never handed out */
    uint32_t back_first, back_last, alone_first;
    uint32_t counts[FM_SHARD_STATES];
    uint32_t n_out, room_out;
    lease_out *out;
    shard_entry *shards;                /* [n_shards] */
};

int fm_lease_next(fm_shard_state state, fm_lease_event event)
{
    return table[state][event];
}

int fm_leases_create(uint32_t n_shards, uint64_t epoch, uint32_t timeout_ms, fm_leases **out, fm_err *err)
{
    fm_leases *l = calloc(1, sizeof *l);
    int rc;

    if (!l)
        return fm_fail_nomem(err, "leases", sizeof *l);
    l->epoch = epoch;
    l->timeout_ms = timeout_ms;
    l->back_first = l->back_last = l->alone_first = NONE;
    rc = fm_leases_add(l, n_shards, err);
    if (rc == 0)
        *out = l;
    else
        fm_leases_destroy(l);
    return rc;
}

void fm_leases_destroy(fm_leases *l)
{
    if (!l)
        return;
    free(l->out);
    free(l->shards);
    free(l);
}

int fm_leases_add(fm_leases *l, uint32_t n, fm_err *err)
{
    size_t bytes = ((size_t)l->n_shards + n + 1) * sizeof *l->shards;
    shard_entry *grown = realloc(l->shards, bytes);

    if (!grown)
        return fm_fail_nomem(err, "leases", bytes);
    memset(grown + l->n_shards, 0, n * sizeof *grown);
    l->shards = grown;
    l->n_shards += n;
    l->counts[FM_SHARD_QUEUED] += n;
    return 0;
}

static void move(fm_leases *l, uint32_t shard, fm_lease_event event)
{
    shard_entry *s = &l->shards[shard];
    int next = fm_lease_next((fm_shard_state)s->state, event);

    fm_assert(next != NO);
    l->counts[s->state]--;
    l->counts[next]++;
    s->state = (uint8_t)next;
}

static void back_add(fm_leases *l, uint32_t shard)
{
    l->shards[shard].next = NONE;
    if (l->back_first == NONE)
        l->back_first = shard;
    else
        l->shards[l->back_last].next = shard;
    l->back_last = shard;
}

static void alone_add(fm_leases *l, uint32_t shard)
{
    l->shards[shard].next = l->alone_first;
    l->alone_first = shard;
}

/* Take a shard out of the chain that begins at *first, and say which stands before it. */
static uint32_t unlink_shard(fm_leases *l, uint32_t *first, uint32_t shard)
{
    uint32_t before = NONE, *link = first;

    while (*link != shard) {
        fm_assert(*link != NONE);
        before = *link;
        link = &l->shards[before].next;
    }
    *link = l->shards[shard].next;
    return before;
}

static void put_back(fm_leases *l, uint32_t shard, fm_lease_event event)
{
    move(l, shard, event);
    if (l->shards[shard].alone)
        alone_add(l, shard);
    else
        back_add(l, shard);
}

static uint32_t take_first(fm_leases *l, uint32_t *first)
{
    uint32_t shard = *first;

    if (shard != NONE)
        *first = l->shards[shard].next;
    return shard;
}

static uint32_t take_queued(fm_leases *l, bool undisturbed)
{
    if (l->back_first != NONE)
        return take_first(l, &l->back_first);
    if (l->fresh < l->n_shards)
        return l->fresh++;
    return undisturbed ? take_first(l, &l->alone_first) : NONE;
}

static uint64_t number_of(uint32_t shard, uint32_t turn)
{
    return (uint64_t)turn << 32 | shard;
}

static uint32_t find_holder(const fm_leases *l, uint32_t holder)
{
    for (uint32_t i = 0; i < l->n_out; i++)
        if (l->out[i].holder == holder)
            return i;
    return NONE;
}

/* Another lease of the shard that out[i] is of; NONE: that is the only one. */
static uint32_t find_twin(const fm_leases *l, uint32_t i)
{
    for (uint32_t k = 0; k < l->n_out; k++)
        if (k != i && l->out[k].shard == l->out[i].shard)
            return k;
    return NONE;
}

static void drop_out(fm_leases *l, uint32_t i)
{
    l->out[i] = l->out[--l->n_out];
}

static int room_for_one(fm_leases *l, fm_err *err)
{
    uint32_t room = l->room_out ? 2 * l->room_out : 16;
    lease_out *grown;

    if (l->n_out < l->room_out)
        return 0;
    grown = realloc(l->out, room * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "leases", room * sizeof *grown);
    l->out = grown;
    l->room_out = room;
    return 0;
}

/* One more lease of this shard goes out. */
static void hand_out(fm_leases *l, uint32_t shard, uint32_t holder, uint64_t now_ms)
{
    l->out[l->n_out++] = (lease_out){.shard = shard, .turn = ++l->shards[shard].turn, .holder = holder,
                                     .since_ms = now_ms, .deadline_ms = now_ms + l->timeout_ms};
}

int fm_leases_grant(fm_leases *l, uint32_t holder, bool undisturbed, uint64_t now_ms, bool *granted, uint64_t *lease,
                    uint32_t *shard, fm_err *err)
{
    uint32_t i = find_holder(l, holder), s;
    int rc = i == NONE ? room_for_one(l, err) : 0;

    if (rc != 0)
        return rc;
    if (i == NONE) {
        s = take_queued(l, undisturbed);
        *granted = s != NONE;
        if (s == NONE)
            return 0;
        move(l, s, FM_LEASE_LEASE);
        i = l->n_out;
        hand_out(l, s, holder, now_ms);
    }
    l->out[i].deadline_ms = now_ms + l->timeout_ms;
    *granted = true;
    *shard = l->out[i].shard;
    *lease = number_of(l->out[i].shard, l->out[i].turn);
    return 0;
}

bool fm_leases_out(const fm_leases *l, uint32_t at, uint32_t *shard, uint32_t *holder, uint64_t *since_ms)
{
    if (at >= l->n_out)
        return false;
    *shard = l->out[at].shard;
    *holder = find_twin(l, at) == NONE && !l->shards[*shard].alone ? l->out[at].holder : NONE;
    *since_ms = l->out[at].since_ms;
    return true;
}

int fm_leases_double(fm_leases *l, uint32_t shard, uint32_t holder, uint64_t now_ms, uint64_t *lease, fm_err *err)
{
    int rc = room_for_one(l, err);

    if (rc != 0)
        return rc;
    hand_out(l, shard, holder, now_ms);
    *lease = number_of(shard, l->shards[shard].turn);
    return 0;
}

uint32_t fm_leases_other(const fm_leases *l, uint32_t shard, uint32_t holder, uint64_t *lease)
{
    for (uint32_t i = 0; i < l->n_out; i++)
        if (l->out[i].shard == shard && l->out[i].holder != holder) {
            *lease = number_of(shard, l->out[i].turn);
            return l->out[i].holder;
        }
    return NONE;
}

/* Where in out[] this lease is; NONE when it is not out. */
static uint32_t find_lease(const fm_leases *l, uint64_t lease, uint32_t holder)
{
    for (uint32_t i = 0; i < l->n_out; i++)
        if (l->out[i].holder == holder && number_of(l->out[i].shard, l->out[i].turn) == lease)
            return i;
    return NONE;
}

fm_lease_verdict fm_leases_check(const fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder, uint32_t *shard)
{
    uint32_t s = (uint32_t)lease;
    const shard_entry *e = s < l->n_shards ? &l->shards[s] : NULL;
    bool won;

    if (epoch != l->epoch || !e)
        return FM_LEASE_STALE;
    won = e->state == FM_SHARD_DONE && e->holder == holder && e->won && number_of(s, e->won) == lease;
    if (!won && find_lease(l, lease, holder) == NONE)
        return FM_LEASE_STALE;
    *shard = s;
    return won ? FM_LEASE_AGAIN : FM_LEASE_OK;
}

fm_lease_verdict fm_leases_beat(fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder, uint64_t now_ms)
{
    uint32_t shard;
    fm_lease_verdict v = fm_leases_check(l, epoch, lease, holder, &shard);

    if (v == FM_LEASE_OK)
        l->out[find_lease(l, lease, holder)].deadline_ms = now_ms + l->timeout_ms;
    return v == FM_LEASE_AGAIN ? FM_LEASE_OK : v;
}

fm_lease_verdict fm_leases_ack(fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder)
{
    uint32_t shard;
    fm_lease_verdict v = fm_leases_check(l, epoch, lease, holder, &shard);

    if (v != FM_LEASE_OK)
        return v;
    for (uint32_t i = l->n_out; i > 0; i--)     /* both, when it was handed out twice */
        if (l->out[i - 1].shard == shard)
            drop_out(l, i - 1);
    l->shards[shard].won = (uint32_t)(lease >> 32);
    l->shards[shard].holder = holder;
    move(l, shard, FM_LEASE_ACK);
    return v;
}

/* A lease is over without an acknowledgement; its shard goes back unless somebody else has it too. */
static bool end_lease(fm_leases *l, uint32_t i, fm_lease_event event)
{
    uint32_t shard = l->out[i].shard;
    bool back = find_twin(l, i) == NONE;

    drop_out(l, i);
    if (back)
        put_back(l, shard, event);
    return back;
}

uint32_t fm_leases_expire(fm_leases *l, uint64_t now_ms, void (*expired)(void *ctx, uint32_t holder, uint32_t shard),
                          void *ctx)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n_out;) {
        lease_out out = l->out[i];

        if (out.deadline_ms > now_ms) {
            i++;
            continue;
        }
        end_lease(l, i, FM_LEASE_EXPIRE);
        if (expired)
            expired(ctx, out.holder, out.shard);
        n++;
    }
    return n;
}

bool fm_leases_give_up(fm_leases *l, uint32_t holder)
{
    uint32_t i = find_holder(l, holder);

    return i != NONE && end_lease(l, i, FM_LEASE_GIVE_UP);
}

void fm_leases_lose(fm_leases *l, uint32_t shard)
{
    put_back(l, shard, FM_LEASE_LOSE);
}

bool fm_leases_given(const fm_leases *l, uint64_t lease)
{
    uint32_t shard = (uint32_t)lease, turn = (uint32_t)(lease >> 32);

    return shard < l->n_shards && turn > 0 && turn <= l->shards[shard].turn;
}

void fm_leases_isolate(fm_leases *l, uint32_t shard)
{
    uint32_t before = unlink_shard(l, &l->back_first, shard);

    if (l->back_last == shard)
        l->back_last = before;
    l->shards[shard].alone = true;
    alone_add(l, shard);
}

bool fm_leases_alone(const fm_leases *l, uint32_t shard)
{
    return l->shards[shard].alone;
}

uint32_t fm_leases_blame(fm_leases *l, uint32_t shard)
{
    return ++l->shards[shard].deaths;
}

void fm_leases_condemn(fm_leases *l, uint32_t shard)
{
    unlink_shard(l, &l->alone_first, shard);
    move(l, shard, FM_LEASE_CONDEMN);
}

fm_shard_state fm_leases_state(const fm_leases *l, uint32_t shard)
{
    return (fm_shard_state)l->shards[shard].state;
}

uint32_t fm_leases_count(const fm_leases *l, fm_shard_state state)
{
    return l->counts[state];
}

uint64_t fm_leases_deadline(const fm_leases *l)
{
    uint64_t first = UINT64_MAX;

    for (uint32_t i = 0; i < l->n_out; i++)
        if (l->out[i].deadline_ms < first)
            first = l->out[i].deadline_ms;
    return first;
}

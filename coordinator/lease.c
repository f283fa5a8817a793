/* Leases as a table of transitions, an array of shards and a short list of what
 * is out.
 *
 * There are at most as many leases out as workers, so the list is searched
 * rather than indexed.  Shards that come back form a chain through the shard
 * array and are handed out before fresh ones: they are the oldest work.  Always:
 * every change of state goes through move(), which looks it up in the table. */
#include "coordinator/lease.h"

#include <errno.h>
#include <stdlib.h>

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
    uint32_t turn;          /* how many leases it has had */
    uint32_t holder;        /* of the last lease */
    uint32_t next;          /* QUEUED and back: the next that is back */
} shard_entry;

typedef struct {
    uint32_t shard;
    uint64_t deadline_ms;
} lease_out;

struct fm_leases {
    uint64_t epoch;
    uint32_t timeout_ms;
    uint32_t n_shards, fresh;           /* fresh: the first that was never handed out */
    uint32_t back_first, back_last;
    uint32_t counts[FM_SHARD_STATES];
    uint32_t n_out, room_out;
    lease_out *out;
    shard_entry shards[];
};

int fm_lease_next(fm_shard_state state, fm_lease_event event)
{
    return table[state][event];
}

int fm_leases_create(uint32_t n_shards, uint64_t epoch, uint32_t timeout_ms, fm_leases **out, fm_err *err)
{
    size_t bytes = sizeof(fm_leases) + n_shards * sizeof(shard_entry);
    fm_leases *l = calloc(1, bytes);

    if (!l)
        return fm_fail_nomem(err, "leases", bytes);
    l->epoch = epoch;
    l->timeout_ms = timeout_ms;
    l->n_shards = n_shards;
    l->back_first = l->back_last = NONE;
    l->counts[FM_SHARD_QUEUED] = n_shards;
    *out = l;
    return 0;
}

void fm_leases_destroy(fm_leases *l)
{
    if (!l)
        return;
    free(l->out);
    free(l);
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

static void put_back(fm_leases *l, uint32_t shard, fm_lease_event event)
{
    move(l, shard, event);
    l->shards[shard].next = NONE;
    if (l->back_first == NONE)
        l->back_first = shard;
    else
        l->shards[l->back_last].next = shard;
    l->back_last = shard;
}

static uint32_t take_queued(fm_leases *l)
{
    uint32_t shard = l->back_first;

    if (shard == NONE)
        return l->fresh < l->n_shards ? l->fresh++ : NONE;
    l->back_first = l->shards[shard].next;
    return shard;
}

static uint64_t number_of(const fm_leases *l, uint32_t shard)
{
    return (uint64_t)l->shards[shard].turn << 32 | shard;
}

/* Where in out[] this shard is; NONE when it is not leased. */
static uint32_t find_out(const fm_leases *l, uint32_t shard)
{
    for (uint32_t i = 0; i < l->n_out; i++)
        if (l->out[i].shard == shard)
            return i;
    return NONE;
}

static uint32_t find_holder(const fm_leases *l, uint32_t holder)
{
    for (uint32_t i = 0; i < l->n_out; i++)
        if (l->shards[l->out[i].shard].holder == holder)
            return i;
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

int fm_leases_grant(fm_leases *l, uint32_t holder, uint64_t now_ms, bool *granted, uint64_t *lease, uint32_t *shard,
                    fm_err *err)
{
    uint32_t i = find_holder(l, holder), s;
    int rc = i == NONE ? room_for_one(l, err) : 0;

    if (rc != 0)
        return rc;
    if (i == NONE) {
        s = take_queued(l);
        *granted = s != NONE;
        if (s == NONE)
            return 0;
        move(l, s, FM_LEASE_LEASE);
        l->shards[s].turn++;
        l->shards[s].holder = holder;
        i = l->n_out++;
        l->out[i].shard = s;
    }
    l->out[i].deadline_ms = now_ms + l->timeout_ms;
    *granted = true;
    *shard = l->out[i].shard;
    *lease = number_of(l, l->out[i].shard);
    return 0;
}

fm_lease_verdict fm_leases_check(const fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder, uint32_t *shard)
{
    uint32_t s = (uint32_t)lease;
    const shard_entry *e = s < l->n_shards ? &l->shards[s] : NULL;

    if (epoch != l->epoch || !e || e->turn == 0 || number_of(l, s) != lease || e->holder != holder ||
        (e->state != FM_SHARD_LEASED && e->state != FM_SHARD_DONE))
        return FM_LEASE_STALE;
    *shard = s;
    return e->state == FM_SHARD_DONE ? FM_LEASE_AGAIN : FM_LEASE_OK;
}

fm_lease_verdict fm_leases_beat(fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder, uint64_t now_ms)
{
    uint32_t shard;
    fm_lease_verdict v = fm_leases_check(l, epoch, lease, holder, &shard);

    if (v == FM_LEASE_OK)
        l->out[find_out(l, shard)].deadline_ms = now_ms + l->timeout_ms;
    return v == FM_LEASE_AGAIN ? FM_LEASE_OK : v;
}

fm_lease_verdict fm_leases_ack(fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder)
{
    uint32_t shard;
    fm_lease_verdict v = fm_leases_check(l, epoch, lease, holder, &shard);

    if (v == FM_LEASE_OK) {
        drop_out(l, find_out(l, shard));
        move(l, shard, FM_LEASE_ACK);
    }
    return v;
}

uint32_t fm_leases_expire(fm_leases *l, uint64_t now_ms, void (*expired)(void *ctx, uint32_t holder, uint32_t shard),
                          void *ctx)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < l->n_out;) {
        uint32_t shard = l->out[i].shard;

        if (l->out[i].deadline_ms > now_ms) {
            i++;
            continue;
        }
        drop_out(l, i);
        put_back(l, shard, FM_LEASE_EXPIRE);
        if (expired)
            expired(ctx, l->shards[shard].holder, shard);
        n++;
    }
    return n;
}

bool fm_leases_give_up(fm_leases *l, uint32_t holder)
{
    uint32_t i = find_holder(l, holder), shard;

    if (i == NONE)
        return false;
    shard = l->out[i].shard;
    drop_out(l, i);
    put_back(l, shard, FM_LEASE_GIVE_UP);
    return true;
}

void fm_leases_lose(fm_leases *l, uint32_t shard)
{
    put_back(l, shard, FM_LEASE_LOSE);
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

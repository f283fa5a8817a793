/* Leases: who may work on which shard, until when.  A state machine without a
 * clock and without a socket: time is passed in, so that a simulator can drive
 * the very code that runs.
 *
 *            LEASE    ACK     EXPIRE   GIVE_UP  LOSE     CONDEMN
 *   QUEUED   LEASED   -       -        -        -        POISON
 *   LEASED   -        DONE    QUEUED   QUEUED   -        POISON
 *   DONE     -        -       -        -        QUEUED   -
 *   POISON   -        -       -        -        -        -
 *
 * EXPIRE   no beat in time            GIVE_UP  its holder left or died
 * LOSE     the segment that held its records is gone
 * CONDEMN  nobody survives it
 *
 * A shard can be set alone: it is then handed out last, and only to a holder beside
 * whom nobody works, so that it is clear whose fault a death is.
 *
 * A leased shard can be handed out a second time, to whoever may be done sooner: both leases are good, and the first
 * acknowledgement ends the other.  It goes back when neither is left.
 *
 * A lease's number holds its shard and the how-manieth lease of that shard it
 * is; numbers of another epoch or of an earlier lease are stale.  A shard counts
 * as done once, however often it is acknowledged.
 * Threads: one. */
#ifndef FM_COORDINATOR_LEASE_H
#define FM_COORDINATOR_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef enum { FM_SHARD_QUEUED, FM_SHARD_LEASED, FM_SHARD_DONE, FM_SHARD_POISON, FM_SHARD_STATES } fm_shard_state;

typedef enum {
    FM_LEASE_LEASE,
    FM_LEASE_ACK,
    FM_LEASE_EXPIRE,
    FM_LEASE_GIVE_UP,
    FM_LEASE_LOSE,
    FM_LEASE_CONDEMN,
    FM_LEASE_EVENTS
} fm_lease_event;

/* The state that an event leads to; -1: it cannot happen in that state. */
int fm_lease_next(fm_shard_state state, fm_lease_event event);

typedef enum {
    FM_LEASE_OK,        /* yours, and now done if you said so */
    FM_LEASE_AGAIN,     /* you have said so before: nothing changed, answer as then */
    FM_LEASE_STALE      /* of another epoch, expired, or somebody else's */
} fm_lease_verdict;

typedef struct fm_leases fm_leases;

/* All shards 0 .. n_shards-1 queued.  Memory: 20 bytes a shard.  Errors: -ENOMEM. */
int fm_leases_create(uint32_t n_shards, uint64_t epoch, uint32_t timeout_ms, fm_leases **out, fm_err *err);
void fm_leases_destroy(fm_leases *leases);

/* A shard for this holder: the one it holds already, or the next of the queue (those
 * that came back first).  *lease is never 0.  *granted is false when the queue is empty.
 * undisturbed  nobody works beside this holder: when no other is queued it may be one that is set alone.
 * Errors: -ENOMEM. */
int fm_leases_grant(fm_leases *l, uint32_t holder, bool undisturbed, uint64_t now_ms, bool *granted, uint64_t *lease,
                    uint32_t *shard, fm_err *err);

/* Whose the lease at place `at` is (0, 1, ... in no order), of which shard and since when; false: there are fewer.
 * *holder  UINT32_MAX: the shard must not be handed out again, it is alone or twice out. */
bool fm_leases_out(const fm_leases *l, uint32_t at, uint32_t *shard, uint32_t *holder, uint64_t *since_ms);
/* A second lease of such a shard, for a holder that has none.  Errors: -ENOMEM. */
int fm_leases_double(fm_leases *l, uint32_t shard, uint32_t holder, uint64_t now_ms, uint64_t *lease, fm_err *err);
/* Who else has this shard, under which lease; UINT32_MAX: nobody. */
uint32_t fm_leases_other(const fm_leases *l, uint32_t shard, uint32_t holder, uint64_t *lease);

/* The holder still works: its deadline moves.  OK or STALE. */
fm_lease_verdict fm_leases_beat(fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder, uint64_t now_ms);

/* Would this acknowledgement hold?  Changes nothing, so that it can be made durable
 * first.  OK, AGAIN or STALE; *shard is written unless STALE. */
fm_lease_verdict fm_leases_check(const fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder, uint32_t *shard);
/* The shard is done.  As fm_leases_check. */
fm_lease_verdict fm_leases_ack(fm_leases *l, uint64_t epoch, uint64_t lease, uint32_t holder);

/* Leases whose deadline has passed are over.
 * expired  called for each, with the holder that lost it; may be NULL. */
uint32_t fm_leases_expire(fm_leases *l, uint64_t now_ms, void (*expired)(void *ctx, uint32_t holder, uint32_t shard),
                          void *ctx);
/* What this holder holds is over.  True when a shard went back. */
bool fm_leases_give_up(fm_leases *l, uint32_t holder);
/* A done shard has to be done again.  Which shards that are is the catalog's to say: what a lost segment
 * held may be what another worker's acknowledgement relied on. */
void fm_leases_lose(fm_leases *l, uint32_t shard);

/* Was a lease of this number ever given out? */
bool fm_leases_given(const fm_leases *l, uint64_t lease);
/* So many shards more, queued, numbered from the number there were.  Errors: -ENOMEM. */
int fm_leases_add(fm_leases *l, uint32_t n, fm_err *err);
/* Set a queued shard alone that was leased before and is not alone yet. */
void fm_leases_isolate(fm_leases *l, uint32_t shard);
bool fm_leases_alone(const fm_leases *l, uint32_t shard);
/* Its holder died of it, while it was alone; how many have. */
uint32_t fm_leases_blame(fm_leases *l, uint32_t shard);
/* A queued shard that is alone is given up for good. */
void fm_leases_condemn(fm_leases *l, uint32_t shard);

fm_shard_state fm_leases_state(const fm_leases *l, uint32_t shard);
uint32_t fm_leases_count(const fm_leases *l, fm_shard_state state);
/* When the next lease runs out; UINT64_MAX: none is out. */
uint64_t fm_leases_deadline(const fm_leases *l);

#endif

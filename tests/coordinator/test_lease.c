#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/lease.h"
#include "tests/check.h"

static void the_table(void)
{
    static const int want[FM_SHARD_STATES][FM_LEASE_EVENTS] = {
        {FM_SHARD_LEASED, -1, -1, -1, -1, FM_SHARD_POISON},
        {-1, FM_SHARD_DONE, FM_SHARD_QUEUED, FM_SHARD_QUEUED, -1, FM_SHARD_POISON},
        {-1, -1, -1, -1, FM_SHARD_QUEUED, -1},
        {-1, -1, -1, -1, -1, -1},
    };

    for (int s = 0; s < FM_SHARD_STATES; s++)
        for (int e = 0; e < FM_LEASE_EVENTS; e++)
            CHECK_INT(fm_lease_next((fm_shard_state)s, (fm_lease_event)e), want[s][e]);
}

typedef struct {
    bool granted;
    uint64_t lease;
    uint32_t shard;
} grant;

static grant ask(fm_leases *l, uint32_t holder, uint64_t now)
{
    grant g = {false, 0, 0};

    CHECK_INT(fm_leases_grant(l, holder, false, now, &g.granted, &g.lease, &g.shard, NULL), 0);
    return g;
}

static void two_leases_of_one_shard(void)
{
    fm_leases *l;
    grant a;
    uint64_t second, other, since;
    uint32_t shard, holder;

    for (int first_wins = 0; first_wins < 2; first_wins++) {
        REQUIRE(fm_leases_create(1, 9, 100, &l, NULL) == 0);
        a = ask(l, 1, 5);
        CHECK(fm_leases_out(l, 0, &shard, &holder, &since) && shard == 0 && holder == 1 && since == 5);
        CHECK(!fm_leases_out(l, 1, &shard, &holder, &since));
        REQUIRE(fm_leases_double(l, 0, 2, 20, &second, NULL) == 0);
        CHECK(second != a.lease && ask(l, 2, 30).lease == second);
        CHECK(fm_leases_out(l, 0, &shard, &holder, &since) && holder == UINT32_MAX);    /* not a third time */
        CHECK_INT(fm_leases_beat(l, 9, a.lease, 1, 90), FM_LEASE_OK);
        CHECK_INT(fm_leases_ack(l, 9, a.lease, 2), FM_LEASE_STALE);
        CHECK(fm_leases_other(l, 0, 1, &other) == 2 && other == second);
        CHECK_INT(fm_leases_ack(l, 9, first_wins ? a.lease : second, first_wins ? 1 : 2), FM_LEASE_OK);
        CHECK_INT(fm_leases_ack(l, 9, first_wins ? a.lease : second, first_wins ? 1 : 2), FM_LEASE_AGAIN);
        CHECK_INT(fm_leases_ack(l, 9, first_wins ? second : a.lease, first_wins ? 2 : 1), FM_LEASE_STALE);
        CHECK_INT(fm_leases_count(l, FM_SHARD_DONE), 1);
        CHECK(fm_leases_deadline(l) == UINT64_MAX && fm_leases_other(l, 0, 1, &other) == UINT32_MAX);
        fm_leases_destroy(l);
    }
}

/* It goes back when neither is left. */
static void the_last_of_two_leases_gives_back(void)
{
    fm_leases *l;
    uint64_t second;

    REQUIRE(fm_leases_create(1, 9, 100, &l, NULL) == 0);
    ask(l, 1, 0);
    REQUIRE(fm_leases_double(l, 0, 2, 50, &second, NULL) == 0);
    CHECK_INT((int)fm_leases_expire(l, 120, NULL, NULL), 1);
    CHECK_INT(fm_leases_state(l, 0), FM_SHARD_LEASED);
    CHECK_INT(fm_leases_beat(l, 9, second, 2, 120), FM_LEASE_OK);
    CHECK(!fm_leases_give_up(l, 1));
    CHECK(fm_leases_give_up(l, 2));
    CHECK_INT(fm_leases_state(l, 0), FM_SHARD_QUEUED);
    CHECK_INT(fm_leases_ack(l, 9, second, 2), FM_LEASE_STALE);
    fm_leases_destroy(l);
}

static void a_shard_from_queue_to_done(void)
{
    fm_leases *l;
    grant a, b, again;

    REQUIRE(fm_leases_create(2, 9, 100, &l, NULL) == 0);
    a = ask(l, 1, 0);
    CHECK(a.granted && a.shard == 0 && a.lease != 0);
    again = ask(l, 1, 50);
    CHECK(again.granted && again.lease == a.lease);
    CHECK(fm_leases_deadline(l) == 150);
    b = ask(l, 2, 60);
    CHECK(b.granted && b.shard == 1);
    CHECK(!ask(l, 3, 60).granted);
    CHECK_INT(fm_leases_beat(l, 9, a.lease, 1, 140), FM_LEASE_OK);
    CHECK(fm_leases_deadline(l) == 160);
    CHECK_INT(fm_leases_ack(l, 9, a.lease, 1), FM_LEASE_OK);
    CHECK_INT(fm_leases_ack(l, 9, a.lease, 1), FM_LEASE_AGAIN);
    CHECK_INT(fm_leases_state(l, 0), FM_SHARD_DONE);
    CHECK_INT(fm_leases_count(l, FM_SHARD_DONE), 1);
    fm_leases_lose(l, 0);
    CHECK_INT(fm_leases_state(l, 0), FM_SHARD_QUEUED);
    CHECK_INT(fm_leases_ack(l, 9, a.lease, 1), FM_LEASE_STALE);
    CHECK(ask(l, 1, 200).shard == 0);
    fm_leases_destroy(l);
}

static void fences(void)
{
    fm_leases *l;
    grant a, b;

    REQUIRE(fm_leases_create(1, 9, 100, &l, NULL) == 0);
    CHECK_INT(fm_leases_ack(l, 9, 0, 0), FM_LEASE_STALE);        /* never leased */
    a = ask(l, 1, 0);
    CHECK_INT(fm_leases_ack(l, 8, a.lease, 1), FM_LEASE_STALE);  /* epoch */
    CHECK_INT(fm_leases_beat(l, 8, a.lease, 1, 0), FM_LEASE_STALE);
    CHECK_INT(fm_leases_ack(l, 9, a.lease, 2), FM_LEASE_STALE);  /* somebody else's */
    CHECK_INT(fm_leases_ack(l, 9, a.lease + 1, 1), FM_LEASE_STALE);
    CHECK_INT(fm_leases_ack(l, 9, UINT64_MAX, 1), FM_LEASE_STALE);
    CHECK_INT(fm_leases_expire(l, 99, NULL, NULL), 0);
    CHECK_INT(fm_leases_expire(l, 100, NULL, NULL), 1);
    CHECK_INT(fm_leases_ack(l, 9, a.lease, 1), FM_LEASE_STALE);  /* expired */
    b = ask(l, 1, 200);
    CHECK(b.granted && b.lease != a.lease);
    CHECK_INT(fm_leases_ack(l, 9, a.lease, 1), FM_LEASE_STALE);  /* the earlier lease of the same shard */
    CHECK(fm_leases_give_up(l, 1) && !fm_leases_give_up(l, 1));
    CHECK_INT(fm_leases_beat(l, 9, b.lease, 1, 0), FM_LEASE_STALE);
    CHECK_INT(fm_leases_count(l, FM_SHARD_QUEUED), 1);
    fm_leases_destroy(l);
}

static void back_comes_first(void)
{
    fm_leases *l;

    REQUIRE(fm_leases_create(5, 1, 100, &l, NULL) == 0);
    for (uint32_t h = 0; h < 3; h++)
        CHECK_INT(ask(l, h, h).shard, h);
    CHECK_INT(fm_leases_expire(l, 101, NULL, NULL), 2);
    CHECK_INT(ask(l, 7, 200).shard, 0);
    CHECK_INT(ask(l, 8, 200).shard, 1);
    CHECK_INT(ask(l, 9, 200).shard, 3);
    fm_leases_destroy(l);
}

/* Handed out last, to an undisturbed holder only, one after the other; the one in the middle of what came back too. */
static void alone_comes_last(void)
{
    fm_leases *l;
    grant g;

    REQUIRE(fm_leases_create(4, 1, 100, &l, NULL) == 0);
    for (uint32_t h = 0; h < 3; h++)
        ask(l, h, 0);
    CHECK_INT(fm_leases_expire(l, 100, NULL, NULL), 3);
    CHECK(fm_leases_given(l, (uint64_t)1 << 32 | 2) && !fm_leases_given(l, (uint64_t)2 << 32 | 2));
    CHECK(!fm_leases_given(l, 2) && !fm_leases_given(l, (uint64_t)1 << 32 | 3) &&
          !fm_leases_given(l, (uint64_t)1 << 32 | 4));
    fm_leases_isolate(l, 2);
    fm_leases_isolate(l, 1);
    CHECK_INT(fm_leases_add(l, 1, NULL), 0);
    CHECK_INT(ask(l, 5, 200).shard, 0);
    CHECK_INT(ask(l, 6, 200).shard, 3);
    CHECK_INT(ask(l, 7, 200).shard, 4);
    CHECK(!ask(l, 8, 200).granted);
    for (int deaths = 1; deaths <= 2; deaths++) {
        CHECK_INT(fm_leases_grant(l, 8, true, 200, &g.granted, &g.lease, &g.shard, NULL), 0);
        CHECK(g.granted && g.shard == 1 && fm_leases_alone(l, 1));
        CHECK(fm_leases_give_up(l, 8));
        CHECK_INT(fm_leases_blame(l, 1), deaths);
    }
    fm_leases_condemn(l, 1);
    CHECK_INT(fm_leases_state(l, 1), FM_SHARD_POISON);
    CHECK_INT(fm_leases_grant(l, 8, true, 200, &g.granted, &g.lease, &g.shard, NULL), 0);
    CHECK(g.granted && g.shard == 2);
    CHECK_INT(fm_leases_ack(l, 1, g.lease, 8), FM_LEASE_OK);
    CHECK(!ask(l, 9, 200).granted);
    fm_leases_destroy(l);
}

enum { SHARDS = 40, HOLDERS = 6 };

typedef struct {
    uint64_t lease[HOLDERS];        /* what each last got; kept when it is lost, to be tried again */
    bool done[SHARDS];
} model;

static void step(fm_leases *l, model *m, fm_rng *r, uint64_t now)
{
    uint32_t h = fm_rng_below(r, HOLDERS), shard = (uint32_t)m->lease[h];
    grant g;

    switch (fm_rng_below(r, 8)) {
    case 0: case 1: case 2:
        g = ask(l, h, now);
        if (g.granted)
            m->lease[h] = g.lease;
        break;
    case 3: case 4:
        if (fm_leases_ack(l, 3, m->lease[h], h) == FM_LEASE_OK) {
            CHECK(!m->done[shard]);         /* counted once */
            m->done[shard] = true;
        }
        break;
    case 5:
        fm_leases_give_up(l, h);
        break;
    case 6:
        fm_leases_expire(l, now, NULL, NULL);
        break;
    default:
        shard = fm_rng_below(r, SHARDS);
        if (m->done[shard]) {
            fm_leases_lose(l, shard);
            m->done[shard] = false;
        }
    }
}

static void random_histories_end(void)
{
    const uint64_t seed = 5;

    printf("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 200; round++) {
        fm_rng r = fm_rng_init(seed, round);
        model m = {{0}, {false}};
        fm_leases *l;
        uint64_t now = 0;

        REQUIRE(fm_leases_create(SHARDS, 3, 50, &l, NULL) == 0);
        for (int i = 0; i < 2000; i++)
            step(l, &m, &r, now += fm_rng_below(&r, 10));
        fm_leases_expire(l, now + 1000, NULL, NULL);
        for (grant g = ask(l, 0, now); g.granted; g = ask(l, 0, now)) {
            CHECK_INT(fm_leases_ack(l, 3, g.lease, 0), FM_LEASE_OK);
            CHECK(!m.done[g.shard]);
        }
        CHECK_INT(fm_leases_count(l, FM_SHARD_DONE), SHARDS);
        CHECK(fm_leases_deadline(l) == UINT64_MAX);
        fm_leases_destroy(l);
    }
}

CHECK_MAIN(CHECK_CASE(the_table), CHECK_CASE(two_leases_of_one_shard),
           CHECK_CASE(the_last_of_two_leases_gives_back), CHECK_CASE(a_shard_from_queue_to_done), CHECK_CASE(fences),
           CHECK_CASE(back_comes_first), CHECK_CASE(alone_comes_last), CHECK_CASE(random_histories_end))

/* The conversation, message by message. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "tests/check.h"
#include "tests/coordinator/talk.h"

static void a_life(void)
{
    char name[FM_SEGMENT_NAME_MAX], again[FM_SEGMENT_NAME_MAX], next[FM_SEGMENT_NAME_MAX];
    fm_conversation_state state;
    uint64_t lease, same;
    talk *t = talk_open();

    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, again), FM_MSG_WELCOME);
    CHECK_STR(again, name);
    CHECK_INT(talk_ask(t, 2, FM_MSG_HELLO, NULL, again), FM_MSG_WELCOME);
    CHECK(strcmp(again, name) != 0);
    for (int i = 0; i < SHARDS; i++) {
        CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
        CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, &same, NULL), FM_MSG_LEASE);
        CHECK(lease == same && lease != 0);
        CHECK_INT(talk_ask(t, 2, FM_MSG_BEAT, &same, NULL), FM_MSG_STALE);
        if (i == SHARDS - 1)
            CHECK_INT(talk_ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_WAIT);
        CHECK_INT(talk_say_ack(t, 1, lease, name, true), FM_MSG_ACKED);
        CHECK_INT(talk_say_ack(t, 1, lease, name, true), FM_MSG_ACKED);
    }
    CHECK_INT(t->todo->counts.done, PHOTOGRAPHS);
    CHECK_INT(t->todo->counts.codes_made, PHOTOGRAPHS);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    CHECK_INT(talk_say_sealed(t, 1, name, next), FM_MSG_ACKED);
    CHECK_INT(talk_say_sealed(t, 1, name, again), FM_MSG_ACKED);
    CHECK(next[0] && strcmp(next, name) != 0 && strcmp(next, again) == 0);
    CHECK_INT(talk_ask(t, 1, FM_MSG_BYE, NULL, NULL), 0);
    CHECK_INT(talk_ask(t, 2, FM_MSG_BYE, NULL, NULL), 0);
    fm_conversation_look(t->c, &state);
    CHECK(state.complete && state.here == 0 && state.acked == SHARDS);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_REFUSED);
    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, NULL), FM_MSG_REFUSED);
    talk_close(t);
}

static void who_may_say_what(void)
{
    fm_peer observer = talk_peer(9, FM_PEER_OBSERVER);
    fm_message m, reply;
    talk *t = talk_open();

    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_REFUSED);
    CHECK_INT(talk_ask(t, 1, FM_MSG_DRAIN_ASK, NULL, NULL), 0);
    CHECK_INT(talk_ask(t, 1, FM_MSG_LEASE, NULL, NULL), 0);
    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, NULL), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);    /* nobody drained */
    m = talk_message(t, FM_MSG_WANT);
    m.epoch++;
    reply = talk_say(t, 1, &m);
    CHECK_INT(reply.type, FM_MSG_STALE);
    fm_message_fini(&reply);
    m = talk_message(t, FM_MSG_HELLO);
    reply = talk_say_as(t, &observer, &m);
    CHECK_INT(reply.type, 0);
    m = talk_message(t, FM_MSG_DRAIN_ASK);
    reply = talk_say_as(t, &observer, &m);
    CHECK_INT(reply.type, FM_MSG_ACKED);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);    /* what it has it may finish */
    CHECK_INT(talk_ask(t, 2, FM_MSG_HELLO, NULL, NULL), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    talk_close(t);
}

/* HELLO of worker `number` of that crew on that host. */
static fm_message_type hello_from(talk *t, int number, uint32_t crew, const char *host)
{
    fm_message m = talk_message(t, FM_MSG_HELLO), reply;
    fm_message_type type;

    m.crew = crew;
    fm_message_set_text(&m, host, NULL);
    reply = talk_say(t, number, &m);
    type = reply.type;
    fm_message_fini(&reply);
    return type;
}

static uint64_t drain_node(talk *t, const char *node)
{
    fm_peer observer = talk_peer(9, FM_PEER_OBSERVER);
    fm_message m = talk_message(t, FM_MSG_DRAIN_ASK), reply;
    uint64_t told;

    fm_message_set_text(&m, node, NULL);
    reply = talk_say_as(t, &observer, &m);
    CHECK_INT(reply.type, FM_MSG_ACKED);
    told = reply.records;
    fm_message_fini(&reply);
    return told;
}

static void one_node_is_drained(void)
{
    talk *t = talk_open();
    bool known;

    for (int i = 1; i <= 3; i++)
        CHECK_INT(hello_from(t, i, (uint32_t)i, i == 1 ? "a.site" : "b.site"), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);
    CHECK_INT(drain_node(t, "c"), 0);
    CHECK_INT(drain_node(t, "b.sit"), 2);       /* the short name counts */
    CHECK_INT(drain_node(t, "bb"), 0);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);
    CHECK_INT(talk_ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);    /* what it has it may finish */
    CHECK_INT(talk_ask(t, 3, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    CHECK(fm_conversation_retired(t->c, 3) && !fm_conversation_retired(t->c, 1));
    CHECK_INT(hello_from(t, 4, 3, "d.site"), FM_MSG_WELCOME);       /* a crew that was told to leave and came again */
    CHECK_INT(talk_ask(t, 4, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    CHECK_INT(drain_node(t, "1"), 1);
    CHECK_INT(fm_conversation_crew_size(t->c, 3, &known), 2);
    CHECK(known && fm_conversation_crew_size(t->c, 17, &known) == 0 && !known);
    talk_close(t);
}

/* Say an acknowledgement that took so long to work for and to wait for. */
static void say_spent(talk *t, int who, uint64_t lease, const char *segment, uint32_t chip_us, uint32_t wait_us)
{
    fm_message m = talk_ack(t, lease, segment, true), reply;

    fm_message_add_span(&m, &(fm_span){FM_SPAN_WAIT, 0, wait_us, 0}, NULL);
    fm_message_add_span(&m, &(fm_span){FM_SPAN_CHIP, 0, chip_us, SHARD}, NULL);
    m.memory = 1000;
    reply = talk_say(t, who, &m);
    CHECK_INT(reply.type, FM_MSG_ACKED);
    fm_message_fini(&reply);
}

static void what_was_spent_is_accounted_for(void)
{
    char name[3][FM_SEGMENT_NAME_MAX];
    fm_conversation_facts facts;
    uint64_t lease[3];
    talk *t = talk_open();

    for (int i = 0; i < 3; i++) {
        fm_message m = talk_message(t, FM_MSG_HELLO), reply;

        m.crew = i == 0 ? 7 : 2;
        m.rank = (uint32_t)i;
        fm_message_set_text(&m, i == 0 ? "a\"\n<b" : "n2", NULL);
        reply = talk_say(t, i + 1, &m);
        snprintf(name[i], sizeof name[i], "%.60s", reply.text);
        fm_message_fini(&reply);
        CHECK_INT(talk_ask(t, i + 1, FM_MSG_WANT, &lease[i], NULL), FM_MSG_LEASE);
    }
    t->now += 3000;
    say_spent(t, 1, lease[0], name[0], 3000000, 5000000);
    say_spent(t, 2, lease[1], name[1], 1000000, 0);
    say_spent(t, 3, lease[2], name[2], 500000, 0);
    say_spent(t, 3, lease[2], name[2], 500000, 0);      /* the same again: counted once */
    t->now += 2000;
    REQUIRE(fm_conversation_facts_take(t->c, t->now, &facts, NULL) == 0);
    CHECK(facts.spent[FM_SPAN_CHIP].us == 4500000 && facts.spent[FM_SPAN_CHIP].n == 3 * SHARD);
    CHECK(facts.spent[FM_SPAN_WAIT].us == 5000000 && facts.spent[FM_SPAN_ENCODE].us == 0);
    CHECK_INT(facts.ranks, 3);
    REQUIRE(facts.n_crews == 2);
    CHECK(facts.crews[0].crew == 2 && facts.crews[0].ranks == 2 && facts.crews[0].photographs == 2 * SHARD);
    CHECK(facts.crews[0].memory == 2000 && facts.crews[0].silent_ms == 2000 && !facts.crews[0].leaving);
    CHECK_NEAR(facts.crews[0].rate, 2 * SHARD / 5.0, 1e-9);
    CHECK_STR(facts.crews[1].host, "a___b");
    CHECK(facts.slowest.crew == 7 && facts.slowest.rank == 0);
    CHECK_NEAR(facts.slowest.rate, SHARD / 3.0, 1e-9);
    CHECK_NEAR(facts.slowest.median, SHARD, 1e-9);
    fm_conversation_facts_fini(&facts);
    CHECK_INT(drain_node(t, "7"), 1);
    CHECK_INT(talk_ask(t, 2, FM_MSG_BYE, NULL, NULL), 0);
    REQUIRE(fm_conversation_facts_take(t->c, t->now, &facts, NULL) == 0);
    CHECK(facts.n_crews == 2 && facts.crews[0].ranks == 1 && facts.crews[1].leaving);
    fm_conversation_facts_fini(&facts);
    talk_close(t);
}

/* Each spoils a correct ACK in another way. */
static void spoil(fm_message *m, int how)
{
    switch (how) {
    case 0: m->acks[0].item = m->acks[1].item; break;           /* one twice */
    case 1: m->acks[0].item += 1000000; break;
    case 2: m->n_items--; break;
    case 3: memset(&m->acks[1].image, 0, sizeof m->acks[1].image); break;      /* used, and never read */
    case 4: m->acks[2].reason = FM_NO_FACE; break;              /* no face, and a code */
    default: fm_message_set_text(m, "e1-n99-h0-p0", NULL);      /* another's segment */
    }
}

static void nonsense_ends_a_worker_and_nothing_else(void)
{
    for (int how = 0; how < 6; how++) {
        char name[FM_SEGMENT_NAME_MAX];
        fm_message m, reply;
        uint64_t lease;
        talk *t = talk_open();

        CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
        CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
        m = talk_ack(t, lease, name, true);
        spoil(&m, how);
        reply = talk_say(t, 1, &m);
        CHECK_INT(reply.type, FM_MSG_REFUSED);
        fm_message_fini(&reply);
        CHECK_INT(t->todo->counts.done, 0);
        CHECK_INT(t->todo->counts.leases_lost, 1);
        CHECK_INT(talk_say_ack(t, 1, lease, name, true), FM_MSG_REFUSED);
        CHECK_INT(talk_ask(t, 2, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
        CHECK_INT(talk_ask(t, 2, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
        CHECK_INT((uint32_t)lease, 0);      /* back, and first */
        talk_close(t);
    }
}

CHECK_MAIN(CHECK_CASE(a_life), CHECK_CASE(who_may_say_what), CHECK_CASE(one_node_is_drained),
           CHECK_CASE(what_was_spent_is_accounted_for), CHECK_CASE(nonsense_ends_a_worker_and_nothing_else))

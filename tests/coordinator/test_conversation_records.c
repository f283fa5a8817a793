/* What the conversation says of records that were made before: whose segment holds them, who is told. */
#include <stdlib.h>

#include "tests/check.h"
#include "tests/coordinator/talk.h"

static uint32_t segment_of(talk *t, uint64_t item)
{
    uint32_t segment = UINT32_MAX;
    fm_digest image, photo, code;

    talk_image(item, &image);
    fm_worklist_keys(t->todo, &image, FM_USED, &photo, &code);
    CHECK_INT(fm_catalog_find_record(t->catalog, FM_RECORD_PHOTO, &photo, &segment, NULL), 0);
    return segment;
}

/* Time runs out for a worker; it gets the shard again, and finds in its own segment what it had committed. */
static void found_and_unknown_is_in_the_finders_segment(void)
{
    char name[FM_SEGMENT_NAME_MAX];
    uint64_t first, second;
    talk *t = talk_open();

    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, &first, NULL), FM_MSG_LEASE);
    t->now += TIMEOUT_MS;
    CHECK_INT(fm_conversation_tick(t->c, t->now, NULL), 0);
    CHECK_INT(t->todo->counts.leases_lost, 1);
    CHECK_INT(talk_say_ack(t, 1, first, name, true), FM_MSG_STALE);
    CHECK_INT(t->todo->counts.done, 0);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, &second, NULL), FM_MSG_LEASE);
    CHECK(second != first && (uint32_t)second == (uint32_t)first);
    CHECK_INT(talk_say_ack(t, 1, second, name, false), FM_MSG_ACKED);
    CHECK_INT(t->todo->counts.photos_reused, SHARD);
    CHECK(segment_of(t, 0) != UINT32_MAX);
    talk_close(t);
}

/* A worker finds records in a sealed segment that the catalog never heard of: they are there, and stay when it goes. */
static void found_in_a_sealed_segment_stays_there(void)
{
    char name[FM_SEGMENT_NAME_MAX], next[FM_SEGMENT_NAME_MAX];
    fm_segment_writer *writer;
    fm_digest image, photo, code;
    uint64_t lease;
    talk *t = talk_open();

    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    REQUIRE(fm_segment_create(t->scratch, name, 0, &writer, NULL) == 0);
    for (uint64_t item = 0; item < SHARD; item++) {
        talk_image(item, &image);
        fm_worklist_keys(t->todo, &image, FM_USED, &photo, &code);
        CHECK_INT(fm_segment_put(writer, FM_RECORD_PHOTO, &photo, "p", 1, NULL), 0);
        CHECK_INT(fm_segment_put(writer, FM_RECORD_CODE, &code, "c", 1, NULL), 0);
    }
    REQUIRE(fm_segment_seal(writer, t->store, NULL) == 0);
    CHECK_INT(talk_say_sealed(t, 1, name, next), FM_MSG_ACKED);
    CHECK_INT(talk_ask(t, 2, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 2, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
    CHECK_INT(talk_say_ack(t, 2, lease, name, false), FM_MSG_ACKED);
    CHECK_INT(talk_ask(t, 2, FM_MSG_BYE, NULL, NULL), 0);
    CHECK_INT(t->todo->counts.done, SHARD);
    CHECK_INT(t->todo->counts.leases_lost, 0);
    CHECK(segment_of(t, 0) != UINT32_MAX && segment_of(t, 0) == segment_of(t, SHARD - 1));
    talk_close(t);
}

/* A photo is handed out to be encoded only when others can read its segment. */
static void have_photo_means_sealed(void)
{
    char name[FM_SEGMENT_NAME_MAX];
    uint64_t lease;
    uint32_t segment;
    talk *t = talk_open();

    CHECK_INT(talk_ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(talk_ask(t, 1, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
    CHECK_INT(talk_say_ack(t, 1, lease, name, true), FM_MSG_ACKED);
    segment = segment_of(t, 0);
    talk_end(t);
    fm_digest_of("another", 7, &t->spec.encoder);
    REQUIRE(talk_begin(t));
    CHECK_INT(t->todo->counts.done, 0);
    CHECK_INT(talk_ask(t, 2, FM_MSG_HELLO, NULL, NULL), FM_MSG_WELCOME);
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        fm_message m = talk_message(t, FM_MSG_WANT), reply = talk_say(t, 2, &m);

        REQUIRE(reply.type == FM_MSG_LEASE && reply.n_items == SHARD);
        CHECK(!fm_digest_is_zero(&reply.items[0].image));
        CHECK_INT(reply.items[0].have_photo, is_sealed);
        CHECK_INT(reply.items[SHARD - 1].have_photo, is_sealed);
        CHECK_INT(reply.n_segments, is_sealed);
        if (is_sealed && reply.n_segments)
            CHECK_STR(reply.segments[0], name);
        fm_message_fini(&reply);
        CHECK_INT(fm_catalog_segment_sealed(t->catalog, segment, 2 * SHARD, NULL), 0);
    }
    talk_close(t);
}

CHECK_MAIN(CHECK_CASE(found_and_unknown_is_in_the_finders_segment), CHECK_CASE(found_in_a_sealed_segment_stays_there),
           CHECK_CASE(have_photo_means_sealed))

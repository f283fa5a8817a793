/* The conversation without sockets and without a clock: messages are structs, time is a number. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "coordinator/conversation.h"
#include "tests/check.h"

enum { PHOTOGRAPHS = 60, SHARD = 3, SHARDS = PHOTOGRAPHS / SHARD, TIMEOUT_MS = 1000 };

typedef struct {
    char dir[64], store[96], scratch[96];
    char path[PHOTOGRAPHS][96];
    const char *paths[PHOTOGRAPHS];
    fm_recipe recipe;
    fm_build_spec spec;
    fm_catalog *catalog;
    uint64_t epoch;
    fm_worklist *todo;
    fm_conversation *c;
    uint64_t now;
} talk;

/* A worklist and a conversation about what the catalog leaves to do. */
static bool talk_begin(talk *t)
{
    fm_conversation_spec spec = {.segments = {t->catalog, t->store, t->scratch, t->epoch}, .recipe = &t->recipe,
                                 .epoch = t->epoch, .timeout_ms = TIMEOUT_MS, .crews = 4};

    if (fm_worklist_create(&t->spec, t->catalog, &t->todo, NULL) != 0)
        return false;
    spec.todo = t->todo;
    return fm_conversation_create(&spec, &t->c, NULL) == 0;
}

static void talk_end(talk *t)
{
    fm_conversation_destroy(t->c);
    fm_worklist_destroy(t->todo);
    t->c = NULL;
    t->todo = NULL;
}

static talk *talk_open(void)
{
    talk *t = calloc(1, sizeof *t);

    if (!t)
        abort();
    snprintf(t->dir, sizeof t->dir, "%s/facemill-test-XXXXXX", fm_path_exists("/dev/shm") ? "/dev/shm" : "/tmp");
    if (!mkdtemp(t->dir))
        abort();
    snprintf(t->store, sizeof t->store, "%s/store", t->dir);
    snprintf(t->scratch, sizeof t->scratch, "%s/scratch", t->dir);
    for (int i = 0; i < PHOTOGRAPHS; i++) {
        snprintf(t->path[i], sizeof t->path[i], "%s/%d.jpg", t->dir, i);
        t->paths[i] = t->path[i];
        if (fm_file_write(t->path[i], "x", 1, NULL) != 0)
            abort();
    }
    fm_recipe_default(&t->recipe);
    fm_digest_of("encoder", 7, &t->spec.encoder);
    t->spec.recipe = &t->recipe;
    t->spec.paths = t->paths;
    t->spec.n_paths = PHOTOGRAPHS;
    t->spec.shard_size = SHARD;
    t->now = 5;
    if (fm_catalog_open(t->store, true, &t->catalog, NULL) != 0 ||
        fm_catalog_take(t->catalog, &t->epoch, NULL) != 0 || !talk_begin(t))
        abort();
    return t;
}

static void talk_close(talk *t)
{
    talk_end(t);
    fm_catalog_close(t->catalog);
    fm_dir_remove(t->dir, NULL);
    free(t);
}

static fm_peer peer(int number, fm_peer_role role)
{
    return (fm_peer){.size = 3, .id = {1, (uint8_t)(number >> 8), (uint8_t)number}, .role = role};
}

static fm_message message(const talk *t, fm_message_type type)
{
    fm_message m;

    fm_message_init(&m, type);
    m.epoch = t->epoch;
    return m;
}

/* Say m; the reply, of type 0 when there is none. */
static fm_message say_as(talk *t, const fm_peer *from, fm_message *m)
{
    fm_message reply;
    fm_err err = FM_ERR_INIT;
    bool answered;

    if (fm_conversation_hear(t->c, from, m, t->now, &reply, &answered, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    CHECK(answered == (reply.type != 0));
    fm_message_fini(m);
    return reply;
}

static fm_message say(talk *t, int who, fm_message *m)
{
    fm_peer from = peer(who, FM_PEER_WORKER);

    return say_as(t, &from, m);
}

/* Say a message without fields; its answer's type, lease and text. */
static fm_message_type ask(talk *t, int who, fm_message_type type, uint64_t *lease, char *text)
{
    fm_message m = message(t, type), reply;
    fm_message_type got;

    m.crew = m.pid = (uint32_t)who;
    if (lease && type == FM_MSG_BEAT)
        m.lease = *lease;
    reply = say(t, who, &m);
    got = reply.type;
    if (lease)
        *lease = reply.lease;
    if (text)
        snprintf(text, FM_SEGMENT_NAME_MAX, "%s", reply.text ? reply.text : "");
    fm_message_fini(&reply);
    return got;
}

static void image_of(uint64_t item, fm_digest *out)
{
    fm_digest_of(&item, sizeof item, out);
}

/* An ACK of that lease with all its photographs made, or all found. */
static fm_message ack(const talk *t, uint64_t lease, const char *segment, bool made)
{
    fm_message m = message(t, FM_MSG_ACK);
    uint32_t shard = (uint32_t)lease;

    m.lease = lease;
    if (fm_message_set_text(&m, segment, NULL) != 0 || fm_message_room(&m, SHARD, NULL) != 0)
        abort();
    for (uint32_t i = 0; i < SHARD; i++) {
        fm_ack_item *a = &m.acks[SHARD - 1 - i];        /* the order is the worker's own */
        struct stat st = {.st_size = 0};

        a->item = t->todo->todo[t->todo->first[shard] + i];
        stat(t->paths[a->item], &st);
        a->size_bytes = (uint64_t)st.st_size;
        a->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        image_of(a->item, &a->image);
        a->reason = FM_USED;
        a->photo_made = a->code_made = made;
    }
    return m;
}

static fm_message_type say_ack(talk *t, int who, uint64_t lease, const char *segment, bool made)
{
    fm_message m = ack(t, lease, segment, made), reply = say(t, who, &m);
    fm_message_type got = reply.type;

    fm_message_fini(&reply);
    return got;
}

static fm_message_type say_sealed(talk *t, int who, const char *segment, char *next)
{
    fm_message m = message(t, FM_MSG_SEALED), reply;
    fm_message_type got;

    m.records = 2;
    if (fm_message_set_text(&m, segment, NULL) != 0)
        abort();
    reply = say(t, who, &m);
    got = reply.type;
    snprintf(next, FM_SEGMENT_NAME_MAX, "%s", reply.text ? reply.text : "");
    fm_message_fini(&reply);
    return got;
}

static void a_life(void)
{
    char name[FM_SEGMENT_NAME_MAX], again[FM_SEGMENT_NAME_MAX], next[FM_SEGMENT_NAME_MAX];
    fm_conversation_state state;
    uint64_t lease, same;
    talk *t = talk_open();

    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, again), FM_MSG_WELCOME);
    CHECK_STR(again, name);
    CHECK_INT(ask(t, 2, FM_MSG_HELLO, NULL, again), FM_MSG_WELCOME);
    CHECK(strcmp(again, name) != 0);
    for (int i = 0; i < SHARDS; i++) {
        CHECK_INT(ask(t, 1, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
        CHECK_INT(ask(t, 1, FM_MSG_WANT, &same, NULL), FM_MSG_LEASE);
        CHECK(lease == same && lease != 0);
        CHECK_INT(ask(t, 2, FM_MSG_BEAT, &same, NULL), FM_MSG_STALE);
        if (i == SHARDS - 1)
            CHECK_INT(ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_WAIT);
        CHECK_INT(say_ack(t, 1, lease, name, true), FM_MSG_ACKED);
        CHECK_INT(say_ack(t, 1, lease, name, true), FM_MSG_ACKED);
    }
    CHECK_INT(t->todo->counts.done, PHOTOGRAPHS);
    CHECK_INT(t->todo->counts.codes_made, PHOTOGRAPHS);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    CHECK_INT(say_sealed(t, 1, name, next), FM_MSG_ACKED);
    CHECK_INT(say_sealed(t, 1, name, again), FM_MSG_ACKED);
    CHECK(next[0] && strcmp(next, name) != 0 && strcmp(next, again) == 0);
    CHECK_INT(ask(t, 1, FM_MSG_BYE, NULL, NULL), 0);
    CHECK_INT(ask(t, 2, FM_MSG_BYE, NULL, NULL), 0);
    fm_conversation_look(t->c, &state);
    CHECK(state.complete && state.here == 0 && state.acked == SHARDS);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_REFUSED);
    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, NULL), FM_MSG_REFUSED);
    talk_close(t);
}

static void who_may_say_what(void)
{
    fm_peer observer = peer(9, FM_PEER_OBSERVER);
    fm_message m, reply;
    talk *t = talk_open();

    CHECK_INT(ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_REFUSED);
    CHECK_INT(ask(t, 1, FM_MSG_DRAIN_ASK, NULL, NULL), 0);
    CHECK_INT(ask(t, 1, FM_MSG_LEASE, NULL, NULL), 0);
    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, NULL), FM_MSG_WELCOME);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);    /* nobody drained */
    m = message(t, FM_MSG_WANT);
    m.epoch++;
    reply = say(t, 1, &m);
    CHECK_INT(reply.type, FM_MSG_STALE);
    fm_message_fini(&reply);
    m = message(t, FM_MSG_HELLO);
    reply = say_as(t, &observer, &m);
    CHECK_INT(reply.type, 0);
    m = message(t, FM_MSG_DRAIN_ASK);
    reply = say_as(t, &observer, &m);
    CHECK_INT(reply.type, FM_MSG_ACKED);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);    /* what it has it may finish */
    CHECK_INT(ask(t, 2, FM_MSG_HELLO, NULL, NULL), FM_MSG_WELCOME);
    CHECK_INT(ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    talk_close(t);
}

/* HELLO of worker `number` of that crew on that host. */
static fm_message_type hello_from(talk *t, int number, uint32_t crew, const char *host)
{
    fm_message m = message(t, FM_MSG_HELLO), reply;
    fm_message_type type;

    m.crew = crew;
    fm_message_set_text(&m, host, NULL);
    reply = say(t, number, &m);
    type = reply.type;
    fm_message_fini(&reply);
    return type;
}

static uint64_t drain_node(talk *t, const char *node)
{
    fm_peer observer = peer(9, FM_PEER_OBSERVER);
    fm_message m = message(t, FM_MSG_DRAIN_ASK), reply;
    uint64_t told;

    fm_message_set_text(&m, node, NULL);
    reply = say_as(t, &observer, &m);
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
    CHECK_INT(ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);
    CHECK_INT(drain_node(t, "c"), 0);
    CHECK_INT(drain_node(t, "b.sit"), 2);       /* the short name counts */
    CHECK_INT(drain_node(t, "bb"), 0);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);
    CHECK_INT(ask(t, 2, FM_MSG_WANT, NULL, NULL), FM_MSG_LEASE);    /* what it has it may finish */
    CHECK_INT(ask(t, 3, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    CHECK(fm_conversation_retired(t->c, 3) && !fm_conversation_retired(t->c, 1));
    CHECK_INT(hello_from(t, 4, 3, "d.site"), FM_MSG_WELCOME);       /* a crew that was told to leave and came again */
    CHECK_INT(ask(t, 4, FM_MSG_WANT, NULL, NULL), FM_MSG_FINISH);
    CHECK_INT(drain_node(t, "1"), 1);
    CHECK_INT(fm_conversation_crew_size(t->c, 3, &known), 2);
    CHECK(known && fm_conversation_crew_size(t->c, 17, &known) == 0 && !known);
    talk_close(t);
}

/* Say an acknowledgement that took so long to work for and to wait for. */
static void say_spent(talk *t, int who, uint64_t lease, const char *segment, uint32_t chip_us, uint32_t wait_us)
{
    fm_message m = ack(t, lease, segment, true), reply;

    fm_message_add_span(&m, &(fm_span){FM_SPAN_WAIT, 0, wait_us, 0}, NULL);
    fm_message_add_span(&m, &(fm_span){FM_SPAN_CHIP, 0, chip_us, SHARD}, NULL);
    m.memory = 1000;
    reply = say(t, who, &m);
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
        fm_message m = message(t, FM_MSG_HELLO), reply;

        m.crew = i == 0 ? 7 : 2;
        m.rank = (uint32_t)i;
        fm_message_set_text(&m, i == 0 ? "a\"\n<b" : "n2", NULL);
        reply = say(t, i + 1, &m);
        snprintf(name[i], sizeof name[i], "%.60s", reply.text);
        fm_message_fini(&reply);
        CHECK_INT(ask(t, i + 1, FM_MSG_WANT, &lease[i], NULL), FM_MSG_LEASE);
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
    CHECK_INT(ask(t, 2, FM_MSG_BYE, NULL, NULL), 0);
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

        CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
        CHECK_INT(ask(t, 1, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
        m = ack(t, lease, name, true);
        spoil(&m, how);
        reply = say(t, 1, &m);
        CHECK_INT(reply.type, FM_MSG_REFUSED);
        fm_message_fini(&reply);
        CHECK_INT(t->todo->counts.done, 0);
        CHECK_INT(t->todo->counts.leases_lost, 1);
        CHECK_INT(say_ack(t, 1, lease, name, true), FM_MSG_REFUSED);
        CHECK_INT(ask(t, 2, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
        CHECK_INT(ask(t, 2, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
        CHECK_INT((uint32_t)lease, 0);      /* back, and first */
        talk_close(t);
    }
}

static uint32_t segment_of(talk *t, uint64_t item)
{
    uint32_t segment = UINT32_MAX;
    fm_digest image, photo, code;

    image_of(item, &image);
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

    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, &first, NULL), FM_MSG_LEASE);
    t->now += TIMEOUT_MS;
    CHECK_INT(fm_conversation_tick(t->c, t->now, NULL), 0);
    CHECK_INT(t->todo->counts.leases_lost, 1);
    CHECK_INT(say_ack(t, 1, first, name, true), FM_MSG_STALE);
    CHECK_INT(t->todo->counts.done, 0);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, &second, NULL), FM_MSG_LEASE);
    CHECK(second != first && (uint32_t)second == (uint32_t)first);
    CHECK_INT(say_ack(t, 1, second, name, false), FM_MSG_ACKED);
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

    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    REQUIRE(fm_segment_create(t->scratch, name, 0, &writer, NULL) == 0);
    for (uint64_t item = 0; item < SHARD; item++) {
        image_of(item, &image);
        fm_worklist_keys(t->todo, &image, FM_USED, &photo, &code);
        CHECK_INT(fm_segment_put(writer, FM_RECORD_PHOTO, &photo, "p", 1, NULL), 0);
        CHECK_INT(fm_segment_put(writer, FM_RECORD_CODE, &code, "c", 1, NULL), 0);
    }
    REQUIRE(fm_segment_seal(writer, t->store, NULL) == 0);
    CHECK_INT(say_sealed(t, 1, name, next), FM_MSG_ACKED);
    CHECK_INT(ask(t, 2, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(ask(t, 2, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
    CHECK_INT(say_ack(t, 2, lease, name, false), FM_MSG_ACKED);
    CHECK_INT(ask(t, 2, FM_MSG_BYE, NULL, NULL), 0);
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

    CHECK_INT(ask(t, 1, FM_MSG_HELLO, NULL, name), FM_MSG_WELCOME);
    CHECK_INT(ask(t, 1, FM_MSG_WANT, &lease, NULL), FM_MSG_LEASE);
    CHECK_INT(say_ack(t, 1, lease, name, true), FM_MSG_ACKED);
    segment = segment_of(t, 0);
    talk_end(t);
    fm_digest_of("another", 7, &t->spec.encoder);
    REQUIRE(talk_begin(t));
    CHECK_INT(t->todo->counts.done, 0);
    CHECK_INT(ask(t, 2, FM_MSG_HELLO, NULL, NULL), FM_MSG_WELCOME);
    for (int is_sealed = 0; is_sealed < 2; is_sealed++) {
        fm_message m = message(t, FM_MSG_WANT), reply = say(t, 2, &m);

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

/* Workers in a world where messages are lost, said twice or late, and crews die. */

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
    fm_message m = message(t, a->phase == JOINING ? FM_MSG_HELLO : a->phase == ASKING ? FM_MSG_WANT : FM_MSG_SEALED);

    if (a->phase == HOLDING)
        return ack(t, a->lease, a->name, made);
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
    fm_message m = next_message(t, a, crew, fm_rng_below(r, 2)), reply = say(t, a->who, &m);

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
            ask(t, a->who, FM_MSG_BYE, NULL, NULL);
        CHECK_INT(fm_conversation_crew_ended(t->c, crew, t->now, &clean, NULL), 0);
        CHECK_INT(clean, heard && a->phase == GONE);
        rise(a, next_peer);
        return;
    }
    if (a->old_lease && fm_rng_below(r, 10) == 0)
        say_ack(t, a->who, a->old_lease, a->name, false);
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

CHECK_MAIN(CHECK_CASE(a_life), CHECK_CASE(who_may_say_what), CHECK_CASE(one_node_is_drained), CHECK_CASE(what_was_spent_is_accounted_for),
           CHECK_CASE(nonsense_ends_a_worker_and_nothing_else),
           CHECK_CASE(found_and_unknown_is_in_the_finders_segment), CHECK_CASE(found_in_a_sealed_segment_stays_there),
           CHECK_CASE(have_photo_means_sealed),
           CHECK_CASE(random_histories_end_well))

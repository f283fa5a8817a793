#define _GNU_SOURCE
#include "tests/coordinator/talk.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/check.h"

bool talk_begin(talk *t)
{
    fm_conversation_spec spec = {.segments = {t->catalog, t->store, t->scratch, t->epoch}, .recipe = &t->recipe,
                                 .epoch = t->epoch, .timeout_ms = TIMEOUT_MS, .crews = 4};

    if (fm_worklist_create(&t->spec, t->catalog, &t->todo, NULL) != 0)
        return false;
    spec.todo = t->todo;
    return fm_conversation_create(&spec, &t->c, NULL) == 0;
}

void talk_end(talk *t)
{
    fm_conversation_destroy(t->c);
    fm_worklist_destroy(t->todo);
    t->c = NULL;
    t->todo = NULL;
}

talk *talk_open(void)
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

void talk_close(talk *t)
{
    talk_end(t);
    fm_catalog_close(t->catalog);
    fm_dir_remove(t->dir, NULL);
    free(t);
}

fm_peer talk_peer(int number, fm_peer_role role)
{
    return (fm_peer){.size = 3, .id = {1, (uint8_t)(number >> 8), (uint8_t)number}, .role = role};
}

fm_message talk_message(const talk *t, fm_message_type type)
{
    fm_message m;

    fm_message_init(&m, type);
    m.epoch = t->epoch;
    return m;
}

fm_message talk_say_as(talk *t, const fm_peer *from, fm_message *m)
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

fm_message talk_say(talk *t, int who, fm_message *m)
{
    fm_peer from = talk_peer(who, FM_PEER_WORKER);

    return talk_say_as(t, &from, m);
}

fm_message_type talk_ask(talk *t, int who, fm_message_type type, uint64_t *lease, char *text)
{
    fm_message m = talk_message(t, type), reply;
    fm_message_type got;

    m.crew = m.pid = (uint32_t)who;
    if (lease && type == FM_MSG_BEAT)
        m.lease = *lease;
    reply = talk_say(t, who, &m);
    got = reply.type;
    if (lease)
        *lease = reply.lease;
    if (text)
        snprintf(text, FM_SEGMENT_NAME_MAX, "%s", reply.text ? reply.text : "");
    fm_message_fini(&reply);
    return got;
}

void talk_image(uint64_t item, fm_digest *out)
{
    fm_digest_of(&item, sizeof item, out);
}

fm_message talk_ack(const talk *t, uint64_t lease, const char *segment, bool made)
{
    fm_message m = talk_message(t, FM_MSG_ACK);
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
        talk_image(a->item, &a->image);
        a->reason = FM_USED;
        a->photo_made = a->code_made = made;
    }
    return m;
}

fm_message_type talk_say_ack(talk *t, int who, uint64_t lease, const char *segment, bool made)
{
    fm_message m = talk_ack(t, lease, segment, made), reply = talk_say(t, who, &m);
    fm_message_type got = reply.type;

    fm_message_fini(&reply);
    return got;
}

fm_message_type talk_say_sealed(talk *t, int who, const char *segment, char *next)
{
    fm_message m = talk_message(t, FM_MSG_SEALED), reply;
    fm_message_type got;

    m.records = 2;
    if (fm_message_set_text(&m, segment, NULL) != 0)
        abort();
    reply = talk_say(t, who, &m);
    got = reply.type;
    snprintf(next, FM_SEGMENT_NAME_MAX, "%s", reply.text ? reply.text : "");
    fm_message_fini(&reply);
    return got;
}

/* A conversation to be tested without sockets and without a clock: messages are structs, time is a number.
 * One open catalog over PHOTOGRAPHS files of a byte each; what goes wrong in making it ends the test. */
#ifndef FM_TESTS_COORDINATOR_TALK_H
#define FM_TESTS_COORDINATOR_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/conversation.h"

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

talk *talk_open(void);
void talk_close(talk *t);
/* A worklist and a conversation about what the catalog leaves to do; what talk_open does last. */
bool talk_begin(talk *t);
void talk_end(talk *t);

fm_peer talk_peer(int number, fm_peer_role role);
fm_message talk_message(const talk *t, fm_message_type type);
/* An ACK of that lease with all its photographs made, or all found. */
fm_message talk_ack(const talk *t, uint64_t lease, const char *segment, bool made);
void talk_image(uint64_t item, fm_digest *out);     /* what the item's bytes are said to be */

/* Say m; the reply, of type 0 when there is none. */
fm_message talk_say_as(talk *t, const fm_peer *from, fm_message *m);
fm_message talk_say(talk *t, int who, fm_message *m);
/* Say a message without fields; its answer's type, lease and text. */
fm_message_type talk_ask(talk *t, int who, fm_message_type type, uint64_t *lease, char *text);
fm_message_type talk_say_ack(talk *t, int who, uint64_t lease, const char *segment, bool made);
fm_message_type talk_say_sealed(talk *t, int who, const char *segment, char *next);

#endif

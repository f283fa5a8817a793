/* The coordinator's side of the conversation (proto/message.h): what is answered
 * to which message at what time.  No clock and no socket: time and messages are
 * passed in, so that a simulator can drive the very code that runs.  What is
 * acknowledged goes through to the catalog.  Threads: one. */
#ifndef FM_COORDINATOR_CONVERSATION_H
#define FM_COORDINATOR_CONVERSATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/trace.h"
#include "coordinator/worklist.h"
#include "coordinator/segments.h"
#include "proto/message.h"
#include "proto/socket.h"

#define FM_WORKERS_MAX 65536        /* that ever join one build, restarted ones included */

typedef struct {
    fm_segments segments;           /* borrowed, as all here */
    fm_worklist *todo;                  /* its photographs and counts are kept up to date */
    const fm_recipe *recipe;
    uint64_t epoch;
    uint32_t timeout_ms;            /* of a lease */
    uint32_t limit_ms;              /* of one photograph; 0: none */
    fm_trace *trace;                /* NULL: none */
    uint32_t crews;                 /* 0 .. crews-1 are watched by the caller; workers of others came by themselves */
} fm_conversation_spec;

typedef struct fm_conversation fm_conversation;

int fm_conversation_create(const fm_conversation_spec *spec, fm_conversation **out, fm_err *err);
void fm_conversation_destroy(fm_conversation *c);

/* Hear one message, and say what is answered to its sender.
 * reply   written when *answered; fm_message_fini it.
 * Returns 0, also for nonsense; negative when the build cannot go on: -ESTALE (another coordinator took the store),
 * -ENOMEM, what the store gives. */
int fm_conversation_hear(fm_conversation *c, const fm_peer *from, const fm_message *message, uint64_t now_ms,
                         fm_message *reply, bool *answered, fm_err *err);

/* Something to say that answers nothing: to whom, and what (fini it).  False: there is nothing.  To be sent as soon as
 * may be; nothing is wrong when it is lost. */
bool fm_conversation_notice(fm_conversation *c, fm_peer *to, fm_message *m);

/* Time has passed: leases run out, segments that could not be settled are tried again.  Call it when no message
 * waits, so that a coordinator that was held up itself hears the beats that came meanwhile before it judges.
 * Errors: as fm_conversation_hear. */
int fm_conversation_tick(fm_conversation *c, uint64_t now_ms, fm_err *err);

/* Who has not been heard of for so long is dead or hangs: some times a lease's timeout, and longer
 * than a photograph may take. */
uint64_t fm_conversation_silence_ms(const fm_conversation *c);

/* All processes of a crew are gone: what they held goes back, what they left is adopted, and the photographs that
 * their journals name are suspects.
 * *clean  true when it had workers and all of them had said BYE. */
int fm_conversation_crew_ended(fm_conversation *c, uint32_t crew, uint64_t now_ms, bool *clean, fm_err *err);
/* When a worker of this crew was last heard; 0: never, since it was last ended. */
uint64_t fm_conversation_crew_heard(const fm_conversation *c, uint32_t crew);

/* Workers that came by themselves and have been silent for fm_conversation_silence_ms are taken for dead; should one
 * speak again, it is REFUSED and ends. */
int fm_conversation_dismiss_silent(fm_conversation *c, uint64_t now_ms, fm_err *err);

/* Hand out no more: workers finish what they have, seal and leave. */
void fm_conversation_drain(fm_conversation *c);
/* The same for one node (a host's name, with or without its domain) or one crew (its number) only, now and should it
 * join again.
 * *told  how many workers that are here.
 * Errors: -ENOMEM. */
int fm_conversation_retire(fm_conversation *c, const char *node, uint32_t *told, fm_err *err);
bool fm_conversation_retired(const fm_conversation *c, uint32_t crew);
/* Workers of this crew that are here; it has been in this build at all. */
uint32_t fm_conversation_crew_size(const fm_conversation *c, uint32_t crew, bool *known);

typedef struct {
    uint32_t queued, leased, done;  /* shards */
    uint32_t here;                  /* workers that neither left nor died, or whose open segments are not settled */
    uint64_t acked;                 /* acknowledgements that counted */
    uint64_t twice;                 /* shards that were handed out to a second worker while the first had them */
    uint64_t suspected, condemned;  /* photographs set alone; quarantined */
    bool complete;                  /* every shard is done */
    bool draining;
} fm_conversation_state;

void fm_conversation_look(const fm_conversation *c, fm_conversation_state *out);

#define FM_HOST_WORD 64

/* A crew with workers that are here.  Sums are over those. */
typedef struct {
    uint32_t crew, ranks;
    char host[FM_HOST_WORD];            /* letters, digits, '.', '-' and '_' only */
    uint64_t photographs;               /* acknowledged */
    double rate;                        /* photographs a second since its first worker came */
    uint64_t memory;                    /* bytes; what ranks share is counted in each */
    uint64_t silent_ms;                 /* since the last message of the one that is silent longest */
    bool leaving;
} fm_crew_facts;

typedef struct {
    fm_conversation_state state;
    uint32_t ranks;                                     /* workers that are here */
    struct { uint64_t us, n; } spent[FM_SPAN_KINDS];    /* by all workers of this run; n: photographs, chips, records */
    struct {
        uint32_t crew, rank;
        char host[FM_HOST_WORD];
        double rate, median;    /* photographs a second of work, its own and the middle rank's; 0: not known */
    } slowest;
    uint64_t memory;                    /* bytes of this process */
    uint32_t n_crews;
    fm_crew_facts *crews;               /* [n_crews], by number; owned */
} fm_conversation_facts;

/* Errors: -ENOMEM. */
int fm_conversation_facts_take(const fm_conversation *c, uint64_t now_ms, fm_conversation_facts *out, fm_err *err);
void fm_conversation_facts_fini(fm_conversation_facts *f);

#endif

/* Simulated workers and the network between them and the coordinator, for tests/coordinator/test_simulation.c. */
#ifndef FM_TESTS_COORDINATOR_SIMULATED_H
#define FM_TESTS_COORDINATOR_SIMULATED_H

#include "base/rng.h"
#include "coordinator/conversation.h"
#include "coordinator/crews.h"
#include "tests/coordinator/memory.h"

enum {
    SHARD = 2, CREWS = 2, RANKS = 2, ACTORS = 16, FLYING = 512,
    LEASE_MS = 1000, LIMIT_MS = 2000, AGAIN_MS = 400, SILENCE_MS = 3000
};

typedef enum { DEAD, JOINING, ASKING, WORKING, ACKING, SEALING } phase;

typedef struct {
    phase phase;
    int who;                        /* its peer id */
    uint32_t crew;
    uint64_t epoch;                 /* of the coordinator that it joined */
    char first[FM_SEGMENT_NAME_MAX], name[FM_SEGMENT_NAME_MAX];
    bool finishing;
    uint64_t lease, done_lease;
    uint32_t items[SHARD], n_items, at;
    bool made[SHARD][2];
    uint64_t put[2];                /* in the open segment, uncommitted ones included */
    uint64_t ask_ms, heard_ms, busy_ms, beat_ms, paused_ms;
} actor;

typedef struct {
    bool flies, to_worker;
    int who;
    uint64_t due_ms;
    fm_buf bytes;
} letter;

typedef struct {
    fm_catalog handle;
    fm_worklist *todo;
    fm_conversation *c;
    fm_crews *crews;
} coordinator;

typedef struct {
    fm_rng rng;
    bool storm;
    uint64_t now;
    actor actors[ACTORS];
    int next_who;
    letter letters[FLYING];
    coordinator now_up, old;        /* old: was taken for dead, and may wake; its c NULL: none */
    uint32_t deadly;                /* a photograph; MEMORY_PHOTOS: none is */
    uint32_t other_deaths;          /* of crews, that are no photograph's fault: two can look like one */
    uint32_t given_up;              /* builds that ended with an error in the calm */
} world;

/* 0 .. n-1; and true once in so many times while the storm lasts. */
uint32_t roll(world *w, uint32_t n);
bool chance(world *w, uint32_t one_in);
/* Give a message to the network, which may lose, double or delay it. */
void post(world *w, int who, bool to_worker, const fm_message *m);

void start_crew(world *w, uint32_t crew);
/* mpirun ends all ranks when one dies. */
void end_crew(world *w, uint32_t crew, uint64_t epoch);
/* An answer has come; time has passed. */
void obey(world *w, actor *a, const fm_message *m);
void live(world *w, actor *a);

#endif

/* Crews for tests: one worker each, a thread of the test, that speaks the real
 * messages and writes real segments with made-up records, and that can be told
 * to misbehave.  Whatever their habits, a photograph whose bytes begin with K ends the worker that
 * reads it, and one that begins with H keeps it until it is stopped. */
#ifndef FM_TESTS_COORDINATOR_CREW_H
#define FM_TESTS_COORDINATOR_CREW_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "coordinator/build.h"

enum { CREWS_MAX = 4, INCARNATIONS = 8 };

typedef enum {
    WORK,               /* as a worker should */
    DIE_AT_START,       /* before it says HELLO */
    DIE_HOLDING,        /* with its second lease */
    DIE_COMMITTED,      /* with its first lease, committed, not acknowledged */
    DIE_AFTER_ACK,      /* acknowledged, not sealed */
    DIE_AND_LOSE,       /* the same, and its open segment is gone with it */
    FALL_SILENT,        /* with its first lease, longer than that lasts; then acknowledge it */
    HANG                /* with its first lease, until it is stopped */
} habit;

typedef struct crew_world crew_world;

typedef struct {
    crew_world *world;
    uint32_t number;
    habit habit;
    char join_file[FM_PATH_MAX];
    pthread_t thread;
    bool up;
    atomic_bool ended, told_to_stop;
} crew_thread;

struct crew_world {
    habit habits[CREWS_MAX][INCARNATIONS];      /* of a crew's first, second ... start */
    bool all_alike;                             /* every start of every crew has habits[0][0] */
    uint32_t silence_ms;                        /* FALL_SILENT */
    int pause_ms;                               /* a photograph */
    void (*after_ack)(crew_world *w);           /* called by workers after each ACKED; may be NULL */
    int start_code;                             /* what starting a crew gives */
    crew_thread crew[CREWS_MAX];
    atomic_int starts[CREWS_MAX];
    atomic_int decoded, encoded, acked, stale, stopped;
    volatile sig_atomic_t stop;                 /* for fm_build_spec */
};

/* crew_ops of w with that many crews. */
void crew_world_ops(crew_world *w, uint32_t crews, fm_crew_ops *out);
/* End and join what still runs. */
void crew_world_end(crew_world *w);

#endif

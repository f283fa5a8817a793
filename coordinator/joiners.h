/* Crews that come by themselves while a build runs: each is let in with a key of its own (proto/ask.h has how it asks),
 * counted like the others, and given up when whoever started it says that it is over.  Threads: one. */
#ifndef FM_COORDINATOR_JOINERS_H
#define FM_COORDINATOR_JOINERS_H

#include <stdint.h>

#include "base/err.h"
#include "coordinator/build.h"
#include "coordinator/conversation.h"
#include "proto/join.h"
#include "proto/socket.h"

#define FM_JOINERS_MAX 4096             /* crews that join one build */
#define FM_JOINER_PATIENCE_MS 300000    /* until the first worker says HELLO: as long as a crew of our own is given */

typedef struct fm_joiners fm_joiners;

typedef struct {
    const char *run_dir;        /* borrowed, as all here */
    fm_server *server;
    const fm_join *worker;      /* what crews are told beside their keys */
    fm_join *observer;          /* its endpoint changes when the server listens more widely */
    const char *observer_path;
    uint32_t first_crew;        /* numbers from here on are theirs */
} fm_joiners_spec;

/* Opens RUN/ask, empty.  Errors: what making a folder gives. */
int fm_joiners_create(const fm_joiners_spec *spec, fm_joiners **out, fm_err *err);
/* Closes it: whoever asks now hears that no build runs. */
void fm_joiners_destroy(fm_joiners *j);

/* Answer who asks, and part with crews that are over; to be called about twice a second.
 * counts  crews_lost grows when one ended with a worker that had not left.
 * Errors: what the store gives.  What is wrong with an ask is logged, and the ask removed. */
int fm_joiners_tick(fm_joiners *j, fm_conversation *c, uint64_t now_ms, fm_build_counts *counts, fm_err *err);

#endif

/* Crews kept up: started while there is work for them, ended when they hang,
 * started again when they die.  Time is passed in.  Threads: one. */
#ifndef FM_COORDINATOR_CREWS_H
#define FM_COORDINATOR_CREWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/build.h"
#include "coordinator/conversation.h"

typedef struct fm_crews fm_crews;

/* join_file  borrowed; what crews are started with. */
int fm_crews_create(const fm_crew_ops *ops, const char *join_file, fm_crews **out, fm_err *err);
void fm_crews_destroy(fm_crews *crews);

#define FM_CREW_START_MS 300000     /* until its first worker says HELLO: models are read and broadcast before */
#define FM_CREW_SETTLE_MS 200       /* after its end, for what it said last to arrive */
#define FM_CREW_TRIES 4             /* ends of each crew without one shard done in between, until it is given up */
#define FM_CREW_PAUSE_MS 250        /* before it is started again, doubled for each such end, up to 16 times this */

/* Look after all of them; to be called several times a second.
 * counts  crews_lost grows.
 * Errors: -EIO (they die without getting anywhere, or cannot be started: why), what the store gives. */
int fm_crews_tick(fm_crews *crews, fm_conversation *c, uint64_t now_ms, fm_build_counts *counts, fm_err *err);
/* None runs, none is to be settled. */
bool fm_crews_down(const fm_crews *crews);
/* End all that run. */
void fm_crews_stop(fm_crews *crews);

#endif

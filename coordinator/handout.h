/* A shard as messages: the LEASE that hands it out and the ACK that brings it back. */
#ifndef FM_COORDINATOR_HANDOUT_H
#define FM_COORDINATOR_HANDOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/worklist.h"
#include "coordinator/segments.h"
#include "proto/message.h"
#include "storage/catalog.h"

/* The shard's photographs and the segments they refer to into an empty LEASE. */
int fm_handout_fill(const fm_worklist *p, fm_catalog *catalog, uint32_t shard, fm_message *lease, fm_err *err);

/* Does this ACK speak of the shard's photographs, each once (in any order), and does each outcome make sense? */
bool fm_handout_matches(const fm_worklist *p, uint32_t shard, const fm_message *ack);

/* Take down an ACK that matches: in the catalog, durably, then in the list.
 * segment  the worker's open one.
 * *here    set to true when records are in that segment; else left alone.
 * Errors: what fm_catalog_ack gives. */
int fm_handout_take(fm_worklist *p, const fm_segments *s, uint32_t segment, const fm_message *ack, bool *here,
                    fm_err *err);

/* The only photograph of this shard ends the workers that try it: take that down, durably, with the file's size and time
 * as they are now.  Errors: what fm_catalog_ack gives. */
int fm_handout_condemn(fm_worklist *p, const fm_segments *s, uint32_t shard, fm_reason reason, fm_err *err);

#endif

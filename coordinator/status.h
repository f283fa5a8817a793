/* How far a build is, as JSON: what STATUS answers and OUT/run/status.json holds. */
#ifndef FM_COORDINATOR_STATUS_H
#define FM_COORDINATOR_STATUS_H

#include "base/buf.h"
#include "coordinator/build.h"

/* Append one JSON object and a newline.
 * state  "planning", "running", "draining", "finished", "stopped" or "failed". */
void fm_status_json(const char *state, uint64_t epoch, const fm_build_counts *counts, fm_buf *out);

#endif

/* How far a build is, as JSON (what STATUS answers and OUT/run/status.json holds) and as metrics for Prometheus
 * (OUT/run/facemill.prom, for node_exporter's textfile collector). */
#ifndef FM_COORDINATOR_STATUS_H
#define FM_COORDINATOR_STATUS_H

#include "base/buf.h"
#include "coordinator/build.h"
#include "coordinator/conversation.h"

typedef struct {
    const char *state;      /* "planning", "running", "draining", "finished", "stopped" or "failed" */
    uint64_t epoch;
    const fm_build_counts *counts;
    const fm_conversation_facts *facts;     /* NULL: nobody has been spoken to */
} fm_status;

/* Append one JSON object and a newline. */
void fm_status_json(const fm_status *s, fm_buf *out);
/* Append metrics in the text format of Prometheus, version 0.0.4. */
void fm_status_metrics(const fm_status *s, fm_buf *out);

#endif

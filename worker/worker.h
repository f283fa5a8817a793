/* A worker: asks the coordinator for shards, makes photo and code records, keeps
 * its own segment, acknowledges what is committed (proto/message.h has the whole
 * conversation). */
#ifndef FM_WORKER_WORKER_H
#define FM_WORKER_WORKER_H

#include <signal.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/join.h"
#include "worker/image/isolate.h"
#include "worker/models.h"

typedef struct {
    const fm_join *join;            /* borrowed, as the models */
    const fm_models *models;
    fm_isolate *isolate;            /* where photographs are decoded; borrowed; NULL: in this process */
    uint32_t crew, rank;
    uint64_t segment_bytes;         /* payload from which a segment is full; 0: 1 GiB */
    const volatile sig_atomic_t *stop;  /* set by a signal handler: give the lease back, seal, leave; may be NULL */
} fm_worker_spec;

/* Work until the coordinator says that there is no more.
 * Returns 0 (finished or stopped, all sealed); -ECONNRESET (the coordinator is silent: the open segment is left
 * for it to adopt), -EPERM (refused; the text says why), or what the segment gives.
 * Ranks: local. */
int fm_worker_run(const fm_worker_spec *spec, fm_err *err);

#endif

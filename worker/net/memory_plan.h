/* Which memory each value has, and what each node needs to run. */
#ifndef FM_WORKER_NET_MEMORY_PLAN_H
#define FM_WORKER_NET_MEMORY_PLAN_H

#include "worker/net/ops.h"

typedef struct {
    fm_call *calls;             /* [nodes]; in the graph's arena, as everything here */
    size_t activations;         /* bytes */
} fm_memory_plan;

/* Choose kernels, pack constants, lay out activations; afterwards all values but inputs have their data. */
int fm_memory_plan_make(fm_graph *g, const fm_lanes *lanes, fm_memory_plan *out, fm_err *err);

#endif

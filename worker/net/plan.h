/* Which memory each value has, and what each node needs to run. */
#ifndef FM_WORKER_NET_PLAN_H
#define FM_WORKER_NET_PLAN_H

#include "worker/net/ops.h"

typedef struct {
    fm_call *calls;             /* [nodes]; in the graph's arena, as everything here */
    size_t activations;         /* bytes */
} fm_plan;

/* Choose kernels, pack constants, lay out activations; afterwards all values but inputs have their data. */
int fm_plan_make(fm_graph *g, const fm_lanes *lanes, fm_plan *out, fm_err *err);

#endif

/* What collective stages (evaluate, audit, power) have in common: their course from
 * MPI's start to the exit status, and tasks dealt to ranks. */
#ifndef FM_CLUSTER_STAGE_H
#define FM_CLUSTER_STAGE_H

#include <mpi.h>
#include <stddef.h>

#include "base/err.h"

typedef struct {
    MPI_Comm comm;
    int rank, size;
} fm_ranks;

typedef struct {
    const char *name;
    int (*get)(void *ctx, fm_err *err);     /* the plan and what it names */
    int (*work)(void *ctx, fm_err *err);    /* to the file that rank 0 writes */
    void (*fini)(void *ctx);                /* after either, whatever they returned */
} fm_stage_course;

/* Run a stage; every rank calls it.  Starts and ends MPI, sets *on before anything else.
 * get and work are collective and return the same on all ranks; rank 0 prints why they failed.
 * Returns an exit status: 0; 3, get failed by what it got; 4, it failed otherwise. */
int fm_stage_run(const fm_stage_course *course, fm_ranks *on, void *ctx);

/* Tasks 0 .. n-1, dealt to ranks round-robin; each leaves `bytes` bytes in out.
 * all  rank 0's: [n, bytes], in the order of tasks; others: ignored.
 * Errors: what run gives, -ENOMEM, -EIO.  Ranks: collective; all return the same. */
int fm_stage_deal(const fm_ranks *on, size_t n, size_t bytes,
                  int (*run)(void *ctx, size_t task, void *out, fm_err *err), void *ctx, void *all, fm_err *err);

#endif

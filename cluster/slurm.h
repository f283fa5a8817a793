/* The SLURM allocation that this process runs in, if there is one. */
#ifndef FM_CLUSTER_SLURM_H
#define FM_CLUSTER_SLURM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FM_NODE_NAME_MAX 256

typedef struct {
    char name[FM_NODE_NAME_MAX];
    uint32_t cpus;          /* granted there, at least 1 */
    uint64_t memory;        /* bytes granted there; UINT64_MAX: SLURM does not say */
    bool gone;              /* as of the last fm_slurm_look: down, silent, or taken from the job */
} fm_slurm_node;

typedef struct {
    fm_slurm_node *nodes;   /* [n], this host's first; owned */
    uint32_t n;
    bool pmix;              /* srun starts MPI ranks itself */
    bool here;              /* nodes[0] is this host */
} fm_slurm;

/* Errors: -ENOENT (in no allocation: SLURM_JOB_ID or SLURM_JOB_NODELIST is not set), -EIO (SLURM's
 * commands fail), -EBADMSG (they say something else than they should), -ENOMEM. */
int fm_slurm_find(fm_slurm *out, fm_err *err);
void fm_slurm_fini(fm_slurm *s);

/* Ask which of its nodes the job still has and which of these answer (`squeue`, `sinfo`).  Nodes are where they were.
 * Errors: as fm_slurm_find; s is then as before. */
int fm_slurm_look(fm_slurm *s, fm_err *err);

/* SLURM_JOB_CPUS_PER_NODE, "4(x2),2", to the count of node i; 0 when it says nothing of it.  Pure. */
uint32_t fm_slurm_cpus_of(const char *text, uint32_t i);
/* Bytes of SLURM_MEM_PER_NODE or, without it, of SLURM_MEM_PER_CPU times cpus, both in MiB; UINT64_MAX when neither is
 * a number above 0.  Pure; NULL where one is not set. */
uint64_t fm_slurm_memory_of(const char *per_node, const char *per_cpu, uint32_t cpus);
/* Does what `sinfo -N -o "%N %t"` printed say that this node is up?  A "*" is one that does not answer.  Pure. */
bool fm_slurm_node_up(const char *text, const char *name);
/* Does what `srun --mpi=list` printed name PMIx?  Pure. */
bool fm_slurm_names_pmix(const char *text);

#endif

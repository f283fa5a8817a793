/* A crew: one MPI job of workers.  Rank 0 reads the join file and the model files
 * once; they are broadcast, packed once a node into memory that its ranks share,
 * and then every rank is a worker (worker/worker.h). */
#ifndef FM_CLUSTER_CREW_H
#define FM_CLUSTER_CREW_H

#include <stdint.h>

/* This process's rank in the MPI job it was started in (mpirun, srun), without
 * starting MPI; -1 when it was started by hand. */
int fm_crew_rank(void);
int fm_crew_size(void);     /* ranks of that job; 1 when started by hand */

/* Be a rank of a crew; every rank calls it (`facemill crew JOIN NUMBER`).  Starts and ends MPI.
 * join_file  read by rank 0 only, which waits up to a minute for it to appear, and removes it when it is this crew's
 *            alone; NULL on rank 0: there is no work, and all ranks end with status 0.
 * Returns an exit status: 0, 3 (a model file is missing or another than the join file says), 4, 5 (stopped). */
int fm_crew_main(const char *join_file, uint32_t crew);

#endif

/* The smallest collective stage: do MPI jobs start here, and how many ranks come up? */
#ifndef FM_CLUSTER_HELLO_H
#define FM_CLUSTER_HELLO_H

/* Every rank calls it (`facemill stage hello FILE`).  Starts and ends MPI; rank 0 writes
 * "ranks R hosts H\n", summed over the ranks, to the file.  Returns an exit status. */
int fm_hello_main(const char *path);

#endif

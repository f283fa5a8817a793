/* Folds as a job array: each job trains some of a plan's folds and leaves them in a
 * folder; a last one takes them all in place of training (cluster/folds_take.h). */
#ifndef FM_CLUSTER_FOLDS_H
#define FM_CLUSTER_FOLDS_H

#include <stddef.h>

/* The stage of one job: every parts-th fold from `part` on, into DIR/part-PART.bin, whole or not at all.
 * Returns an exit status, as fm_evaluate_main.  Ranks: collective; starts and ends MPI. */
int fm_folds_main(const char *plan_path, const char *dir, size_t part, size_t parts);

#endif

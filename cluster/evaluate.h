/* The collective stage `evaluate`: one MPI job over every node that is up.
 *
 * Each rank reads its share of the plan's CODE records; the features are gathered
 * to rank 0 and go from there to every node once; folds and repeats are trained in
 * parallel, and where these are fewer than ranks, or the last of them, inner folds and
 * values of C are; rank 0 finishes the final head and collects the predictions;
 * bootstrap resamples are divided over the ranks; rank 0 writes the result.  The
 * result's bytes do not depend on the number of ranks. */
#ifndef FM_CLUSTER_EVALUATE_H
#define FM_CLUSTER_EVALUATE_H

/* Run the stage; every rank calls it (`facemill stage evaluate PLAN OUT [FOLDS]`).  Starts and ends MPI.
 * plan_path  fm_plan_encode's bytes; read by rank 0 only.
 * out_path   fm_evaluation_encode's bytes; written by rank 0, whole or not at all.
 * folds_dir  what jobs of an array left of this plan's folds (cluster/folds.h) is not trained again when it is all
 *            there; NULL: nothing is.
 * Returns an exit status: 0, 3 (plan or store unusable), 4 (it failed).  Whoever starts
 * the stage believes the file (fm_evaluation_read and its plan digest), not the status. */
int fm_evaluate_main(const char *plan_path, const char *out_path, const char *folds_dir);

#endif

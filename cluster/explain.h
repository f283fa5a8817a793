/* The collective stage `explain`: what a study's classifier looked at (learn/explain.h).
 *
 * Each rank hides every cell of the grid on the stored chips of its share of the sampled faces and encodes what is left;
 * every node gets all codes.  Labellings, the study's own and the permuted ones, are dealt to ranks round-robin; rank 0
 * makes the study's maps and writes them.  The result's bytes do not depend on the number of ranks. */
#ifndef FM_CLUSTER_EXPLAIN_H
#define FM_CLUSTER_EXPLAIN_H

/* Run the stage; every rank calls it (`facemill stage explain PLAN OUT`).  Starts and ends MPI.
 * plan_path  fm_explain_plan_encode's bytes; read by rank 0 only.
 * out_path   fm_explanation_encode's bytes; written by rank 0, whole or not at all.
 * Returns an exit status: 0, 3 (plan, store or models unusable), 4 (it failed). */
int fm_explain_main(const char *plan_path, const char *out_path);

#endif

/* The collective stage `audit`: one MPI job over every node that is up.
 *
 * Each rank reads its share of the plan's CODE and PHOTO records and makes the
 * confounds' columns of them; every node gets all matrices; tasks are dealt to
 * ranks round-robin; rank 0 collects their figures and writes them.  The result's
 * bytes do not depend on the number of ranks. */
#ifndef FM_CLUSTER_AUDIT_H
#define FM_CLUSTER_AUDIT_H

/* Run the stage; every rank calls it (`facemill stage audit PLAN OUT`).  Starts and ends MPI.
 * plan_path  fm_audit_plan_encode's bytes; read by rank 0 only.
 * out_path   fm_audit_encode's bytes; written by rank 0, whole or not at all.
 * Returns an exit status: 0, 3 (plan or store unusable), 4 (it failed). */
int fm_audit_main(const char *plan_path, const char *out_path);

#endif

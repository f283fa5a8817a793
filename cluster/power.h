/* The collective stage `power`: what size of a planted effect a study would find.
 *
 * Each rank plants the effect, at each size, in the stored chips of its share of
 * rows and encodes them again; every node gets all codes.  A drawing gives a random
 * half of the subjects their planted codes and evaluates as the study does; drawings
 * are dealt to ranks round-robin.  A chip is encoded once a size, not once a drawing. */
#ifndef FM_CLUSTER_POWER_H
#define FM_CLUSTER_POWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "coordinator/learn/audit.h"
#include "proto/join.h"

#define FM_POWER_SIZES 6
#define FM_POWER_SEEDS_MAX 1000u

typedef struct {
    fm_audit_plan rows;                 /* rows of class 0 and how they are evaluated; its counts are not looked at */
    uint8_t effect;                     /* fm_plant_effect */
    double size[FM_POWER_SIZES];        /* rising; size[0] is 0: nothing is planted */
    uint32_t seeds;                     /* drawings a size */
    fm_join_model detector, landmarks, encoder;
} fm_power_plan;

/* Sets out->failed when memory runs out. */
void fm_power_plan_encode(const fm_power_plan *p, fm_buf *out);
/* Large: keep the result off the stack.  Errors: -EBADMSG, -ENOMEM. */
int fm_power_plan_decode(const void *bytes, size_t n, fm_power_plan *out, fm_err *err);

/* Run the stage; every rank calls it (`facemill stage power PLAN OUT`).  Starts and ends MPI.
 * out_path  fm_audit_figure [FM_POWER_SIZES, seeds] as f64 auc, low, high, subjects; written by rank 0, whole or not at all.
 * Returns an exit status: 0, 3 (plan, store or model unusable), 4 (it failed). */
int fm_power_main(const char *plan_path, const char *out_path);

#endif

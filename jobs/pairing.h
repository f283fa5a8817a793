/* The rows that two finished studies both tested, side by side.  Photographs are
 * known by the sample's name in ledger.tsv, not by number: the studies may hold
 * different photographs beside those they share. */
#ifndef FM_JOBS_PAIRING_H
#define FM_JOBS_PAIRING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "coordinator/learn/metrics.h"

typedef struct {
    fm_predictions of[2];       /* the same n rows, by ascending sample name; borrowed from the arrays below */
    size_t only[2];             /* tested faces of the one that the other did not test */
    int32_t *label;             /* i32 [n] */
    uint32_t *group;            /* u32 [n]: the first study's */
    int32_t *test_fold[2];      /* i32 [repeats, n] */
    double *prob[2];            /* f64 [repeats, n, classes] */
} fm_pairing;

/* Pair the faces of outs[0] and outs[1].  Of a photograph with several faces the first is paired with the first, and so
 * on, where both found as many.
 * Errors: -EINVAL (classes or a label differ, no face in common, ledger and evaluation do not belong together), what
 * reading OUT/run/evaluation.bin and OUT/ledger.tsv gives, -ENOMEM. */
int fm_pairing_make(const char *const outs[2], fm_pairing *out, fm_err *err);
void fm_pairing_fini(fm_pairing *p);

#endif

/* What the stage `explain` is told (cluster/explain.h); its bytes. */
#ifndef FM_CLUSTER_EXPLAIN_PLAN_H
#define FM_CLUSTER_EXPLAIN_PLAN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "coordinator/learn/evaluation.h"
#include "proto/encoding.h"
#include "proto/join.h"

typedef struct {
    fm_plan plan;               /* the study's */
    fm_digest *photo;           /* [plan.n] key of the row's PHOTO record; owned */
    uint32_t faces;             /* of a class, 1 to FM_EXPLAIN_FACES_MAX */
    uint32_t grid;              /* cells a side, FM_OCCLUDE_GRID_MIN to _MAX */
    uint32_t permutations;      /* at most FM_EXPLAIN_PERMUTATIONS_MAX */
    double chip_padding;        /* of the recipe: where landmarks lie on a chip */
    fm_encoding encoding;
    fm_join_model detector, landmarks, encoder;
} fm_explain_plan;

void fm_explain_plan_fini(fm_explain_plan *p);
/* Sets out->failed when memory runs out. */
void fm_explain_plan_encode(const fm_explain_plan *p, fm_buf *out);
/* Large: keep the result off the stack.  Errors: -EBADMSG (not such a plan of this version, cut short, values out of
 * range), -ENOMEM. */
int fm_explain_plan_decode(const void *bytes, size_t n, fm_explain_plan *out, fm_err *err);
/* Digest of all that decides the result: not of where store and models are.  -ENOMEM. */
int fm_explain_plan_digest(const fm_explain_plan *p, fm_digest *out, fm_err *err);

#endif

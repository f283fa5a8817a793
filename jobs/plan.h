/* From samples and stored codes to a plan that the collective stage evaluates. */
#ifndef FM_JOBS_PLAN_H
#define FM_JOBS_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "coordinator/learn/evaluation.h"
#include "jobs/samples.h"
#include "jobs/study.h"

/* Fill a plan with the faces of the samples still used, in their order.
 * store_dir  where the CODE records are.
 * code       [samples->n] their keys.
 * faces      u32 [samples->n], kept faces of each photograph.
 * out        fm_plan_fini; set only on success.
 * Errors: -EINVAL (no faces are left, a class has none, evaluate's group is a column no cohort has), -ENOMEM. */
int fm_plan_make(const fm_study *study, const fm_samples *samples, const char *store_dir, const fm_digest *code,
                 const uint32_t *faces, fm_plan *out, fm_err *err);

#endif

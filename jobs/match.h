/* Matching controls to cases: exact in sex and age band, nearest in age within
 * the band, without replacement (Liang et al. 2020, Table 1). */
#ifndef FM_JOBS_MATCH_H
#define FM_JOBS_MATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "jobs/samples.h"
#include "jobs/study.h"

typedef struct {
    size_t case_sample, control_sample;     /* indices into the samples */
    int band;                               /* index of the age band; -1 when not matched by age */
} fm_pair;

typedef struct {
    fm_pair *v;     /* [n], by case in sample order, then by closeness in age; owned */
    size_t n;
} fm_pairs;

/* Match the samples still used.  Cases take turns in an order shuffled by the
 * study's seed: each takes the nearest free control of its stratum, `ratio`
 * rounds long; ties go to the younger control, then to the earlier sample.
 * Cases without any control, and controls that stand for no case, are left out
 * as unmatched with a detail; so is whoever lacks the sex or age matched by.
 * With match: none nothing is left out and *out is empty.
 * Errors: -ENOMEM; -EINVAL when not one pair can be made. */
int fm_match(const fm_study *study, fm_samples *s, fm_pairs *out, fm_err *err);
void fm_pairs_fini(fm_pairs *p);

/* matched.tsv: case, control, sex, band, case_age, control_age. */
int fm_pairs_write(const fm_study *study, const fm_samples *s, const fm_pairs *p, const char *path, fm_err *err);

#endif

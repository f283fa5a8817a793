/* Matching controls to cases: exact in sex and age band, near in age within the
 * band (Liang et al. 2020 draw controls by sex and age; MatchIt's "exact" with
 * "optimal" or "nearest"). */
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
    double distance;                        /* years between them; NaN when not matched by age, or an age is a range */
} fm_pair;

typedef struct {
    fm_pair *v;     /* [n], by case in sample order, then by closeness in age; owned */
    size_t n;
} fm_pairs;

/* Match the samples still used, sex by sex and band by band.
 * optimal   as jobs/assign.h says: the least total distance, whatever the order of cases.
 * nearest   cases take turns in an order shuffled by the seed: each takes the nearest free control, `ratio` rounds
 *           long; of two equally near the younger.
 * replace   every case takes its nearest `ratio` controls, whoever else has them; both methods are the same then.
 * Among controls of equal age the seed decides.  An age known as a range places a sample when all of the range is
 * in one band, but gives no distance: such controls are taken, at random, when none with an age is free, such cases
 * choose last, and under a caliper they cannot be matched at all.
 * Cases without any control, and controls that stand for no case, are left out
 * as unmatched with a detail; so is whoever lacks the sex or age matched by.
 * With match: none nothing is left out and *out is empty.
 * Errors: -ENOMEM; -EINVAL when not one pair can be made; -EFBIG as fm_assign. */
int fm_match(const fm_study *study, fm_samples *s, fm_pairs *out, fm_err *err);
void fm_pairs_fini(fm_pairs *p);

/* matched.tsv: case, control, sex, band, case_age, control_age. */
int fm_pairs_write(const fm_study *study, const fm_samples *s, const fm_pairs *p, const char *path, fm_err *err);

#endif

/* Who the faces are of: "Table 1" of a paper. */
#ifndef FM_JOBS_CHARACTERISTICS_H
#define FM_JOBS_CHARACTERISTICS_H

#include <stddef.h>

#include "base/err.h"
#include "jobs/results.h"

/* Of one class, or of all.  A photograph with several faces counts once, but for faces. */
typedef struct {
    size_t faces, photographs, subjects;
    size_t male, female, sex_unknown;       /* photographs */
    size_t ages, age_ranges, age_unknown;   /* photographs: age known, known as a range only, not known */
    double age_mean, age_sd;                /* sd with n - 1; NaN where not defined */
    double age[5];                          /* least, quartiles, greatest; NaN without an age */
    size_t of_band[FM_BANDS_MAX];           /* photographs in each age band of the study's matching */
} fm_characteristics;

/* out  caller's, [classes + 1]: the classes, then all.  Errors: -ENOMEM. */
int fm_characteristics_make(const fm_results *r, fm_characteristics *out, fm_err *err);

/* Least value, quartiles and greatest, linear between order statistics (type 7 of Hyndman and Fan 1996).
 * v  f64 [n], sorted in place.  n 0: NaN. */
void fm_quartiles(double *v, size_t n, double out[5]);

#endif

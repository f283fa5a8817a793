/* Principal components: codes in the plane in which they differ most. */
#ifndef FM_COORDINATOR_LEARN_PCA_H
#define FM_COORDINATOR_LEARN_PCA_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FM_PCA_MAX_COLUMNS 4096

/* The first two components of columns that are standardised by mean and standard deviation, as heads see them
 * (Jolliffe 2002); a column without variance counts as zero.  A component's largest loading is positive.
 * x          f32 [n, d], row-major, finite.
 * xy         caller's; f64 [n, 2].
 * explained  caller's; parts of the variance that the two have, the larger first.
 * Errors: -EINVAL (fewer than 3 rows, or not 2 to FM_PCA_MAX_COLUMNS columns), -EDOM (no variance, or x is not
 * finite), -ENOMEM. */
int fm_pca(const float *x, size_t n, size_t d, double *xy, double explained[2], fm_err *err);

#endif

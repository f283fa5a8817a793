/* Assignment of controls to cases at least total distance in age. */
#ifndef FM_JOBS_ASSIGN_H
#define FM_JOBS_ASSIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FM_NOBODY UINT32_MAX

typedef struct {
    const double *cases;        /* [n_cases] ages in years, ascending, finite */
    const double *controls;     /* [n_controls] the same */
    size_t n_cases, n_controls; /* below 2^32 */
    int64_t ratio;              /* controls a case may take, at least 1 */
    double caliper;             /* years; INFINITY without one */
} fm_assign_spec;

/* Give each control at most one case and each case at most `ratio` controls, none
 * farther away than the caliper, so that as many cases as possible have one
 * control, then as many as possible two, and so on; of all such assignments one
 * with the least sum of |case - control|.  Ages count to the millionth of a year.
 * Which of equal optima is taken depends on the order of equal ages only.
 * owner  u32 [n_controls], caller's: the case a control stands for, or FM_NOBODY.
 * Errors: -ENOMEM; -EFBIG when finding the optimum would take more than 512 MiB. */
int fm_assign(const fm_assign_spec *spec, uint32_t *owner, fm_err *err);

/* The two methods behind it, equal in their result's value: by the counts of equal ages (time grows with the
 * number of different ages), and along the line of ages (time grows with crowding). */
int fm_assign_counts(const fm_assign_spec *spec, uint32_t *owner, fm_err *err);
int fm_assign_line(const fm_assign_spec *spec, uint32_t *owner, fm_err *err);

/* A distance as both count it. */
int64_t fm_assign_distance(double a, double b);

#endif

/* Who is tested when.  A group (a subject, a site) is never on both sides of a
 * fold, and each class is spread over folds as evenly as groups allow.  A pure
 * function of its arguments; the same on any machine. */
#ifndef FM_COORDINATOR_LEARN_FOLDS_H
#define FM_COORDINATOR_LEARN_FOLDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum {
    FM_FOLDS_KFOLD,     /* every row is tested once a repeat */
    FM_FOLDS_HOLDOUT,   /* one fold a repeat: test_fraction of the rows is tested, the rest trains */
    FM_FOLDS_GIVEN      /* as the study says: one fold a distinct number */
} fm_folds_kind;

typedef struct {
    uint8_t kind;           /* fm_folds_kind */
    uint32_t folds;         /* KFOLD: 2 to 65,536 */
    uint32_t repeats;       /* KFOLD, HOLDOUT: how often, with other folds each time, 1 to 65,536; GIVEN: 1 */
    double test_fraction;   /* HOLDOUT: (0, 1) */
} fm_folds_spec;

void fm_folds_spec_default(fm_folds_spec *spec);    /* 5 folds, 1 repeat, 0.5 */
/* Errors: -EINVAL (which value, and its range). */
int fm_folds_spec_check(const fm_folds_spec *spec, fm_err *err);

typedef struct {
    size_t n;               /* rows */
    uint32_t repeats, folds;
    int32_t *test_fold;     /* i32 [repeats, n]: fold in which the row is tested, training all others; -1: it only trains */
} fm_folds;

/* Plan the folds of n rows.
 * label  i32 [n], 0 .. classes-1.
 * group  u32 [n]; equal numbers stay together.  Rows are handled in the order they come,
 *        so equal studies must pass equal orders.
 * given  i32 [n], GIVEN only (else NULL allowed): any numbers; each distinct one at least 0
 *        becomes a fold, in ascending order; negative rows only train.
 * out    fm_folds_fini; set only on success.
 * Errors: -EINVAL, each with the count found and a remedy: no rows, a label out of range, a class
 * absent, fewer groups than folds (in all or in a class), a training side without a class,
 * a fold that tests nothing, no fold given, a group that is given two folds; -ENOMEM. */
int fm_folds_make(const fm_folds_spec *spec, size_t n, const int32_t *label, const uint32_t *group,
                  const int32_t *given, int classes, uint64_t seed, fm_folds *out, fm_err *err);
void fm_folds_fini(fm_folds *folds);

/* Row numbers of one fold, ascending: those it trains on and those it tests.
 * train, test  caller's, room for n each; counts set always. */
void fm_folds_rows(const fm_folds *folds, uint32_t repeat, uint32_t fold,
                   uint32_t *train, size_t *n_train, uint32_t *test, size_t *n_test);

#endif

/* Folds by greedy balancing.
 *
 * Groups are dealt out one by one to the side on which, for the classes the group
 * holds, fewest rows are so far; large groups first, in random order among those
 * of like size.  With groups of one class this keeps every class within one group
 * of even on every side: a side only ever gets more than the emptiest one by the
 * group it was given last.  Exactly largest first was rejected: where sizes
 * differ, every repeat would get the same folds.  Always: what is made is checked
 * once more, however it was made: each fold tests rows and trains every class. */
#include "coordinator/learn/folds.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

#define FOLDS_MAX 65536u
#define CLASSES_MAX 65536

void fm_folds_spec_default(fm_folds_spec *spec)
{
    *spec = (fm_folds_spec){FM_FOLDS_KFOLD, 5, 1, 0.5};
}

int fm_folds_spec_check(const fm_folds_spec *spec, fm_err *err)
{
    if (spec->kind > FM_FOLDS_GIVEN)
        return fm_fail(err, -EINVAL, "folds: split %u is unknown, expected kfold, holdout or given", spec->kind);
    if (spec->kind == FM_FOLDS_KFOLD && (spec->folds < 2 || spec->folds > FOLDS_MAX))
        return fm_fail(err, -EINVAL, "folds: %u folds, expected 2 to %u", spec->folds, FOLDS_MAX);
    if (spec->kind != FM_FOLDS_GIVEN && (spec->repeats < 1 || spec->repeats > FOLDS_MAX))
        return fm_fail(err, -EINVAL, "folds: %u repeats, expected 1 to %u", spec->repeats, FOLDS_MAX);
    if (spec->kind == FM_FOLDS_GIVEN && spec->repeats != 1)
        return fm_fail(err, -EINVAL, "folds: %u repeats of given folds would all be the same: set repeats to 1",
                       spec->repeats);
    if (spec->kind == FM_FOLDS_HOLDOUT && !(spec->test_fraction > 0 && spec->test_fraction < 1))
        return fm_fail(err, -EINVAL, "folds: test fraction %g, expected more than 0 and less than 1",
                       spec->test_fraction);
    return 0;
}

/* Rows of one class in one group. */
typedef struct {
    uint32_t class, rows;
} cell;

typedef struct {
    uint32_t first, end;    /* its cells */
    uint32_t size;          /* rows */
} group_info;

typedef struct {
    const fm_folds_spec *spec;
    size_t n;
    int classes;
    const int32_t *label;
    uint32_t *rows_of;      /* [classes] */
    uint32_t *groups_of;    /* [classes] */
    uint32_t *group;        /* [n] dense group of each row */
    group_info *groups;     /* [n_groups] */
    cell *cells;
    size_t n_groups;
} layout;

static void layout_fini(layout *l)
{
    free(l->rows_of);
    free(l->groups_of);
    free(l->group);
    free(l->groups);
    free(l->cells);
}

typedef struct {
    uint32_t group, class, row;
} placed_row;

static int compare_rows(const void *a, const void *b)
{
    const placed_row *x = a, *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->class > y->class) - (x->class < y->class);
}

static int check_rows(const fm_folds_spec *spec, size_t n, const int32_t *label, const int32_t *given, int classes,
                      fm_err *err)
{
    int rc = fm_folds_spec_check(spec, err);

    if (rc != 0)
        return rc;
    if (n == 0)
        return fm_fail(err, -EINVAL, "folds: there are no rows; check what was left out and why");
    if (n > INT32_MAX || classes < 2 || classes > CLASSES_MAX)
        return fm_fail(err, -EINVAL, "folds: %zu rows of %d classes, expected at most %d rows and 2 to %d classes", n,
                       classes, INT32_MAX, CLASSES_MAX);
    if (spec->kind == FM_FOLDS_GIVEN && !given)
        return fm_fail(err, -EINVAL, "folds: given folds are asked for, but the rows have none");
    for (size_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= classes)
            return fm_fail(err, -EINVAL, "folds: row %zu has label %d, expected 0 to %d", i, (int)label[i],
                           classes - 1);
    return 0;
}

/* Cells and groups from rows sorted by group and class. */
static void layout_fill(layout *l, const placed_row *sorted)
{
    size_t cells = 0;

    for (size_t i = 0; i < l->n; i++) {
        bool new_group = i == 0 || sorted[i].group != sorted[i - 1].group;
        group_info *g;

        if (new_group)
            l->groups[l->n_groups++] = (group_info){(uint32_t)cells, (uint32_t)cells, 0};
        g = &l->groups[l->n_groups - 1];
        if (new_group || sorted[i].class != sorted[i - 1].class) {
            l->cells[cells++] = (cell){sorted[i].class, 0};
            l->groups_of[sorted[i].class]++;
        }
        l->cells[cells - 1].rows++;
        l->rows_of[sorted[i].class]++;
        g->size++;
        g->end = (uint32_t)cells;
        l->group[sorted[i].row] = (uint32_t)(l->n_groups - 1);
    }
}

static int layout_init(layout *l, const uint32_t *group, fm_err *err)
{
    placed_row *sorted = malloc(l->n * sizeof *sorted);

    l->rows_of = calloc((size_t)l->classes, sizeof *l->rows_of);
    l->groups_of = calloc((size_t)l->classes, sizeof *l->groups_of);
    l->group = malloc(l->n * sizeof *l->group);
    l->groups = malloc(l->n * sizeof *l->groups);
    l->cells = malloc(l->n * sizeof *l->cells);
    if (!sorted || !l->rows_of || !l->groups_of || !l->group || !l->groups || !l->cells) {
        free(sorted);
        return fm_fail_nomem(err, "folds", l->n * sizeof *sorted);
    }
    for (size_t i = 0; i < l->n; i++)
        sorted[i] = (placed_row){group[i], (uint32_t)l->label[i], (uint32_t)i};
    qsort(sorted, l->n, sizeof *sorted, compare_rows);
    layout_fill(l, sorted);
    free(sorted);
    return 0;
}

static int check_counts(const layout *l, fm_err *err)
{
    uint32_t folds = l->spec->folds;

    for (int c = 0; c < l->classes; c++)
        if (l->rows_of[c] == 0)
            return fm_fail(err, -EINVAL, "folds: class %d of %d has no rows; check the labels and what was left out",
                           c, l->classes);
    if (l->spec->kind != FM_FOLDS_KFOLD)
        return 0;
    if (l->n_groups < folds)
        return fm_fail(err, -EINVAL, "folds: %zu groups are fewer than %u folds; use at most %zu folds", l->n_groups,
                       folds, l->n_groups);
    for (int c = 0; c < l->classes; c++)
        if (l->groups_of[c] < folds)
            return fm_fail(err, -EINVAL, "folds: class %d has %u groups, fewer than %u folds; use fewer folds or "
                           "leave the class out", c, l->groups_of[c], folds);
    return 0;
}

static int bits(uint32_t v)
{
    int n = 0;

    for (; v; v >>= 1)
        n++;
    return n;
}

/* Groups in the order in which they are dealt out. */
static void deal_order(const layout *l, uint64_t seed, uint32_t repeat, uint32_t *shuffled, uint32_t *order)
{
    fm_rng rng = fm_rng_init(seed, fm_rng_stream("folds", repeat, 0));
    size_t n = 0;

    for (size_t i = 0; i < l->n_groups; i++)
        shuffled[i] = (uint32_t)i;
    fm_rng_shuffle(&rng, shuffled, l->n_groups);
    for (int size = 32; size > 0; size--)
        for (size_t i = 0; i < l->n_groups; i++)
            if (bits(l->groups[shuffled[i]].size) == size)
                order[n++] = shuffled[i];
}

/* What a side would cost with the group added: the growth of the sum over classes
 * of (rows / (class's rows))^2, over the side's share. */
static double cost_of(const layout *l, const group_info *g, const uint32_t *side, double share)
{
    double cost = 0.0;

    for (uint32_t i = g->first; i < g->end; i++) {
        double all = l->rows_of[l->cells[i].class], rows = l->cells[i].rows, have = side[l->cells[i].class];

        cost += rows * (2.0 * have + rows) / (all * all);
    }
    return cost / share;
}

/* Deal the groups of one repeat to sides 0 .. sides-1 by their shares.
 * side  u32 [n_groups], out.  have  u32 [sides, classes + 1], zeroed; the last column counts all rows. */
static void deal(const layout *l, const uint32_t *order, uint32_t sides, const double *share, uint32_t *have,
                 uint32_t *side)
{
    size_t stride = (size_t)l->classes + 1;

    for (size_t i = 0; i < l->n_groups; i++) {
        const group_info *g = &l->groups[order[i]];
        uint32_t best = 0;
        double least = INFINITY, least_all = INFINITY;

        for (uint32_t s = 0; s < sides; s++) {
            double cost = cost_of(l, g, have + s * stride, share[s]);
            double all = have[s * stride + stride - 1] / share[s];

            if (cost < least || (cost == least && all < least_all)) {
                best = s;
                least = cost;
                least_all = all;
            }
        }
        side[order[i]] = best;
        for (uint32_t k = g->first; k < g->end; k++)
            have[best * stride + l->cells[k].class] += l->cells[k].rows;
        have[best * stride + stride - 1] += g->size;
    }
}

typedef struct {
    uint32_t sides;
    double *share;              /* [sides] */
    uint32_t *have;             /* [sides, classes + 1] */
    uint32_t *side;             /* [n_groups] */
    uint32_t *shuffled, *order; /* [n_groups] */
} dealer;

static void dealer_fini(dealer *d)
{
    free(d->share);
    free(d->have);
    free(d->side);
    free(d->shuffled);
    free(d->order);
}

/* Side 0 of a holdout trains, so that a class that cannot be on both sides is learnt. */
static int dealer_init(dealer *d, const layout *l, fm_err *err)
{
    bool holdout = l->spec->kind == FM_FOLDS_HOLDOUT;

    d->sides = holdout ? 2 : l->spec->folds;
    d->share = malloc(d->sides * sizeof *d->share);
    d->have = malloc(d->sides * ((size_t)l->classes + 1) * sizeof *d->have);
    d->side = malloc(l->n_groups * sizeof *d->side);
    d->shuffled = malloc(l->n_groups * sizeof *d->shuffled);
    d->order = malloc(l->n_groups * sizeof *d->order);
    if (!d->share || !d->have || !d->side || !d->shuffled || !d->order)
        return fm_fail_nomem(err, "folds", d->sides * ((size_t)l->classes + 1) * sizeof *d->have);
    for (uint32_t s = 0; s < d->sides; s++)
        d->share[s] = !holdout ? 1.0 : s == 0 ? 1.0 - l->spec->test_fraction : l->spec->test_fraction;
    return 0;
}

static int deal_all(const layout *l, uint64_t seed, fm_folds *out, fm_err *err)
{
    dealer d = {0};
    int holdout = l->spec->kind == FM_FOLDS_HOLDOUT;
    int rc = dealer_init(&d, l, err);

    for (uint32_t r = 0; rc == 0 && r < out->repeats; r++) {
        memset(d.have, 0, d.sides * ((size_t)l->classes + 1) * sizeof *d.have);
        deal_order(l, seed, r, d.shuffled, d.order);
        deal(l, d.order, d.sides, d.share, d.have, d.side);
        for (size_t i = 0; i < l->n; i++)
            out->test_fold[r * l->n + i] = (int32_t)d.side[l->group[i]] - holdout;
    }
    dealer_fini(&d);
    return rc;
}

static int compare_i32(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

    return (x > y) - (x < y);
}

/* Number the given folds in ascending order; a group must lie in one. */
static int number_given(const layout *l, const int32_t *given, fm_folds *out, fm_err *err)
{
    int32_t *distinct = malloc(l->n * sizeof *distinct), *of_group = malloc(l->n_groups * sizeof *of_group);
    size_t n = 0;
    int rc = 0;

    if (!distinct || !of_group) {
        rc = fm_fail_nomem(err, "given folds", l->n * sizeof *distinct);
        goto done;
    }
    memcpy(distinct, given, l->n * sizeof *distinct);
    qsort(distinct, l->n, sizeof *distinct, compare_i32);
    for (size_t i = 0; i < l->n; i++)
        if (distinct[i] >= 0 && (n == 0 || distinct[i] != distinct[n - 1]))
            distinct[n++] = distinct[i];
    if (n == 0)
        rc = fm_fail(err, -EINVAL, "folds: none of %zu rows is given a fold; fill in the fold column or use kfold",
                     l->n);
    memset(of_group, 0xff, l->n_groups * sizeof *of_group);
    for (size_t i = 0; rc == 0 && i < l->n; i++) {
        const int32_t *at = given[i] < 0 ? NULL : bsearch(&given[i], distinct, n, sizeof *distinct, compare_i32);

        out->test_fold[i] = at ? (int32_t)(at - distinct) : -1;
        of_group[l->group[i]] = out->test_fold[i];
    }
    for (size_t i = 0; rc == 0 && i < l->n; i++)
        if (out->test_fold[i] != of_group[l->group[i]])
            rc = fm_fail(err, -EINVAL, "folds: row %zu is given fold %d, but another row of its group is not; give a "
                         "group one fold", i, (int)given[i]);
    out->folds = (uint32_t)n;
done:
    free(distinct);
    free(of_group);
    return rc;
}

/* Every fold must test something and train every class: no class lies in one fold alone. */
static int check_sides(const layout *l, const fm_folds *f, const int32_t *test_fold, fm_err *err)
{
    uint32_t *tested = calloc(f->folds, sizeof *tested);
    int32_t *only = malloc((size_t)l->classes * sizeof *only);     /* the class's only fold; -1: trains somewhere always */
    int rc = 0;

    if (!tested || !only) {
        rc = fm_fail_nomem(err, "folds", f->folds * sizeof *tested);
        goto done;
    }
    for (size_t i = l->n; i-- > 0;)
        only[l->label[i]] = test_fold[i];
    for (size_t i = 0; i < l->n; i++) {
        if (test_fold[i] >= 0)
            tested[test_fold[i]]++;
        if (test_fold[i] != only[l->label[i]])
            only[l->label[i]] = -1;
    }
    for (int c = 0; rc == 0 && c < l->classes; c++)
        if (only[c] >= 0)
            rc = fm_fail(err, -EINVAL, "folds: all %u rows of class %d are tested in fold %d, none is left to train "
                         "on; use other folds or leave the class out", l->rows_of[c], c, (int)only[c]);
    for (uint32_t k = 0; rc == 0 && k < f->folds; k++)
        if (tested[k] == 0)
            rc = fm_fail(err, -EINVAL, "folds: fold %u of %u tests none of %zu rows in %zu groups; use fewer folds or "
                         "a larger test fraction", k, f->folds, l->n, l->n_groups);
done:
    free(tested);
    free(only);
    return rc;
}

int fm_folds_make(const fm_folds_spec *spec, size_t n, const int32_t *label, const uint32_t *group,
                  const int32_t *given, int classes, uint64_t seed, fm_folds *out, fm_err *err)
{
    layout l = {.spec = spec, .n = n, .classes = classes, .label = label};
    fm_folds f = {n, 1, 1, NULL};
    int rc = check_rows(spec, n, label, given, classes, err);

    if (rc != 0)
        return rc;
    if (spec->kind != FM_FOLDS_GIVEN)
        f.repeats = spec->repeats;
    if (spec->kind == FM_FOLDS_KFOLD)
        f.folds = spec->folds;
    rc = layout_init(&l, group, err);
    if (rc == 0)
        rc = check_counts(&l, err);
    if (rc != 0)
        goto done;
    f.test_fold = calloc(f.repeats, n * sizeof *f.test_fold);
    if (!f.test_fold)
        rc = fm_fail_nomem(err, "folds", (unsigned long long)f.repeats * n * sizeof *f.test_fold);
    else
        rc = spec->kind == FM_FOLDS_GIVEN ? number_given(&l, given, &f, err) : deal_all(&l, seed, &f, err);
    for (uint32_t r = 0; rc == 0 && r < f.repeats; r++)
        rc = check_sides(&l, &f, f.test_fold + r * n, err);
    if (rc == 0) {
        *out = f;
        f.test_fold = NULL;
    }
done:
    fm_folds_fini(&f);
    layout_fini(&l);
    return rc;
}

void fm_folds_fini(fm_folds *folds)
{
    free(folds->test_fold);
    folds->test_fold = NULL;
}

void fm_folds_rows(const fm_folds *folds, uint32_t repeat, uint32_t fold,
                   uint32_t *train, size_t *n_train, uint32_t *test, size_t *n_test)
{
    const int32_t *test_fold = folds->test_fold + (size_t)repeat * folds->n;

    *n_train = *n_test = 0;
    for (size_t i = 0; i < folds->n; i++) {
        if (test_fold[i] == (int32_t)fold)
            test[(*n_test)++] = (uint32_t)i;
        else
            train[(*n_train)++] = (uint32_t)i;
    }
}

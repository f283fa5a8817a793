/* Assignment by dynamic programming along the line of ages.
 *
 * Why it is exact.  Each case stands `ratio` times in a row (copies).  Two pairs
 * that cross (a before a', but a's control after that of a') can be uncrossed: neither
 * the sum nor the larger of their distances grows, so the caliper still holds.
 * Hence some optimum keeps the order of both lines, and is found copy by copy:
 * copy i takes control j, or none, and all earlier copies controls before j.
 * Copy r of a case left without a control costs ratio - r before any distance.
 * The sets of copies that can be served together are the independent sets of a
 * matroid, whose heaviest bases depend on the order of the weights only; so these
 * weights mean first controls before second ones, as the header says.
 *
 * Why it is fast.  In an optimum that moves no control without need, every
 * control between a case and its own is in use.  Followed back to the case where
 * such a run begins, that bounds the controls copy i can have.  With F[h] the
 * first control not before case h, they are at most
 * R[i] = max over h <= i of F[h] + i - h, at least L[i] = min over h >= i of
 * F[h] - 1 - (h - i).  Only these, within the caliper, are looked at.
 *
 * Rejected: a general minimum-cost flow (the line makes it needless), and greedy
 * repair of nearest neighbours (not optimal under a caliper). */
#include "jobs/assign.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define CELLS_MAX (1ull << 31)      /* of 2 bits: 512 MiB */

enum { NONE, EARLIER, TAKE };       /* how a cell was reached: copy without control, control unused, pair */

typedef struct {
    int64_t unserved, distance;
} cost;

/* Controls copy i may take: low .. high; none when high < low.  Both never fall from copy to copy. */
typedef struct {
    int64_t low, high;
    uint64_t at;                    /* of its first cell in the trace */
} window;

typedef struct {
    const fm_assign_spec *spec;
    size_t n;                       /* copies */
    window *w;                      /* [n] */
    cost *before, *now;             /* [widest + 1]; entry 0 is "controls before low only" */
    uint8_t *trace;                 /* 2 bits a cell */
    int64_t *a, *b;                 /* ages in millionths of a year */
} line;

int64_t fm_assign_distance(double a, double b)
{
    return llabs(llround(a * 1e6) - llround(b * 1e6));
}

/* How many controls lie below x - away, or, inclusive, not above it. */
static int64_t count_below(const fm_assign_spec *s, double x, double away, bool inclusive)
{
    size_t low = 0, high = s->n_controls;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        double d = x - s->controls[mid];    /* falls from control to control */

        if (d > away || (inclusive && d == away))
            low = mid + 1;
        else
            high = mid;
    }
    return (int64_t)low;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The header comment's L and R, then the caliper; returns the number of cells. */
static uint64_t find_windows(line *l)
{
    const fm_assign_spec *s = l->spec;
    int64_t reach = INT64_MIN / 2, last = (int64_t)s->n_controls - 1;
    uint64_t cells = 0;

    for (size_t i = 0; i < l->n; i++) {
        reach = max(reach + 1, count_below(s, s->cases[i / (size_t)s->ratio], 0, false));
        l->w[i].high = min(reach, last);
    }
    reach = INT64_MAX / 2;
    for (size_t i = l->n; i-- > 0; ) {
        reach = min(reach - 1, count_below(s, s->cases[i / (size_t)s->ratio], 0, false) - 1);
        l->w[i].low = max(reach, 0);
    }
    for (size_t i = 0; i < l->n; i++) {
        double a = s->cases[i / (size_t)s->ratio];
        window *w = &l->w[i];

        if (isfinite(s->caliper)) {
            w->low = max(w->low, count_below(s, a, s->caliper, false));
            w->high = min(w->high, count_below(s, a, -s->caliper, true) - 1);
        }
        w->high = max(w->high, w->low - 1);
        w->at = cells;
        cells += (uint64_t)(w->high - w->low + 1);
    }
    return cells;
}

static bool less(cost x, cost y)
{
    return x.unserved < y.unserved || (x.unserved == y.unserved && x.distance < y.distance);
}

static void put(uint8_t *trace, uint64_t at, int how)
{
    trace[at / 4] |= (uint8_t)(how << (2 * (at % 4)));
}

static int get(const uint8_t *trace, uint64_t at)
{
    return trace[at / 4] >> (2 * (at % 4)) & 3;
}

/* Best of copies 0 .. i with controls up to each of copy i's window. */
static void fill_row(line *l, size_t i)
{
    const window *w = &l->w[i], *p = i ? &l->w[i - 1] : NULL;
    int64_t a = l->a[i / (size_t)l->spec->ratio], weight = l->spec->ratio - (int64_t)(i % (size_t)l->spec->ratio);
    cost *row = l->now, previous = p ? l->before[min(w->low - 1, p->high) - p->low + 1] : (cost){0, 0};

    row[0] = (cost){previous.unserved + weight, previous.distance};
    for (int64_t j = w->low; j <= w->high; j++) {
        cost same = p ? l->before[min(j, p->high) - p->low + 1] : (cost){0, 0};
        cost take = {previous.unserved, previous.distance + llabs(l->b[j] - a)};
        cost best = {same.unserved + weight, same.distance};
        int how = NONE;

        if (less(row[j - w->low], best)) {
            best = row[j - w->low];
            how = EARLIER;
        }
        if (less(take, best)) {
            best = take;
            how = TAKE;
        }
        row[j - w->low + 1] = best;
        put(l->trace, w->at + (uint64_t)(j - w->low), how);
        previous = same;
    }
}

static void walk_back(const line *l, uint32_t *owner)
{
    int64_t j = INT64_MAX;

    for (size_t i = l->n; i-- > 0; ) {
        const window *w = &l->w[i];
        int how = NONE;

        j = min(j, w->high);
        while (j >= w->low && (how = get(l->trace, w->at + (uint64_t)(j - w->low))) == EARLIER)
            j--;
        if (j >= w->low && how == TAKE)
            owner[j--] = (uint32_t)(i / (size_t)l->spec->ratio);
    }
}

static int to_millionths(const double *years, size_t n, int64_t **out, fm_err *err)
{
    int64_t *v = malloc((n + 1) * sizeof *v);

    if (!v)
        return fm_fail_nomem(err, "ages", n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = llround(years[i] * 1e6);
    *out = v;
    return 0;
}

static int allocate(line *l, uint64_t cells, fm_err *err)
{
    int64_t widest = 0;
    int rc = to_millionths(l->spec->cases, l->spec->n_cases, &l->a, err);

    if (rc == 0)
        rc = to_millionths(l->spec->controls, l->spec->n_controls, &l->b, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < l->n; i++)
        widest = max(widest, l->w[i].high - l->w[i].low + 1);
    l->before = malloc((size_t)(widest + 1) * sizeof *l->before);
    l->now = malloc((size_t)(widest + 1) * sizeof *l->now);
    l->trace = calloc(cells / 4 + 1, 1);
    return l->before && l->now && l->trace ? 0 : fm_fail_nomem(err, "matching", cells / 4);
}

int fm_assign_line(const fm_assign_spec *spec, uint32_t *owner, fm_err *err)
{
    line l = {.spec = spec, .n = spec->n_cases * (size_t)spec->ratio};
    uint64_t cells;
    int rc = 0;

    for (size_t j = 0; j < spec->n_controls; j++)
        owner[j] = FM_NOBODY;
    if (spec->n_controls == 0 || l.n == 0)
        return 0;
    if (!(l.w = malloc(l.n * sizeof *l.w)))
        return fm_fail_nomem(err, "matching", l.n * sizeof *l.w);
    cells = find_windows(&l);
    if (cells > CELLS_MAX)
        rc = fm_fail(err, -EFBIG, "match: the best of all assignments of %zu controls to %zu cases of one sex and band takes "
                     "too much memory; use narrower bands, a caliper, or method: nearest", spec->n_controls,
                     spec->n_cases);
    if (rc == 0)
        rc = allocate(&l, cells, err);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        cost *t = l.before;

        fill_row(&l, i);
        l.before = l.now;
        l.now = t;
    }
    if (rc == 0)
        walk_back(&l, owner);
    free(l.w);
    free(l.a);
    free(l.b);
    free(l.before);
    free(l.now);
    free(l.trace);
    return rc;
}

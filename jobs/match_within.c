/* Nearest keeps "next free control to the right (left)" as a union-find over the
 * sorted ages, so that a match costs nearly constant time however many controls
 * a stratum has.  Optimal is jobs/assign.h.  What has no exact age comes last in
 * both, and sharing controls needs neither: every case looks for itself. */
#include "jobs/match_within.h"

#include <math.h>
#include <stdlib.h>

#include "jobs/assign.h"

static int add_pair(fm_matcher *m, const fm_stratum *t, size_t case_at, size_t control_at, fm_err *err)
{
    const fm_match_spec *spec = &m->study->match;
    double distance = fabs(t->case_age[case_at] - t->control_age[control_at]);

    if (m->pairs.n == m->capacity) {
        size_t capacity = m->capacity ? 2 * m->capacity : 1024;
        fm_pair *v = realloc(m->pairs.v, capacity * sizeof *v);

        if (!v)
            return fm_fail_nomem(err, "pairs", capacity * sizeof *v);
        m->pairs.v = v;
        m->capacity = capacity;
    }
    m->pairs.v[m->pairs.n++] = (fm_pair){.case_sample = t->cases[case_at].sample,
                                         .control_sample = t->controls[control_at].sample,
                                         .band = spec->by_age ? t->cases[case_at].stratum % FM_BANDS_MAX : -1,
                                         .distance = isfinite(distance) ? distance : NAN};
    return 0;
}

/* How many exact controls are younger than age, or, inclusive, not older. */
static size_t younger(const fm_stratum *t, double age, bool inclusive)
{
    size_t low = 0, high = t->exact_controls;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (t->control_age[mid] < age || (inclusive && t->control_age[mid] == age))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Root of i in a union-find with path halving. */
static int64_t root(int64_t *next, int64_t i)
{
    while (next[i] != i)
        i = next[i] = next[next[i]];
    return i;
}

/* Position of the nearest free control within the caliper, or -1.  left[] is shifted by one: 0 means none. */
static int64_t nearest_free(fm_matcher *m, const fm_stratum *t, double age)
{
    int64_t from = (int64_t)younger(t, age, false), n = (int64_t)t->exact_controls;
    int64_t after = root(m->right, from), before = root(m->left, from) - 1;
    double d_after = after < n ? t->control_age[after] - age : INFINITY;
    double d_before = before >= 0 ? age - t->control_age[before] : INFINITY;
    int64_t at = d_before <= d_after ? before : after;

    return fmin(d_before, d_after) <= m->study->match.caliper && at < n ? at : -1;
}

static int by_rank(const void *a, const void *b)
{
    const fm_match_turn *x = a, *y = b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

static void draw_turns(fm_matcher *m, const fm_stratum *t)
{
    for (size_t i = 0; i < t->n_cases; i++)
        m->turns[i] = (fm_match_turn){t->cases[i].rank, (uint32_t)i};
    qsort(m->turns, t->n_cases, sizeof *m->turns, by_rank);
}

static int give(fm_matcher *m, const fm_stratum *t, size_t case_at, size_t control_at, fm_err *err)
{
    m->owner[control_at] = (uint32_t)case_at;
    m->got[case_at]++;
    return add_pair(m, t, case_at, control_at, err);
}

static int match_nearest(fm_matcher *m, const fm_stratum *t, fm_err *err)
{
    int rc = 0;

    for (size_t i = 0; i <= t->exact_controls; i++)
        m->right[i] = m->left[i] = (int64_t)i;
    for (int64_t round = 0; round < m->study->match.ratio; round++)
        for (size_t i = 0; rc == 0 && i < t->n_cases; i++) {
            size_t at = m->turns[i].at;
            int64_t control = at < t->exact_cases ? nearest_free(m, t, t->case_age[at]) : -1;

            if (control < 0)
                continue;
            rc = give(m, t, at, (size_t)control, err);
            m->right[control] = control + 1;
            m->left[control + 1] = control;
        }
    return rc;
}

static int match_optimal(fm_matcher *m, const fm_stratum *t, fm_err *err)
{
    const fm_match_spec *spec = &m->study->match;
    const fm_assign_spec assign = {.cases = t->case_age, .n_cases = t->exact_cases, .controls = t->control_age,
                                   .n_controls = t->exact_controls, .ratio = spec->ratio, .caliper = spec->caliper};
    int rc = fm_assign(&assign, m->owner, err);

    for (size_t j = 0; rc == 0 && j < t->exact_controls; j++)
        if (m->owner[j] != FM_NOBODY)
            rc = give(m, t, m->owner[j], j, err);
    return rc;
}

/* Controls whose distance is not known, and all when ages do not matter, go at random to who is short. */
static int fill(fm_matcher *m, const fm_stratum *t, fm_err *err)
{
    size_t n = 0, inexact, next = 0;
    int rc = 0;

    for (size_t j = t->exact_controls; j < t->n_controls; j++)
        m->order[n++] = (uint32_t)j;    /* by rank, so in random order already */
    inexact = n;
    for (size_t j = 0; j < t->exact_controls && t->exact_cases < t->n_cases; j++)
        if (m->owner[j] == FM_NOBODY)
            m->order[n++] = (uint32_t)j;
    fm_rng_shuffle(&m->rng, m->order + inexact, n - inexact);
    for (uint32_t round = 0; round < (uint32_t)m->study->match.ratio; round++)
        for (size_t i = 0; rc == 0 && next < n && i < t->n_cases; i++)
            if (m->got[m->turns[i].at] == round)
                rc = give(m, t, m->turns[i].at, m->order[next++], err);
    return rc;
}

int fm_match_apart(fm_matcher *m, const fm_stratum *t, fm_err *err)
{
    int rc;

    for (size_t j = 0; j < t->n_controls; j++)
        m->owner[j] = FM_NOBODY;
    for (size_t i = 0; i < t->n_cases; i++)
        m->got[i] = 0;
    draw_turns(m, t);
    rc = m->study->match.method == FM_MATCH_NEAREST ? match_nearest(m, t, err) : match_optimal(m, t, err);
    return rc == 0 && isinf(m->study->match.caliper) ? fill(m, t, err) : rc;
}

/* Up to need of the controls first .. first + n - 1, from a random one on; returns how many are still needed. */
static int64_t take_some(fm_matcher *m, const fm_stratum *t, size_t case_at, size_t first, size_t n, int64_t need, int *rc,
                         fm_err *err)
{
    size_t start = n && (size_t)need < n ? fm_rng_below(&m->rng, (uint32_t)n) : 0;

    for (size_t i = 0; *rc == 0 && i < n && need > 0; i++, need--)
        *rc = add_pair(m, t, case_at, first + (start + i) % n, err);
    return need;
}

/* Whole runs of equal ages, the nearest first; a run is drawn from when not all of it is needed. */
static int64_t take_nearest(fm_matcher *m, const fm_stratum *t, size_t case_at, int64_t need, int *rc, fm_err *err)
{
    double age = t->case_age[case_at];
    size_t right = younger(t, age, false), left = right;

    while (*rc == 0 && need > 0 && (left > 0 || right < t->exact_controls)) {
        double d_left = left > 0 ? age - t->control_age[left - 1] : INFINITY;
        double d_right = right < t->exact_controls ? t->control_age[right] - age : INFINITY;
        bool go_left = d_left <= d_right;
        size_t first = go_left ? younger(t, t->control_age[left - 1], false) : right;
        size_t end = go_left ? left : younger(t, t->control_age[right], true);

        if (fmin(d_left, d_right) > m->study->match.caliper)
            break;
        need = take_some(m, t, case_at, first, end - first, need, rc, err);
        if (go_left)
            left = first;
        else
            right = end;
    }
    return need;
}

int fm_match_shared(fm_matcher *m, const fm_stratum *t, fm_err *err)
{
    bool any = isinf(m->study->match.caliper);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < t->n_cases; i++) {
        int64_t need = m->study->match.ratio;

        if (i < t->exact_cases)
            need = take_nearest(m, t, i, need, &rc, err);
        if (any)
            need = take_some(m, t, i, t->exact_controls, t->n_controls - t->exact_controls, need, &rc, err);
        if (any && i >= t->exact_cases)
            take_some(m, t, i, 0, t->exact_controls, need, &rc, err);
    }
    return rc;
}

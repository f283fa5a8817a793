/* Strata (sex x band) hold their controls sorted by age.  "Next free control to
 * the right (left)" is a union-find over that order, so a match costs nearly
 * constant time however many controls a stratum has. */
#include "jobs/match.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/text.h"

#define STRATA_MAX (3 * (FM_BANDS_MAX + 1))

typedef struct {
    const fm_samples *s;
    size_t *control;        /* [n] sample indices, sorted by stratum, age, index */
    int64_t *right, *left;  /* [n + 1] union-find: next free position at or after (before) */
    size_t n;
    size_t first[STRATA_MAX + 1];
} pool;

static int band_of(const fm_match_spec *m, double age)
{
    for (int i = 0; i + 1 < m->n_bands; i++)
        if (age >= m->bands[i] && (age < m->bands[i + 1] || (i + 2 == m->n_bands && age == m->bands[i + 1])))
            return i;
    return -1;
}

/* -1 with the reason when the sample cannot be placed. */
static int stratum_of(const fm_match_spec *m, const fm_sample *x, const char **why)
{
    int band = m->by_age ? band_of(m, x->age) : 0;

    *why = m->by_sex && x->sex == FM_SEX_UNKNOWN ? "sex is not known"
           : m->by_age && isnan(x->age)          ? "age is not known"
           : band < 0                            ? "age is outside the bands"
                                                 : NULL;
    return *why ? -1 : (m->by_sex ? (int)x->sex : 0) * (FM_BANDS_MAX + 1) + band;
}

typedef struct {
    int stratum;
    double age;
    size_t sample;
} entry;

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->stratum != y->stratum)
        return x->stratum < y->stratum ? -1 : 1;
    if (x->age != y->age && !(isnan(x->age) && isnan(y->age)))
        return x->age < y->age || isnan(y->age) ? -1 : 1;
    return x->sample < y->sample ? -1 : x->sample > y->sample;
}

static void pool_fini(pool *p)
{
    free(p->control);
    free(p->right);
    free(p->left);
}

static int pool_init(const fm_study *study, fm_samples *s, pool *p, fm_err *err)
{
    entry *e = malloc((s->n + 1) * sizeof *e);
    size_t n = 0;
    const char *why;

    *p = (pool){.s = s, .control = malloc((s->n + 1) * sizeof *p->control),
                .right = malloc((s->n + 2) * sizeof *p->right), .left = malloc((s->n + 2) * sizeof *p->left)};
    if (!e || !p->control || !p->right || !p->left) {
        free(e);
        return fm_fail_nomem(err, "matching", s->n * sizeof *e);
    }
    for (size_t i = 0; i < s->n; i++) {
        int stratum;

        if (s->v[i].reason != FM_USED || study->cohorts[s->v[i].cohort].role != FM_ROLE_CONTROL)
            continue;
        if ((stratum = stratum_of(&study->match, &s->v[i], &why)) < 0)
            fm_sample_leave_out(&s->v[i], FM_UNMATCHED, "%s", why);
        else
            e[n++] = (entry){stratum, s->v[i].age, i};
    }
    qsort(e, n, sizeof *e, by_place);
    p->n = n;
    for (size_t i = 0, k = 0; k <= STRATA_MAX; k++) {
        p->first[k] = i;
        for (; i < n && e[i].stratum == (int)k; i++)
            p->control[i] = e[i].sample;
    }
    for (size_t i = 0; i < n + 2; i++)
        p->right[i] = p->left[i] = (int64_t)i;
    free(e);
    return 0;
}

/* Root of i in a union-find with path halving. */
static int64_t root(int64_t *next, int64_t i)
{
    while (next[i] != i)
        i = next[i] = next[next[i]];
    return i;
}

/* Positions are shifted by one in left[], so that 0 means "none". */
static void take(pool *p, int64_t i)
{
    p->right[i] = i + 1;
    p->left[i + 1] = i;
}

static int64_t lower_bound(const pool *p, int stratum, double age)
{
    size_t low = p->first[stratum], high = p->first[stratum + 1];

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (p->s->v[p->control[mid]].age < age)
            low = mid + 1;
        else
            high = mid;
    }
    return (int64_t)low;
}

/* Position of the nearest free control, or -1. */
static int64_t nearest(pool *p, int stratum, double age)
{
    int64_t from = isnan(age) ? (int64_t)p->first[stratum] : lower_bound(p, stratum, age);
    int64_t after = root(p->right, from), before = root(p->left, from) - 1;
    bool has_after = after < (int64_t)p->first[stratum + 1], has_before = before >= (int64_t)p->first[stratum];

    if (!has_after && !has_before)
        return -1;
    if (!has_before)
        return after;
    if (!has_after)
        return before;
    return age - p->s->v[p->control[before]].age <= p->s->v[p->control[after]].age - age ? before : after;
}

static int by_case(const void *a, const void *b)
{
    const fm_pair *x = a, *y = b;

    if (x->case_sample != y->case_sample)
        return x->case_sample < y->case_sample ? -1 : 1;
    return x->control_sample < y->control_sample ? -1 : x->control_sample > y->control_sample;
}

/* The cases that can be placed, in this seed's order. */
static int case_order(const fm_study *study, fm_samples *s, uint32_t **out, size_t *n_out, fm_err *err)
{
    uint32_t *order = malloc((s->n + 1) * sizeof *order);
    fm_rng rng = fm_rng_init((uint64_t)study->seed, fm_rng_stream("match", 0, 0));
    size_t n = 0;
    const char *why;

    if (!order)
        return fm_fail_nomem(err, "matching", s->n * sizeof *order);
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].reason != FM_USED || study->cohorts[s->v[i].cohort].role != FM_ROLE_CASE)
            continue;
        if (stratum_of(&study->match, &s->v[i], &why) < 0)
            fm_sample_leave_out(&s->v[i], FM_UNMATCHED, "%s", why);
        else
            order[n++] = (uint32_t)i;
    }
    fm_rng_shuffle(&rng, order, n);
    *out = order;
    *n_out = n;
    return 0;
}

static void pair_up(const fm_study *study, pool *p, const uint32_t *order, size_t n, fm_pairs *out)
{
    const fm_match_spec *m = &study->match;
    const char *why;

    for (int64_t round = 0; round < m->ratio; round++)
        for (size_t i = 0; i < n; i++) {
            const fm_sample *x = &p->s->v[order[i]];
            int64_t at = nearest(p, stratum_of(m, x, &why), m->by_age ? x->age : NAN);

            if (at < 0)
                continue;
            out->v[out->n++] = (fm_pair){order[i], p->control[at], m->by_age ? band_of(m, x->age) : -1};
            take(p, at);
        }
    qsort(out->v, out->n, sizeof *out->v, by_case);
}

static int leave_out_unpaired(const fm_study *study, fm_samples *s, const fm_pairs *pairs, fm_err *err)
{
    bool *paired = calloc(s->n + 1, sizeof *paired);

    if (!paired)
        return fm_fail_nomem(err, "matching", s->n);
    for (size_t i = 0; i < pairs->n; i++)
        paired[pairs->v[i].case_sample] = paired[pairs->v[i].control_sample] = true;
    for (size_t i = 0; i < s->n; i++)
        if (!paired[i])
            fm_sample_leave_out(&s->v[i], FM_UNMATCHED, "%s",
                                study->cohorts[s->v[i].cohort].role == FM_ROLE_CASE
                                    ? "no control of this sex and age band is free"
                                    : "stands for no case");
    free(paired);
    return 0;
}

int fm_match(const fm_study *study, fm_samples *s, fm_pairs *out, fm_err *err)
{
    pool p = {.n = 0};
    fm_pairs pairs = {NULL, 0};
    uint32_t *order = NULL;
    size_t n = 0;
    int rc;

    *out = pairs;
    if (!study->match.on)
        return 0;
    rc = pool_init(study, s, &p, err);
    if (rc == 0)
        rc = case_order(study, s, &order, &n, err);
    if (rc == 0 && !(pairs.v = malloc((p.n + 1) * sizeof *pairs.v)))
        rc = fm_fail_nomem(err, "pairs", p.n * sizeof *pairs.v);
    if (rc == 0) {
        pair_up(study, &p, order, n, &pairs);
        rc = leave_out_unpaired(study, s, &pairs, err);
    }
    if (rc == 0 && pairs.n == 0)
        rc = fm_fail(err, -EINVAL, "%s: match: not one of %zu cases has a control of the same %s; check the columns sex "
                     "and age, or set match: none", study->file, n, study->match.by_age ? "sex and age band" : "sex");
    pool_fini(&p);
    free(order);
    if (rc != 0)
        fm_pairs_fini(&pairs);
    else
        *out = pairs;
    return rc;
}

void fm_pairs_fini(fm_pairs *p)
{
    free(p->v);
    *p = (fm_pairs){NULL, 0};
}

static void put_age(fm_buf *b, double age)
{
    if (!isnan(age))
        fm_buf_printf(b, "%.10g", age);
}

int fm_pairs_write(const fm_study *study, const fm_samples *s, const fm_pairs *p, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&b, "case\tcontrol\tsex\tband\tcase_age\tcontrol_age\n");
    for (size_t i = 0; i < p->n; i++) {
        const fm_sample *x = &s->v[p->v[i].case_sample], *y = &s->v[p->v[i].control_sample];
        int band = p->v[i].band;

        fm_tsv_field(&b, x->name);
        fm_buf_u8(&b, '\t');
        fm_tsv_field(&b, y->name);
        fm_buf_printf(&b, "\t%s\t", fm_sex_name(x->sex));
        if (band >= 0)
            fm_buf_printf(&b, "%g-%g", study->match.bands[band], study->match.bands[band + 1]);
        fm_buf_u8(&b, '\t');
        put_age(&b, x->age);
        fm_buf_u8(&b, '\t');
        put_age(&b, y->age);
        fm_buf_u8(&b, '\n');
    }
    rc = b.failed ? fm_fail_nomem(err, "matched.tsv", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

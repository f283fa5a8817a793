/* Every sample gets a place: stratum (sex x band), then age, then a rank that the
 * seed draws.  A stratum's cases and controls are then two runs of one sorted
 * array, those without an exact age at their ends, and strata are matched one
 * after the other.
 *
 * Optimal is the default: its total distance in age is the least there is and it
 * does not depend on the order in which cases choose; nearest is what much of the
 * literature did, and stays for very crowded strata. */
#include "jobs/match.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "jobs/match_within.h"

static int band_of(const fm_match_spec *m, double age)
{
    for (int i = 0; i + 1 < m->n_bands; i++)
        if (age >= m->bands[i] && (age < m->bands[i + 1] || (i + 2 == m->n_bands && age == m->bands[i + 1])))
            return i;
    return -1;
}

/* The band that holds a sample's age, or all of its range of ages. */
static int band_of_sample(const fm_match_spec *m, const fm_sample *x, const char **why)
{
    int low, high;

    if (!isnan(x->age)) {
        low = band_of(m, x->age);
        *why = low < 0 ? "age is outside the bands" : NULL;
        return low;
    }
    if (isnan(x->age_low)) {
        *why = "age is not known";
        return -1;
    }
    low = band_of(m, x->age_low);
    high = isinf(x->age_high) ? m->n_bands - 2 : band_of(m, x->age_high);
    *why = low < 0 || high < 0       ? "age is outside the bands"
           : low != high             ? "age is known as a range that lies in several bands; choose bands that hold whole ranges"
           : isfinite(m->caliper)    ? "age is known as a range, and a caliper needs ages; take it out, or leave this cohort out"
                                     : NULL;
    return *why ? -1 : low;
}

/* -1 with the reason when the sample cannot be placed. */
static int stratum_of(const fm_match_spec *m, const fm_sample *x, const char **why)
{
    int band = 0;

    *why = NULL;
    if (m->by_sex && x->sex == FM_SEX_UNKNOWN)
        *why = "sex is not known";
    else if (m->by_age)
        band = band_of_sample(m, x, why);
    return *why ? -1 : (m->by_sex ? (int)x->sex : 0) * FM_BANDS_MAX + band;
}

static int by_place(const void *a, const void *b)
{
    const fm_match_entry *x = a, *y = b;

    if (x->stratum != y->stratum)
        return x->stratum < y->stratum ? -1 : 1;
    if (x->role != y->role)
        return x->role < y->role ? -1 : 1;
    if (x->age != y->age)
        return x->age < y->age ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static void matcher_fini(fm_matcher *m)
{
    free(m->v);
    free(m->age);
    free(m->turns);
    free(m->order);
    free(m->owner);
    free(m->got);
    free(m->right);
    free(m->left);
    fm_pairs_fini(&m->pairs);
}

static int matcher_init(const fm_study *study, fm_samples *s, fm_matcher *m, fm_err *err)
{
    size_t n = s->n + 1;

    *m = (fm_matcher){.study = study, .s = s, .v = malloc(n * sizeof *m->v), .age = malloc(n * sizeof *m->age),
                   .turns = malloc(n * sizeof *m->turns), .order = malloc(n * sizeof *m->order),
                   .owner = malloc(n * sizeof *m->owner), .got = malloc(n * sizeof *m->got), .right = malloc((n + 1) * sizeof *m->right),
                   .left = malloc((n + 1) * sizeof *m->left),
                   .rng = fm_rng_init((uint64_t)study->seed, fm_rng_stream("match", 0, 0))};
    if (s->n >= UINT32_MAX)
        return fm_fail(err, -EINVAL, "match: %zu photographs are more than can be matched at once", s->n);
    if (!m->v || !m->age || !m->turns || !m->order || !m->owner || !m->got || !m->right || !m->left)
        return fm_fail_nomem(err, "matching", n * sizeof *m->v);
    return 0;
}

/* Place who can be placed; leave the others out. */
static void place(fm_matcher *m)
{
    const fm_match_spec *spec = &m->study->match;
    const char *why;

    for (size_t i = 0; i < m->s->n; i++) {
        fm_sample *x = &m->s->v[i];
        int at;

        if (x->reason != FM_USED)
            continue;
        if ((at = stratum_of(spec, x, &why)) < 0) {
            fm_sample_leave_out(x, FM_UNMATCHED, "%s", why);
            continue;
        }
        m->v[m->n] = (fm_match_entry){.stratum = at, .role = m->study->cohorts[x->cohort].role, .sample = (uint32_t)i,
                             .age = spec->by_age && !isnan(x->age) ? x->age : INFINITY};
        m->order[m->n] = (uint32_t)m->n;
        m->n++;
    }
    fm_rng_shuffle(&m->rng, m->order, m->n);
    for (size_t i = 0; i < m->n; i++)
        m->v[m->order[i]].rank = (uint32_t)i;
    qsort(m->v, m->n, sizeof *m->v, by_place);
    for (size_t i = 0; i < m->n; i++)
        m->age[i] = m->v[i].age;
}

/* The run of entries from `at` on that share stratum and role; how many of them have an exact age. */
static size_t run(const fm_matcher *m, size_t at, int at_stratum, int role, size_t *exact)
{
    size_t n = 0;

    *exact = 0;
    for (; at + n < m->n && m->v[at + n].stratum == at_stratum && m->v[at + n].role == role; n++)
        *exact += isfinite(m->v[at + n].age);
    return n;
}

static int match_strata(fm_matcher *m, fm_err *err)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < m->n; ) {
        fm_stratum t = {.cases = m->v + at, .case_age = m->age + at};

        t.n_cases = run(m, at, m->v[at].stratum, FM_ROLE_CASE, &t.exact_cases);
        t.controls = t.cases + t.n_cases;
        t.control_age = t.case_age + t.n_cases;
        t.n_controls = run(m, at + t.n_cases, m->v[at].stratum, FM_ROLE_CONTROL, &t.exact_controls);
        at += t.n_cases + t.n_controls;
        if (t.n_cases && t.n_controls)
            rc = m->study->match.replace ? fm_match_shared(m, &t, err) : fm_match_apart(m, &t, err);
    }
    return rc;
}

static int by_case(const void *a, const void *b)
{
    const fm_pair *x = a, *y = b;

    if (x->case_sample != y->case_sample)
        return x->case_sample < y->case_sample ? -1 : 1;
    if (x->distance != y->distance && !(isnan(x->distance) && isnan(y->distance)))
        return x->distance < y->distance || isnan(y->distance) ? -1 : 1;
    return (x->control_sample > y->control_sample) - (x->control_sample < y->control_sample);
}

static void say_why(const fm_study *study, fm_sample *x)
{
    if (study->cohorts[x->cohort].role == FM_ROLE_CONTROL)
        fm_sample_leave_out(x, FM_UNMATCHED, "stands for no case");
    else if (isfinite(study->match.caliper))
        fm_sample_leave_out(x, FM_UNMATCHED, "no control of this %sage band is free within %g years",
                            study->match.by_sex ? "sex and " : "", study->match.caliper);
    else
        fm_sample_leave_out(x, FM_UNMATCHED, "no control of this %s is free",
                            !study->match.by_age ? "sex" : study->match.by_sex ? "sex and age band" : "age band");
}

/* Leave out who is in no pair; say how many cases have fewer controls than wanted. */
static void leave_out_unpaired(fm_matcher *m)
{
    uint32_t *pairs = m->got;       /* of each sample; has room for all of them */
    size_t with = 0, without = 0, fewer = 0;

    memset(pairs, 0, (m->s->n + 1) * sizeof *pairs);
    for (size_t i = 0; i < m->pairs.n; i++) {
        pairs[m->pairs.v[i].case_sample]++;
        pairs[m->pairs.v[i].control_sample]++;
    }
    for (size_t i = 0; i < m->s->n; i++) {
        fm_sample *x = &m->s->v[i];

        if (x->reason == FM_USED && m->study->cohorts[x->cohort].role == FM_ROLE_CASE) {
            with += pairs[i] > 0;
            without += pairs[i] == 0;
            fewer += pairs[i] > 0 && (int64_t)pairs[i] < m->study->match.ratio;
        }
        if (pairs[i] == 0)
            say_why(m->study, x);
    }
    fm_info("match: %zu cases have a control, %zu have none", with, without);
    if (fewer)
        fm_warn("match: %zu cases have fewer than %lld controls", fewer, (long long)m->study->match.ratio);
}

/* Mostly a cohort says nothing of what is matched by; say how many. */
static int fail_without_pairs(const fm_study *study, const fm_samples *s, fm_err *err)
{
    size_t controls = 0, no_sex = 0, no_age = 0;

    for (size_t i = 0; i < s->n; i++) {
        const fm_sample *x = &s->v[i];

        if (x->reason != FM_UNMATCHED || study->cohorts[x->cohort].role != FM_ROLE_CONTROL)
            continue;
        controls++;
        no_sex += x->sex == FM_SEX_UNKNOWN;
        no_age += isnan(x->age) && isnan(x->age_low);
    }
    return fm_fail(err, -EINVAL, "%s: match: not one case has a control of the same %s (of %zu controls %zu have no known sex, "
                   "%zu no known age); add what is missing to the cohort, or change match", study->file,
                   study->match.by_age ? "sex and age band" : "sex", controls, no_sex, no_age);
}

int fm_match(const fm_study *study, fm_samples *s, fm_pairs *out, fm_err *err)
{
    fm_matcher m;
    int rc;

    *out = (fm_pairs){NULL, 0};
    if (!study->match.on)
        return 0;
    rc = matcher_init(study, s, &m, err);
    if (rc == 0) {
        place(&m);
        rc = match_strata(&m, err);
    }
    if (rc == 0) {
        if (m.pairs.n)
            qsort(m.pairs.v, m.pairs.n, sizeof *m.pairs.v, by_case);
        leave_out_unpaired(&m);
    }
    if (rc == 0 && m.pairs.n == 0)
        rc = fail_without_pairs(study, s, err);
    if (rc == 0) {
        *out = m.pairs;
        m.pairs = (fm_pairs){NULL, 0};
    }
    matcher_fini(&m);
    return rc;
}

void fm_pairs_fini(fm_pairs *p)
{
    free(p->v);
    *p = (fm_pairs){NULL, 0};
}

int fm_pairs_write(const fm_study *study, const fm_samples *s, const fm_pairs *p, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&b, "case\tcontrol\tsex\tband\tcase_age\tcontrol_age\n");
    for (size_t i = 0; i < p->n; i++) {
        const fm_sample *x = &s->v[p->v[i].case_sample], *y = &s->v[p->v[i].control_sample];
        int band = p->v[i].band;
        char number[32];

        fm_tsv_field(&b, x->name);
        fm_buf_u8(&b, '\t');
        fm_tsv_field(&b, y->name);
        fm_buf_printf(&b, "\t%s\t", fm_sex_name(x->sex));
        if (band >= 0)
            fm_buf_printf(&b, "%g-%g", study->match.bands[band], study->match.bands[band + 1]);
        fm_buf_printf(&b, "\t%s\t", fm_sample_column(s, x, "age", number));
        fm_buf_printf(&b, "%s\n", fm_sample_column(s, y, "age", number));
    }
    rc = b.failed ? fm_fail_nomem(err, "matched.tsv", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

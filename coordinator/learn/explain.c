/* From codes to maps.  Every labelling, the study's and each permuted one, takes the same way: heads of the folds that
 * test sampled rows, falls of these rows (explain_falls.c), sums (explain_sums.c).  Always: a permutation draws from a
 * stream of its own, so that it does not matter who makes it. */
#include "coordinator/learn/explain_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/audit_parts.h"

/* --- which faces --- */

typedef struct { uint32_t row, subject, drawn, turn; } candidate;

static int by_subject(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    return x->subject != y->subject ? (x->subject > y->subject) - (x->subject < y->subject)
                                    : (x->drawn > y->drawn) - (x->drawn < y->drawn);
}

static int by_turn(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    return x->turn != y->turn ? (x->turn > y->turn) - (x->turn < y->turn) : (x->drawn > y->drawn) - (x->drawn < y->drawn);
}

static int by_row(const void *a, const void *b)
{
    const candidate *x = a, *y = b;

    return x->subject != y->subject ? (x->subject > y->subject) - (x->subject < y->subject)
                                    : (x->row > y->row) - (x->row < y->row);
}

/* A class's tested rows in the order in which they are taken: drawn at random, each subject's first before any second. */
static size_t line_up(const fm_plan *plan, const fm_evaluation *e, int32_t class, uint32_t *order, candidate *c)
{
    fm_rng rng = fm_rng_init(plan->seed, fm_rng_stream("faces to explain", (uint64_t)class, 0));
    size_t n = 0;

    for (size_t i = 0; i < plan->n; i++)
        if (e->test_fold[i] >= 0 && plan->rows[i].label == class)
            order[n++] = (uint32_t)i;
    fm_rng_shuffle(&rng, order, n);
    for (size_t i = 0; i < n; i++)
        c[i] = (candidate){order[i], plan->rows[order[i]].subject, (uint32_t)i, 0};
    qsort(c, n, sizeof *c, by_subject);
    for (size_t i = 1; i < n; i++)
        c[i].turn = c[i].subject == c[i - 1].subject ? c[i - 1].turn + 1 : 0;
    qsort(c, n, sizeof *c, by_turn);
    return n;
}

int fm_explain_choose(const fm_plan *plan, const fm_evaluation *e, uint32_t faces, uint32_t **rows, size_t *n, fm_err *err)
{
    candidate *line = malloc((plan->n + 1) * sizeof *line), *all = malloc((plan->n + 1) * sizeof *all);
    uint32_t *order = malloc((plan->n + 1) * sizeof *order);
    size_t count = 0;
    int rc = line && all && order ? 0 : fm_fail_nomem(err, "faces to explain", plan->n * sizeof *line);

    for (uint32_t c = 0; rc == 0 && c < plan->classes; c++) {
        size_t there = line_up(plan, e, (int32_t)c, order, line);
        size_t take = there < faces ? there : faces;

        memcpy(all + count, line, take * sizeof *all);
        count += take;
    }
    if (rc == 0 && count == 0)
        rc = fm_fail(err, -EINVAL, "explain: no face is tested in the first repeat");
    if (rc == 0) {
        qsort(all, count, sizeof *all, by_row);
        for (size_t i = 0; i < count; i++)
            order[i] = all[i].row;
        *rows = order;
        *n = count;
        order = NULL;
    }
    free(line);
    free(all);
    free(order);
    return rc;
}

/* --- the study's own labels --- */

static void take_values(const fm_explain_view *v, const double *mean, const double *se, fm_explain_map *to)
{
    to->base = mean[0];
    for (uint32_t k = 0; k < v->cells; k++)
        to->cell[k] = (fm_explain_value){mean[1 + k], se[1 + k], fm_explain_t(mean[1 + k], se[1 + k]), NAN};
    for (uint32_t k = 0; k < v->regions; k++) {
        size_t at = 1 + (size_t)v->cells + k;

        to->region[k] = (fm_explain_value){mean[at], se[at], fm_explain_t(mean[at], se[at]), NAN};
    }
}

static int make_maps(const fm_explain_view *v, const double *falls, fm_explanation *x, fm_err *err)
{
    size_t columns = fm_explain_columns(v);
    double *mean = malloc(columns * sizeof *mean), *se = malloc(columns * sizeof *se);
    int rc = mean && se ? 0 : fm_fail_nomem(err, "map", columns * sizeof *mean);

    for (uint32_t c = 0; rc == 0 && c <= x->classes; c++) {
        fm_explain_map *map = &x->map[c];

        rc = fm_explain_sum(v, v->e->label, (int)c - 1, falls, mean, se, err);
        if (rc == 0)
            take_values(v, mean, se, map);
        for (size_t i = 0; i < v->n; i++)
            if (c == 0 || v->e->label[v->rows[i]] == (int32_t)c - 1) {
                map->faces++;
                map->subjects += i == 0 || map->faces == 1 || v->e->subject[v->rows[i]] != v->e->subject[v->rows[i - 1]];
            }
    }
    free(mean);
    free(se);
    return rc;
}

int fm_explain_study(const fm_explain_view *v, uint32_t grid, fm_explanation *out, fm_err *err)
{
    fm_explanation x = {.grid = grid, .classes = v->plan->classes, .regions = v->regions, .threshold = NAN,
                        .region_threshold = NAN};
    double *falls = NULL;
    int rc = fm_explain_room(&x, err);

    if (rc == 0)
        rc = fm_explain_falls(v, v->e->label, &falls, err);
    if (rc == 0)
        rc = make_maps(v, falls, &x, err);
    free(falls);
    if (rc == 0)
        *out = x;
    else
        fm_explanation_fini(&x);
    return rc;
}

/* --- permuted labels --- */

/* Subjects, or rows where a subject has several classes, that may swap labels: equal strata. */
typedef struct { uint32_t unit; int64_t stratum; } place;

static int by_stratum(const void *a, const void *b)
{
    const place *x = a, *y = b;

    return x->stratum != y->stratum ? (x->stratum > y->stratum) - (x->stratum < y->stratum)
                                    : (x->unit > y->unit) - (x->unit < y->unit);
}

/* The fold that tests a row, and whether the row is of the sample.  Given folds do not depend on labels. */
static int64_t stratum_of(const fm_explain_view *v, const uint8_t *sampled, uint32_t row)
{
    int64_t fold = v->plan->folds.kind == FM_FOLDS_GIVEN ? 0 : v->e->test_fold[row];

    return 2 * fold + sampled[row];
}

static void set_places(const fm_explain_view *v, const fm_audit_subjects *s, uint8_t *sampled, place *p, size_t units)
{
    for (size_t i = 0; i < v->n; i++)
        sampled[v->rows[i]] = 1;
    for (size_t i = 0; !s->mixed && i < s->n; i++)      /* one sampled row makes the subject of the sample */
        for (uint32_t k = 0; k < s->v[i].n; k++)
            sampled[s->rows[s->v[i].first]] |= sampled[s->rows[s->v[i].first + k]];
    for (size_t i = 0; i < units; i++)
        p[i] = (place){(uint32_t)i, stratum_of(v, sampled, s->mixed ? (uint32_t)i : s->rows[s->v[i].first])};
    qsort(p, units, sizeof *p, by_stratum);
}

static void swap_labels(const fm_explain_view *v, const fm_audit_subjects *s, const place *p, size_t units, uint32_t number,
                        uint32_t *order, int32_t *label)
{
    fm_rng rng = fm_rng_init(v->plan->seed, fm_rng_stream("labels of an explanation", number, 0));

    for (size_t first = 0, end; first < units; first = end) {
        for (end = first; end < units && p[end].stratum == p[first].stratum; end++)
            order[end] = p[end].unit;
        fm_rng_shuffle(&rng, order + first, end - first);
    }
    for (size_t i = 0; i < units; i++) {
        uint32_t to = p[i].unit, from = order[i];

        if (s->mixed)
            label[to] = v->e->label[from];
        for (uint32_t k = 0; !s->mixed && k < s->v[to].n; k++)
            label[s->rows[s->v[to].first + k]] = s->v[from].label;
    }
}

static int permute(const fm_explain_view *v, uint32_t number, int32_t *label, fm_err *err)
{
    size_t n = v->plan->n;
    uint32_t *rows = fm_audit_all_rows(n), *order = malloc((n + 1) * sizeof *order);
    uint8_t *sampled = calloc(n + 1, 1);
    place *p = malloc((n + 1) * sizeof *p);
    fm_audit_subjects s = {NULL, 0, NULL, false};
    int rc = rows && order && sampled && p ? fm_audit_subjects_find(v->plan->rows, NULL, rows, n, &s, err)
                                           : fm_fail_nomem(err, "permuted labels", n * sizeof *p);

    if (rc == 0) {
        size_t units = s.mixed ? n : s.n;

        set_places(v, &s, sampled, p, units);
        swap_labels(v, &s, p, units, number, order, label);
    }
    fm_audit_subjects_fini(&s);
    free(rows);
    free(order);
    free(sampled);
    free(p);
    return rc;
}

static int find_peak(const fm_explain_view *v, const int32_t *label, const double *falls, fm_explain_peak *out, fm_err *err)
{
    size_t columns = fm_explain_columns(v);
    double *mean = malloc(2 * columns * sizeof *mean), *se = mean + columns;
    fm_explain_peak peak = {-INFINITY, -INFINITY};
    int rc = mean ? fm_explain_sum(v, label, -1, falls, mean, se, err) : fm_fail_nomem(err, "map", 2 * columns * sizeof *mean);

    for (size_t k = 1; rc == 0 && k < columns; k++) {
        double *to = k <= v->cells ? &peak.cell : &peak.region;

        *to = fmax(*to, fm_explain_t(mean[k], se[k]));
    }
    free(mean);
    if (rc == 0)
        *out = peak;
    return rc;
}

int fm_explain_permutation(const fm_explain_view *v, uint32_t number, fm_explain_peak *out, fm_err *err)
{
    int32_t *label = malloc((v->plan->n + 1) * sizeof *label);
    fm_explain_peak peak = {NAN, NAN};
    double *falls = NULL;
    int rc = label ? permute(v, number, label, err) : fm_fail_nomem(err, "permuted labels", v->plan->n * sizeof *label);

    if (rc == 0)
        rc = fm_explain_falls(v, label, &falls, err);
    if (rc == 0)
        rc = find_peak(v, label, falls, &peak, err);
    free(falls);
    free(label);
    if (rc == -EINVAL || rc == -EDOM)
        rc = 0;
    if (rc == 0)
        *out = peak;
    return rc;
}

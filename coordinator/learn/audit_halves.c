/* Halves of the subjects of class 0, told apart by nothing but chance, or by what was
 * planted in one of them. */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/audit_parts.h"

typedef struct { uint32_t stratum, draw, at; } drawn;

static int by_stratum(const void *a, const void *b)
{
    const drawn *x = a, *y = b;

    if (x->stratum != y->stratum)
        return (x->stratum > y->stratum) - (x->stratum < y->stratum);
    return (x->draw > y->draw) - (x->draw < y->draw);
}

/* side[i]: 0 or 1, or -1 where subject i is left over.  Returns how many are on each side. */
static size_t draw_halves(const fm_audit_subjects *s, drawn *d, uint32_t *order, int32_t *side, fm_rng *rng)
{
    size_t halves = 0;

    for (size_t i = 0; i < s->n; i++)
        order[i] = (uint32_t)i;
    fm_rng_shuffle(rng, order, s->n);
    for (size_t i = 0; i < s->n; i++)
        d[i] = (drawn){s->v[i].stratum, order[i], (uint32_t)i};
    qsort(d, s->n, sizeof *d, by_stratum);
    for (size_t i = 0; i < s->n; i++)
        side[i] = -1;
    for (size_t i = 0; i + 1 < s->n; i++) {
        if (d[i].stratum != d[i + 1].stratum)
            continue;
        side[d[i].at] = (int32_t)(d[i].draw & 1);
        side[d[i + 1].at] = 1 - side[d[i].at];
        halves++;
        i++;
    }
    return halves;
}

/* A plan of the rows whose subjects are on a side, with the side as their label; side 1 shows what is planted. */
static int part_of_halves(const fm_plan *plan, const float *codes, const float *planted, const fm_audit_subjects *s,
                          const int32_t *side, fm_audit_part *out, fm_err *err)
{
    uint32_t *rows = malloc((plan->n + 1) * sizeof *rows);
    size_t n = 0, width = plan->code_width;
    int rc;

    if (!rows)
        return fm_fail_nomem(err, "rows of a null study", plan->n * sizeof *rows);
    for (size_t i = 0; i < s->n; i++)
        for (uint32_t k = 0; side[i] >= 0 && k < s->v[i].n; k++)
            rows[n++] = s->rows[s->v[i].first + k];
    rc = fm_audit_part_make(plan, codes, rows, n, out, err);
    n = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        for (uint32_t k = 0; side[i] >= 0 && k < s->v[i].n; k++, n++) {
            out->plan.rows[n].label = side[i];
            if (side[i])
                memcpy(out->x + n * width, planted + rows[n] * width, width * sizeof *planted);
        }
    free(rows);
    return rc;
}

static int halve(const fm_plan *plan, const fm_audit_subjects *s, const float *codes, const float *planted, size_t number,
                 fm_audit_figure *out, fm_err *err)
{
    drawn *d = malloc((s->n + 1) * sizeof *d);
    uint32_t *order = malloc((s->n + 1) * sizeof *order);
    int32_t *side = malloc((s->n + 1) * sizeof *side);
    fm_rng rng = fm_rng_init(plan->seed, fm_rng_stream("null study", number, 0));
    fm_plan own = fm_audit_once(plan);
    fm_audit_part p = {.x = NULL};
    int rc = d && order && side ? 0 : fm_fail_nomem(err, "halves", s->n * sizeof *d);

    own.classes = 2;
    own.seed += number;
    if (own.folds.kind == FM_FOLDS_GIVEN)
        fm_folds_spec_default(&own.folds);      /* given folds are the study's, not these halves' */
    if (rc == 0) {
        out->subjects = (double)draw_halves(s, d, order, side, &rng);
        rc = part_of_halves(&own, codes, planted, s, side, &p, err);
    }
    if (rc == 0) {
        rc = fm_audit_measure(&p.plan, p.x, true, out, err);
        fm_audit_part_fini(&p);
    }
    free(d);
    free(order);
    free(side);
    return rc;
}

int fm_audit_run_halves(const fm_plan *plan, const uint32_t *stratum, const float *codes, const float *planted,
                        size_t number, fm_audit_figure *out, fm_err *err)
{
    uint32_t *rows = fm_audit_all_rows(plan->n);
    fm_audit_subjects s = {NULL, 0, NULL, false};
    size_t n = 0;
    int rc = rows ? 0 : fm_fail_nomem(err, "rows", plan->n * sizeof *rows);

    for (size_t k = 0; rc == 0 && k < plan->n; k++)
        if (plan->rows[k].label == 0)
            rows[n++] = (uint32_t)k;
    if (rc == 0)
        rc = fm_audit_subjects_find(plan->rows, stratum, rows, n, &s, err);
    if (rc == 0)
        rc = halve(plan, &s, codes, planted, number, out, err);
    fm_audit_subjects_fini(&s);
    free(rows);
    return rc;
}

/* Assignment by the counts of equal ages: a minimum-cost flow from the different
 * ages of cases to those of controls, by successive shortest paths.
 *
 * Ages are mostly whole years, so a stratum of thousands has few different ones,
 * and people of one age are interchangeable.  A path is looked for with Bellman
 * and Ford's relaxation, since undoing a pair has negative length; lengths are
 * whole millionths of a year, so that no rounding can make a cycle look
 * negative.  The n-th round of controls for an age's cases (its level) costs more
 * than any distance saves: lower levels go first, as assign_line.c explains. */
#include "jobs/assign.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* Beyond this many pairs of different ages the line is the better way. */
#define PAIRS_MAX 16384

typedef struct {
    double age;
    size_t first;               /* of those people, in their order */
    int64_t count;
} group;

typedef struct {
    group *a, *b;               /* [na] cases, [nb] controls */
    size_t na, nb;
    int64_t *flow;              /* [na, nb] */
    int64_t *length;            /* [na, nb] millionths of a year, -1: beyond the caliper */
    int64_t *sent, *used;       /* [na] controls given, [nb] controls taken */
    /* of one search */
    struct { int64_t level, distance; } *da, *db;   /* [na], [nb]; level ratio: not reached */
    size_t *from_a, *from_b;    /* the node before on the path; SIZE_MAX at a start */
} net;

static size_t group_ages(const double *age, size_t n, group *out)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        if (i == 0 || age[i] != age[i - 1]) {
            if (out)
                out[k] = (group){age[i], i, 0};
            k++;
        }
        if (out)
            out[k - 1].count++;
    }
    return k;
}

static void net_fini(net *f)
{
    free(f->a);
    free(f->b);
    free(f->flow);
    free(f->length);
    free(f->sent);
    free(f->used);
    free(f->da);
    free(f->db);
    free(f->from_a);
    free(f->from_b);
}

static int net_init(const fm_assign_spec *s, net *f, fm_err *err)
{
    size_t na = group_ages(s->cases, s->n_cases, NULL), nb = group_ages(s->controls, s->n_controls, NULL);

    *f = (net){.na = na, .nb = nb, .a = calloc(na + 1, sizeof *f->a), .b = calloc(nb + 1, sizeof *f->b),
               .flow = calloc(na * nb + 1, sizeof *f->flow), .length = calloc(na * nb + 1, sizeof *f->length),
               .sent = calloc(na + 1, sizeof *f->sent), .used = calloc(nb + 1, sizeof *f->used),
               .da = calloc(na + 1, sizeof *f->da), .db = calloc(nb + 1, sizeof *f->db),
               .from_a = calloc(na + 1, sizeof *f->from_a), .from_b = calloc(nb + 1, sizeof *f->from_b)};
    if (!f->a || !f->b || !f->flow || !f->length || !f->sent || !f->used || !f->da || !f->db || !f->from_a || !f->from_b)
        return fm_fail_nomem(err, "matching", na * nb * sizeof *f->flow);
    group_ages(s->cases, s->n_cases, f->a);
    group_ages(s->controls, s->n_controls, f->b);
    for (size_t p = 0; p < na; p++)
        for (size_t q = 0; q < nb; q++)
            f->length[p * nb + q] = fabs(f->a[p].age - f->b[q].age) <= s->caliper
                                        ? fm_assign_distance(f->a[p].age, f->b[q].age)
                                        : -1;
    return 0;
}

static bool nearer(int64_t level, int64_t distance, int64_t than_level, int64_t than_distance)
{
    return level < than_level || (level == than_level && distance < than_distance);
}

/* One pass over all arcs. True when something came nearer. */
static bool relax(net *f, int64_t ratio)
{
    bool changed = false;

    for (size_t p = 0; p < f->na; p++)
        for (size_t q = 0; q < f->nb; q++) {
            int64_t length = f->length[p * f->nb + q];

            if (length < 0)
                continue;
            if (f->da[p].level < ratio &&
                nearer(f->da[p].level, f->da[p].distance + length, f->db[q].level, f->db[q].distance)) {
                f->db[q].level = f->da[p].level;
                f->db[q].distance = f->da[p].distance + length;
                f->from_b[q] = p;
                changed = true;
            }
            if (f->flow[p * f->nb + q] && f->db[q].level < ratio &&
                nearer(f->db[q].level, f->db[q].distance - length, f->da[p].level, f->da[p].distance)) {
                f->da[p].level = f->db[q].level;
                f->da[p].distance = f->db[q].distance - length;
                f->from_a[p] = q;
                changed = true;
            }
        }
    return changed;
}

/* The nearest group of controls with somebody free, or SIZE_MAX. */
static size_t search(net *f, int64_t ratio)
{
    size_t best = SIZE_MAX;

    for (size_t p = 0; p < f->na; p++) {
        f->da[p].level = f->sent[p] / f->a[p].count;    /* ratio when all have all */
        f->da[p].distance = 0;
        f->from_a[p] = SIZE_MAX;
    }
    for (size_t q = 0; q < f->nb; q++)
        f->db[q].level = ratio;
    while (relax(f, ratio))
        ;
    for (size_t q = 0; q < f->nb; q++)
        if (f->used[q] < f->b[q].count && f->db[q].level < ratio &&
            (best == SIZE_MAX ||
             nearer(f->db[q].level, f->db[q].distance, f->db[best].level, f->db[best].distance)))
            best = q;
    return best;
}

/* Send along the path to q as much as it bears. */
static void augment(net *f, size_t q)
{
    int64_t most = f->b[q].count - f->used[q];
    size_t p = f->from_b[q];

    for (size_t to = q; ; p = f->from_b[to]) {
        if (f->from_a[p] == SIZE_MAX)
            break;
        to = f->from_a[p];
        if (f->flow[p * f->nb + to] < most)
            most = f->flow[p * f->nb + to];
    }
    if (f->a[p].count - f->sent[p] % f->a[p].count < most)      /* the rest of this level */
        most = f->a[p].count - f->sent[p] % f->a[p].count;
    f->sent[p] += most;
    f->used[q] += most;
    for (;;) {
        p = f->from_b[q];
        f->flow[p * f->nb + q] += most;
        if (f->from_a[p] == SIZE_MAX)
            break;
        q = f->from_a[p];
        f->flow[p * f->nb + q] -= most;
    }
}

/* People of one age take turns, so that none has two controls before all have one. */
static void hand_out(const net *f, uint32_t *owner)
{
    int64_t turn = 0;

    for (size_t q = 0; q < f->nb; q++)
        f->used[q] = 0;
    for (size_t p = 0; p < f->na; p++, turn = 0)
        for (size_t q = 0; q < f->nb; q++)
            for (int64_t i = 0; i < f->flow[p * f->nb + q]; i++, turn++)
                owner[f->b[q].first + (size_t)f->used[q]++] = (uint32_t)(f->a[p].first + (size_t)(turn % f->a[p].count));
}

int fm_assign_counts(const fm_assign_spec *spec, uint32_t *owner, fm_err *err)
{
    net f;
    int rc = net_init(spec, &f, err);

    for (size_t j = 0; j < spec->n_controls; j++)
        owner[j] = FM_NOBODY;
    if (rc == 0) {
        for (size_t q; (q = search(&f, spec->ratio)) != SIZE_MAX; )
            augment(&f, q);
        hand_out(&f, owner);
    }
    net_fini(&f);
    return rc;
}

int fm_assign(const fm_assign_spec *spec, uint32_t *owner, fm_err *err)
{
    size_t na = group_ages(spec->cases, spec->n_cases, NULL), nb = group_ages(spec->controls, spec->n_controls, NULL);

    return na <= PAIRS_MAX && nb <= PAIRS_MAX && na * nb <= PAIRS_MAX ? fm_assign_counts(spec, owner, err)
                                                                      : fm_assign_line(spec, owner, err);
}

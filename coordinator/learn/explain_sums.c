/* Means over faces with errors clustered by subject, and what permutations say of them.
 *
 * A mean over classes is a weighted sum over faces, a face of class c counting 1 / (classes * faces of c).  Its error is
 * that of a sum over subjects of their faces' weighted distances from the class's mean (Cochran 1977; the same form as in
 * learn/compare.h). */
#include "coordinator/learn/explain_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void fm_explanation_fini(fm_explanation *x)
{
    for (uint32_t c = 0; x->map && c <= x->classes; c++)
        free(x->map[c].cell);
    free(x->map);
    x->map = NULL;
    x->classes = 0;
}

int fm_explain_room(fm_explanation *x, fm_err *err)
{
    size_t cells = (size_t)x->grid * x->grid;

    if (!(x->map = calloc(1 + (size_t)x->classes, sizeof *x->map)))
        return fm_fail_nomem(err, "maps", (1 + (size_t)x->classes) * sizeof *x->map);
    for (uint32_t c = 0; c <= x->classes; c++)
        if (!(x->map[c].cell = calloc(cells, sizeof *x->map[c].cell)))
            return fm_fail_nomem(err, "map", cells * sizeof *x->map[c].cell);
    return 0;
}

double fm_explain_t(double fall, double se)
{
    return se > 0 ? fall / se : 0;
}

/* Sums over the faces of each class, then their means; faces [classes] is counted. */
static void class_means(const fm_explain_view *v, const int32_t *label, const double *falls, double *mean, uint64_t *faces)
{
    size_t columns = fm_explain_columns(v), classes = v->plan->classes;

    for (size_t i = 0; i < v->n; i++) {
        size_t c = (size_t)label[v->rows[i]];

        faces[c]++;
        for (size_t k = 0; k < columns; k++)
            mean[c * columns + k] += falls[i * columns + k];
    }
    for (size_t c = 0; c < classes; c++)
        for (size_t k = 0; k < columns; k++)
            mean[c * columns + k] /= (double)faces[c];     /* no faces: NaN, which nobody reads */
}

static bool counts(const uint64_t *faces, int only, size_t class)
{
    return faces[class] && (only < 0 || (size_t)only == class);
}

/* Rows stand subject by subject.  se  starts at 0 and ends as the variance's sum; returns how many subjects there were. */
static size_t add_squares(const fm_explain_view *v, const int32_t *label, int only, const double *falls, const double *means,
                          const uint64_t *faces, double parts, double *one, double *se)
{
    size_t columns = fm_explain_columns(v), subjects = 0;

    for (size_t i = 0, end; i < v->n; i = end) {
        bool any = false;

        memset(one, 0, columns * sizeof *one);
        for (end = i; end < v->n && v->e->subject[v->rows[end]] == v->e->subject[v->rows[i]]; end++) {
            size_t c = (size_t)label[v->rows[end]];

            if (!counts(faces, only, c))
                continue;
            any = true;
            for (size_t k = 0; k < columns; k++)
                one[k] += (falls[end * columns + k] - means[c * columns + k]) / (parts * (double)faces[c]);
        }
        subjects += any;
        for (size_t k = 0; any && k < columns; k++)
            se[k] += one[k] * one[k];
    }
    return subjects;
}

int fm_explain_sum(const fm_explain_view *v, const int32_t *label, int only, const double *falls, double *mean, double *se,
                   fm_err *err)
{
    size_t columns = fm_explain_columns(v), classes = v->plan->classes, subjects;
    double *means = calloc((classes + 1) * columns, sizeof *means), parts = 0;      /* the last: room for one subject */
    uint64_t *faces = calloc(classes, sizeof *faces);

    if (!means || !faces) {
        free(means);
        free(faces);
        return fm_fail_nomem(err, "means of classes", (classes + 1) * columns * sizeof *means);
    }
    class_means(v, label, falls, means, faces);
    for (size_t c = 0; c < classes; c++)
        parts += counts(faces, only, c);
    for (size_t k = 0; k < columns; k++)
        mean[k] = se[k] = 0;
    for (size_t c = 0; c < classes; c++)
        for (size_t k = 0; counts(faces, only, c) && k < columns; k++)
            mean[k] += means[c * columns + k] / parts;
    subjects = add_squares(v, label, only, falls, means, faces, parts, means + classes * columns, se);
    for (size_t k = 0; k < columns; k++) {
        mean[k] = parts > 0 ? mean[k] : NAN;
        se[k] = subjects > 1 ? sqrt(se[k] * (double)subjects / (double)(subjects - 1)) : NAN;
    }
    free(means);
    free(faces);
    return 0;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* peaks  sorted here.  Returns the t that a p of FM_EXPLAIN_P takes. */
static double judge(fm_explain_value *v, size_t n_values, double *peaks, size_t n)
{
    size_t most = (size_t)floor(FM_EXPLAIN_P * (double)(n + 1) + 1e-9);     /* of 1 + peaks at least as large */

    qsort(peaks, n, sizeof *peaks, rising);
    for (size_t i = 0; i < n_values; i++) {
        size_t below = 0;

        while (below < n && peaks[below] < v[i].t)
            below++;
        v[i].p = n ? (double)(1 + n - below) / (double)(1 + n) : NAN;
    }
    return most ? peaks[n - most] : NAN;
}

int fm_explain_conclude(fm_explanation *x, const fm_explain_peak *peaks, size_t n, fm_err *err)
{
    double *cell = malloc((2 * n + 1) * sizeof *cell), *region = cell + n;
    uint32_t made = 0;

    if (!cell)
        return fm_fail_nomem(err, "permutations", 2 * n * sizeof *cell);
    for (size_t i = 0; i < n; i++)
        if (!isnan(peaks[i].cell)) {
            cell[made] = peaks[i].cell;
            region[made++] = peaks[i].region;
        }
    x->permutations = made;
    x->threshold = judge(x->map[0].cell, (size_t)x->grid * x->grid, cell, made);
    x->region_threshold = x->regions ? judge(x->map[0].region, x->regions, region, made) : NAN;
    free(cell);
    return 0;
}

bool fm_explain_over(const fm_explain_value *v)
{
    return v->p <= FM_EXPLAIN_P;
}

uint32_t fm_explain_top(const fm_explanation *x)
{
    uint32_t top = 0;

    for (uint32_t k = 1; k < x->grid * x->grid; k++)
        if (x->map[0].cell[k].t > x->map[0].cell[top].t)
            top = k;
    return top;
}

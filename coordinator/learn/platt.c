/* Newton's method in two unknowns with a halved step, after the pseudocode of Lin,
 * Lin and Weng 2007: their forms of log and exp do not overflow. */
#include "coordinator/learn/platt.h"

#include <math.h>

#define STEPS_MAX 100
#define STEP_MIN 1e-10
#define RIDGE 1e-12
#define FLAT 1e-7       /* slope at which it ends, of a row */

typedef struct {
    const float *z, *y, *cost;
    size_t n;
    double high, low;   /* targets */
    double weight;      /* sum of costs */
} rows;

static double value_of(const rows *r, double a, double b)
{
    double sum = 0.0;

    for (size_t i = 0; i < r->n; i++) {
        double v = a * (double)r->z[i] + b, t = r->y[i] > 0 ? r->high : r->low;

        sum += (double)r->cost[i] * (v >= 0.0 ? (1.0 - t) * v + log1p(exp(-v)) : -t * v + log1p(exp(v)));
    }
    return sum;
}

typedef struct {
    double aa, ab, bb, a, b;    /* second derivatives, slopes */
} slopes;

static slopes slopes_at(const rows *r, double a, double b)
{
    slopes s = {.aa = RIDGE, .bb = RIDGE};

    for (size_t i = 0; i < r->n; i++) {
        double z = (double)r->z[i], v = a * z + b, e = exp(-fabs(v)), c = (double)r->cost[i];
        double p = (v >= 0.0 ? 1.0 : e) / (1.0 + e), q = c * e / ((1.0 + e) * (1.0 + e));
        double off = c * (p - (r->y[i] > 0 ? r->high : r->low));

        s.aa += z * z * q;
        s.ab += z * q;
        s.bb += q;
        s.a += z * off;
        s.b += off;
    }
    return s;
}

/* True when a shorter or the whole step lowers the value. */
static int step(const rows *r, const slopes *s, double *a, double *b, double *value)
{
    double det = s->aa * s->bb - s->ab * s->ab;
    double da = -(s->bb * s->a - s->ab * s->b) / det, db = -(s->aa * s->b - s->ab * s->a) / det;
    double gain = s->a * da + s->b * db;

    for (double t = 1.0; t >= STEP_MIN; t *= 0.5) {
        double v = value_of(r, *a + t * da, *b + t * db);

        if (v < *value + 1e-4 * t * gain) {
            *a += t * da;
            *b += t * db;
            *value = v;
            return 1;
        }
    }
    return 0;
}

void fm_platt_fit(const float *z, const float *y, const float *cost, size_t n, double *a, double *b)
{
    rows r = {.z = z, .y = y, .cost = cost, .n = n};
    double positive = 0.0, negative = 0.0, value;

    for (size_t i = 0; i < n; i++)
        *(y[i] > 0 ? &positive : &negative) += (double)cost[i];
    r.high = (positive + 1.0) / (positive + 2.0);
    r.low = 1.0 / (negative + 2.0);
    r.weight = positive + negative;
    *a = 0.0;
    *b = log((positive + 1.0) / (negative + 1.0));
    value = value_of(&r, *a, *b);
    for (int i = 0; i < STEPS_MAX; i++) {
        slopes s = slopes_at(&r, *a, *b);

        if ((fabs(s.a) < FLAT * r.weight && fabs(s.b) < FLAT * r.weight) || !step(&r, &s, a, b, &value))
            return;
    }
}

/* In the plane the method needs no singular values: with the centred sums
 * a = sum(from . to) and b = sum(from x to), rotation is the angle of (a, b) and
 * scale is |(a, b)| over the variance of from.  Reflections cannot come out,
 * which is what the paper's S matrix is for. */
#include "worker/face/similarity.h"

#include <math.h>

typedef struct {
    double from[2], to[2];      /* means */
    double dot, cross, variance;
} sums;

static void finish(const sums *s, double m[2][2])
{
    double c = s->variance > 0 ? s->dot / s->variance : 1, d = s->variance > 0 ? s->cross / s->variance : 0;

    m[0][0] = c;
    m[0][1] = -d;
    m[1][0] = d;
    m[1][1] = c;
}

static void add(sums *s, double fx, double fy, double tx, double ty)
{
    fx -= s->from[0];
    fy -= s->from[1];
    tx -= s->to[0];
    ty -= s->to[1];
    s->dot += fx * tx + fy * ty;
    s->cross += fx * ty - fy * tx;
    s->variance += fx * fx + fy * fy;
}

void fm_similarity_find(const double (*from)[2], const double (*to)[2], int n, fm_similarity *out)
{
    sums s = {{0, 0}, {0, 0}, 0, 0, 0};

    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            s.from[k] += from[i][k] / n;
            s.to[k] += to[i][k] / n;
        }
    for (int i = 0; i < n; i++)
        add(&s, from[i][0], from[i][1], to[i][0], to[i][1]);
    finish(&s, out->m);
    for (int k = 0; k < 2; k++)
        out->t[k] = s.to[k] - out->m[k][0] * s.from[0] - out->m[k][1] * s.from[1];
}

void fm_similarity_between(const float *from, const float *to, int n, double m[2][2])
{
    sums s = {{0, 0}, {0, 0}, 0, 0, 0};

    for (int i = 0; i < n; i++)
        for (int k = 0; k < 2; k++) {
            s.from[k] += (double)from[2 * i + k] / n;
            s.to[k] += (double)to[2 * i + k] / n;
        }
    for (int i = 0; i < n; i++)
        add(&s, from[2 * i], from[2 * i + 1], to[2 * i], to[2 * i + 1]);
    finish(&s, m);
}

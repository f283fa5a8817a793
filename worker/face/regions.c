/* Outlines are polygons of landmarks in their own order; the first that holds a pixel's middle has it.  Smaller parts
 * come first, so that an eye is no cheek.  Rejected: convex hulls, which would give the cheeks' inner edge to the nose. */
#include "worker/face/regions.h"

#include <math.h>
#include <stdbool.h>

#define CORNERS_MAX 32
#define RAISED 0.5          /* of the way from the nose's foot to between the brows */
#define BROW_HALF 0.055     /* half a brow's band, in distances of the eyes' middles */

typedef struct { double x[CORNERS_MAX], y[CORNERS_MAX]; int n; } polygon;

typedef struct { polygon brow[2], eye[2], nose, mouth, face; double brows_y, mouth_y; } outlines;

static const char *const names[FM_REGION_COUNT] = {"forehead", "brows", "eyes", "nose", "cheeks", "mouth", "jaw", "background"};

const char *fm_region_name(int region)
{
    return names[region];
}

static void add(polygon *p, const double point[2], double dy)
{
    p->x[p->n] = point[0];
    p->y[p->n++] = point[1] + dy;
}

/* Landmarks first .. last, in falling order when first is the larger. */
static void add_run(polygon *p, const double (*points)[2], int first, int last, double dy)
{
    for (int i = first; first <= last ? i <= last : i >= last; i += first <= last ? 1 : -1)
        add(p, points[i], dy);
}

/* About the mean of its corners. */
static void grow(polygon *p, double across, double up)
{
    double x = 0, y = 0;

    for (int i = 0; i < p->n; i++) {
        x += p->x[i] / p->n;
        y += p->y[i] / p->n;
    }
    for (int i = 0; i < p->n; i++) {
        p->x[i] = x + across * (p->x[i] - x);
        p->y[i] = y + up * (p->y[i] - y);
    }
}

/* Even-odd rule. */
static bool holds(const polygon *p, double x, double y)
{
    bool in = false;

    for (int i = 0, j = p->n - 1; i < p->n; j = i++)
        if ((p->y[i] > y) != (p->y[j] > y) && x < (p->x[j] - p->x[i]) * (y - p->y[i]) / (p->y[j] - p->y[i]) + p->x[i])
            in = !in;
    return in;
}

static double middle(const double (*points)[2], int first, int last, int axis)
{
    double sum = 0;

    for (int i = first; i <= last; i++)
        sum += points[i][axis];
    return sum / (last - first + 1);
}

static void draw(const double (*points)[2], outlines *o)
{
    double apart = hypot(middle(points, 42, 47, 0) - middle(points, 36, 41, 0), middle(points, 42, 47, 1) - middle(points, 36, 41, 1));
    double up = RAISED * (middle(points, 21, 22, 1) - points[33][1]);

    *o = (outlines){.brows_y = middle(points, 17, 26, 1), .mouth_y = points[57][1] + 0.1 * apart};
    for (int side = 0; side < 2; side++) {
        add_run(&o->brow[side], points, 17 + 5 * side, 21 + 5 * side, -BROW_HALF * apart);
        add_run(&o->brow[side], points, 21 + 5 * side, 17 + 5 * side, BROW_HALF * apart);
        add_run(&o->eye[side], points, 36 + 6 * side, 41 + 6 * side, 0);
        grow(&o->eye[side], 1.35, 2);
    }
    add(&o->nose, points[27], 0);
    add_run(&o->nose, points, 31, 35, 0);
    grow(&o->nose, 1.4, 1.1);
    add(&o->mouth, points[48], 0);
    add(&o->mouth, points[31], 0);
    add(&o->mouth, points[35], 0);
    add_run(&o->mouth, points, 54, 59, 0);
    grow(&o->mouth, 1.15, 1.1);
    add_run(&o->face, points, 0, 16, 0);
    add_run(&o->face, points, 26, 17, up);
}

static fm_region region_of(const outlines *o, double x, double y)
{
    if (holds(&o->eye[0], x, y) || holds(&o->eye[1], x, y))
        return FM_REGION_EYES;
    if (holds(&o->brow[0], x, y) || holds(&o->brow[1], x, y))
        return FM_REGION_BROWS;
    if (holds(&o->nose, x, y))
        return FM_REGION_NOSE;
    if (holds(&o->mouth, x, y))
        return FM_REGION_MOUTH;
    if (!holds(&o->face, x, y))
        return FM_REGION_BACKGROUND;
    return y < o->brows_y ? FM_REGION_FOREHEAD : y > o->mouth_y ? FM_REGION_JAW : FM_REGION_CHEEKS;
}

void fm_regions_fill(const double (*points)[2], int side, uint8_t *out)
{
    outlines o;

    draw(points, &o);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            *out++ = (uint8_t)region_of(&o, x + 0.5, y + 0.5);
}

/* dlib describes a chip by an unturned rectangle, its centre and an angle, and
 * decides by the rectangle's area how often to halve the photograph.  Here the
 * same rectangle is built and the same affine map taken from three of its
 * turned corners, so that every chip pixel falls on the same place. */
#include "worker/face/chip.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "worker/face/pyramid.h"

#define HALVINGS_MAX 16

/* Mean face: landmarks 17 to 67 of the 68, in units of the face's side (dlib 19, public domain figures of its author). */
static const double mean_68[51][2] = {
    {0.000213256, 0.106454}, {0.0752622, 0.038915}, {0.18113, 0.0187482}, {0.29077, 0.0344891}, {0.393397, 0.0773906},
    {0.586856, 0.0773906}, {0.689483, 0.0344891}, {0.799124, 0.0187482}, {0.904991, 0.038915}, {0.98004, 0.106454},
    {0.490127, 0.203352}, {0.490127, 0.307009}, {0.490127, 0.409805}, {0.490127, 0.515625}, {0.36688, 0.587326},
    {0.426036, 0.609345}, {0.490127, 0.628106}, {0.554217, 0.609345}, {0.613373, 0.587326}, {0.121737, 0.216423},
    {0.187122, 0.178758}, {0.265825, 0.179852}, {0.334606, 0.231733}, {0.260918, 0.245099}, {0.182743, 0.244077},
    {0.645647, 0.231733}, {0.714428, 0.179852}, {0.793132, 0.178758}, {0.858516, 0.216423}, {0.79751, 0.244077},
    {0.719335, 0.245099}, {0.254149, 0.780233}, {0.340985, 0.745405}, {0.428858, 0.727388}, {0.490127, 0.742578},
    {0.551395, 0.727388}, {0.639268, 0.745405}, {0.726104, 0.780233}, {0.642159, 0.864805}, {0.556721, 0.902192},
    {0.490127, 0.909281}, {0.423532, 0.902192}, {0.338094, 0.864805}, {0.290379, 0.784792}, {0.428096, 0.778746},
    {0.490127, 0.785343}, {0.552157, 0.778746}, {0.689874, 0.784792}, {0.553364, 0.824182}, {0.490127, 0.831803},
    {0.42689, 0.824182},
};
static const double mean_5[5][2] = {
    {0.8595674595992, 0.2134981538014}, {0.6460604764104, 0.2289674387677}, {0.1205750620789, 0.2137274526848},
    {0.3340850613712, 0.2290642403242}, {0.4901123135679, 0.6277975316475},
};

static bool used_of_68(int i)
{
    bool brows = i <= 26, lower_lip = (i >= 55 && i <= 59) || i >= 65;

    return !brows && !lower_lip;
}

int fm_chip_transform(const fm_point *points, int n_points, int size, double padding, fm_similarity *out, fm_err *err)
{
    double from[51][2], to[51][2];
    int n = 0;

    if (n_points != 68 && n_points != 5)
        return fm_fail(err, -EINVAL, "chip: %d landmarks where 68 or 5 are expected", n_points);
    for (int i = n_points == 68 ? 17 : 0; i < n_points; i++) {
        const double *mean = n_points == 68 ? mean_68[i - 17] : mean_5[i];

        if (n_points == 68 && !used_of_68(i))
            continue;
        for (int k = 0; k < 2; k++)
            from[n][k] = (padding + mean[k]) / (2 * padding + 1) * size;
        to[n][0] = points[i].x;
        to[n][1] = points[i].y;
        n++;
    }
    fm_similarity_find((const double (*)[2])from, (const double (*)[2])to, n, out);
    return 0;
}

typedef struct { double left, top, right, bottom; } rectangle;

static double area(const rectangle *r)
{
    return r->right < r->left || r->bottom < r->top ? 0 : (r->right - r->left + 1) * (r->bottom - r->top + 1);
}

static rectangle halved(const rectangle *r)
{
    return (rectangle){r->left / 2 - 1.25, r->top / 2 - 0.75, r->right / 2 - 1.25, r->bottom / 2 - 0.75};
}

/* The unturned rectangle of the chip in the photograph, and its angle. */
static rectangle place(const fm_similarity *s, int size, double *angle)
{
    double a = s->m[0][0], b = s->m[1][0], side = size * sqrt(a * a + b * b) - 1, half = size / 2.0;
    double x = s->m[0][0] * half + s->m[0][1] * half + s->t[0], y = s->m[1][0] * half + s->m[1][1] * half + s->t[1];

    *angle = atan2(b, a);
    return (rectangle){x - side / 2, y - side / 2, x + side / 2, y + side / 2};
}

static void turned(const rectangle *r, double x, double y, double angle, double out[2])
{
    double cx = (r->left + r->right) / 2, cy = (r->top + r->bottom) / 2, c = cos(angle), s = sin(angle);

    out[0] = c * (x - cx) - s * (y - cy) + cx;
    out[1] = s * (x - cx) + c * (y - cy) + cy;
}

/* Whole pixels of the photograph that the turned chip and a border for the halvings touch. */
static void region(const rectangle *r, double angle, double grow, const fm_image *image, int out[4])
{
    double corner[4][2], box[4];

    turned(r, r->left, r->top, angle, corner[0]);
    turned(r, r->right, r->top, angle, corner[1]);
    turned(r, r->left, r->bottom, angle, corner[2]);
    turned(r, r->right, r->bottom, angle, corner[3]);
    box[0] = box[2] = corner[0][0];
    box[1] = box[3] = corner[0][1];
    for (int i = 1; i < 4; i++)
        for (int k = 0; k < 2; k++) {
            box[k] = fmin(box[k], corner[i][k]);
            box[2 + k] = fmax(box[2 + k], corner[i][k]);
        }
    out[0] = (int)fmax(0, floor(fmax(-1e6, box[0] - grow) + 0.5));
    out[1] = (int)fmax(0, floor(fmax(-1e6, box[1] - grow) + 0.5));
    out[2] = (int)fmin(image->width - 1, floor(fmin(1e7, box[2] + grow) + 0.5));
    out[3] = (int)fmin(image->height - 1, floor(fmin(1e7, box[3] + grow) + 0.5));
}

typedef struct { double m[2][2], t[2]; } affine;

/* From chip pixels to r turned: corners to corners. */
static affine map_to(const rectangle *r, double angle, int size)
{
    double o[2], x[2], y[2];
    affine a;

    turned(r, r->left, r->top, angle, o);
    turned(r, r->right, r->top, angle, x);
    turned(r, r->left, r->bottom, angle, y);
    for (int k = 0; k < 2; k++) {
        a.m[k][0] = (x[k] - o[k]) / (size - 1);
        a.m[k][1] = (y[k] - o[k]) / (size - 1);
        a.t[k] = o[k];
    }
    return a;
}

static void sample(const fm_image *image, int left, int top, int width, int height, const affine *a, int size,
                   uint8_t *rgb)
{
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++, rgb += 3) {
            double px = a->m[0][0] * x + a->m[0][1] * y + a->t[0], py = a->m[1][0] * x + a->m[1][1] * y + a->t[1];
            double fx = floor(px), fy = floor(py), lr, tb;
            const uint8_t *p, *q;

            rgb[0] = rgb[1] = rgb[2] = 0;
            if (!(fx >= 0 && fy >= 0 && fx + 1 < width && fy + 1 < height))
                continue;
            lr = px - fx;
            tb = py - fy;
            p = image->pixels + (size_t)(top + (int)fy) * image->stride_bytes + 3 * (size_t)(left + (int)fx);
            q = p + image->stride_bytes;
            for (int k = 0; k < 3; k++)
                rgb[k] = (uint8_t)((1 - tb) * ((1 - lr) * p[k] + lr * p[3 + k]) +
                                   tb * ((1 - lr) * q[k] + lr * q[3 + k]));
        }
}

/* Halve the region as often as asked; *out is a new image. */
static int halve(const fm_image *image, const int box[4], int times, fm_image *out, fm_err *err)
{
    fm_image now;
    int rc = fm_image_halve(image, box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1, &now, err);

    for (int i = 1; rc == 0 && i < times; i++) {
        fm_image next = FM_IMAGE_INIT;

        rc = fm_image_halve(&now, 0, 0, now.width, now.height, &next, err);
        fm_image_fini(&now);
        now = next;
    }
    if (rc == 0)
        *out = now;
    return rc;
}

int fm_chip_extract(const fm_image *image, const fm_similarity *transform, int size, uint8_t *rgb, fm_err *err)
{
    double angle, grow = 2, wanted = (double)size * size;
    rectangle r = place(transform, size, &angle), smaller;
    int times = 0, box[4], rc;
    fm_image down = FM_IMAGE_INIT;
    affine a;

    if (!isfinite(area(&r)) || !isfinite(angle) || fabs(r.left) > 1e7 || fabs(r.top) > 1e7 || area(&r) > 1e12)
        return fm_fail(err, -EINVAL, "chip: the landmarks make no transform");
    for (smaller = halved(&r); area(&smaller) > wanted && times < HALVINGS_MAX; smaller = halved(&smaller), times++)
        grow = grow * 2 + 2;
    region(&r, angle, grow, image, box);
    memset(rgb, 0, 3 * (size_t)size * (size_t)size);
    if (box[2] < box[0] || box[3] < box[1])
        return 0;       /* the face lies outside the photograph */
    r = (rectangle){r.left - box[0], r.top - box[1], r.right - box[0], r.bottom - box[1]};
    for (int i = 0; i < times; i++)
        r = halved(&r);
    a = map_to(&r, angle, size);
    if (times == 0) {
        sample(image, box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1, &a, size, rgb);
        return 0;
    }
    rc = halve(image, box, times, &down, err);
    if (rc == 0 && down.width > 0)
        sample(&down, 0, 0, down.width, down.height, &a, size, rgb);
    fm_image_fini(&down);
    return rc;
}

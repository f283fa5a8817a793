/* The hull is filled row by row: of a convex polygon each row of pixels has one
 * run, from its leftmost to its rightmost crossing. */
#include "worker/confound.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "worker/chip_points.h"

#define SECTORS 8
#define CELLS 8
#define HULL_POINTS (FM_POINTS_MAX + 10)
#define GROWN 1.15
#define RAISED 0.5
#define CHIP_MAX 4096

typedef struct { double x, y; } point;

/* Which pixels of a row are face: [from, to), empty when from >= to. */
typedef struct { int from[CHIP_MAX], to[CHIP_MAX]; } face_rows;

typedef struct { double n, sum[3], square[3]; } sums;

static const struct { const char *name; uint32_t width; } confounds[FM_CONFOUND_COUNT] = {
    [FM_CONFOUND_RING] = {"background", FM_CONFOUND_RING_WIDTH},
    [FM_CONFOUND_BLUR] = {"blurred", FM_CONFOUND_BLUR_WIDTH},
    [FM_CONFOUND_FACTS] = {"file", FM_CONFOUND_FACTS_WIDTH},
    [FM_CONFOUND_COLOUR] = {"colour", FM_CONFOUND_COLOUR_WIDTH},
};

const char *fm_confound_name(int confound)
{
    return confounds[confound].name;
}

uint32_t fm_confound_width(int confound)
{
    return confounds[confound].width;
}

static void add(sums *s, const uint8_t *rgb)
{
    s->n++;
    for (int c = 0; c < 3; c++) {
        s->sum[c] += rgb[c];
        s->square[c] += (double)rgb[c] * rgb[c];
    }
}

static double mean(const sums *s, int c)
{
    return s->n > 0 ? s->sum[c] / s->n : 0;
}

static double deviation(const sums *s, int c)
{
    double m = mean(s, c), variance = s->n > 0 ? s->square[c] / s->n - m * m : 0;

    return variance > 0 ? sqrt(variance) : 0;
}

static double turn(point a, point b, point c)
{
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

/* Andrew's monotone chain over points sorted here; returns the corners in order. */
static int hull_of(point *p, int n, point *hull)
{
    int k = 0;

    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && (p[j].x < p[j - 1].x || (p[j].x == p[j - 1].x && p[j].y < p[j - 1].y)); j--) {
            point t = p[j];

            p[j] = p[j - 1];
            p[j - 1] = t;
        }
    for (int i = 0; i < n; i++) {
        while (k >= 2 && turn(hull[k - 2], hull[k - 1], p[i]) <= 0)
            k--;
        hull[k++] = p[i];
    }
    for (int i = n - 2, lower = k + 1; i >= 0; i--) {
        while (k >= lower && turn(hull[k - 2], hull[k - 1], p[i]) <= 0)
            k--;
        hull[k++] = p[i];
    }
    return k - 1;
}

static int clamp(double v, int size)
{
    return v < 0 ? 0 : v > size ? size : (int)v;
}

static void fill_hull(const point *hull, int n, int size, face_rows *rows)
{
    for (int y = 0; y < size; y++) {
        double low = INFINITY, high = -INFINITY;

        for (int i = 0; i < n; i++) {
            point a = hull[i], b = hull[(i + 1) % n];

            if ((a.y <= y && b.y >= y) || (b.y <= y && a.y >= y)) {
                double x = a.y == b.y ? a.x : a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x);

                low = fmin(low, a.y == b.y ? fmin(a.x, b.x) : x);
                high = fmax(high, a.y == b.y ? fmax(a.x, b.x) : x);
            }
        }
        rows->from[y] = low <= high ? clamp(ceil(low), size) : 0;
        rows->to[y] = low <= high ? clamp(floor(high) + 1, size) : 0;
    }
}

static void fill_ellipse(int size, face_rows *rows)
{
    for (int y = 0; y < size; y++) {
        double v = (y + 0.5 - size / 2.0) / (0.48 * size), half = v * v < 1 ? 0.4 * size * sqrt(1 - v * v) : 0;

        rows->from[y] = clamp(size / 2.0 - half, size);
        rows->to[y] = half > 0 ? clamp(size / 2.0 + half, size) : 0;
    }
}

static int find_face(const fm_photo_face *f, int size, double padding, face_rows *rows, fm_err *err)
{
    point p[HULL_POINTS], hull[2 * HULL_POINTS], middle = {0, 0}, up;
    double on_chip[FM_POINTS_MAX][2];
    int n = f->n_points, rc;

    if (n != FM_POINTS_MAX) {
        fill_ellipse(size, rows);
        return 0;
    }
    if ((rc = fm_chip_points(f, size, padding, on_chip, err)) != 0)
        return rc;
    for (int i = 0; i < n; i++)
        p[i] = (point){on_chip[i][0], on_chip[i][1]};
    up = (point){RAISED * ((p[21].x + p[22].x) / 2 - p[33].x), RAISED * ((p[21].y + p[22].y) / 2 - p[33].y)};
    for (int i = 17; i < 27; i++)
        p[n++] = (point){p[i].x + up.x, p[i].y + up.y};
    for (int i = 0; i < n; i++) {
        middle.x += p[i].x / n;
        middle.y += p[i].y / n;
    }
    for (int i = 0; i < n; i++)
        p[i] = (point){middle.x + GROWN * (p[i].x - middle.x), middle.y + GROWN * (p[i].y - middle.y)};
    fill_hull(hull, hull_of(p, n, hull), size, rows);
    return 0;
}

static int sector_of(int x, int y, int size)
{
    double a = atan2(y + 0.5 - size / 2.0, x + 0.5 - size / 2.0) / (2 * acos(-1.0)) + 0.5;
    int s = (int)(a * SECTORS);

    return s < 0 ? 0 : s >= SECTORS ? SECTORS - 1 : s;
}

static double step(const uint8_t *a, const uint8_t *b)
{
    return (abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2])) / 3.0;
}

static void ring(const uint8_t *chip, int size, const face_rows *face, float *out)
{
    sums all = {0}, sector[SECTORS] = {{0}};
    double right = 0, down = 0, black = 0;

    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            const uint8_t *rgb = chip + ((size_t)y * (size_t)size + (size_t)x) * 3;

            if (x >= face->from[y] && x < face->to[y])
                continue;
            add(&all, rgb);
            add(&sector[sector_of(x, y, size)], rgb);
            right += x + 1 < size ? step(rgb, rgb + 3) : 0;
            down += y + 1 < size ? step(rgb, rgb + 3 * (size_t)size) : 0;
            black += rgb[0] + rgb[1] + rgb[2] == 0;
        }
    for (int s = 0; s < SECTORS; s++)
        for (int c = 0; c < 3; c++)
            *out++ = (float)mean(sector[s].n > 0 ? &sector[s] : &all, c);
    for (int c = 0; c < 3; c++)
        *out++ = (float)deviation(&all, c);
    *out++ = (float)(all.n > 0 ? right / all.n : 0);
    *out++ = (float)(all.n > 0 ? down / all.n : 0);
    *out = (float)(all.n > 0 ? black / all.n : 0);
}

static void blur(const uint8_t *chip, int size, float *out)
{
    for (int row = 0; row < CELLS; row++)
        for (int column = 0; column < CELLS; column++) {
            sums cell = {0};

            for (int y = row * size / CELLS; y < (row + 1) * size / CELLS; y++)
                for (int x = column * size / CELLS; x < (column + 1) * size / CELLS; x++)
                    add(&cell, chip + ((size_t)y * (size_t)size + (size_t)x) * 3);
            for (int c = 0; c < 3; c++)
                *out++ = (float)mean(&cell, c);
        }
}

static void facts(const fm_photo *p, uint64_t file_bytes, float *out)
{
    double bytes = file_bytes ? (double)file_bytes : 1, w = p->width ? p->width : 1, h = p->height ? p->height : 1;
    double quality = p->jpeg_quality / 100.0;

    *out++ = (float)log(bytes);
    *out++ = (float)log(w);
    *out++ = (float)log(h);
    *out++ = (float)log(w / h);
    *out++ = (float)log(bytes / (w * h));
    *out++ = (float)quality;
    *out++ = (float)(quality * quality);
    *out++ = p->format == FM_PHOTO_PNG;
    *out = p->orientation > 1;
}

static void colour(const uint8_t *chip, int size, float *out)
{
    sums all = {0};

    for (size_t i = 0; i < (size_t)size * (size_t)size; i++)
        add(&all, chip + i * 3);
    for (int c = 0; c < 3; c++) {
        out[c] = (float)mean(&all, c);
        out[3 + c] = (float)deviation(&all, c);
    }
}

int fm_confound_columns(const fm_photo *photo, uint32_t face, double padding, uint64_t file_bytes,
                        float *const out[FM_CONFOUND_COUNT], fm_err *err)
{
    face_rows rows;
    int size = photo->chip_size, rc;

    if (face >= photo->n_faces || !photo->faces[face].chip || size < CELLS || size > CHIP_MAX)
        return fm_fail(err, -EINVAL, "a photo record has no chip of face %u; build the study again", face);
    if ((rc = find_face(&photo->faces[face], size, padding, &rows, err)) != 0)
        return rc;
    ring(photo->faces[face].chip, size, &rows, out[FM_CONFOUND_RING]);
    blur(photo->faces[face].chip, size, out[FM_CONFOUND_BLUR]);
    facts(photo, file_bytes, out[FM_CONFOUND_FACTS]);
    colour(photo->faces[face].chip, size, out[FM_CONFOUND_COLOUR]);
    return 0;
}

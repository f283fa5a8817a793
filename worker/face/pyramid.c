/* The arithmetic follows dlib's vectorised code: column positions are summed up
 * in single precision, four lanes at a time, and blocks of four columns end
 * where a right neighbour would leave the image; the columns after that use
 * double precision.  Positions depend on the column only, so they are computed
 * once a scaling here and not once a row. */
#include "worker/face/pyramid.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "worker/face/hog.h"

typedef struct {
    int n_single;           /* columns done in single precision; the rest in double */
    int *left;              /* [width] pixels of a row */
    int *right;             /* [width], from n_single: before that the next pixel */
    uint8_t *pick;          /* [2 width], see fm_hog_kernels.blend */
    float *fraction;        /* [width], up to n_single */
    double *fraction_d;     /* [width], from n_single */
} columns;

static void columns_fini(columns *c)
{
    free(c->left);
    free(c->right);
    free(c->pick);
    free(c->fraction);
    free(c->fraction_d);
}

static void columns_single(columns *c, int in_width, int out_width, double scale)
{
    float x[4], step = (float)(4 * scale);

    for (int k = 0; k < 4; k++)
        x[k] = (float)(-4 * scale + k * scale);
    for (c->n_single = 0; c->n_single + 4 <= out_width; c->n_single += 4) {
        for (int k = 0; k < 4; k++)
            x[k] += step;
        if ((int)x[3] + 1 >= in_width)
            return;
        for (int k = 0; k < 4; k++) {
            int left = (int)x[k];

            c->left[c->n_single + k] = left;
            c->fraction[c->n_single + k] = x[k] - (float)left;
        }
    }
}

static int columns_init(columns *c, int in_width, int out_width, double scale, fm_err *err)
{
    size_t n = (size_t)out_width;
    double x;

    *c = (columns){0, malloc(n * sizeof(int)), malloc(n * sizeof(int)), malloc(2 * n), malloc(n * sizeof(float)),
                   malloc(n * sizeof(double))};
    if (!c->left || !c->right || !c->pick || !c->fraction || !c->fraction_d)
        return fm_fail_nomem(err, "scaling", n * 22);
    columns_single(c, in_width, out_width, scale);
    for (int i = 0; i < c->n_single / 8 * 8; i++) {
        int from = c->left[i] - c->left[i / 8 * 8];

        c->pick[i / 8 * 16 + i % 8] = (uint8_t)(from < 255 ? from : 255);
        c->pick[i / 8 * 16 + i % 8 + 8] = (uint8_t)(from < 254 ? from + 1 : 255);
    }
    x = -scale + c->n_single * scale;
    for (int i = c->n_single; i < out_width; i++) {
        int left;

        x += scale;
        left = (int)floor(x);
        left = left > in_width - 1 ? in_width - 1 : left;
        c->left[i] = left;
        c->right[i] = left + 1 < in_width ? left + 1 : in_width - 1;
        c->fraction_d[i] = x - left;
    }
    return 0;
}

/* The columns where a right neighbour would leave the image, of one colour. */
static void row_end(const columns *c, const uint8_t *top, const uint8_t *bottom, double tb, int width, uint8_t *out)
{
    for (int i = c->n_single; i < width; i++) {
        double lr = c->fraction_d[i];
        uint8_t a = top[c->left[i]], b = top[c->right[i]], p = bottom[c->left[i]], q = bottom[c->right[i]];

        out[i] = (uint8_t)fma(tb, fma(lr, q, (1 - lr) * p), (1 - tb) * fma(lr, b, (1 - lr) * a));
    }
}

typedef struct {
    const fm_hog_kernels *k;
    columns c;
    double y_scale, y;
    int in_height, top, bottom;     /* the rows above and below y */
} scaling;

static int scaling_init(scaling *s, int in_width, int in_height, int out_width, int out_height, fm_err *err)
{
    double x_scale = (in_width - 1) / (double)(out_width > 1 ? out_width - 1 : 1);

    *s = (scaling){.k = fm_hog_kernels_for(fm_cpu_isa()), .in_height = in_height};    /* bits do not depend on it */
    s->y_scale = (in_height - 1) / (double)(out_height > 1 ? out_height - 1 : 1);
    s->y = -s->y_scale;
    return columns_init(&s->c, in_width, out_width, x_scale, err);
}

static void scaling_next(scaling *s)
{
    s->y += s->y_scale;
    s->top = (int)floor(s->y);
    s->top = s->top > s->in_height - 1 ? s->in_height - 1 : s->top;
    s->bottom = s->top + 1 < s->in_height ? s->top + 1 : s->in_height - 1;
}

static void scaling_row(const scaling *s, const uint8_t *top, const uint8_t *bottom, int64_t plane, int width,
                        uint8_t *out, int64_t out_plane)
{
    double down = s->y - s->top;

    s->k->blend(top, bottom, plane, s->c.left, s->c.pick, s->c.fraction, down, s->c.n_single, out, out_plane);
    for (int k = 0; k < 3; k++)
        row_end(&s->c, top + k * plane, bottom + k * plane, down, width, out + k * out_plane);
}

size_t fm_colours_bytes(int width, int height)
{
    return 3 * FM_COLOURS_ROW(width) * (size_t)height + FM_COLOURS_SLACK;
}

fm_colours fm_colours_of(const fm_image *image, uint8_t *memory)
{
    fm_colours c = {image->width, image->height, (int64_t)FM_COLOURS_ROW(image->width), 0, memory};

    c.plane = c.row * c.height;
    for (int y = 0; y < c.height; y++)
        fm_hog_kernels_for(fm_cpu_isa())->split(image->pixels + (size_t)y * image->stride_bytes, c.width,
                                                memory + y * c.row, c.plane);
    return c;
}

int fm_colours_shrink(const fm_colours *in, int width, int height, uint8_t *memory, fm_colours *out, fm_err *err)
{
    fm_colours small = {width, height, (int64_t)FM_COLOURS_ROW(width), 0, memory};
    scaling s;
    int rc = scaling_init(&s, in->width, in->height, width, height, err);

    small.plane = small.row * height;
    for (int r = 0; rc == 0 && r < height; r++) {
        scaling_next(&s);
        scaling_row(&s, in->at + s.top * in->row, in->at + s.bottom * in->row, in->plane, width, memory + r * small.row,
                    small.plane);
    }
    columns_fini(&s.c);
    if (rc == 0)
        *out = small;
    return rc;
}

/* Row y of in, colours apart, in one of two places by turns; held says which rows are there. */
static const uint8_t *row_apart(const scaling *s, const fm_image *in, int y, int held[2], uint8_t *memory, int64_t plane)
{
    uint8_t *to = memory + y % 2 * 3 * plane;

    if (held[y % 2] != y)
        s->k->split(in->pixels + (size_t)y * in->stride_bytes, in->width, to, plane);
    held[y % 2] = y;
    return to;
}

static void row_together(const uint8_t *colours, int64_t plane, int width, uint8_t *rgb)
{
    for (int i = 0; i < width; i++, rgb += 3) {
        rgb[0] = colours[i];
        rgb[1] = colours[i + plane];
        rgb[2] = colours[i + 2 * plane];
    }
}

int fm_image_resize(const fm_image *in, fm_image *out, fm_err *err)
{
    int64_t plane = (int64_t)FM_COLOURS_ROW(in->width), out_plane = (int64_t)FM_COLOURS_ROW(out->width);
    size_t bytes = (size_t)(6 * plane + 3 * out_plane) + FM_COLOURS_SLACK;
    uint8_t *rows = malloc(bytes), *to = rows ? rows + 6 * plane : NULL;
    int held[2] = {-1, -1};
    scaling s;
    int rc = scaling_init(&s, in->width, in->height, out->width, out->height, err);

    if (rc == 0 && !rows)
        rc = fm_fail_nomem(err, "scaling", bytes);
    for (int r = 0; rc == 0 && r < out->height; r++) {
        const uint8_t *top, *bottom;

        scaling_next(&s);
        top = row_apart(&s, in, s.top, held, rows, plane);
        bottom = row_apart(&s, in, s.bottom, held, rows, plane);
        scaling_row(&s, top, bottom, plane, out->width, to, out_plane);
        row_together(to, out_plane, out->width, out->pixels + (size_t)r * out->stride_bytes);
    }
    columns_fini(&s.c);
    free(rows);
    return rc;
}

int fm_image_double(const fm_image *in, fm_image *out, fm_err *err)
{
    /* rect_up of the last pixel, rounded, plus one: dlib's size */
    int width = (int)floor((in->width - 1 + 1.25) * 2 + 0.5) + 1;
    int height = (int)floor((in->height - 1 + 0.75) * 2 + 0.5) + 1;
    fm_image up;
    int rc = fm_image_create(width, height, &up, err);

    if (rc == 0 && (rc = fm_image_resize(in, &up, err)) != 0)
        fm_image_fini(&up);
    if (rc == 0)
        *out = up;
    return rc;
}

static void halve_row(const uint8_t *in, int n, uint16_t *out)
{
    for (int c = 0; c < n; c++, in += 6)
        for (int k = 0; k < 3; k++)
            *out++ = (uint16_t)(in[k] + 4 * in[3 + k] + 6 * in[6 + k] + 4 * in[9 + k] + in[12 + k]);
}

int fm_image_halve(const fm_image *in, int left, int top, int width, int height, fm_image *out, fm_err *err)
{
    int n = (width - 3) / 2, rows = (height - 3) / 2, rc;
    const uint8_t *from = in->pixels + (size_t)top * in->stride_bytes + 3 * (size_t)left;
    size_t row_values = 3 * (size_t)(n > 0 ? n : 0);
    uint16_t *filtered;
    fm_image down;

    *out = (fm_image)FM_IMAGE_INIT;
    if (width <= 8 || height <= 8)
        return 0;
    if ((rc = fm_image_create(n, rows, &down, err)) != 0)
        return rc;
    filtered = malloc((size_t)height * row_values * sizeof *filtered);
    if (!filtered) {
        fm_image_fini(&down);
        return fm_fail_nomem(err, "scaling", (size_t)height * row_values * 2);
    }
    for (int r = 0; r < height; r++)
        halve_row(from + (size_t)r * in->stride_bytes, n, filtered + (size_t)r * row_values);
    for (int r = 0; r < rows; r++) {
        const uint16_t *a = filtered + 2 * (size_t)r * row_values;
        uint8_t *to = down.pixels + (size_t)r * down.stride_bytes;

        for (size_t i = 0; i < row_values; i++)
            to[i] = (uint8_t)((uint16_t)(a[i] + 4 * a[row_values + i] + 6 * a[2 * row_values + i] +
                                         4 * a[3 * row_values + i] + a[4 * row_values + i]) / 256);
    }
    free(filtered);
    *out = down;
    return 0;
}

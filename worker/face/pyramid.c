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
    int *left;              /* [width] byte offsets into a row */
    int *right;             /* [width], from n_single: before that the next pixel */
    float *fraction;        /* [width], up to n_single */
    double *fraction_d;     /* [width], from n_single */
} columns;

static void columns_fini(columns *c)
{
    free(c->left);
    free(c->right);
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

            c->left[c->n_single + k] = 3 * left;
            c->fraction[c->n_single + k] = x[k] - (float)left;
        }
    }
}

static int columns_init(columns *c, int in_width, int out_width, double scale, fm_err *err)
{
    size_t n = (size_t)out_width;
    double x;

    *c = (columns){0, malloc(n * sizeof(int)), malloc(n * sizeof(int)), malloc(n * sizeof(float)),
                   malloc(n * sizeof(double))};
    if (!c->left || !c->right || !c->fraction || !c->fraction_d)
        return fm_fail_nomem(err, "scaling", n * 24);
    columns_single(c, in_width, out_width, scale);
    x = -scale + c->n_single * scale;
    for (int i = c->n_single; i < out_width; i++) {
        int left;

        x += scale;
        left = (int)floor(x);
        left = left > in_width - 1 ? in_width - 1 : left;
        c->left[i] = 3 * left;
        c->right[i] = 3 * (left + 1 < in_width ? left + 1 : in_width - 1);
        c->fraction_d[i] = x - left;
    }
    return 0;
}

/* The columns where a right neighbour would leave the image. */
static void row_end(const columns *c, const uint8_t *top, const uint8_t *bottom, double tb, int width, uint8_t *out)
{
    out += 3 * (size_t)c->n_single;
    for (int i = c->n_single; i < width; i++, out += 3) {
        double lr = c->fraction_d[i];
        const uint8_t *a = top + c->left[i], *b = top + c->right[i], *p = bottom + c->left[i],
                      *q = bottom + c->right[i];

        for (int k = 0; k < 3; k++)
            out[k] = (uint8_t)fma(tb, fma(lr, q[k], (1 - lr) * p[k]), (1 - tb) * fma(lr, b[k], (1 - lr) * a[k]));
    }
}

int fm_image_resize(const fm_image *in, fm_image *out, fm_err *err)
{
    double x_scale = (in->width - 1) / (double)(out->width > 1 ? out->width - 1 : 1);
    double y_scale = (in->height - 1) / (double)(out->height > 1 ? out->height - 1 : 1), y = -y_scale;
    const fm_hog_kernels *k = fm_hog_kernels_for(fm_cpu_isa());     /* bits do not depend on it */
    columns c;
    int rc = columns_init(&c, in->width, out->width, x_scale, err);

    for (int r = 0; rc == 0 && r < out->height; r++) {
        const uint8_t *above, *below;
        uint8_t *to = out->pixels + (size_t)r * out->stride_bytes;
        int top, bottom;

        y += y_scale;
        top = (int)floor(y);
        top = top > in->height - 1 ? in->height - 1 : top;
        bottom = top + 1 < in->height ? top + 1 : in->height - 1;
        above = in->pixels + (size_t)top * in->stride_bytes;
        below = in->pixels + (size_t)bottom * in->stride_bytes;
        k->blend(above, below, 3 * in->width, c.left, c.fraction, y - top, c.n_single, to);
        row_end(&c, above, below, y - top, out->width, to);
    }
    columns_fini(&c);
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

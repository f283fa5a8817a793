/* Both the chip and what the network sees are cut with transforms of the same
 * landmarks, so they differ in scale only: the mask is laid on without turning.
 * Rejected: the network on the whole photograph (a face in a crowd would be a few
 * pixels of it) and on the chip itself (a face that fills the picture has no
 * outline to be found by; with half of the context faces were lost, too). */
#include "worker/portrait.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "worker/face/chip.h"
#include "worker/net/network.h"

#define SIZE FM_PORTRAIT_SIZE
#define PIXELS (SIZE * SIZE)

struct fm_portrait {
    fm_network *net;
    fm_tensor in;               /* f32 [1, 3, SIZE, SIZE], 0 to 1 */
    uint8_t *rgb;               /* what the network is to see, u8 [SIZE, SIZE, 3] */
};

static int check(const fm_portrait *p, fm_err *err)
{
    static const int64_t pictures[4] = {1, 3, SIZE, SIZE}, masks[4] = {1, 1, SIZE, SIZE};
    fm_tensor in, out;
    bool fits = fm_network_inputs(p->net) == 1 && fm_network_outputs(p->net) == 1;

    fm_network_input(p->net, 0, &in);
    fm_network_output(p->net, 0, &out);
    fits = fits && in.type == FM_F32 && out.type == FM_F32 && in.rank == 4 && out.rank == 4;
    for (int i = 0; fits && i < 4; i++)
        fits = (in.dims[i] == pictures[i] || (i == 0 && in.dims[0] < 0)) && out.dims[i] == masks[i];
    return fits ? 0
                : fm_fail(err, -EINVAL, "not the portrait network, which takes f32 [1, 3, %d, %d] and gives f32 "
                          "[1, 1, %d, %d]", SIZE, SIZE, SIZE, SIZE);
}

int fm_portrait_create(const void *file, size_t n, fm_portrait **out, fm_err *err)
{
    fm_network_options options = {.isa = fm_cpu_isa()};
    fm_portrait *p = calloc(1, sizeof *p);
    int rc;

    if (!p)
        return fm_fail_nomem(err, "portrait mask", sizeof *p);
    rc = fm_network_load(file, n, &options, &p->net, err);
    if (rc == 0)
        rc = check(p, err);
    if (rc == 0) {
        p->in = (fm_tensor){FM_F32, 4, {1, 3, SIZE, SIZE}, aligned_alloc(64, 3 * PIXELS * sizeof(float))};
        p->rgb = malloc(3 * PIXELS);
        if (!p->in.data || !p->rgb)
            rc = fm_fail_nomem(err, "portrait mask", 3 * PIXELS * sizeof(float));
    }
    if (rc == 0)
        *out = p;
    else
        fm_portrait_destroy(p);
    return rc;
}

void fm_portrait_destroy(fm_portrait *p)
{
    if (!p)
        return;
    fm_network_close(p->net);
    free(p->in.data);
    free(p->rgb);
    free(p);
}

int fm_portrait_picture(fm_portrait *p, const uint8_t *rgb, const float **mask, fm_err *err)
{
    float *to = p->in.data;
    fm_tensor out;
    int rc;

    for (size_t i = 0; i < PIXELS; i++)
        for (size_t c = 0; c < 3; c++)
            to[c * PIXELS + i] = rgb[3 * i + c] / 255.0f;
    rc = fm_network_run(p->net, &p->in, &out, err);
    if (rc == 0)
        *mask = out.data;
    return rc;
}

/* Pixels of the photograph that a picture of size pixels, cut with t, is wide. */
static double width_of(const fm_similarity *t, int size)
{
    return size * sqrt(t->m[0][0] * t->m[0][0] + t->m[1][0] * t->m[1][0]) - 1;
}

/* Between four pixels of the mask, in 255ths. */
static uint8_t between(const float *mask, double x, double y)
{
    int left = (int)x, top = (int)y;
    const float *m = mask + top * SIZE + left;
    double lr = x - left, tb = y - top;
    double v = (1 - tb) * ((1 - lr) * m[0] + lr * m[1]) + tb * ((1 - lr) * m[SIZE] + lr * m[SIZE + 1]);

    return (uint8_t)(v > 0 ? v < 1 ? v * 255 + 0.5 : 255 : 0);      /* what is no number counts as background */
}

/* Landmarks that the mask takes for background.  seen: from its pixels to the photograph's. */
static int points_outside(const float *mask, const fm_similarity *seen, const fm_point *points, int n)
{
    double det = seen->m[0][0] * seen->m[1][1] - seen->m[0][1] * seen->m[1][0];
    int outside = 0;

    for (int i = 0; i < n; i++) {
        double dx = points[i].x - seen->t[0], dy = points[i].y - seen->t[1];
        double x = (seen->m[1][1] * dx - seen->m[0][1] * dy) / det, y = (seen->m[0][0] * dy - seen->m[1][0] * dx) / det;

        outside += !(x >= 0 && x < SIZE && y >= 0 && y < SIZE && mask[(int)y * SIZE + (int)x] >= 0.5f);
    }
    return outside;
}

int fm_portrait_chip(fm_portrait *p, const fm_image *image, const fm_point *points, int n_points, int size, double padding,
                     uint8_t *mask, bool *misses, fm_err *err)
{
    double wide = padding > FM_PORTRAIT_PADDING ? padding : FM_PORTRAIT_PADDING, step;
    fm_similarity chip, seen;
    const float *found;
    int rc = fm_chip_transform(points, n_points, size, padding, &chip, err);

    if (rc == 0)
        rc = fm_chip_transform(points, n_points, SIZE, wide, &seen, err);
    if (rc == 0)
        rc = fm_chip_extract(image, &seen, SIZE, p->rgb, err);
    if (rc == 0)
        rc = fm_portrait_picture(p, p->rgb, &found, err);
    if (rc != 0)
        return rc;
    *misses = 2 * points_outside(found, &seen, points, n_points) > n_points;
    if (*misses) {
        memset(mask, 255, (size_t)size * (size_t)size);
        return 0;
    }
    step = width_of(&chip, size) / (size - 1) * (SIZE - 1) / width_of(&seen, SIZE);
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++) {
            double sx = (SIZE - 1) / 2.0 + (x - (size - 1) / 2.0) * step;
            double sy = (SIZE - 1) / 2.0 + (y - (size - 1) / 2.0) * step;

            mask[y * size + x] = between(found, fmin(fmax(sx, 0), SIZE - 1.001), fmin(fmax(sy, 0), SIZE - 1.001));
        }
    return 0;
}

/* The ground that faces are painted on, and its few shapes.
 *
 * Every shape gives a coverage from 0 to 1 in float, so edges are smooth at any
 * pose without drawing at a larger size first.  Only +, -, *, / and roots are
 * used on pixels, which every machine rounds alike. */
#include "jobs/synth_face.h"

#include <math.h>
#include <stdlib.h>

/* A turned head moves what is near its middle and leaves the outline where it is. */
static float turn_share(float x, float y)
{
    float m = 1 - x * x / 1.2f - (y - 0.3f) * (y - 0.3f) / 3;

    return m > 0 ? m * m : 0;
}

void synth_project(const synth_shot *s, float x, float y, double pixel[2])
{
    float m = turn_share(x, y);
    float u = (x + s->yaw * m) * s->scale, v = (y + s->pitch * m) * s->scale;

    pixel[0] = s->origin[0] + s->roll[0] * u - s->roll[1] * v;
    pixel[1] = s->origin[1] + s->roll[1] * u + s->roll[0] * v;
}

static void place_pixels(synth_canvas *c)
{
    const synth_shot *s = c->shot;

    for (int row = 0; row < c->height; row++)
        for (int column = 0; column < c->width; column++) {
            size_t i = (size_t)row * (size_t)c->width + (size_t)column;
            float u = ((float)column - s->origin[0]) * c->soft, v = ((float)row - s->origin[1]) * c->soft;
            float x = s->roll[0] * u + s->roll[1] * v, y = s->roll[0] * v - s->roll[1] * u;
            float m = turn_share(x, y);

            c->x[i] = x - s->yaw * m;
            c->y[i] = y - s->pitch * m;
        }
}

int synth_canvas_create(const synth_shot *shot, int64_t seed, synth_canvas *out, fm_err *err)
{
    size_t n = (size_t)shot->width * (size_t)shot->height;
    float *planes = calloc(n, 4 * sizeof(float) + sizeof(synth_rgb));

    if (!planes)
        return fm_fail_nomem(err, "a face to draw", n * (4 * sizeof(float) + sizeof(synth_rgb)));
    out->shot = shot;
    out->width = shot->width;
    out->height = shot->height;
    out->soft = 1 / shot->scale;
    out->x = planes;
    out->y = planes + n;
    out->z = planes + 2 * n;
    out->cover = planes + 3 * n;
    out->rgb = (synth_rgb *)(planes + 4 * n);
    out->grain = fm_rng_init((uint64_t)seed, shot->texture);
    for (int i = 0; i < SYNTH_NOISE * SYNTH_NOISE; i++)
        out->noise[i / SYNTH_NOISE][i % SYNTH_NOISE] = (float)fm_rng_u32(&out->grain) / 2147483648.0f - 1;
    place_pixels(out);
    return 0;
}

void synth_canvas_destroy(synth_canvas *c)
{
    free(c->x);
}

/* Grain is the sum of two even numbers, near enough to a sensor's. */
void synth_canvas_develop(synth_canvas *c, fm_image *out)
{
    float grain = c->shot->grain * 255 / 512;

    for (int row = 0; row < c->height; row++)
        for (int column = 0; column < c->width; column++) {
            uint32_t r = fm_rng_u32(&c->grain);
            const float *v = c->rgb[(size_t)row * (size_t)c->width + (size_t)column].v;
            uint8_t *to = out->pixels + (size_t)row * out->stride_bytes + 3 * (size_t)column;

            for (int k = 0; k < 3; k++) {
                float noise = (float)(int)((r >> (10 * k) & 31) * 8 + (r >> (10 * k + 5) & 31) * 8) - 248;

                to[k] = (uint8_t)(synth_clamp(v[k] * 255 + noise * grain, 0, 255) + 0.5f);
            }
        }
}

float synth_noise(const synth_canvas *c, float u, float v)
{
    int i = (int)(u + 1024), j = (int)(v + 1024);
    float s = u + 1024 - (float)i, t = v + 1024 - (float)j;
    const float *a = c->noise[j & (SYNTH_NOISE - 1)], *b = c->noise[(j + 1) & (SYNTH_NOISE - 1)];
    int l = i & (SYNTH_NOISE - 1), r = (i + 1) & (SYNTH_NOISE - 1);

    s = s * s * (3 - 2 * s);
    t = t * t * (3 - 2 * t);
    return (1 - t) * ((1 - s) * a[l] + s * a[r]) + t * ((1 - s) * b[l] + s * b[r]);
}

float synth_lens_cover(const synth_lens *l, float x, float y)
{
    float u = (x - l->x) / l->half, v = y - l->y - l->tilt * (x - l->x);
    float arc = 1 - u * u;
    float above = v + l->up * arc, below = l->low * arc - v;
    float slope = l->tilt + 2 * u / l->half * (above < below ? l->up : -l->low);

    return synth_edge((above < below ? above : below) / sqrtf(1 + slope * slope), l->soft);
}

float synth_blob_cover(const synth_blob *b, float x, float y)
{
    float u = (x - b->x) / b->rx, v = (y - b->y) / b->ry;
    float q = 1 - u * u - v * v;

    return q > 0 ? q * q * q : 0;
}

synth_box synth_box_around(const synth_canvas *c, float x, float y, float rx, float ry)
{
    const synth_shot *s = c->shot;
    float cs = fabsf(s->roll[0]), sn = fabsf(s->roll[1]);
    float w = (cs * rx + sn * ry + fabsf(s->yaw)) * s->scale + 2;
    float h = (sn * rx + cs * ry + fabsf(s->pitch)) * s->scale + 2;
    double at[2];

    synth_project(s, x, y, at);
    return (synth_box){
        .left = (int)synth_clamp((float)at[0] - w, 0, (float)c->width),
        .top = (int)synth_clamp((float)at[1] - h, 0, (float)c->height),
        .right = (int)synth_clamp((float)at[0] + w + 1, 0, (float)c->width),
        .bottom = (int)synth_clamp((float)at[1] + h + 1, 0, (float)c->height),
    };
}

static synth_box lens_box(const synth_canvas *c, const synth_lens *l)
{
    float ry = synth_max(fabsf(l->up), fabsf(l->low)) + fabsf(l->tilt) * l->half + l->soft;

    return synth_box_around(c, l->x, l->y, l->half + l->soft, ry);
}

void synth_paint_lens(synth_canvas *c, const synth_lens *l, synth_rgb colour, float share)
{
    synth_box box = lens_box(c, l);

    SYNTH_EACH(c, box, i)
        c->rgb[i] = synth_mix(c->rgb[i], colour, share * synth_lens_cover(l, c->x[i], c->y[i]));
}

void synth_shade_lens(synth_canvas *c, const synth_lens *l, float factor)
{
    synth_box box = lens_box(c, l);

    SYNTH_EACH(c, box, i) {
        float f = 1 + (factor - 1) * synth_lens_cover(l, c->x[i], c->y[i]);

        c->rgb[i] = synth_times(c->rgb[i], f, f, f);
    }
}

void synth_paint_blob(synth_canvas *c, const synth_blob *b, synth_rgb colour, float share)
{
    synth_box box = synth_box_around(c, b->x, b->y, b->rx, b->ry);

    SYNTH_EACH(c, box, i)
        c->rgb[i] = synth_mix(c->rgb[i], colour, share * synth_blob_cover(b, c->x[i], c->y[i]));
}

void synth_shade_blob(synth_canvas *c, const synth_blob *b, float factor)
{
    synth_box box = synth_box_around(c, b->x, b->y, b->rx, b->ry);

    SYNTH_EACH(c, box, i) {
        float f = 1 + (factor - 1) * synth_blob_cover(b, c->x[i], c->y[i]);

        c->rgb[i] = synth_times(c->rgb[i], f, f, f);
    }
}

void synth_raise(synth_canvas *c, const synth_blob *b, float height)
{
    synth_box box = synth_box_around(c, b->x, b->y, b->rx, b->ry);

    SYNTH_EACH(c, box, i)
        c->z[i] += height * synth_blob_cover(b, c->x[i], c->y[i]);
}

/* What is around a face: backdrop, hair, neck and clothes, ears, beard, glasses. */
#include <math.h>

#include "jobs/synth_face.h"

static synth_rgb grey_times(synth_rgb c, float f)
{
    return synth_times(c, f, f, f);
}

enum { BACK_GRADIENT, BACK_STUDIO, BACK_ROOM, BACK_MOTTLED, BACK_OUTDOORS };

/* A rectangle out of focus: pictures, shelves, windows. */
static float panel(float u, float v, float left, float top, float right, float bottom)
{
    float d = synth_min(synth_min(u - left, right - u), synth_min(v - top, bottom - v));

    return synth_edge(d, 0.03f);
}

/* u, v: 0 .. 1 over the picture.  The noise table's corner says where things stand. */
static synth_rgb backdrop_at(const synth_canvas *c, float u, float v)
{
    const synth_rgb *b = c->shot->back;
    const float *place = c->noise[0];
    synth_rgb dark = grey_times(b[1], 0.6f), out = b[0];
    float d;

    switch (c->shot->backdrop) {
    case BACK_GRADIENT:
        return synth_mix(b[0], b[1], synth_clamp(v + place[0] * (u - 0.5f), 0, 1));
    case BACK_STUDIO:
        d = (u - 0.5f - 0.2f * place[0]) * (u - 0.5f - 0.2f * place[0]) + (v - 0.4f) * (v - 0.4f);
        return synth_mix(b[0], dark, synth_clamp(d * 1.8f, 0, 1));
    case BACK_ROOM:
        out = synth_mix(b[0], b[1], 0.3f * u);
        for (int k = 0; k < 3; k++) {
            float x = 0.5f + 0.55f * place[4 * k], y = 0.3f + 0.3f * place[4 * k + 1];
            float w = 0.12f + 0.06f * place[4 * k + 2], h = 0.16f + 0.08f * place[4 * k + 3];

            out = synth_mix(out, dark, panel(u, v, x - w, y - h, x + w, y + h));
            out = synth_mix(out, k == 1 ? (synth_rgb){{0.85f, 0.88f, 0.9f}} : grey_times(b[0], 0.8f + 0.2f * place[k]),
                            panel(u, v, x - w + 0.02f, y - h + 0.02f, x + w - 0.02f, y + h - 0.02f));
        }
        return synth_mix(out, grey_times(b[0], 0.7f), synth_edge(v - 0.75f - 0.1f * place[20], 0.02f));
    case BACK_MOTTLED:
        d = 0.5f + 0.3f * synth_noise(c, u * 5, v * 5) + 0.2f * synth_noise(c, u * 13, v * 13);
        return synth_mix(b[0], b[1], synth_clamp(d, 0, 1));
    default:
        out = synth_mix((synth_rgb){{0.65f, 0.78f, 0.92f}}, (synth_rgb){{0.88f, 0.90f, 0.92f}}, v);
        d = v - 0.45f - 0.15f * synth_noise(c, u * 3, 1) - 0.08f * synth_noise(c, u * 9, v * 9);
        dark = synth_times(b[1], 0.55f, 0.75f + 0.2f * synth_noise(c, u * 11, v * 11), 0.4f);
        return synth_mix(out, dark, synth_edge(d, 0.06f));
    }
}

void synth_paint_backdrop(synth_canvas *c)
{
    float per_x = 1 / (float)c->width, per_y = 1 / (float)c->height;

    for (int row = 0; row < c->height; row++)
        for (int column = 0; column < c->width; column++)
            c->rgb[(size_t)row * (size_t)c->width + (size_t)column] =
                backdrop_at(c, (float)column * per_x, (float)row * per_y);
}

/* Strands run along v; u counts them. */
static synth_rgb hair_at(const synth_canvas *c, const synth_person *p, float u, float v, float light)
{
    float strand = 0.6f * synth_noise(c, u * 22, v * 2.5f + 7) + 0.4f * synth_noise(c, u * 47, v * 4);
    float lump = p->curl * synth_noise(c, u * 7, v * 7);

    return grey_times(p->hair, (0.85f + 0.30f * strand + 0.35f * lump) * light * c->shot->exposure);
}

/* Long hair falls behind the shoulders from a cap around the head. */
static void paint_hair_behind(synth_canvas *c, const synth_person *p)
{
    float end = p->style == SYNTH_HAIR_LONG ? 2.5f : 1.35f;
    synth_box box = synth_box_around(c, 0, 0, 2, 3);

    if (p->style < SYNTH_HAIR_BOB)
        return;
    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i], wave = 0.06f * p->curl * synth_noise(c, x * 6, y * 6);
        float cap, fall, shade, cover;

        if (y > end + 0.2f)
            continue;
        cap = synth_outline_depth(p, p->hair_thick, x, y < 0.1f ? y : 0.1f);
        fall = synth_min(cap + (y > 0.1f ? 0.08f * (y - 0.1f) : 0) + wave, end - y + 0.15f * synth_noise(c, x * 9, 3));
        shade = 0.55f + 0.25f * synth_clamp(fabsf(x) - 0.7f, 0, 1);
        cover = synth_edge(fall, 0.05f);
        if (cover > 0)
            c->rgb[i] = synth_mix(c->rgb[i], hair_at(c, p, x, y * 0.6f, shade), cover);
    }
}

static void paint_neck_and_clothes(synth_canvas *c, const synth_person *p)
{
    const synth_shot *s = c->shot;
    float base = p->chin + 0.45f, v_neck = 0.25f + 0.3f * (0.5f + 0.5f * c->noise[1][0]);

    for (size_t i = 0; i < (size_t)c->width * (size_t)c->height; i++) {
        float x = c->x[i], y = c->y[i], a = fabsf(x);
        float neck, cloth, shade, dip;

        if (y < 0.7f)
            continue;
        dip = a < 0.8f ? v_neck * (1 - a / 0.8f) : 0;
        neck = synth_edge(p->neck_w + 0.25f * synth_clamp(y - base + 0.3f, 0, 1) - a, 0.05f);
        cloth = synth_edge(synth_min(y - base - 0.11f * x * x - dip, 2.3f + 0.4f * (y - base) - a), 0.03f);
        neck = synth_max(neck, synth_edge(y - base - 0.11f * x * x, 0.04f) * synth_edge(0.85f - a, 0.05f));
        shade = 0.42f + 0.4f * synth_clamp((y - p->chin) * 1.3f, 0, 1) - 0.3f * (a / p->neck_w) * (a / p->neck_w) +
                0.15f * s->light[0] * x;
        if (neck > 0)
            c->rgb[i] = synth_mix(c->rgb[i], grey_times(p->skin, synth_clamp(shade, 0.25f, 1) * s->exposure), neck);
        shade = 0.9f - 0.12f * a + 0.2f * s->light[0] * x + 0.04f * synth_noise(c, x * 3, y * 2);
        if (cloth > 0)
            c->rgb[i] = synth_mix(c->rgb[i], grey_times(s->clothes, shade * s->exposure), cloth);
    }
}

static void paint_ears(synth_canvas *c, const synth_person *p)
{
    const synth_shot *s = c->shot;

    for (float side = -1; side <= 1; side += 2) {
        float x = (p->half_width + 0.02f) * side;
        synth_box box = synth_box_around(c, x, 0.25f, 0.2f, 0.4f);

        SYNTH_EACH(c, box, i) {
            float dx = (c->x[i] - x - 0.1f * side * (0.25f - c->y[i])) / 0.15f, dy = (c->y[i] - 0.22f) / 0.36f;
            float q = sqrtf(dx * dx + dy * dy);
            float shade = 0.78f + 0.2f * s->light[0] * side - 0.3f * synth_edge(0.55f - q, 0.3f);

            c->rgb[i] = synth_mix(c->rgb[i], synth_times(p->skin, shade, shade * 0.92f, shade * 0.9f),
                                  synth_edge(1 - q, 0.12f));
        }
    }
}

void synth_paint_behind(synth_canvas *c, const synth_person *p)
{
    paint_hair_behind(c, p);
    paint_neck_and_clothes(c, p);
    paint_ears(c, p);
}

/* How far below the hairline a point is: negative where hair grows. */
static float below_hairline(const synth_person *p, float x, float y)
{
    float a = fabsf(x), off = x - p->parting;
    float line = p->hairline + 0.16f * off * off;

    if (p->fringe > 0)
        line = synth_max(line, p->hairline + p->fringe + 0.12f * x * p->parting);
    if (a > 0.62f)
        line += (a - 0.62f) * (a - 0.62f) * (p->style == SYNTH_HAIR_SHORT ? 6.5f : 12.f);
    if (a > 0.9f && p->style >= SYNTH_HAIR_BOB)
        line += (a - 0.9f) * 20;
    if (p->style == SYNTH_HAIR_SHORT && line > 0.12f)
        line = 0.12f;
    return y - line;
}

static void paint_hair(synth_canvas *c, const synth_person *p)
{
    const synth_shot *s = c->shot;
    float end = p->style == SYNTH_HAIR_LONG ? 2.3f : p->style == SYNTH_HAIR_BOB ? 1.25f : 0.15f;
    synth_box box = synth_box_around(c, 0, 0, 1.7f, 2.6f);

    if (p->style == SYNTH_HAIR_BALD)
        return;
    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i];
        float jag = 0.03f * synth_noise(c, x * 20, y * 3) + 0.06f * p->curl * synth_noise(c, x * 7, y * 7);
        float under = jag - below_hairline(p, x, y), rise = (p->top - y) / (p->top - p->hairline);
        float cover, over, light;

        if (under < -0.03f)
            continue;
        over = synth_outline_depth(p, p->hair_thick, x, y < 0.1f ? y : 0.1f) + jag;
        if (p->style == SYNTH_HAIR_SHORT)
            over -= 0.8f * p->hair_thick * synth_clamp((y + 0.8f) * 1.2f, 0, 1);
        cover = synth_edge(synth_min(synth_min(over, under), end - y + 2 * jag), 0.06f);
        if (cover == 0)
            continue;
        light = 0.62f + 0.45f * synth_clamp(1 - (rise - 0.45f) * (rise - 0.45f) * 2.2f, 0, 1) + 0.25f * s->light[0] * x;
        light *= 0.75f + 0.25f * synth_clamp(over * 4, 0, 1);
        c->rgb[i] = synth_mix(c->rgb[i], hair_at(c, p, x + 0.25f * p->parting * y, y, light), cover);
    }
}

/* The shadow that hair throws on the brow. */
static void paint_hair_shadow(synth_canvas *c, const synth_person *p)
{
    synth_box box = synth_box_around(c, 0, -0.4f, 1.2f, 1.5f);

    if (p->style == SYNTH_HAIR_BALD)
        return;
    SYNTH_EACH(c, box, i) {
        float d = below_hairline(p, c->x[i] + 0.1f * c->shot->light[0], c->y[i]);
        float f = 1 - 0.3f * c->cover[i] * synth_clamp(1 - d / 0.16f, 0, 1);

        if (f < 1)
            c->rgb[i] = grey_times(c->rgb[i], f);
    }
}

static void paint_beard(synth_canvas *c, const synth_person *p)
{
    float m = p->mouth_y, w = p->mouth_w + 0.08f;
    const synth_lens moustache = {0, m - 0.03f, w, 0.17f, -0.035f, 0, 0.07f};
    const synth_lens lips = {0, m, w * 0.95f, 0.03f, p->lip_low + 0.05f + 0.1f * c->shot->open, 0, 0.08f};
    synth_box box = synth_box_around(c, 0, 1.2f, 1.3f, 1.1f);

    if (p->beard < SYNTH_MOUSTACHE)
        return;
    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i], jag = 0.04f * synth_noise(c, x * 15, y * 15);
        float area = synth_lens_cover(&moustache, x, y);

        if (p->beard == SYNTH_BEARD) {
            float cheek = y - m - 0.06f + 1.0f * x * x;

            area = synth_max(area, synth_edge(synth_min(cheek + jag, synth_outline_depth(p, 0.09f, x, y) + jag), 0.1f) *
                                   (1 - synth_lens_cover(&lips, x, y)));
        }
        if (area > 0)
            c->rgb[i] = synth_mix(c->rgb[i], hair_at(c, p, x, y, 0.85f + 0.2f * (m + 0.4f - y)), 0.88f * area);
    }
}

/* Signed distance from a lens's edge, rounder or squarer. */
static float lens_rim(const synth_person *p, float dx, float dy)
{
    float u = dx * dx / (0.39f * 0.39f), v = dy * dy / (0.29f * 0.29f);
    float round = sqrtf(u + v), square = sqrtf(sqrtf(u * u + v * v));

    return (round + p->rim_square * (square - round) - 1) * 0.33f;
}

static void paint_glasses(synth_canvas *c, const synth_person *p)
{
    synth_box box = synth_box_around(c, 0, 0.05f, 1.2f, 0.45f);
    float x0 = p->eye_x + 0.01f, soft = 1.5f * c->soft, outer = x0 + 0.37f, inner = x0 - 0.37f;

    if (!p->glasses)
        return;
    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i] - 0.05f, a = fabsf(x), d = lens_rim(p, a - x0, y);
        float rim = synth_edge(p->rim - fabsf(d), soft);
        float bridge = synth_edge(synth_min(p->rim * 0.8f - fabsf(y + 0.08f + 0.2f * x * x), inner - a), soft);
        float side = synth_min(a - outer, p->half_width - a);
        float arm = synth_edge(synth_min(p->rim * 0.7f - fabsf(y + 0.12f), side), soft);
        float shine = d < 0 ? 0.07f + 0.16f * synth_edge(0.06f - fabsf(a - x0 + y * 0.6f + 0.12f), 0.06f) : 0;

        c->rgb[i] = synth_mix(c->rgb[i], (synth_rgb){{0.95f, 0.97f, 1}}, shine);
        c->rgb[i] = synth_mix(c->rgb[i], p->rim_colour, synth_max(rim, synth_max(bridge, arm)));
    }
}

void synth_paint_before(synth_canvas *c, const synth_person *p)
{
    paint_hair_shadow(c, p);
    paint_beard(c, p);
    paint_glasses(c, p);
    paint_hair(c, p);
}

/* The head itself: a relief that light falls on, with the colours of skin and
 * lips under it and the eyes set in afterwards.
 *
 * The shading is what a gradient detector sees; outlines alone, however neat,
 * are not found.  Where things lie follows the proportions of adult faces; how
 * strong they are was settled by looking at the pictures. */
#include <math.h>

#include "jobs/synth_face.h"

/* Value and gradient of the egg: (x / a)^2 + (1 - square) t^2 + square t^4 with a that narrows towards the chin. */
typedef struct { float f, dx, dy; } egg;

static egg egg_at(const synth_person *p, float grow, float x, float y)
{
    const float centre = 0.1f;
    bool low = y > centre;
    float b = (low ? p->chin - centre : centre - p->top) + grow;
    float taper = low ? p->taper : 0.06f, square = low ? p->square : 0.3f;
    float t = (y - centre) / b, a = (p->half_width + grow) * (1 - taper * t * t);
    float u = x / a, da = -2 * taper * t / b * (p->half_width + grow);

    return (egg){u * u + (1 - square) * t * t + square * t * t * t * t, 2 * u / a,
                 -2 * u * u / a * da + (2 * (1 - square) * t + 4 * square * t * t * t) / b};
}

float synth_outline(const synth_person *p, float grow, float x, float y)
{
    return egg_at(p, grow, x, y).f;
}

float synth_outline_depth(const synth_person *p, float grow, float x, float y)
{
    egg e = egg_at(p, grow, x, y);
    float slope = sqrtf(e.dx * e.dx + e.dy * e.dy);

    return (1 - e.f) / (slope > 0.3f ? slope : 0.3f);
}

typedef struct { synth_blob blob; float height; } bump;

static void raise_all(synth_canvas *c, const bump *b, int n)
{
    for (int i = 0; i < n; i++)
        synth_raise(c, &b[i].blob, b[i].height);
}

static void raise_middle(synth_canvas *c, const synth_person *p)
{
    float n = p->nose_y, m = p->mouth_y, w = p->nose_bridge;
    const bump all[] = {
        {{0, -0.75f, 1.0f, 0.6f}, 0.06f},                               /* forehead */
        {{0, -0.27f, 0.3f, 0.2f}, p->brow_ridge * 0.6f},
        {{0, 0.12f, w * 1.35f, 0.55f}, 0.09f},                          /* ridge of the nose */
        {{0, n * 0.55f, w * 1.6f, n * 0.6f}, 0.09f},
        {{0, n - 0.14f, p->nose_tip * 1.3f, 0.19f}, 0.13f},             /* tip */
        {{-p->nose_w * 0.72f, n - 0.10f, 0.13f, 0.13f}, 0.055f},        /* wings */
        {{p->nose_w * 0.72f, n - 0.10f, 0.13f, 0.13f}, 0.055f},
        {{0, m, 0.62f, 0.42f}, 0.07f},                                  /* the teeth's arch */
        {{0, (n + m) * 0.5f - 0.02f, 0.07f, 0.14f}, -0.018f},           /* philtrum */
        {{0, m - p->lip_up * 0.6f, p->mouth_w, p->lip_up + 0.03f}, 0.03f},
        {{0, m + p->lip_low * 0.55f, p->mouth_w * 0.9f, p->lip_low}, 0.05f},
        {{0, m + p->lip_low + 0.12f, 0.36f, 0.13f}, -0.04f},
        {{0, p->chin - 0.26f, 0.36f, 0.27f}, 0.09f},
    };

    raise_all(c, all, sizeof all / sizeof *all);
}

static void raise_side(synth_canvas *c, const synth_person *p, float side)
{
    const synth_shot *s = c->shot;
    float ex = p->eye_x * side;
    const bump all[] = {
        {{ex * 0.95f, p->brow_y + 0.06f, 0.48f, 0.16f}, p->brow_ridge},
        {{ex, -0.06f, 0.40f, 0.27f}, -0.085f},                          /* socket */
        {{ex - 0.29f * side, -0.03f, 0.16f, 0.22f}, -0.07f},
        {{ex, 0.01f, 0.27f, 0.17f}, 0.075f},                            /* ball and lids */
        {{ex + 0.02f * side, 0.22f, 0.24f, 0.09f}, 0.02f * p->old},     /* bag */
        {{0.62f * side, 0.50f, 0.45f, 0.40f}, p->cheek * (1 + 0.5f * synth_clamp(s->smile, 0, 1))},
        {{0.75f * side, 1.22f, 0.34f, 0.34f}, p->jowl},
        {{0.95f * side, -0.45f, 0.30f, 0.45f}, -0.06f},                 /* temple */
        {{0.80f * side, 0.98f, 0.30f, 0.40f}, -0.025f * (1 - p->child)}, /* hollow of the cheek */
    };

    raise_all(c, all, sizeof all / sizeof *all);
}

/* Skin over the head's area, and the relief of the bare skull. */
static void lay_skin(synth_canvas *c, const synth_person *p)
{
    synth_box box = synth_box_around(c, 0, 0, 1.4f, 2.2f);

    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i], f = synth_outline(p, 0, x, y);
        float mottle = 1 + 0.025f * synth_noise(c, x * 9, y * 9) + 0.02f * synth_noise(c, x * 31, y * 31);
        synth_rgb skin = synth_times(p->skin, mottle, mottle, mottle);

        if (f > 1.3f)
            continue;
        if (p->freckles > 0 && y > -0.1f && y < 0.6f)
            mottle = synth_edge(synth_noise(c, x * 23 + 9, y * 23) - 0.6f, 0.5f) * p->freckles;
        else
            mottle = 0;
        c->cover[i] = synth_edge(synth_outline_depth(p, 0, x, y), 1.5f * c->soft);
        c->rgb[i] = synth_mix(c->rgb[i], synth_times(skin, 1 - 0.15f * mottle, 1 - 0.25f * mottle, 1 - 0.3f * mottle),
                              c->cover[i]);
        c->z[i] = 0.9f * sqrtf(synth_max(1.15f - f * (0.55f + 0.45f * f), 0.02f));
    }
}

/* Lambert's light on the relief, a softer one from all around, and a little gloss. */
static float light_at(const synth_canvas *c, size_t i, float *gloss)
{
    const synth_shot *s = c->shot;
    float dx = (c->z[i + 1] - c->z[i - 1]) * 0.5f * s->scale;
    float dy = (c->z[i + (size_t)c->width] - c->z[i - (size_t)c->width]) * 0.5f * s->scale;
    float len = 1 / sqrtf(1 + dx * dx + dy * dy);
    float lit = (s->light[2] - dx * s->light[0] - dy * s->light[1]) * len;
    float around = 0.75f * len + 0.25f * (0.5f + 0.5f * dy * len);

    *gloss = lit > 0.9f ? (lit - 0.9f) * (lit - 0.9f) * 6 : 0;
    return s->ambient * around + (1.15f - s->ambient) * synth_max(lit, 0);
}

static void shine(synth_canvas *c)
{
    synth_box box = synth_box_around(c, 0, 0, 1.4f, 2.2f);

    box.left += box.left == 0;
    box.top += box.top == 0;
    box.right -= box.right == c->width;
    box.bottom -= box.bottom == c->height;
    SYNTH_EACH(c, box, i) {
        const synth_rgb *tint = &c->shot->tint;
        float gloss, light;

        if (c->cover[i] == 0)
            continue;
        light = light_at(c, i, &gloss) * c->shot->exposure * 1.05f;
        for (int k = 0; k < 3; k++) {
            float v = c->rgb[i].v[k] * light * tint->v[k] + gloss;

            c->rgb[i].v[k] += c->cover[i] * (v - c->rgb[i].v[k]);
        }
    }
}

/* Lines that age draws; each is darker and longer as years go by. */
static void paint_lines(synth_canvas *c, const synth_person *p, float side)
{
    float w = p->wrinkles, soft = 0.04f, smile = synth_clamp(c->shot->smile, 0, 1);
    float fold = 0.10f + 0.45f * w + 0.25f * smile;
    const synth_lens fold_line = {(p->nose_w + 0.15f) * side, p->mouth_y - 0.17f, 0.15f, 0.15f, -0.02f,
                                  1.8f * side, 0.08f};
    const synth_lens bag = {p->eye_x * side, 0.20f, 0.24f, -0.05f, 0.075f, 0, soft};
    const synth_lens chin_line = {(p->mouth_w + 0.04f) * side, p->mouth_y + 0.2f, 0.05f, 0.06f, 0.02f, 3 * side, 0.06f};

    synth_shade_lens(c, &fold_line, 1 - 0.5f * fold);
    synth_shade_lens(c, &bag, 1 - 0.06f - 0.2f * w);
    synth_shade_lens(c, &chin_line, 1 - 0.3f * p->old);
    for (int i = -1; i <= 1 && w > 0.1f; i++) {
        const synth_lens foot = {(p->eye_x + 0.40f) * side, -0.02f + 0.07f * (float)i, 0.10f, 0.016f, 0.01f,
                                 0.35f * (float)i * side, soft};

        synth_shade_lens(c, &foot, 1 - 0.25f * w);
    }
}

static void paint_forehead(synth_canvas *c, const synth_person *p)
{
    for (int i = 0; i < 3 && p->wrinkles > 0.15f; i++) {
        const synth_lens line = {0.03f * (float)(i - 1), p->brow_y - 0.20f - 0.15f * (float)i, 0.62f - 0.08f * (float)i,
                                 0.045f, -0.025f, 0, 0.03f};

        synth_shade_lens(c, &line, 1 - 0.32f * p->wrinkles);
    }
}

static void paint_brow(synth_canvas *c, const synth_person *p, float side)
{
    float x = (p->eye_x + 0.02f) * side, t = p->brow_thick;
    synth_lens brow = {x, p->brow_y + 0.06f, p->brow_w, p->brow_bend, -p->brow_bend + t,
                       (p->brow_tilt + 0.05f) * side, 0.035f};
    synth_rgb colour = synth_mix(p->hair, (synth_rgb){{0.16f, 0.11f, 0.09f}}, 0.45f);
    synth_box box = synth_box_around(c, x, p->brow_y, p->brow_w + 0.05f, 0.3f);

    SYNTH_EACH(c, box, i) {
        float inner = synth_clamp((x - c->x[i]) * side / p->brow_w, -1, 1);
        float hairs = 0.8f + 0.2f * synth_noise(c, c->x[i] * 40 + c->y[i] * 20 * side, c->y[i] * 12);

        c->rgb[i] = synth_mix(c->rgb[i], colour,
                              synth_lens_cover(&brow, c->x[i], c->y[i]) * hairs * (0.78f + 0.12f * inner));
    }
}

static void paint_blush(synth_canvas *c, const synth_person *p, float side)
{
    synth_rgb red = synth_times(p->skin, 0.95f, 0.70f, 0.68f);
    const synth_blob cheek = {0.68f * side, 0.52f, 0.42f, 0.36f};
    const synth_blob socket = {(p->eye_x - 0.1f) * side, -0.03f, 0.42f, 0.24f};
    const synth_blob shadow = {p->eye_x * side, -0.14f, 0.30f, 0.12f};
    const synth_blob nostril = {p->nose_w * 0.45f * side, p->nose_y - 0.035f, 0.085f, 0.05f};
    const synth_blob wing = {p->nose_w * 1.02f * side, p->nose_y - 0.08f, 0.06f, 0.13f};

    synth_paint_blob(c, &cheek, red, 0.2f + 0.2f * p->makeup);
    synth_shade_blob(c, &socket, 0.88f);
    synth_paint_blob(c, &shadow, synth_times(p->iris, 0.7f, 0.6f, 0.6f), 0.35f * p->makeup);
    synth_shade_blob(c, &nostril, 0.4f);
    synth_shade_blob(c, &wing, 0.8f);
}

static void paint_nose(synth_canvas *c, const synth_person *p)
{
    const synth_shot *s = c->shot;
    float n = p->nose_y;
    const synth_lens under = {0, n - 0.02f, p->nose_w * 0.95f, 0.02f, 0.045f, 0, 0.06f};
    const synth_blob cast = {-s->light[0] * 0.25f, n + 0.07f, p->nose_w, 0.12f};
    const synth_blob side = {(s->light[0] > 0 ? -1.f : 1.f) * (p->nose_bridge + 0.03f), n * 0.45f, 0.12f, 0.45f};
    const synth_rgb tip = synth_times(p->skin, 1.0f, 0.85f, 0.83f);
    const synth_blob red = {0, n - 0.14f, 0.2f, 0.17f};

    synth_paint_blob(c, &red, tip, 0.4f);
    synth_shade_lens(c, &under, 0.85f);
    synth_shade_blob(c, &cast, 0.88f);
    synth_shade_blob(c, &side, 1 - 0.25f * fabsf(s->light[0]) * (1.2f - s->ambient));
}

static void paint_mouth(synth_canvas *c, const synth_person *p)
{
    const synth_shot *s = c->shot;
    float w = p->mouth_w * (1 + 0.13f * s->smile), sag = 0.075f * s->smile, gap = 0.10f * s->open;
    float y = p->mouth_y - 0.6f * sag, soft = 1.6f * c->soft;
    const synth_lens upper = {0, y, w, p->lip_up - sag, sag + 0.01f, 0, soft};
    const synth_lens lower = {0, y, w * 0.95f, -sag, sag + gap + p->lip_low, 0, soft * 1.5f};
    const synth_lens inside = {0, y, w * 0.9f, -sag + 0.006f, sag + gap, 0, soft};
    const synth_lens teeth = {0, y, w * 0.78f, -sag + 0.004f, sag + gap * 0.75f, 0, soft};
    const synth_lens line = {0, y, w * 1.02f, -sag + 0.016f, sag + 0.018f, 0, 0.03f};
    const synth_blob bow = {0, y - p->lip_up - 0.01f + sag, 0.07f, 0.05f};
    const synth_blob below = {0, y + sag + gap + p->lip_low + 0.06f, 0.3f, 0.07f};
    const synth_blob gloss = {s->light[0] * 0.2f, y + sag + gap + p->lip_low * 0.45f, 0.16f, 0.04f};

    synth_shade_blob(c, &below, 0.8f);
    synth_paint_lens(c, &upper, synth_times(p->lips, 0.82f, 0.78f, 0.78f), 0.9f);
    synth_paint_lens(c, &lower, p->lips, 0.85f);
    synth_paint_blob(c, &bow, p->skin, 0.7f);
    synth_paint_blob(c, &gloss, (synth_rgb){{1, 0.9f, 0.88f}}, 0.18f + 0.25f * p->makeup);
    if (gap > 0) {
        synth_paint_lens(c, &inside, (synth_rgb){{0.25f, 0.08f, 0.08f}}, 1);
        synth_paint_lens(c, &teeth, (synth_rgb){{0.90f, 0.87f, 0.82f}}, 0.95f);
    } else {
        synth_paint_lens(c, &line, synth_times(p->lips, 0.35f, 0.25f, 0.25f), 0.85f);
    }
    for (int side = -1; side <= 1; side += 2) {
        const synth_blob corner = {w * (float)side, y, 0.07f, 0.06f};

        synth_shade_blob(c, &corner, 0.62f);
    }
}

/* Stubble and what lies under a beard. */
static void paint_stubble(synth_canvas *c, const synth_person *p)
{
    synth_box box = synth_box_around(c, 0, 1.0f, 1.2f, 1.0f);
    float share = p->beard == SYNTH_STUBBLE ? 0.3f : 0.08f;

    if (p->sex != FM_SEX_MALE || p->age < 17)
        return;
    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i];
        float area = synth_edge(y - p->mouth_y - 0.10f + 0.75f * x * x, 0.25f);
        const synth_lens lip = {0, p->mouth_y - 0.08f, 0.5f, 0.16f, 0.06f, 0, 0.12f};

        area = synth_max(area, synth_lens_cover(&lip, x, y));
        if (area > 0)
            c->rgb[i] = synth_mix(c->rgb[i], synth_mix(p->hair, p->skin, 0.2f),
                                  area * share * c->cover[i] * (0.85f + 0.3f * synth_noise(c, x * 50, y * 50)));
    }
}

/* Ball, iris and pupil seen through the opening of the lids. */
static void paint_eye(synth_canvas *c, const synth_person *p, float side)
{
    const synth_shot *s = c->shot;
    float ex = p->eye_x * side, squint = 1 - 0.25f * synth_clamp(s->smile, 0, 1), lit = 0.72f + 0.22f * s->exposure;
    float gx = ex + s->gaze, gy = -0.018f, soft = 1.5f * c->soft;
    const synth_lens open = {ex, 0.015f, p->eye_w, p->eye_up * squint, p->eye_low * squint, p->eye_tilt * side, soft};
    synth_box box = synth_box_around(c, ex, 0, p->eye_w + 0.05f, 0.2f);
    const synth_blob light = {gx + s->light[0] * 0.06f, gy - 0.045f, 0.035f, 0.035f};

    SYNTH_EACH(c, box, i) {
        float x = c->x[i], y = c->y[i], dx = x - gx, dy = y - gy, r = sqrtf(dx * dx + dy * dy);
        float cover = synth_lens_cover(&open, x, y), u = (x - ex) / p->eye_w;
        float lid = 1 - 0.35f * synth_edge(-y - p->eye_up * squint * 0.25f, 0.1f) - 0.22f * u * u;
        synth_rgb ball = synth_times((synth_rgb){{0.93f, 0.90f, 0.88f}}, lid * lit, lid * lit, lid * lit);
        synth_rgb ring = synth_times(p->iris, 0.45f, 0.45f, 0.45f), iris;

        if (cover == 0)
            continue;
        iris = synth_mix(p->iris, ring, synth_edge(r - p->iris_r * 0.8f, 0.05f));
        iris = synth_mix(iris, (synth_rgb){{0.03f, 0.03f, 0.03f}}, synth_edge(p->iris_r * 0.42f - r, soft));
        ball = synth_mix(ball, synth_times(iris, lid, lid, lid), synth_edge(p->iris_r - r, soft));
        ball = synth_mix(ball, (synth_rgb){{1, 1, 1}}, 0.9f * synth_edge(synth_blob_cover(&light, x, y) - 0.3f, 0.4f));
        c->rgb[i] = synth_mix(c->rgb[i], ball, cover);
    }
}

static void paint_lids(synth_canvas *c, const synth_person *p, float side)
{
    float squint = 1 - 0.25f * synth_clamp(c->shot->smile, 0, 1), x = p->eye_x * side, tilt = p->eye_tilt * side;
    float up = p->eye_up * squint, low = p->eye_low * squint, lash = 0.022f + 0.02f * p->makeup;
    float fold = up + p->crease;
    const synth_lens upper = {x, 0.015f, p->eye_w * 1.05f, up + lash, -up + 0.008f, tilt, 1.6f * c->soft};
    const synth_lens lower = {x, 0.015f, p->eye_w, -low + 0.004f, low + 0.02f, tilt, 0.03f};
    const synth_lens crease = {x, 0.0f, p->eye_w * 1.08f, fold + 0.012f, -fold + 0.012f, tilt, 0.03f};
    const synth_blob inner = {(p->eye_x - p->eye_w * 0.95f) * side, 0.02f, 0.06f, 0.04f};
    synth_rgb dark = synth_mix(synth_times(p->skin, 0.25f, 0.18f, 0.16f), (synth_rgb){{0.05f, 0.04f, 0.04f}}, 0.5f);

    synth_shade_lens(c, &crease, 0.68f - 0.1f * p->old);
    synth_paint_blob(c, &inner, (synth_rgb){{0.70f, 0.42f, 0.40f}}, 0.6f);
    synth_shade_lens(c, &lower, 0.62f);
    synth_paint_lens(c, &upper, dark, 0.9f);
}

void synth_paint_head(synth_canvas *c, const synth_person *p)
{
    lay_skin(c, p);
    raise_middle(c, p);
    for (float side = -1; side <= 1; side += 2) {
        raise_side(c, p, side);
        paint_blush(c, p, side);
        paint_lines(c, p, side);
    }
    paint_forehead(c, p);
    paint_stubble(c, p);
    paint_nose(c, p);
    paint_mouth(c, p);
    for (float side = -1; side <= 1; side += 2)
        paint_brow(c, p, side);
    shine(c);
    for (float side = -1; side <= 1; side += 2) {
        paint_eye(c, p, side);
        paint_lids(c, p, side);
    }
}

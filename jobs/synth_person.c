/* Who is in the picture and how it was taken: numbers only, nothing is painted.
 *
 * Person and shot have streams of their own, and the planted effect a third, so
 * that a subject is the same face apart from the effect whichever cohort it
 * stands for, and the cohorts of effect 0 differ in nothing but their names. */
#include <math.h>

#include "jobs/synth_face.h"

/* Normal, cut at two deviations: no face may leave what can be drawn. */
static float vary(fm_rng *r, double mean, double deviation)
{
    double n = fm_rng_normal(r);

    return (float)(mean + deviation * (n < -2 ? -2 : n > 2 ? 2 : n));
}

static float between(fm_rng *r, double low, double high)
{
    return (float)(low + (high - low) * fm_rng_uniform(r));
}

static bool chance(fm_rng *r, double p)
{
    return fm_rng_uniform(r) < p;
}

/* A colour on a line of n, with some freedom. */
static synth_rgb pick(fm_rng *r, const synth_rgb *line, int n, float at, double freedom)
{
    float t = synth_clamp(at, 0, 0.999f) * (float)(n - 1);
    synth_rgb c = synth_mix(line[(int)t], line[(int)t + 1], t - (float)(int)t);

    float lighter = 1 + vary(r, 0, freedom), warmer = vary(r, 0, freedom / 3);

    return synth_times(c, lighter * (1 + warmer), lighter, lighter * (1 - warmer));
}

static void draw_colours(fm_rng *r, synth_person *p)
{
    static const synth_rgb skins[] = {{{0.97f, 0.83f, 0.74f}}, {{0.92f, 0.75f, 0.63f}}, {{0.85f, 0.65f, 0.51f}},
                                      {{0.72f, 0.52f, 0.39f}}, {{0.55f, 0.38f, 0.28f}}};
    static const synth_rgb hairs[] = {{{0.80f, 0.65f, 0.42f}}, {{0.55f, 0.40f, 0.24f}}, {{0.48f, 0.24f, 0.12f}},
                                      {{0.32f, 0.21f, 0.14f}}, {{0.17f, 0.12f, 0.10f}}, {{0.09f, 0.08f, 0.08f}}};
    static const synth_rgb irises[] = {{{0.42f, 0.55f, 0.66f}}, {{0.40f, 0.50f, 0.38f}}, {{0.40f, 0.28f, 0.16f}},
                                       {{0.24f, 0.15f, 0.09f}}};
    static const synth_rgb grey = {{0.74f, 0.74f, 0.75f}};
    float dark = between(r, 0, 1), hair = synth_clamp(vary(r, 0.35 + 0.6 * dark, 0.25), 0, 1);
    float grey_share = synth_clamp(((float)p->age - vary(r, 52, 9)) / 22, 0, 0.95f);

    p->skin = pick(r, skins, 5, dark, 0.04);
    p->hair = synth_mix(pick(r, hairs, 6, hair, 0.1), grey, grey_share);
    p->iris = pick(r, irises, 4, synth_clamp(vary(r, 0.25 + 0.6 * hair, 0.2), 0, 1), 0.1);
    p->lips = synth_mix(synth_times(p->skin, 0.86f, 0.62f, 0.62f), (synth_rgb){{0.68f, 0.20f, 0.24f}},
                        0.15f + 0.5f * p->makeup);
}

static void draw_head(fm_rng *r, synth_person *p)
{
    float male = p->sex == FM_SEX_MALE ? 1 : 0;

    p->half_width = vary(r, 1.16 + 0.02 * male, 0.03);
    p->top = vary(r, -1.66, 0.05);
    p->chin = vary(r, 1.80 + 0.08 * male - 0.14 * p->child, 0.05);
    p->taper = vary(r, 0.30 - 0.09 * male - 0.05 * p->old, 0.035);
    p->square = vary(r, 0.16 + 0.14 * male + 0.08 * p->old, 0.05);
    p->cheek = vary(r, 0.10 + 0.03 * p->child, 0.02);
    p->jowl = p->old * vary(r, 0.08, 0.02);
    p->neck_w = vary(r, 0.68 + 0.14 * male - 0.06 * p->child, 0.03);
}

static void draw_eyes(fm_rng *r, synth_person *p)
{
    float male = p->sex == FM_SEX_MALE ? 1 : 0;

    p->eye_x = vary(r, 0.5, 0.012);
    p->eye_w = vary(r, 0.245 + 0.015 * p->child, 0.01);
    p->eye_up = vary(r, 0.105 + 0.015 * p->child - 0.02 * p->old - 0.008 * male, 0.010);
    p->eye_low = vary(r, 0.062 + 0.01 * p->child, 0.008);
    p->eye_tilt = vary(r, -0.06 + 0.05 * p->old, 0.05);
    p->iris_r = vary(r, 0.112, 0.004);
    p->crease = vary(r, 0.075, 0.02);
    p->brow_y = vary(r, -0.37 + 0.05 * male, 0.03);
    p->brow_w = vary(r, 0.36, 0.02);
    p->brow_thick = vary(r, 0.062 + 0.04 * male, 0.012);
    p->brow_bend = vary(r, 0.12 - 0.04 * male, 0.025);
    p->brow_tilt = vary(r, -0.06 + 0.07 * p->old, 0.05);
    p->brow_ridge = vary(r, 0.03 + 0.05 * male, 0.01);
}

static void draw_nose_and_mouth(fm_rng *r, synth_person *p)
{
    float male = p->sex == FM_SEX_MALE ? 1 : 0;

    p->nose_y = vary(r, 0.67 + 0.03 * male - 0.07 * p->child + 0.03 * p->old, 0.025);
    p->nose_w = vary(r, 0.265 + 0.025 * male + 0.015 * p->old, 0.02);
    p->nose_bridge = vary(r, 0.17, 0.012);
    p->nose_tip = vary(r, 0.17 + 0.02 * male, 0.015);
    p->mouth_y = p->nose_y + vary(r, 0.38 - 0.02 * p->child + 0.02 * p->old, 0.02);
    p->mouth_w = vary(r, 0.39, 0.025);
    p->lip_up = vary(r, 0.085 - 0.012 * male - 0.025 * p->old, 0.012);
    p->lip_low = vary(r, 0.125 - 0.015 * male - 0.03 * p->old, 0.015);
}

static void draw_hair(fm_rng *r, synth_person *p)
{
    bool male = p->sex == FM_SEX_MALE;
    float bald = male ? synth_clamp(((float)p->age - vary(r, 62, 18)) / 30, 0, 1) : 0;
    double style = fm_rng_uniform(r), beard = fm_rng_uniform(r);

    p->style = male ? (bald > 0.6f ? SYNTH_HAIR_BALD : style < 0.95 ? SYNTH_HAIR_SHORT : SYNTH_HAIR_BOB)
                    : (style < 0.15 ? SYNTH_HAIR_SHORT : style < 0.5 ? SYNTH_HAIR_BOB : SYNTH_HAIR_LONG);
    p->hair_thick = vary(r, male ? 0.16 : 0.22, 0.04);
    p->hairline = vary(r, -1.0, 0.06) - 0.35f * bald;
    p->fringe = chance(r, male ? 0.25 : 0.4) && bald == 0 ? between(r, 0.1, 0.32) : 0;
    p->parting = vary(r, 0, 0.3);
    p->curl = chance(r, 0.3) ? between(r, 0.5, 1) : between(r, 0, 0.2);
    p->beard = !male || p->age < 20 || beard < 0.45 ? SYNTH_SHAVEN
               : beard < 0.7 ? SYNTH_STUBBLE : beard < 0.82 ? SYNTH_MOUSTACHE : SYNTH_BEARD;
}

static void draw_extras(fm_rng *r, synth_person *p)
{
    static const synth_rgb rims[] = {{{0.08f, 0.08f, 0.09f}}, {{0.30f, 0.18f, 0.10f}}, {{0.45f, 0.45f, 0.48f}},
                                     {{0.35f, 0.10f, 0.12f}}};

    p->wrinkles = synth_clamp(((float)p->age - vary(r, 28, 5)) / 45, 0, 1);
    p->freckles = chance(r, 0.15) ? between(r, 0.3, 1) : 0;
    p->glasses = chance(r, 0.1 + 0.1 * p->old);
    p->rim = between(r, 0.018, 0.035);
    p->rim_square = between(r, 0, 1);
    p->rim_colour = pick(r, rims, 4, between(r, 0, 1), 0.1);
}

/* The planted difference: eyes set wider and slanting down, a broad bridge of
 * the nose, a long philtrum with a thin upper lip, a full lower face.  What a
 * case has of each varies around the effect. */
static void plant_effect(const fm_synth_id *id, synth_person *p)
{
    fm_rng r = fm_rng_init((uint64_t)id->seed, fm_rng_stream("synth effect", (uint64_t)id->subject, 0));
    float e = (float)id->effect;
    float share[5];

    for (int i = 0; i < 5; i++)
        share[i] = e * vary(&r, 1, 0.35);
    p->eye_x += 0.028f * share[0];
    p->eye_tilt += 0.04f * share[0];
    p->nose_bridge += 0.028f * share[1];
    p->nose_w += 0.016f * share[1];
    p->mouth_y += 0.03f * share[2];
    p->lip_up *= synth_clamp(1 - 0.15f * share[3], 0.3f, 1);
    p->taper -= 0.04f * share[4];
    p->square += 0.04f * share[4];
}

void synth_person_draw(const fm_synth_id *id, synth_person *p)
{
    fm_rng r = fm_rng_init((uint64_t)id->seed, fm_rng_stream("synth person", (uint64_t)id->subject, 0));

    *p = (synth_person){.sex = chance(&r, 0.5) ? FM_SEX_MALE : FM_SEX_FEMALE, .age = 10 + (int)fm_rng_below(&r, 71)};
    p->child = synth_clamp((20 - (float)p->age) / 10, 0, 1);
    p->old = synth_clamp(((float)p->age - 45) / 35, 0, 1);
    p->makeup = p->sex == FM_SEX_FEMALE && p->age > 15 && chance(&r, 0.5) ? between(&r, 0.3, 1) : 0;
    draw_colours(&r, p);
    draw_head(&r, p);
    draw_eyes(&r, p);
    draw_nose_and_mouth(&r, p);
    draw_hair(&r, p);
    draw_extras(&r, p);
    plant_effect(id, p);
}

static void draw_light(fm_rng *r, synth_shot *s)
{
    float x = vary(r, 0, 0.3), y = between(r, -0.65, -0.2);

    s->light[0] = x;
    s->light[1] = y;
    s->light[2] = sqrtf(1 - x * x - y * y);
    s->ambient = between(r, 0.4, 0.75);
    s->exposure = vary(r, 1, 0.07);
    for (int k = 0; k < 3; k++)
        s->tint.v[k] = vary(r, 1, 0.015);
}

static synth_rgb any_colour(fm_rng *r, double low, double high)
{
    float grey = between(r, low, high);
    synth_rgb c;

    for (int k = 0; k < 3; k++)
        c.v[k] = synth_clamp(grey + vary(r, 0, 0.08), 0.03f, 0.97f);
    return c;
}

void synth_shot_draw(const fm_synth_id *id, const synth_person *p, synth_shot *s)
{
    fm_rng r = fm_rng_init((uint64_t)id->seed,
                           fm_rng_stream("synth shot", (uint64_t)id->subject, (uint64_t)id->photo));
    double angle = vary(&r, 0, 0.04);

    *s = (synth_shot){.width = 240 + (int)fm_rng_below(&r, 121), .backdrop = (int)fm_rng_below(&r, 5)};
    s->height = s->width + (int)fm_rng_below(&r, (uint32_t)(361 - s->width));
    s->scale = (float)s->width * between(&r, 0.19, 0.225);
    s->origin[0] = (float)s->width * vary(&r, 0.5, 0.02);
    s->origin[1] = (float)s->height * vary(&r, 0.47, 0.015);
    s->roll[0] = (float)cos(angle);
    s->roll[1] = (float)sin(angle);
    s->yaw = vary(&r, 0, 0.045);
    s->pitch = vary(&r, 0, 0.025);
    draw_light(&r, s);
    s->clothes = any_colour(&r, 0.1, 0.8);
    s->back[0] = any_colour(&r, 0.25, 0.9);
    s->back[1] = synth_mix(s->back[0], any_colour(&r, 0.1, 0.9), 0.6f);
    s->smile = synth_clamp(vary(&r, 0.35, 0.35), -0.15f, 1);
    s->open = s->smile > 0.55f && chance(&r, 0.6) ? between(&r, 0.4, 1) : 0;
    s->gaze = vary(&r, 0, 0.015);
    s->grain = between(&r, 0.004, 0.018);
    s->texture = fm_rng_stream("synth texture", (uint64_t)id->subject, (uint64_t)id->photo);
    if (p->child > 0)
        s->scale *= 1 - 0.05f * p->child;
}

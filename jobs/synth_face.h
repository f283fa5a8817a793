/* Between the files that draw generated faces; nobody else includes this.
 *
 * Face coordinates: origin between the pupils, x to the picture's right, y down,
 * 1 is the pupil distance of the average adult.  z comes towards the viewer. */
#ifndef FM_JOBS_SYNTH_FACE_H
#define FM_JOBS_SYNTH_FACE_H

#include "base/rng.h"
#include "jobs/synth.h"

typedef struct { float v[3]; } synth_rgb;   /* 0 .. 1 */

enum { SYNTH_NOISE = 64 };      /* a side of the table that textures are read from; a power of two */

typedef enum { SYNTH_HAIR_BALD, SYNTH_HAIR_SHORT, SYNTH_HAIR_BOB, SYNTH_HAIR_LONG } synth_hair;
typedef enum { SYNTH_SHAVEN, SYNTH_STUBBLE, SYNTH_MOUSTACHE, SYNTH_BEARD } synth_beard;

/* Who it is: the same in every photograph of a subject. */
typedef struct {
    fm_sex sex;
    int age;
    float child, old;           /* 0 .. 1 */
    synth_rgb skin, hair, iris, lips;
    float half_width, top, chin, taper, square;     /* the head's outline, see synth_outline */
    float eye_x, eye_w, eye_up, eye_low, eye_tilt, iris_r, crease;
    float brow_y, brow_w, brow_thick, brow_bend, brow_tilt, brow_ridge;
    float nose_y, nose_w, nose_bridge, nose_tip;    /* nose_y: where nose and upper lip meet */
    float mouth_y, mouth_w, lip_up, lip_low;
    float cheek, jowl;
    float wrinkles, makeup, freckles;
    float neck_w;
    synth_hair style;
    float hair_thick, hairline, fringe, parting, curl;
    synth_beard beard;
    bool glasses;
    float rim, rim_square;
    synth_rgb rim_colour;
} synth_person;

/* How it was taken. */
typedef struct {
    int width, height;
    float scale;                /* pixels a unit */
    float origin[2];            /* where the face's origin is, pixels */
    float roll[2];              /* cosine, sine */
    float yaw, pitch;           /* how far the middle of the face is moved, units */
    float light[3], ambient, exposure;
    synth_rgb tint, clothes, back[2];
    int backdrop;
    float smile, open, gaze;
    float grain;
    uint64_t texture;           /* stream of noise tables and grain */
} synth_shot;

void synth_person_draw(const fm_synth_id *id, synth_person *p);
void synth_shot_draw(const fm_synth_id *id, const synth_person *p, synth_shot *s);

/* What is painted on. */
typedef struct {
    const synth_shot *shot;
    int width, height;
    float soft;                 /* units a pixel */
    float *x, *y, *z;           /* [height * width] face coordinates and relief of each pixel */
    float *cover;               /* how much of the pixel is head */
    synth_rgb *rgb;
    float noise[SYNTH_NOISE][SYNTH_NOISE];  /* -1 .. 1 */
    fm_rng grain;
} synth_canvas;

int synth_canvas_create(const synth_shot *shot, int64_t seed, synth_canvas *out, fm_err *err);
void synth_canvas_destroy(synth_canvas *c);
/* Grain and rounding. */
void synth_canvas_develop(synth_canvas *c, fm_image *out);
/* Face coordinates to pixels. */
void synth_project(const synth_shot *s, float x, float y, double pixel[2]);

/* Smooth noise, -1 .. 1, one cell a unit of its own coordinates. */
float synth_noise(const synth_canvas *c, float u, float v);

/* Inline, because they run some hundred times a pixel. */
static inline float synth_min(float a, float b) { return a < b ? a : b; }
static inline float synth_max(float a, float b) { return a > b ? a : b; }
static inline float synth_clamp(float v, float low, float high) { return synth_min(synth_max(v, low), high); }

/* 0 below -soft/2, 1 above soft/2, smooth between. */
static inline float synth_edge(float distance, float soft)
{
    float t = synth_clamp(distance / soft + 0.5f, 0, 1);

    return t * t * (3 - 2 * t);
}

static inline synth_rgb synth_mix(synth_rgb a, synth_rgb b, float share)
{
    for (int k = 0; k < 3; k++)
        a.v[k] += share * (b.v[k] - a.v[k]);
    return a;
}

static inline synth_rgb synth_times(synth_rgb a, float r, float g, float b)
{
    return (synth_rgb){{a.v[0] * r, a.v[1] * g, a.v[2] * b}};
}

/* An area between two arcs over the same chord: eyes, lips, brows, lines.
 * Both arcs are parabolas; up and low say how far they rise above and sink below
 * the chord in the middle, and may be negative. */
typedef struct {
    float x, y, half;           /* the chord's middle and half length */
    float up, low;
    float tilt;                 /* slope of the chord */
    float soft;                 /* width of the edge */
} synth_lens;
float synth_lens_cover(const synth_lens *l, float x, float y);

/* An ellipse that fades from 1 in the middle to 0 at its rim. */
typedef struct { float x, y, rx, ry; } synth_blob;
float synth_blob_cover(const synth_blob *b, float x, float y);

/* Run over the pixels whose face coordinates may lie within r of (x, y). */
typedef struct { int left, top, right, bottom; } synth_box;     /* right and bottom exclusive */
synth_box synth_box_around(const synth_canvas *c, float x, float y, float rx, float ry);
#define SYNTH_EACH(c, box, i)                                                        \
    for (int row_ = (box).top; row_ < (box).bottom; row_++)                          \
        for (size_t i = (size_t)row_ * (size_t)(c)->width + (size_t)(box).left,      \
             end_ = i + (size_t)((box).right - (box).left); i < end_; i++)

/* Mix a colour in. */
void synth_paint_lens(synth_canvas *c, const synth_lens *l, synth_rgb colour, float share);
void synth_paint_blob(synth_canvas *c, const synth_blob *b, synth_rgb colour, float share);
/* Multiply by a grey. */
void synth_shade_lens(synth_canvas *c, const synth_lens *l, float factor);
void synth_shade_blob(synth_canvas *c, const synth_blob *b, float factor);
/* Add to the relief. */
void synth_raise(synth_canvas *c, const synth_blob *b, float height);

/* The head as an egg: 0 in the middle, 1 on the outline.  grow widens it on every side. */
float synth_outline(const synth_person *p, float grow, float x, float y);
/* Signed distance from the outline, positive inside. */
float synth_outline_depth(const synth_person *p, float grow, float x, float y);

/* The parts, in the order in which they are painted. */
void synth_paint_backdrop(synth_canvas *c);
void synth_paint_behind(synth_canvas *c, const synth_person *p);    /* hair behind, neck, clothes, ears */
void synth_paint_head(synth_canvas *c, const synth_person *p);      /* skin and all on it */
void synth_paint_before(synth_canvas *c, const synth_person *p);    /* hair before, beard, glasses */

#endif

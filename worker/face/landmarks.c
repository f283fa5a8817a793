/* A packed predictor keeps each cascade level's splits and leaves in flat
 * arrays.  A face needs 4 MB of the 70 MB of leaves, at places that its pixels
 * decide, and waits for memory.  So a level's trees are all descended first, and
 * each leaf is fetched as soon as it is known; they lie on whole cache lines.  Arithmetic follows dlib (image_processing/shape_predictor.h): shapes
 * in single precision, transforms in double, products fused as compilers fuse
 * them there, so that landmarks round to the same pixels. */
#include "worker/face/landmarks.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/dat.h"
#include "base/pages.h"
#include "worker/face/similarity.h"

#define MAGIC 0x324b4d4cu       /* "LMK2" */
#define LINE 64                 /* bytes of a cache line */
#define POINTS_MAX 68
#define DEPTH_MAX 12
#define FEATURES_MAX 65535
#define TREES_AHEAD 512
#define FAR (-(1 << 24))        /* 16 times the longest side of an image, outside it */

typedef struct {
    uint16_t first, second;     /* which two pixels are compared */
    float threshold;
} split;

typedef struct {
    uint32_t magic, points, levels, trees, depth, features;
    uint64_t bytes;             /* of the whole image */
} header;

/* After the header, each part 64-byte aligned: shape f32 [2 points]; per level:
 * anchors u16 [features], deltas f32 [features][2], splits [trees][2^depth - 1],
 * leaves f32 [trees][2^depth][leaf_floats]. */
typedef struct {
    const uint16_t *anchors;
    const float *deltas;
    const split *splits;
    const float *leaves;
} stage;

struct fm_landmarks {
    header h;
    const float *shape;
    stage *stages;
};

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* A leaf's two numbers for each point, and zeros to the end of a cache line. */
static size_t leaf_floats(const header *h)
{
    return aligned(2 * h->points * sizeof(float)) / sizeof(float);
}

typedef struct {
    size_t anchors, deltas, splits, leaves, total;      /* offsets in a level, its size */
} layout;

static layout layout_of(const header *h)
{
    size_t leaves = (size_t)1 << h->depth;
    layout l;

    l.anchors = 0;
    l.deltas = aligned(h->features * sizeof(uint16_t));
    l.splits = l.deltas + aligned(h->features * 2 * sizeof(float));
    l.leaves = l.splits + aligned(h->trees * (leaves - 1) * sizeof(split));
    l.total = l.leaves + h->trees * leaves * leaf_floats(h) * sizeof(float);
    return l;
}

static size_t shape_bytes(const header *h)
{
    return aligned(2 * h->points * sizeof(float));
}

static size_t image_bytes(const header *h)
{
    return aligned(sizeof *h) + shape_bytes(h) + h->levels * layout_of(h).total;
}

/* A dlib matrix<float,0,1> of n rows into to (NULL: skip). */
static void read_column(fm_reader *r, size_t n, float *to)
{
    int64_t rows = fm_dat_int(r), columns = fm_dat_int(r);

    /* the newer format writes negative sizes */
    if ((rows != (int64_t)n && rows != -(int64_t)n) || (columns != 1 && columns != -1))
        r->failed = true;
    for (size_t i = 0; i < n && !r->failed; i++)
        to[i] = (float)fm_dat_real(r);
}

static int log2_of(size_t n)
{
    int depth = 0;

    while (((size_t)1 << depth) < n)
        depth++;
    return ((size_t)1 << depth) == n ? depth : -1;
}

static bool read_tree(fm_reader *r, const header *h, split *splits, float *leaves)
{
    size_t n_leaves = (size_t)1 << h->depth;

    if (fm_dat_count(r, 8) != n_leaves - 1)
        return false;
    for (size_t i = 0; i < n_leaves - 1; i++) {
        int64_t first = fm_dat_int(r), second = fm_dat_int(r);

        if (first < 0 || second < 0 || first >= FEATURES_MAX || second >= FEATURES_MAX)
            return false;
        splits[i] = (split){(uint16_t)first, (uint16_t)second, (float)fm_dat_real(r)};
    }
    if (fm_dat_count(r, 4) != n_leaves)
        return false;
    for (size_t i = 0; i < n_leaves; i++)
        read_column(r, 2 * h->points, leaves + i * leaf_floats(h));
    return !r->failed;
}

/* Sizes that are needed before memory can be laid out: looks ahead at the first tree and pool. */
static bool read_sizes(fm_reader r, header *h)
{
    size_t levels = fm_dat_count(&r, 16), trees = fm_dat_count(&r, 16), splits = fm_dat_count(&r, 8);
    int depth = log2_of(splits + 1);

    h->levels = (uint32_t)levels;
    h->trees = (uint32_t)trees;
    h->depth = (uint32_t)depth;
    return !r.failed && levels >= 1 && levels <= 1000 && trees >= 1 && trees <= 100000 && depth >= 1 &&
           depth <= DEPTH_MAX;
}

static bool skip_forests(fm_reader *r, const header *h)
{
    split splits[1 << DEPTH_MAX];
    float *leaves = malloc(((size_t)1 << h->depth) * leaf_floats(h) * sizeof *leaves);
    bool ok = leaves && fm_dat_count(r, 16) == h->levels;

    for (uint32_t i = 0; ok && i < h->levels; i++) {
        ok = fm_dat_count(r, 16) == h->trees;
        for (uint32_t t = 0; ok && t < h->trees; t++)
            ok = read_tree(r, h, splits, leaves);
    }
    free(leaves);
    return ok;
}

static bool read_pools(fm_reader *r, const header *h, uint8_t *levels)
{
    layout l = layout_of(h);

    if (fm_dat_count(r, 2) != h->levels)
        return false;
    for (uint32_t i = 0; i < h->levels; i++) {
        uint16_t *anchors = (uint16_t *)(void *)(levels + i * l.total + l.anchors);

        if (fm_dat_count(r, 2) != h->features)
            return false;
        for (uint32_t f = 0; f < h->features; f++) {
            int64_t a = fm_dat_int(r);

            if (a < 0 || a >= (int64_t)h->points)
                return false;
            anchors[f] = (uint16_t)a;
        }
    }
    if (fm_dat_count(r, 2) != h->levels)
        return false;
    for (uint32_t i = 0; i < h->levels; i++) {
        float *deltas = (float *)(void *)(levels + i * l.total + l.deltas);

        if (fm_dat_count(r, 8) != h->features)
            return false;
        for (uint32_t f = 0; f < 2 * h->features; f++)
            deltas[f] = (float)fm_dat_real(r);
    }
    return !r->failed;
}

static bool read_forests(fm_reader *r, const header *h, uint8_t *levels)
{
    layout l = layout_of(h);
    size_t n_leaves = (size_t)1 << h->depth;
    bool ok = fm_dat_count(r, 16) == h->levels;

    for (uint32_t i = 0; ok && i < h->levels; i++) {
        split *splits = (split *)(void *)(levels + i * l.total + l.splits);
        float *leaves = (float *)(void *)(levels + i * l.total + l.leaves);

        ok = fm_dat_count(r, 16) == h->trees;
        for (uint32_t t = 0; ok && t < h->trees; t++)
            ok = read_tree(r, h, splits + t * (n_leaves - 1), leaves + t * n_leaves * leaf_floats(h));
        for (size_t s = 0; ok && s < h->trees * (n_leaves - 1); s++)
            ok = splits[s].first < h->features && splits[s].second < h->features;
    }
    return ok;
}

static bool read_header(fm_reader *r, header *h)
{
    fm_reader peek;
    int64_t rows;

    if (fm_dat_int(r) != 1)
        return false;
    peek = *r;
    rows = fm_dat_int(&peek);
    *h = (header){.magic = MAGIC, .points = rows == 2 * 68 || rows == -2 * 68 ? 68 : 5};
    return !peek.failed && (h->points == 68 || rows == 2 * 5 || rows == -2 * 5);
}

int fm_landmarks_pack(const void *file, size_t n, fm_buf *out, fm_err *err)
{
    fm_reader r = fm_reader_init(file, n), forests, pools;
    float shape[2 * POINTS_MAX];
    size_t start = out->size;
    header h;
    uint8_t *to, *levels;

    if (!read_header(&r, &h))
        goto bad;
    read_column(&r, 2 * h.points, shape);
    forests = r;
    if (r.failed || !read_sizes(r, &h) || !skip_forests(&r, &h))
        goto bad;
    pools = r;
    fm_dat_count(&r, 2);
    h.features = (uint32_t)fm_dat_count(&r, 2);
    if (r.failed || h.features < 1 || h.features >= FEATURES_MAX ||
        (uint64_t)h.levels * h.features > fm_reader_left(&r) / 2)
        goto bad;
    h.bytes = image_bytes(&h);
    to = fm_buf_add(out, h.bytes);
    if (!to)
        return fm_fail_nomem(err, "landmark model", h.bytes);
    memset(to, 0, h.bytes);
    memcpy(to, &h, sizeof h);
    memcpy(to + aligned(sizeof h), shape, 2 * h.points * sizeof *shape);
    levels = to + aligned(sizeof h) + shape_bytes(&h);
    if (read_forests(&forests, &h, levels) && read_pools(&pools, &h, levels))
        return 0;
bad:
    out->size = start;
    return fm_fail(err, -EBADMSG, "landmark model of %zu bytes: not a shape predictor with 68 or 5 points as dlib "
                   "writes it (version 1), or damaged", n);
}

int fm_landmarks_open(const void *packed, size_t n, fm_landmarks **out, fm_err *err)
{
    const uint8_t *at = packed;
    fm_landmarks *l;
    layout lay;
    header h;

    if (n >= sizeof h)
        memcpy(&h, packed, sizeof h);
    if (n < sizeof h || h.magic != MAGIC || h.bytes > n || h.depth > DEPTH_MAX || h.points > POINTS_MAX ||
        image_bytes(&h) != h.bytes)
        return fm_fail(err, -EBADMSG, "packed landmark model: not one, or cut short");
    l = calloc(1, sizeof *l);
    if (l)
        l->stages = calloc(h.levels, sizeof *l->stages);
    if (!l || !l->stages) {
        free(l);
        return fm_fail_nomem(err, "landmark model", h.levels * sizeof *l->stages);
    }
    fm_pages_collapse(packed, n);       /* leaves are read all over it, each from another page */
    lay = layout_of(&h);
    l->h = h;
    l->shape = (const float *)(const void *)(at + aligned(sizeof h));
    at += aligned(sizeof h) + shape_bytes(&h);
    for (uint32_t i = 0; i < h.levels; i++, at += lay.total)
        l->stages[i] = (stage){(const uint16_t *)(const void *)(at + lay.anchors),
                               (const float *)(const void *)(at + lay.deltas),
                               (const split *)(const void *)(at + lay.splits),
                               (const float *)(const void *)(at + lay.leaves)};
    *out = l;
    return 0;
}

void fm_landmarks_close(fm_landmarks *l)
{
    if (l)
        free(l->stages);
    free(l);
}

int fm_landmarks_count(const fm_landmarks *l)
{
    return (int)l->h.points;
}

/* From shape space (0..1 in the box) to pixels; dlib inverts a matrix for this, which changes the last bits only. */
typedef struct {
    double scale_x, scale_y, left, top;
} to_pixels;

/* The nearest pixel; what a damaged model puts nowhere or beyond every image is put at FAR. */
static int32_t nearest(double v)
{
    v = floor(v + 0.5);
    return v >= FAR && v <= -FAR ? (int32_t)v : FAR;
}

static fm_point pixel_of(const to_pixels *t, float x, float y)
{
    return (fm_point){nearest(t->scale_x * x + t->left), nearest(t->scale_y * y + t->top)};
}

/* The values of the level's pixels, as grey: the colours' mean, cut. */
static void features(const fm_landmarks *l, const stage *s, const fm_image *image, const to_pixels *t,
                     const float *shape, float *values)
{
    double m[2][2];
    float f[2][2];

    fm_similarity_between(l->shape, shape, (int)l->h.points, m);
    for (int i = 0; i < 4; i++)
        f[i / 2][i % 2] = (float)m[i / 2][i % 2];
    for (uint32_t i = 0; i < l->h.features; i++) {
        const float *d = s->deltas + 2 * i, *a = shape + 2 * s->anchors[i];
        float x = f[0][0] * d[0] + f[0][1] * d[1] + a[0], y = f[1][0] * d[0] + f[1][1] * d[1] + a[1];
        fm_point p = pixel_of(t, x, y);
        const uint8_t *rgb;

        values[i] = 0;
        if (p.x < 0 || p.y < 0 || p.x >= image->width || p.y >= image->height)
            continue;
        rgb = image->pixels + (size_t)p.y * image->stride_bytes + 3 * (size_t)p.x;
        values[i] = (float)((rgb[0] + rgb[1] + rgb[2]) / 3);
    }
}

/* The leaf of one tree, on its way to the cache. */
static const float *descend(const fm_landmarks *l, const stage *s, uint32_t tree, const float *values)
{
    uint32_t n_splits = (1u << l->h.depth) - 1, i = 0;
    const split *splits = s->splits + (size_t)tree * n_splits;
    size_t n = leaf_floats(&l->h);
    const float *leaf;

    for (uint32_t d = 0; d < l->h.depth; d++)
        i = 2 * i + 2 - (values[splits[i].first] - values[splits[i].second] > splits[i].threshold);
    leaf = s->leaves + ((size_t)tree * (n_splits + 1) + (i - n_splits)) * n;
    for (size_t k = 0; k < n; k += LINE / sizeof *leaf)
        __builtin_prefetch(leaf + k);
    return leaf;
}

/* TREES_AHEAD leaves are no more than the second-level cache holds.  next: the stage whose splits are wanted then. */
static void move_shape(const fm_landmarks *l, const stage *s, const stage *next, const float *values, float *shape)
{
    const float *leaves[TREES_AHEAD];
    uint32_t n = 2 * l->h.points, n_splits = (1u << l->h.depth) - 1;

    for (uint32_t from = 0; from < l->h.trees; from += TREES_AHEAD) {
        uint32_t trees = l->h.trees - from < TREES_AHEAD ? l->h.trees - from : TREES_AHEAD;

        for (uint32_t t = 0; t < trees; t++)
            leaves[t] = descend(l, s, from + t, values);
        for (uint32_t t = 0; t < trees; t++) {
            const split *later = next->splits + (size_t)(from + t) * n_splits;

            for (uint32_t i = 0; i < n_splits; i += LINE / sizeof *later)
                __builtin_prefetch(later + i);
            for (uint32_t k = 0; k < n; k++)
                shape[k] += leaves[t][k];
        }
    }
}

void fm_landmarks_find(const fm_landmarks *l, const fm_image *image, const fm_face_box *box, fm_point *points)
{
    to_pixels t = {(double)box->right - box->left, (double)box->bottom - box->top, box->left, box->top};
    float shape[2 * POINTS_MAX], values[FEATURES_MAX];

    memcpy(shape, l->shape, 2 * l->h.points * sizeof *shape);
    for (uint32_t i = 0; i < l->h.levels; i++) {
        features(l, &l->stages[i], image, &t, shape, values);
        move_shape(l, &l->stages[i], &l->stages[i + 1 < l->h.levels ? i + 1 : i], values, shape);
    }
    for (uint32_t i = 0; i < l->h.points; i++)
        points[i] = pixel_of(&t, shape[2 * i], shape[2 * i + 1]);
}

/* Runs the network over a packed image, a batch at a time.
 *
 * A residual stage keeps two tensors, each with a border of zeros that is
 * written once: x, what the blocks add to, and mid, what lies between a block's
 * two convolutions.  Convolutions of every pixel are Winograd's: a matrix product
 * for each point of tiles of 4 x 4 or 6 x 6 pixels, which takes a quarter or less
 * of the multiplications, over as many tiles at a time as stay in the
 * second-level cache.  So is the first one, over pixels taken two by two.  Those
 * that halve the picture are one product whose rows are windows of the input,
 * read in place: there tiles would save little.
 *
 * A tile or window knows nothing of its neighbours in the batch, so a code does
 * not depend on them. */
#include "worker/net/encoder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "worker/net/kernels.h"
#include "worker/net/packed.h"

enum {
    STAGES = 5,
    FOLDED_SIDE = 78,           /* a chip's pixels two by two, 75, and what whole tiles read beyond */
    FOLDED_CHANNELS = 16,       /* of which FM_FOLDED count */
    STEM_TILES = 15,            /* across */
    STEM_ROWS = 10,             /* of the first convolution that are kept: two rows of tiles */
    STEM_SIDE = 75,
    STEM_CHANNELS = 32,
    ROWS_MAX = FM_ENCODER_BATCH * 8 * 8     /* of one product: a batch at the third stage's size */
};

typedef struct {
    int side;                   /* pixels of x and mid */
    int padded;                 /* with the border: what whole tiles read */
    int channels;
    int first, blocks;          /* its first convolution; how many blocks of two */
    int down_side;              /* pixels the first convolution gives when it makes the picture smaller, else 0 */
    int tiles;                  /* at a time */
    int images;                 /* at a time: the first stage's tensors are as large as the cache */
} stage_shape;

static const stage_shape stages[STAGES] = {
    {35, 38, 32, 1, 3, 0, 18, 1},
    {17, 20, 64, 7, 4, 17, 9, FM_ENCODER_BATCH},
    {8, 10, 128, 15, 3, 8, 12, FM_ENCODER_BATCH},
    {4, 6, 256, 21, 3, 3, 16, FM_ENCODER_BATCH},
    {2, 4, 256, 27, 1, 1, 0, FM_ENCODER_BATCH}};

struct fm_encoder {
    const uint8_t *packed;
    const fm_net_kernels *k;
    fm_packed_layout layout;
    float mean[3];
    float *memory;              /* one block for everything below */
    float *folded;              /* [78][78][16] */
    float *stem;                /* [10][75][32] rows of the first convolution */
    float *x[STAGES], *mid[STAGES];     /* [images][padded][padded][channels] */
    float *points, *sums;       /* [points][tiles][channels] */
    float *pooled, *embedding;  /* [batch][256], [batch][128] */
    int32_t *in_at, *out_at;    /* [ROWS_MAX] rows of a product */
};

int fm_encoder_open(const void *packed, size_t n, fm_encoder **out, fm_err *err)
{
    fm_packed_layout layout = fm_packed_layout_of();
    fm_packed_header h;
    fm_encoder *e;

    if (n < sizeof h)
        return fm_fail(err, -EBADMSG, "packed encoder: %zu bytes are less than a header", n);
    memcpy(&h, packed, sizeof h);
    if (h.magic != FM_PACKED_MAGIC || h.bytes != layout.bytes || n < h.bytes)
        return fm_fail(err, -EBADMSG, "packed encoder: not one, or cut short (%zu of %zu bytes)", n, layout.bytes);
    if (h.isa > FM_ISA_AVX512 || h.isa > (uint32_t)fm_cpu_isa() ||
        h.panel != (uint32_t)fm_net_kernels_for((fm_isa)h.isa)->panel)
        return fm_fail(err, -EBADMSG, "packed encoder: made for an instruction set this processor lacks; pack it again here");
    e = calloc(1, sizeof *e);
    if (!e)
        return fm_fail_nomem(err, "encoder", sizeof *e);
    fm_pages_collapse(packed, n);       /* weights are read once a batch, from end to end */
    e->packed = packed;
    e->k = fm_net_kernels_for((fm_isa)h.isa);
    e->layout = layout;
    memcpy(e->mean, h.mean, sizeof e->mean);
    *out = e;
    return 0;
}

void fm_encoder_close(fm_encoder *e)
{
    if (!e)
        return;
    free(e->memory);
    free(e);
}

static size_t image_floats(const stage_shape *s)
{
    return (size_t)(s->padded * s->padded * s->channels);
}

/* Hands out 64-byte aligned parts of memory; with memory NULL only counts. */
static float *part(float *memory, size_t *used, size_t floats)
{
    float *at = memory ? memory + *used : NULL;

    *used += (floats + 15) & ~(size_t)15;
    return at;
}

static const fm_tile_kernels *tile_kernels(const fm_encoder *e, int conv)
{
    return fm_packed_points(conv) == e->k->six.points ? &e->k->six : &e->k->four;
}

/* Floats that the points of a stage's tiles take. */
static size_t points_floats(const fm_encoder *e, const stage_shape *s)
{
    int points = tile_kernels(e, s->first + 1)->points;

    return (size_t)(points * points * s->tiles * s->channels);
}

static size_t lay_out(fm_encoder *e, float *memory)
{
    size_t used = 0, floats = (size_t)(e->k->five.points * e->k->five.points * STEM_TILES * STEM_CHANNELS);

    e->folded = part(memory, &used, FOLDED_SIDE * FOLDED_SIDE * FOLDED_CHANNELS);
    e->stem = part(memory, &used, STEM_ROWS * STEM_SIDE * STEM_CHANNELS);
    for (int s = 0; s < STAGES; s++) {
        size_t n = points_floats(e, &stages[s]), tensor = (size_t)stages[s].images * image_floats(&stages[s]);

        e->x[s] = part(memory, &used, tensor);
        e->mid[s] = part(memory, &used, tensor);
        floats = n > floats ? n : floats;
    }
    e->points = part(memory, &used, floats);
    e->sums = part(memory, &used, floats);
    e->pooled = part(memory, &used, FM_ENCODER_BATCH * FM_ENCODER_POOLED);
    e->embedding = part(memory, &used, FM_ENCODER_BATCH * FM_ENCODER_EMBEDDING);
    e->in_at = (int32_t *)(void *)part(memory, &used, ROWS_MAX);
    e->out_at = (int32_t *)(void *)part(memory, &used, ROWS_MAX);
    return used;
}

static int workspace(fm_encoder *e, fm_err *err)
{
    size_t bytes;

    if (e->memory)
        return 0;
    bytes = lay_out(e, NULL) * sizeof(float);
    e->memory = aligned_alloc(64, bytes);
    if (!e->memory)
        return fm_fail_nomem(err, "the encoder's workspace", bytes);
    memset(e->memory, 0, bytes);
    lay_out(e, e->memory);
    return 0;
}

static const float *weights(const fm_encoder *e, int conv)
{
    return (const float *)(const void *)(e->packed + e->layout.weights[conv]);
}

static const float *bias(const fm_encoder *e, int conv)
{
    return (const float *)(const void *)(e->packed + e->layout.bias[conv]);
}

/* Where pixel (y, x) of an image in a stage's tensor is; -1 is the border. */
static size_t pixel(const stage_shape *s, int image, int y, int x)
{
    return (size_t)(((image * s->padded + y + 1) * s->padded + x + 1) * s->channels);
}

/* A row of tiles of the first convolution, into the rows of e->stem that it is due. */
static void stem_tiles(fm_encoder *e, int row)
{
    const fm_tile_kernels *t = &e->k->five;
    const float *in = e->folded + (ptrdiff_t)row * t->side * FOLDED_SIDE * FOLDED_CHANNELS;
    float *out = e->stem + (ptrdiff_t)(row * t->side % STEM_ROWS) * STEM_SIDE * STEM_CHANNELS;

    for (ptrdiff_t x = 0; x < STEM_TILES; x++)
        t->in(in + x * t->side * FOLDED_CHANNELS, FOLDED_SIDE * FOLDED_CHANNELS, FOLDED_CHANNELS,
              e->points + x * FOLDED_CHANNELS, STEM_TILES * FOLDED_CHANNELS);
    e->k->products(&(fm_products){.points = t->points * t->points, .rows = STEM_TILES, .in = FM_FOLDED,
                                  .out = STEM_CHANNELS, .stride = FOLDED_CHANNELS, .a = e->points, .b = weights(e, 0),
                                  .c = e->sums});
    for (ptrdiff_t x = 0; x < STEM_TILES; x++)
        t->out(e->sums + x * STEM_CHANNELS, STEM_TILES * STEM_CHANNELS, STEM_CHANNELS, bias(e, 0),
               out + x * t->side * STEM_CHANNELS, STEM_SIDE * STEM_CHANNELS, t->side, t->side, false);
}

/* The first convolution and the pooling after it, which follows as soon as its three rows are there. */
static void stem(fm_encoder *e, const uint8_t *chip)
{
    int pooled = 0, side = e->k->five.side;

    e->k->fold(chip, FM_ENCODER_CHIP, e->mean, e->folded, FOLDED_SIDE * FOLDED_CHANNELS);
    for (int row = 0; pooled < stages[0].side; row++) {
        stem_tiles(e, row);
        for (; pooled < stages[0].side && 2 * pooled + 2 < (row + 1) * side; pooled++) {
            const float *rows[3];

            for (int i = 0; i < 3; i++)
                rows[i] = e->stem + (ptrdiff_t)((2 * pooled + i) % STEM_ROWS) * STEM_SIDE * STEM_CHANNELS;
            e->k->largest(rows, STEM_CHANNELS, stages[0].side, e->x[0] + pixel(&stages[0], 0, pooled, 0));
        }
    }
}

/* x of the stage becomes the averages of the stage before, channels it did not have 0. */
static void shortcut(fm_encoder *e, int stage, int first, int n)
{
    const stage_shape *from = &stages[stage - 1], *to = &stages[stage];
    size_t added = (size_t)(to->channels - from->channels);

    for (int i = 0; i < n; i++)
        for (int y = 0; y < to->side; y++) {
            float *out = e->x[stage] + pixel(to, first + i, y, 0);

            e->k->average(e->x[stage - 1] + pixel(from, i, 2 * y, 0), from->padded * from->channels, from->channels,
                          to->side, out, to->channels);
            for (int x = 0; x < to->side; x++)
                memset(out + x * to->channels + from->channels, 0, added * sizeof *out);
        }
}

/* A convolution that halves the picture, from x of the stage before to mid.
 * dlib's rounding can leave it smaller than the averages: the rest is 0. */
static void down(fm_encoder *e, int stage, int first, int n)
{
    const stage_shape *from = &stages[stage - 1], *to = &stages[stage];
    size_t image = image_floats(to);
    fm_gemm g = {.a = e->x[stage - 1], .a_at = e->in_at, .segments = 3, .segment = 3 * from->channels,
                 .segment_stride = (ptrdiff_t)from->padded * from->channels, .b = weights(e, to->first),
                 .bias = bias(e, to->first), .columns = to->channels, .c = e->mid[stage] + (size_t)first * image,
                 .c_at = e->out_at};

    if (to->down_side < to->side)
        memset(g.c, 0, (size_t)n * image * sizeof(float));
    for (int i = 0; i < n; i++)
        for (int y = 0; y < to->down_side; y++)
            for (int x = 0; x < to->down_side; x++, g.rows++) {
                e->in_at[g.rows] = (int32_t)pixel(from, i, 2 * y, 2 * x);
                e->out_at[g.rows] = (int32_t)pixel(to, i, y, x);
            }
    e->k->gemm(&g);
}

/* A SAME convolution of n images; side: pixels of the result that count. */
static void same(fm_encoder *e, const stage_shape *s, int conv, const float *in, float *out, int n, int side, bool add)
{
    const fm_tile_kernels *t = tile_kernels(e, conv);
    int across = (side + t->side - 1) / t->side, per_image = across * across, total = n * per_image;
    ptrdiff_t row = (ptrdiff_t)s->padded * s->channels;

    for (int first = 0; first < total; first += s->tiles) {
        int tiles = total - first < s->tiles ? total - first : s->tiles;

        for (int i = 0; i < tiles; i++) {
            int image = (first + i) / per_image, y = (first + i) % per_image / across, x = (first + i) % across;

            t->in(in + pixel(s, image, y * t->side - 1, x * t->side - 1), row, s->channels,
                  e->points + i * s->channels, (ptrdiff_t)tiles * s->channels);
        }
        e->k->products(&(fm_products){.points = t->points * t->points, .rows = tiles, .in = s->channels,
                                      .out = s->channels, .stride = s->channels, .a = e->points,
                                      .b = weights(e, conv), .c = e->sums});
        for (int i = 0; i < tiles; i++) {
            int image = (first + i) / per_image, y = (first + i) % per_image / across, x = (first + i) % across;
            int rows = side - y * t->side, columns = side - x * t->side;

            t->out(e->sums + i * s->channels, (ptrdiff_t)tiles * s->channels, s->channels, bias(e, conv),
                   out + pixel(s, image, y * t->side, x * t->side), row, rows < t->side ? rows : t->side,
                   columns < t->side ? columns : t->side, add);
        }
    }
}

/* The network's last convolution has one pixel, so its filter only a centre; its result is added to x. */
static void centre(fm_encoder *e, int n)
{
    const stage_shape *s = &stages[STAGES - 1];
    int conv = FM_RESNET_CONVS - 1;

    e->k->products(&(fm_products){.points = 1, .rows = n, .in = s->channels, .out = s->channels,
                                  .stride = (int)image_floats(s), .a = e->mid[STAGES - 1] + pixel(s, 0, 0, 0),
                                  .b = weights(e, conv), .c = e->sums});
    for (int i = 0; i < n; i++)
        for (int c = 0; c < s->channels; c++) {
            float *x = e->x[STAGES - 1] + pixel(s, i, 0, 0) + c;
            float v = *x + (e->sums[i * s->channels + c] + bias(e, conv)[c]);

            *x = v > 0 ? v : 0;
        }
}

/* From the stage before, n images, to images first .. of this one: as far as its first convolution. */
static void enter_stage(fm_encoder *e, int stage, int first, int n)
{
    shortcut(e, stage, first, n);
    down(e, stage, first, n);
}

static void run_stage(fm_encoder *e, int stage, int n)
{
    const stage_shape *s = &stages[stage];

    for (int b = 0; b < s->blocks; b++) {
        int conv = s->first + 2 * b, side = b == 0 && s->down_side ? s->down_side : s->side;

        if (b > 0 || !s->down_side)
            same(e, s, conv, e->x[stage], e->mid[stage], n, side, false);
        if (stage < STAGES - 1)
            same(e, s, conv + 1, e->mid[stage], e->x[stage], n, side, true);
        else
            centre(e, n);
    }
}

/* Averages over everything, the last layer, and both into the codes. */
static void finish(fm_encoder *e, int n, float *codes)
{
    const stage_shape *s = &stages[STAGES - 1];

    for (int i = 0; i < n; i++)
        e->k->average(e->x[STAGES - 1] + pixel(s, i, 0, 0), s->padded * s->channels, s->channels, 1,
                      e->pooled + i * FM_ENCODER_POOLED, 0);
    e->k->products(&(fm_products){.points = 1, .rows = n, .in = FM_ENCODER_POOLED, .out = FM_ENCODER_EMBEDDING,
                                  .stride = FM_ENCODER_POOLED, .a = e->pooled,
                                  .b = (const float *)(const void *)(e->packed + e->layout.fc), .c = e->embedding});
    for (int i = 0; i < n; i++, codes += FM_ENCODER_WIDTH) {
        memcpy(codes, e->embedding + i * FM_ENCODER_EMBEDDING, FM_ENCODER_EMBEDDING * sizeof *codes);
        memcpy(codes + FM_ENCODER_EMBEDDING, e->pooled + i * FM_ENCODER_POOLED, FM_ENCODER_POOLED * sizeof *codes);
    }
}

int fm_encoder_run(fm_encoder *e, const uint8_t *const *chips, size_t n, float *codes, fm_err *err)
{
    int rc = workspace(e, err);

    for (size_t first = 0; rc == 0 && first < n; first += FM_ENCODER_BATCH) {
        int batch = n - first < FM_ENCODER_BATCH ? (int)(n - first) : FM_ENCODER_BATCH;

        for (int i = 0; i < batch; i++) {
            stem(e, chips[first + (size_t)i]);
            run_stage(e, 0, 1);
            enter_stage(e, 1, i, 1);
        }
        run_stage(e, 1, batch);
        for (int s = 2; s < STAGES; s++) {
            enter_stage(e, s, 0, batch);
            run_stage(e, s, batch);
        }
        finish(e, batch, codes + first * FM_ENCODER_WIDTH);
    }
    return rc;
}

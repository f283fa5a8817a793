/* The detector: FHOG features of every pyramid level, all five filters over
 * them in one pass, boxes, suppression.
 *
 * A pixel votes into four cells, eight by eight pixels into the same four: their
 * votes are summed apart, four shares at once, and then handed out, for a strip of
 * columns whose pixels' gradients stay in the nearest cache.  Of histograms only
 * the rows that are being filled are kept.  Filters are applied densely, where the
 * screen could not exclude a face: separable ones load and store more than they save. */
#include "worker/face/detector.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "worker/face/hog.h"
#include "worker/face/pyramid.h"
#include "worker/face/screen.h"

#define WEIGHTS (FM_HOG_PLANES * FM_HOG_SIDE * FM_HOG_SIDE)
#define FILTER_BYTES ((size_t)(FM_HOG_FILTERS * WEIGHTS + FM_HOG_FILTERS) * 4)
#define LEVEL_SIDE_MIN 64       /* pixels: smaller layers are not searched */
#define LEVELS_MAX 1000
#define OVERLAP_IOU 0.330082    /* dlib's trained non-maximum suppression */
#define OVERLAP_COVERED 0.788571

struct fm_detector {
    const fm_hog_kernels *k;
    float weights[WEIGHTS * FM_HOG_FILTERS];    /* [31][10][10][5] */
    fm_screen screen;
    double threshold[FM_HOG_FILTERS];
    float *memory;                              /* one block for all of a level's arrays */
    size_t memory_floats;
    uint8_t *colours;                           /* two levels of the pyramid, by turns */
    size_t colour_bytes;
    fm_face_box *found;
    size_t n_found, found_capacity;
};

/* One pyramid level's arrays, cut out of d->memory. */
typedef struct {
    const fm_colours *image;
    int cells_x, cells_y;           /* cells */
    int nx, ny;                     /* feature cells: without the border */
    float *magnitude;               /* [8][FM_HOG_STRIP_ROW], pixels of a strip */
    uint16_t *at;                   /* the same */
    float *histogram[3];            /* [18][bins_stride] each, by orientation; cell row y is y % 3, column x at x + 1 */
    float *norm[3];                 /* [bins_stride] each, the same */
    int64_t bins_stride;
    float *planes;                  /* [31][ny + 9][plane_row] */
    int64_t plane_row, plane_stride;
    fm_screened screened;
    float *answers;                 /* [5][answer_stride] */
    int64_t answer_stride;
} level;

int fm_detector_create(const void *filters, size_t n_bytes, fm_isa isa, fm_detector **out, fm_err *err)
{
    fm_reader r = fm_reader_init(filters, n_bytes);
    fm_detector *d;

    if (n_bytes != FILTER_BYTES)
        return fm_fail(err, -EINVAL, "detector filters: %zu bytes where %zu are expected", n_bytes, FILTER_BYTES);
    d = calloc(1, sizeof *d);
    if (!d)
        return fm_fail_nomem(err, "detector", sizeof *d);
    d->k = fm_hog_kernels_for(isa);
    for (int f = 0; f < FM_HOG_FILTERS; f++)
        for (int i = 0; i < WEIGHTS; i++)
            d->weights[i * FM_HOG_FILTERS + f] = fm_reader_f32(&r);
    for (int f = 0; f < FM_HOG_FILTERS; f++)
        d->threshold[f] = fm_reader_f32(&r);
    for (int i = 0; i < WEIGHTS * FM_HOG_FILTERS; i++)
        if (!isfinite(d->weights[i])) {
            fm_detector_destroy(d);
            return fm_fail(err, -EINVAL, "detector filters: a weight is not a number");
        }
    fm_screen_init(&d->screen, d->weights);
    *out = d;
    return 0;
}

void fm_detector_destroy(fm_detector *d)
{
    if (!d)
        return;
    free(d->memory);
    free(d->colours);
    free(d->found);
    free(d);
}

static size_t padded(size_t n)
{
    return (n + 31) & ~(size_t)15;
}

/* Cut the level's arrays out of d->memory, which grows when it must. */
static int level_init(fm_detector *d, const fm_colours *image, level *l, fm_err *err)
{
    size_t total, strip = FM_HOG_CELL * FM_HOG_STRIP_ROW, bins;
    float *at;

    *l = (level){.image = image, .cells_x = (int)((float)image->width / FM_HOG_CELL + 0.5f),
                 .cells_y = (int)((float)image->height / FM_HOG_CELL + 0.5f)};
    l->nx = l->cells_x - 2;
    l->ny = l->cells_y - 2;
    if (l->nx < 1 || l->ny < 1)
        return 0;
    l->bins_stride = (int64_t)padded((size_t)l->cells_x + FM_HOG_STRIP / FM_HOG_CELL);
    bins = (FM_HOG_BINS + 1) * (size_t)l->bins_stride;
    l->plane_row = (int64_t)padded((size_t)l->nx + FM_HOG_PAD + FM_HOG_SLACK);
    l->plane_stride = l->plane_row * (l->ny + FM_HOG_PAD);
    l->answer_stride = (int64_t)padded((size_t)l->nx + 64);
    total = 2 * strip + 3 * bins + FM_HOG_PLANES * (size_t)l->plane_stride + FM_HOG_FILTERS * (size_t)l->answer_stride +
            fm_screened_init(&l->screened, l->nx, l->ny, NULL) / sizeof *at + 64 / sizeof *at;
    if (total > d->memory_floats) {
        free(d->memory);
        d->memory_floats = 0;
        d->memory = aligned_alloc(64, (total * sizeof *d->memory + 63) / 64 * 64);
        if (!d->memory)
            return fm_fail_nomem(err, "detection", total * sizeof *d->memory);
        d->memory_floats = total;
    }
    at = d->memory;
    l->magnitude = at, at += strip;
    l->at = (uint16_t *)(void *)at, at += strip;
    for (int i = 0; i < 3; i++, at += bins)
        l->histogram[i] = at, l->norm[i] = at + FM_HOG_BINS * l->bins_stride;
    l->planes = at, at += FM_HOG_PLANES * l->plane_stride;
    l->answers = at, at += FM_HOG_FILTERS * l->answer_stride;
    fm_screened_init(&l->screened, l->nx, l->ny, (uint8_t *)at);
    return 0;
}

/* Columns and rows of pixels that vote, counted from 0, all but the outermost. */
static int visible(int cells, int size)
{
    return (cells * FM_HOG_CELL < size ? cells * FM_HOG_CELL : size) - 1;
}

/* Gradients of row y's pixels from .. from + FM_HOG_STRIP - 1; those outside the visible part are 0, in any direction. */
static void strip_row(const fm_detector *d, const level *l, int y, int from, float *magnitude, uint16_t *at)
{
    int end = visible(l->cells_x, l->image->width), wide_end = end - 7 > 1 ? 1 + (end - 7 - 1 + 7) / 8 * 8 : 1;
    int first = from < 1 ? 1 : from, last = from + FM_HOG_STRIP < end ? from + FM_HOG_STRIP : end;
    int middle = wide_end < first ? first : wide_end < last ? wide_end : last;
    const uint8_t *row = l->image->at + y * l->image->row;

    if (y < 1 || y >= visible(l->cells_y, l->image->height) || first >= last)
        last = first = from;
    memset(magnitude, 0, (size_t)(first - from) * sizeof *magnitude);
    for (int half = 0; half < 2 && first < last; half++) {      /* as dlib works: on vectors, then on single pixels */
        int start = half ? middle : first, n = (half ? last : middle) - start;

        d->k->gradient(row - l->image->row + start, row + start, row + l->image->row + start, l->image->plane, n, !half,
                       magnitude + start - from, at + start - from);
    }
    memset(magnitude + last - from, 0, (size_t)(FM_HOG_STRIP_ROW - (last - from)) * sizeof *magnitude);
}

/* Votes of the eight rows of pixels between the cells' rows y - 1 and y. */
static void votes(const fm_detector *d, const level *l, int y)
{
    float *upper = l->histogram[(y + 2) % 3], *lower = l->histogram[y % 3];

    memset(lower, 0, FM_HOG_BINS * (size_t)l->bins_stride * sizeof *lower);
    for (int from = -FM_HOG_CELL / 2; from < l->cells_x * FM_HOG_CELL; from += FM_HOG_STRIP) {
        int cell = (from + FM_HOG_CELL / 2) / FM_HOG_CELL;

        for (int r = 0; r < FM_HOG_CELL; r++)
            strip_row(d, l, y * FM_HOG_CELL - FM_HOG_CELL / 2 + r, from, l->magnitude + r * FM_HOG_STRIP_ROW,
                      l->at + r * FM_HOG_STRIP_ROW);
        d->k->vote(l->magnitude, l->at, upper + cell, lower + cell, l->bins_stride);
    }
}

/* Cells around the features that filters may reach count as 0. */
static void border(const level *l)
{
    size_t row = (size_t)l->plane_row * sizeof(float);

    for (int p = 0; p < FM_HOG_PLANES; p++) {
        float *plane = l->planes + p * l->plane_stride;

        memset(plane, 0, 4 * row);
        memset(plane + (l->ny + 4) * l->plane_row, 0, (FM_HOG_PAD - 4) * row);
        for (int y = 4; y < l->ny + 4; y++) {
            memset(plane + y * l->plane_row, 0, 4 * sizeof(float));
        }
    }
}

/* Hands the screen a row of cells; the one behind the last is as the first. */
static void screened_row(const fm_detector *d, level *l, int row)
{
    const float *planes[FM_HOG_PLANES];

    for (int p = 0; p < FM_HOG_PLANES; p++)
        planes[p] = l->planes + p * l->plane_stride + (row < l->ny + FM_HOG_PAD ? row : 0) * l->plane_row;
    fm_screened_row(&l->screened, d->k, row, planes);
}

/* Features of row y, of the cells' row y + 1. */
static void planes_row(const fm_detector *d, level *l, int y)
{
    const float *norm[3];
    float *out[FM_HOG_PLANES];

    for (int r = 0; r < 3; r++)
        norm[r] = l->norm[(y + r) % 3] + 2;
    for (int p = 0; p < FM_HOG_PLANES; p++)
        out[p] = l->planes + p * l->plane_stride + (y + 4) * l->plane_row + 4;
    d->k->features(l->histogram[(y + 1) % 3] + 2, l->bins_stride, norm, l->nx, out);
    screened_row(d, l, y + 4);
}

static void planes(const fm_detector *d, level *l)
{
    border(l);
    for (int row = 0; row < 4; row++)
        screened_row(d, l, row);
    memset(l->at, 0, FM_HOG_CELL * FM_HOG_STRIP_ROW * sizeof *l->at);
    memset(l->histogram[2], 0, FM_HOG_BINS * (size_t)l->bins_stride * sizeof(float));
    for (int y = 0; y <= l->cells_y; y++) {
        votes(d, l, y);
        if (y > 0)
            d->k->norms(l->histogram[(y - 1) % 3], l->bins_stride, l->norm[(y - 1) % 3]);
        if (y > 2)
            planes_row(d, l, y - 3);
    }
    for (int row = l->ny + 4; row < l->screened.rows; row++)
        screened_row(d, l, row);
}

/* Corner of a feature cell in the level's image (fhog_to_image). */
static int cell_to_pixel(int cell)
{
    int p = (cell + 1 - 4) * FM_HOG_CELL + 1;

    return p + (p >= 0 ? FM_HOG_CELL / 2 : -FM_HOG_CELL / 2);
}

/* From a level back to the photograph: repeated point_up, rounded once. */
static int to_photograph(int v, int depth)
{
    double x = v;

    for (int i = 0; i < depth; i++)
        x = fma(x, 6 / 5.0, 0.3);    /* fused, as the compilers of published dlib builds do */
    return depth ? (int)floor(x + 0.5) : v;
}

static int box_add(fm_detector *d, int x, int y, int depth, double score, int filter, fm_err *err)
{
    /* x, y: the filter's first cell; dlib centres a 10 x 10 box on the cell five further */
    int left = cell_to_pixel(x), top = cell_to_pixel(y);
    int right = cell_to_pixel(x + FM_HOG_SIDE - 1), bottom = cell_to_pixel(y + FM_HOG_SIDE - 1);

    if (d->n_found == d->found_capacity) {
        size_t capacity = d->found_capacity ? 2 * d->found_capacity : 64;
        fm_face_box *grown = realloc(d->found, capacity * sizeof *grown);

        if (!grown)
            return fm_fail_nomem(err, "detections", capacity * sizeof *grown);
        d->found = grown;
        d->found_capacity = capacity;
    }
    d->found[d->n_found++] = (fm_face_box){to_photograph(left, depth), to_photograph(top, depth),
                                           to_photograph(right, depth), to_photograph(bottom, depth), (float)score,
                                           filter};
    return 0;
}

/* Answers of one row's windows at columns from .. to - 1. */
static int search_run(fm_detector *d, const level *l, int y, int from, int to, int depth, double adjust, fm_err *err)
{
    int rc = 0;

    d->k->filter(l->planes + y * l->plane_row + from, l->plane_stride, l->plane_row, d->weights, to - from, l->answers,
                 l->answer_stride);
    for (int f = 0; f < FM_HOG_FILTERS; f++)
        for (int x = from; rc == 0 && x < to; x++) {
            double answer = l->answers[f * l->answer_stride + x - from];

            if (answer >= d->threshold[f] + adjust)
                rc = box_add(d, x, y, depth, answer - (d->threshold[f] + adjust), f, err);
        }
    return rc;
}

/* Filters the windows of row y in runs of blocks that were hit. */
static int search_row(fm_detector *d, const level *l, int y, const uint8_t *hits, int depth, double adjust, fm_err *err)
{
    int rc = 0;

    for (int from = 0, to; rc == 0 && from < l->nx; from = to) {
        bool hit = hits[from / FM_HOG_BLOCK];

        for (to = from + FM_HOG_BLOCK; to < l->nx && hits[to / FM_HOG_BLOCK] == hit; to += FM_HOG_BLOCK)
            ;
        if (hit)
            rc = search_run(d, l, y, from, to < l->nx ? to : l->nx, depth, adjust, err);
    }
    return rc;
}

static int search(fm_detector *d, level *l, int depth, double adjust, fm_err *err)
{
    double threshold[FM_HOG_FILTERS];
    fm_screen_limits limits;
    int rc = 0;

    for (int f = 0; f < FM_HOG_FILTERS; f++)
        threshold[f] = d->threshold[f] + adjust;
    fm_screen_set_limits(&d->screen, threshold, &limits);
    for (int y = 0; rc == 0 && y < l->ny; y += 2) {
        fm_screened_pair(&l->screened, &d->screen, d->k, &limits, y);
        for (int i = 0; rc == 0 && i < 2 && y + i < l->ny; i++)
            rc = search_row(d, l, y + i, l->screened.hits + i * l->screened.half, depth, adjust, err);
    }
    return rc;
}

static int search_level(fm_detector *d, const fm_colours *image, int depth, double adjust, fm_err *err)
{
    level l;
    int rc = level_init(d, image, &l, err);

    if (rc != 0 || l.nx < 1 || l.ny < 1)
        return rc;
    planes(d, &l);
    return search(d, &l, depth, adjust, err);
}

/* How many layers dlib searches: the photograph's rectangle is scaled and rounded until a side is too short. */
static int count_levels(int width, int height)
{
    long left = 0, top = 0, right = width - 1, bottom = height - 1;
    int levels = 0;

    do {
        left = (long)floor((left - 0.3) * (5 / 6.0) + 0.5);
        top = (long)floor((top - 0.3) * (5 / 6.0) + 0.5);
        right = (long)floor((right - 0.3) * (5 / 6.0) + 0.5);
        bottom = (long)floor((bottom - 0.3) * (5 / 6.0) + 0.5);
        levels++;
    } while (right - left + 1 >= LEVEL_SIDE_MIN && bottom - top + 1 >= LEVEL_SIDE_MIN && levels < LEVELS_MAX);
    return levels;
}

static int best_first(const void *a, const void *b)
{
    const fm_face_box *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->view != y->view)
        return x->view < y->view ? -1 : 1;
    if (x->top != y->top)
        return x->top < y->top ? -1 : 1;
    return x->left < y->left ? -1 : x->left > y->left;
}

static double area(long left, long top, long right, long bottom)
{
    return right < left || bottom < top ? 0 : (double)(right - left + 1) * (double)(bottom - top + 1);
}

static bool overlap(const fm_face_box *a, const fm_face_box *b)
{
    double inner = area(a->left > b->left ? a->left : b->left, a->top > b->top ? a->top : b->top,
                        a->right < b->right ? a->right : b->right, a->bottom < b->bottom ? a->bottom : b->bottom);
    /* dlib divides by the box around both, not by their union */
    double outer = area(a->left < b->left ? a->left : b->left, a->top < b->top ? a->top : b->top,
                        a->right > b->right ? a->right : b->right, a->bottom > b->bottom ? a->bottom : b->bottom);

    return inner > 0 && (inner / outer > OVERLAP_IOU ||
                         inner / area(a->left, a->top, a->right, a->bottom) > OVERLAP_COVERED ||
                         inner / area(b->left, b->top, b->right, b->bottom) > OVERLAP_COVERED);
}

static void suppress(fm_detector *d)
{
    size_t kept = 0;

    if (d->n_found)
        qsort(d->found, d->n_found, sizeof *d->found, best_first);
    for (size_t i = 0; i < d->n_found; i++) {
        bool hidden = false;

        for (size_t j = 0; j < kept && !hidden; j++)
            hidden = overlap(&d->found[j], &d->found[i]);
        if (!hidden)
            d->found[kept++] = d->found[i];
    }
    d->n_found = kept;
}

int fm_detector_find(fm_detector *d, const fm_image *image, double threshold, const fm_face_box **boxes, size_t *n,
                     fm_err *err)
{
    int levels = count_levels(image->width, image->height), rc = 0;
    size_t whole = fm_colours_bytes(image->width, image->height);
    fm_colours levels_of[2];

    d->n_found = 0;
    if (2 * whole > d->colour_bytes) {
        free(d->colours);
        d->colour_bytes = 0;
        d->colours = malloc(2 * whole);
        if (!d->colours)
            return fm_fail_nomem(err, "detection", 2 * whole);
        d->colour_bytes = 2 * whole;
    }
    levels_of[0] = fm_colours_of(image, d->colours);
    for (int depth = 0; rc == 0 && depth < levels; depth++) {
        fm_colours *now = &levels_of[depth % 2], *next = &levels_of[1 - depth % 2];

        rc = search_level(d, now, depth, threshold, err);
        if (rc == 0 && depth + 1 < levels)
            rc = fm_colours_shrink(now, 5 * now->width / 6, 5 * now->height / 6, d->colours + (1 - depth % 2) * whole, next,
                                   err);
    }
    if (rc != 0)
        return rc;
    suppress(d);
    *boxes = d->found;
    *n = d->n_found;
    return 0;
}

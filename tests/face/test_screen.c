/* The detector's screen: what it may not miss, that its bounds are no larger than they must be, and its sums. */
#include "tests/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "worker/face/screen.h"

enum { ACROSS = 45, DOWN = 3, SCREEN_ROWS = DOWN + 1 + FM_HOG_PAD, SCREEN_ROW = ACROSS + 9 + FM_HOG_SLACK };

/* Windows of random features, as a level has them. */
typedef struct {
    float planes[FM_HOG_PLANES][SCREEN_ROWS][SCREEN_ROW], weights[31 * 100 * 5];
    fm_screen screen;
    fm_screened cells;
    uint8_t *memory;
    size_t bytes;
} screened;

static void screened_init(screened *s)
{
    memset(s, 0, sizeof *s);
    s->bytes = fm_screened_init(&s->cells, ACROSS, DOWN, NULL);
    s->memory = aligned_alloc(64, s->bytes);
    REQUIRE(s->memory != NULL);
    memset(s->memory, 0, s->bytes);
    fm_screened_init(&s->cells, ACROSS, DOWN, s->memory);
}

/* Features and weights as far apart as they can be; some weights so strong that 16 bits nearly overflow. */
static void screened_random(screened *s, fm_rng *r)
{
    for (int p = 0; p < FM_HOG_PLANES; p++)
        for (int y = 0; y < SCREEN_ROWS; y++)
            for (int x = 0; x < ACROSS + 9; x++)
                s->planes[p][y][x] = (fm_rng_below(r, 3) ? (float)fm_rng_uniform(r) : 1) * (p < 27 ? 0.4f : 0.8485f);
    for (size_t i = 0; i < sizeof s->weights / sizeof *s->weights; i++)
        s->weights[i] = (float)fm_rng_normal(r) * (i % 5 == 4 ? 1.0f : 0.02f) + (i % 5 == 3 ? 0.5f : 0);
}

static void screened_rows(screened *s, const fm_hog_kernels *k)
{
    fm_screen_init(&s->screen, s->weights);
    for (int y = 0; y < s->cells.rows; y++) {
        const float *planes[FM_HOG_PLANES];

        for (int p = 0; p < FM_HOG_PLANES; p++)
            planes[p] = s->planes[p][y];
        fm_screened_row(&s->cells, k, y, planes);
    }
}

/* Answers of the filters to n windows of row y. */
static void answers_of(const screened *s, int y, int n, float *answers)
{
    fm_hog_plain.filter(s->planes[0][y], SCREEN_ROWS * SCREEN_ROW, SCREEN_ROW, s->weights, n, answers, 128);
}

/* Whether the screen hits a window when its filter's threshold is this and the others' are out of reach. */
static bool screen_hits(const screened *s, const fm_hog_kernels *k, const fm_screen *screen, int f, int y, int x,
                        double at)
{
    double threshold[FM_HOG_FILTERS] = {1e9, 1e9, 1e9, 1e9, 1e9};
    const fm_screened *c = &s->cells;
    fm_screen_limits l;

    threshold[f] = at;
    fm_screen_set_limits(screen, threshold, &l);
    k->hits(c->sums, c->sums_stride, c->lengths, c->half, l.limit, l.reach, FM_HOG_BLOCK / 2 * c->blocks, c->hits, c->half);
    return c->hits[y % 2 * c->half + x / FM_HOG_BLOCK];
}

static void pair_of(screened *s, const fm_hog_kernels *k, int y)
{
    fm_screen_limits l = {{{0}}, {0}};

    fm_screened_pair(&s->cells, &s->screen, k, &l, y);
}

/* With every window's own answer as the threshold none may be missed. */
static void the_screen_misses_nothing(void)
{
    static screened s;
    static float answers[5 * 128];
    fm_rng r = fm_rng_init(21, 21);

    screened_init(&s);
    screened_random(&s, &r);
    screened_rows(&s, &fm_hog_plain);
    for (int y = 0; y < DOWN; y++) {
        if (y % 2 == 0)
            pair_of(&s, &fm_hog_plain, y);
        answers_of(&s, y, ACROSS, answers);
        for (int f = 0; f < FM_HOG_FILTERS; f++)
            for (int x = 0; x < ACROSS; x++)
                CHECK(screen_hits(&s, &fm_hog_plain, &s.screen, f, y, x, (double)answers[f * 128 + x]));
    }
    free(s.memory);
}

/* Of what the screen keeps, what rows of windows' answers need and all that instruction sets may write. */
static void screens_agree_with_plain_c(void)
{
    static screened s, fast;
    fm_rng r = fm_rng_init(21, 21), same = r;

    screened_init(&s);
    screened_init(&fast);
    screened_random(&s, &r);
    screened_rows(&s, &fm_hog_plain);
    screened_random(&fast, &same);
    for (int isa = FM_ISA_AVX2; isa <= (int)fm_cpu_isa(); isa++) {
        const fm_hog_kernels *k = fm_hog_kernels_for((fm_isa)isa);
        const fm_screened *a = &s.cells, *b = &fast.cells;
        const int n = FM_HOG_BLOCK / 2 * a->blocks;

        screened_rows(&fast, k);
        for (int y = 0; y < DOWN; y += 2) {
            pair_of(&s, &fm_hog_plain, y);
            pair_of(&fast, k, y);
            for (int i = 0; i < FM_HOG_PARTS * FM_HOG_FILTERS; i++)
                CHECK(memcmp(a->sums + i * a->sums_stride, b->sums + i * b->sums_stride, 4 * (size_t)n) == 0);
            for (int i = 0; i < 4; i++)
                CHECK(memcmp(a->lengths + i * a->half, b->lengths + i * b->half, 4 * (size_t)n) == 0);
            for (int i = 0; i < 100; i++) {
                int f = i % FM_HOG_FILTERS;
                double at = (fm_rng_uniform(&r) - 0.3) * (f < 3 ? 20 : 1000);

                CHECK(screen_hits(&s, &fm_hog_plain, &s.screen, f, y, 20, at) == screen_hits(&fast, k, &s.screen, f, y, 20, at));
            }
        }
    }
    free(s.memory);
    free(fast.memory);
}

/* A window's sum, one product after the other: bytes are those of even and odd columns, and weights those parts that hold
 * one cell's alone. */
static double whole_answer(const screened *s, const fm_hog_kernels *k, int f, int y, int x)
{
    static const int part[2][2] = {{0, 2}, {6, 8}};
    static uint8_t bytes[2][FM_HOG_QUADS][256][4];
    static float energy[2][256];
    const uint8_t mean[4 * FM_HOG_QUADS] = {0};
    double sum = 0;

    for (int r = 0; r < FM_HOG_SIDE; r++) {
        const float *ordered[4 * FM_HOG_QUADS];

        for (int i = 0; i < 4 * FM_HOG_QUADS; i++)
            ordered[i] = fm_screen_order[i] < FM_HOG_PLANES ? s->planes[fm_screen_order[i]][y + r] : NULL;
        k->pack(ordered, mean, ACROSS + 9, 256, bytes[0][0][0], energy[0]);
        for (int i = 0; i < 4 * FM_HOG_QUADS * FM_HOG_SIDE; i++) {
            int place = i / FM_HOG_SIDE, c = i % FM_HOG_SIDE, half = (r / 2 * FM_HOG_HALF + c / 2) * FM_HOG_FILTERS + f;

            sum += s->screen.weights[part[r % 2][c % 2]][place / 4 * FM_HOG_HALF * FM_HOG_HALF * FM_HOG_FILTERS * 4 +
                                                         half * 4 + place % 4] *
                   bytes[(x + c) % 2][place / 4][(x + c) / 2][place % 4];
        }
    }
    return sum;
}

/* Whether a window of the second block of row y has a filter's sum, or more. */
static bool block_reaches(const screened *s, int f, int y, double sum)
{
    const float reach[FM_HOG_FILTERS] = {0};
    const fm_screened *c = &s->cells;
    float limit[FM_HOG_FILTERS][4];

    for (int i = 0; i < 4 * FM_HOG_FILTERS; i++)
        limit[i / 4][i % 4] = i / 4 == f ? (float)(sum + s->screen.offset[f][i % 4]) : 1e9f;
    fm_hog_plain.hits(c->sums, c->sums_stride, c->lengths, c->half, limit, reach, FM_HOG_BLOCK, c->hits, c->half);
    return c->hits[y % 2 * c->half + 1];
}

/* The largest of a block is reached by its sum, and by nothing more. */
static void nine_sums_give_four_answers(void)
{
    static screened s;
    fm_rng r = fm_rng_init(23, 23);

    screened_init(&s);
    screened_random(&s, &r);
    screened_rows(&s, &fm_hog_plain);
    for (int y = 0; y < DOWN; y++) {
        if (y % 2 == 0)
            pair_of(&s, &fm_hog_plain, y);
        for (int f = 0; f < FM_HOG_FILTERS; f++) {
            double largest = -1e9;

            for (int x = FM_HOG_BLOCK; x < 2 * FM_HOG_BLOCK; x++)
                largest = fmax(largest, whole_answer(&s, &fm_hog_plain, f, y, x));
            CHECK(block_reaches(&s, f, y, largest));
            CHECK(!block_reaches(&s, f, y, largest + 1));
        }
    }
    free(s.memory);
}

/* The first window's weights and features, such that rounding does nearly the worst: in bytes like the mean that were
 * cut by almost half a step wherever the weight is above 0 (and raised where below); or in weights that were all
 * rounded to 0 by almost half a unit beside bytes above the mean (below it).  One large weight sets the unit, and what
 * it is added to is below 0, so that it fits. */
static void screened_worst(screened *s, bool in_bytes, fm_rng *r)
{
    const float unit = 1.0f / 1024;

    memset(s->planes, 0, sizeof s->planes);
    for (int i = 0; i < 31 * 100; i++) {
        int plane = i / 100, sign = i == 9 ? 1 : i == 8 || i == 18 || i == 19 || fm_rng_below(r, 2) ? -1 : 1;
        float mean = plane < 18 ? 5 : plane < 27 ? 9 : 10;
        float step = mean + (in_bytes ? 0.49f : 4) * (float)sign, at = (in_bytes ? 10 : 0.49f) * (float)sign;

        if (i == 9)
            at = 127;
        for (int f = 0; f < FM_HOG_FILTERS; f++)
            s->weights[i * FM_HOG_FILTERS + f] = unit * at;
        s->planes[plane][i / 10 % 10][i % 10] = step / FM_HOG_STEPS;
    }
    screened_rows(s, &fm_hog_plain);
}

/* A bound a tenth smaller would miss the first window, whose answer is the threshold. */
static void the_screens_bounds_are_needed(void)
{
    static screened s;
    static float answers[5 * 128];
    fm_rng r = fm_rng_init(22, 22);

    screened_init(&s);
    for (int in_bytes = 0; in_bytes < 2; in_bytes++) {
        screened_worst(&s, in_bytes, &r);
        pair_of(&s, &fm_hog_plain, 0);
        for (int i = 1; i < 2 * s.cells.half; i++)
            s.cells.lengths[i] = -1e9f;     /* no other window is hit */
        answers_of(&s, 0, 1, answers);
        for (int f = 0; f < FM_HOG_FILTERS; f++)
            for (int lowered = 0; lowered < 2; lowered++) {
                fm_screen screen = s.screen;

                screen.reach[f] *= lowered ? 0.9 : 1;
                CHECK_INT(screen_hits(&s, &fm_hog_plain, &screen, f, 0, 0, (double)answers[f * 128]), !lowered);
            }
    }
    free(s.memory);
}

CHECK_MAIN(CHECK_CASE(the_screen_misses_nothing), CHECK_CASE(screens_agree_with_plain_c),
           CHECK_CASE(nine_sums_give_four_answers), CHECK_CASE(the_screens_bounds_are_needed))

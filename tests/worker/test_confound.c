/* What confounds see of a photograph, and whether they tell on a cohort that was saved differently. */
#include <dirent.h>
#include <stdlib.h>

#include "base/rng.h"
#include "coordinator/learn/audit.h"
#include "tests/worker/fixture.h"
#include "worker/confound.h"
#include "worker/image/decode.h"
#include "worker/image/encode.h"
#include "worker/preprocess.h"

#define PHOTOS 160
#define SIDE 150

static fixture_models models;
static fm_recipe recipe;
static char names[PHOTOS][256];
static bool sides[PHOTOS];     /* drawn: who is of the second cohort */
static size_t n_names;

/* Every eighth crop in the order of names, ages 10 and over. */
static bool list_photographs(void)
{
    const char *dir = check_data("utkface-2k");
    struct dirent **entries;
    fm_rng r = fm_rng_init(1, 0);
    uint32_t order[PHOTOS];
    int n = dir ? scandir(dir, &entries, NULL, alphasort) : -1;

    if (n < 0)
        return false;
    for (int i = 0, seen = 0; i < n; i++) {
        if (n_names < PHOTOS && strstr(entries[i]->d_name, ".jpg") && atoi(entries[i]->d_name) >= 10 && seen++ % 8 == 0)
            snprintf(names[n_names++], sizeof names[0], "%s/%.200s", "utkface-2k", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    for (uint32_t i = 0; i < PHOTOS; i++)
        order[i] = i;
    fm_rng_shuffle(&r, order, PHOTOS);
    for (uint32_t i = 0; i < PHOTOS; i++)
        sides[order[i]] = i % 2;
    return CHECK(n_names == PHOTOS);
}

static bool read_file(size_t i, fm_buf *bytes)
{
    const char *path = check_data(names[i]);

    return path && CHECK(fm_file_read(path, 1u << 22, bytes, NULL) == 0);
}

static bool resave(fm_buf *bytes, int quality)
{
    const fm_decode_limits limits = {.max_pixels = 1u << 24};
    fm_image image = FM_IMAGE_INIT;
    fm_decode_info info;
    fm_buf again = FM_BUF_INIT;
    bool ok = CHECK(fm_image_decode(bytes->data, bytes->size, &limits, &image, &info, NULL) == 0) &&
              CHECK(fm_jpeg_encode(&image, quality, &again, NULL) == 0);

    fm_image_fini(&image);
    fm_buf_fini(bytes);
    *bytes = again;
    return ok;
}

/* All confounds of photographs with a face; those of the second cohort re-saved when quality is not 0. */
typedef struct {
    fm_audit_plan plan;
    float *x[FM_CONFOUND_COUNT];
    fm_audit_views views;
} cohort;

static bool add_photo(cohort *c, fm_preprocessor *p, size_t i, int quality)
{
    float *to[FM_CONFOUND_COUNT];
    fm_buf bytes = FM_BUF_INIT;
    fm_photo photo = FM_PHOTO_INIT;
    size_t n = c->plan.plan.n;
    bool second = sides[i], ok;

    ok = read_file(i, &bytes) && (!second || !quality || resave(&bytes, quality)) &&
         CHECK(fm_preprocess(p, bytes.data, bytes.size, &photo, NULL) == 0);
    for (int k = 0; k < FM_CONFOUND_COUNT; k++)
        to[k] = c->x[k] + n * fm_confound_width(k);
    if (ok && photo.n_faces) {
        ok = CHECK(fm_confound_columns(&photo, 0, recipe.chip_padding, bytes.size, to, NULL) == 0);
        c->plan.plan.rows[n] = (fm_plan_row){.sample = (uint32_t)i, .subject = (uint32_t)i, .label = second, .fold = -1};
        c->plan.plan.n++;
    }
    fm_photo_fini(&photo);
    fm_buf_fini(&bytes);
    return ok;
}

static void cohort_fini(cohort *c)
{
    for (int k = 0; k < FM_CONFOUND_COUNT; k++)
        free(c->x[k]);
    fm_plan_fini(&c->plan.plan);
}

static bool cohort_make(cohort *c, int quality)
{
    fm_preprocessor *p = NULL;
    bool ok;

    memset(c, 0, sizeof *c);
    fm_plan_init(&c->plan.plan);
    c->plan.plan.seed = 4;
    c->plan.plan.rows = calloc(PHOTOS, sizeof *c->plan.plan.rows);
    for (int k = 0; k < FM_CONFOUND_COUNT; k++) {
        c->x[k] = calloc(PHOTOS * fm_confound_width(k), sizeof(float));
        c->views.confound[k] = c->x[k];
        c->views.confound_width[k] = fm_confound_width(k);
    }
    ok = CHECK(fm_preprocessor_create(&recipe, models.models, &p, NULL) == 0);
    for (size_t i = 0; ok && i < n_names; i++)
        ok = add_photo(c, p, i, quality);
    fm_preprocessor_destroy(p);
    return ok && CHECK(c->plan.plan.n > PHOTOS * 9 / 10);
}

static bool ready(void)
{
    fm_recipe_default(&recipe);
    return (models.models || fixture_open(&models, false)) && (n_names || list_photographs());
}

static void a_cohort_saved_at_another_quality_is_told_from_its_files(void)
{
    fm_audit_figure f[FM_CONFOUND_COUNT];
    cohort c;

    REQUIRE(ready());
    for (int quality = 0; quality <= 60; quality += 60) {
        REQUIRE(cohort_make(&c, quality));
        for (int k = 0; k < FM_CONFOUND_COUNT; k++) {
            REQUIRE(fm_audit_task(&c.plan, &c.views, (size_t)k, &f[k], NULL) == 0);
            printf("  %s, %s: AUC %.3f [%.3f, %.3f]\n", quality ? "re-saved" : "as it is", fm_confound_name(k), f[k].auc,
                   f[k].low, f[k].high);
        }
        for (int k = 0; k < FM_CONFOUND_COUNT; k++)
            CHECK(f[k].low <= 0.5 || (quality && k == FM_CONFOUND_FACTS));
        if (quality)
            CHECK(f[FM_CONFOUND_FACTS].auc > 0.9 && f[FM_CONFOUND_FACTS].low > 0.9);
        else
            CHECK(f[FM_CONFOUND_FACTS].high >= 0.5);
        cohort_fini(&c);
    }
}

/* A face of one photograph as the build stores it. */
static bool one_photo(fm_photo *photo)
{
    fm_preprocessor *p = NULL;
    fm_buf bytes = FM_BUF_INIT;
    bool ok = CHECK(fm_preprocessor_create(&recipe, models.models, &p, NULL) == 0) && read_file(0, &bytes) &&
              CHECK(fm_preprocess(p, bytes.data, bytes.size, photo, NULL) == 0) && CHECK(photo->n_faces == 1);

    fm_preprocessor_destroy(p);
    fm_buf_fini(&bytes);
    return ok;
}

/* columns[k] of the photograph's only face. */
static void columns_of(const fm_photo *photo, float columns[FM_CONFOUND_COUNT][FM_CONFOUND_BLUR_WIDTH])
{
    float *to[FM_CONFOUND_COUNT];

    for (int k = 0; k < FM_CONFOUND_COUNT; k++)
        to[k] = columns[k];
    CHECK(fm_confound_columns(photo, 0, recipe.chip_padding, 1000, to, NULL) == 0);
}

static void the_ring_holds_no_pixel_of_the_face(void)
{
    static float before[FM_CONFOUND_COUNT][FM_CONFOUND_BLUR_WIDTH], after[FM_CONFOUND_COUNT][FM_CONFOUND_BLUR_WIDTH];
    fm_photo photo = FM_PHOTO_INIT;

    REQUIRE(ready() && one_photo(&photo));
    columns_of(&photo, before);
    for (int y = 45; y < 110; y++)      /* brows to lips, cheek to cheek */
        memset(photo.faces[0].chip + (y * SIDE + 45) * 3, 7, 60 * 3);
    columns_of(&photo, after);
    CHECK(memcmp(before[FM_CONFOUND_RING], after[FM_CONFOUND_RING], FM_CONFOUND_RING_WIDTH * sizeof(float)) == 0);
    CHECK(memcmp(before[FM_CONFOUND_FACTS], after[FM_CONFOUND_FACTS], FM_CONFOUND_FACTS_WIDTH * sizeof(float)) == 0);
    CHECK(memcmp(before[FM_CONFOUND_BLUR], after[FM_CONFOUND_BLUR], FM_CONFOUND_BLUR_WIDTH * sizeof(float)) != 0);
    memset(photo.faces[0].chip, 200, 8 * SIDE * 3);     /* the upper rim */
    columns_of(&photo, before);
    CHECK(memcmp(before[FM_CONFOUND_RING], after[FM_CONFOUND_RING], FM_CONFOUND_RING_WIDTH * sizeof(float)) != 0);
    fm_photo_fini(&photo);
}

/* A chip that is one colour, but for its upper half in red. */
static void columns_are_what_they_say(void)
{
    static float c[FM_CONFOUND_COUNT][FM_CONFOUND_BLUR_WIDTH];
    fm_photo photo = FM_PHOTO_INIT;

    REQUIRE(ready() && one_photo(&photo));
    for (int i = 0; i < SIDE * SIDE; i++)
        memcpy(photo.faces[0].chip + 3 * i, (uint8_t[]){i < SIDE * SIDE / 2 ? 100 : 50, 20, 30}, 3);
    photo.width = 400;
    photo.height = 200;
    photo.jpeg_quality = 80;
    columns_of(&photo, c);
    CHECK_NEAR(c[FM_CONFOUND_COLOUR][0], 75, 1e-4);
    CHECK_NEAR(c[FM_CONFOUND_COLOUR][1], 20, 1e-4);
    CHECK_NEAR(c[FM_CONFOUND_COLOUR][3], 25, 1e-3);
    CHECK_NEAR(c[FM_CONFOUND_COLOUR][4], 0, 1e-4);
    CHECK_NEAR(c[FM_CONFOUND_BLUR][0], 100, 1e-4);
    CHECK_NEAR(c[FM_CONFOUND_BLUR][FM_CONFOUND_BLUR_WIDTH - 3], 50, 1e-4);
    CHECK_NEAR(c[FM_CONFOUND_FACTS][0], log(1000), 1e-5);
    CHECK_NEAR(c[FM_CONFOUND_FACTS][3], log(2), 1e-6);
    CHECK_NEAR(c[FM_CONFOUND_FACTS][4], log(1000.0 / 80000), 1e-5);
    CHECK_NEAR(c[FM_CONFOUND_FACTS][5], 0.8, 1e-6);
    CHECK_NEAR(c[FM_CONFOUND_FACTS][6], 0.64, 1e-6);
    fm_photo_fini(&photo);
}

static void without_a_chip_there_are_no_columns(void)
{
    float *to[FM_CONFOUND_COUNT] = {NULL};
    fm_photo photo = FM_PHOTO_INIT;

    CHECK(fm_confound_columns(&photo, 0, 0.25, 1, to, NULL) < 0);
}

CHECK_MAIN(CHECK_CASE(without_a_chip_there_are_no_columns), CHECK_CASE(columns_are_what_they_say),
           CHECK_CASE(the_ring_holds_no_pixel_of_the_face),
           CHECK_CASE(a_cohort_saved_at_another_quality_is_told_from_its_files))

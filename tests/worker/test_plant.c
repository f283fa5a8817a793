/* Effects planted in chips: what they change, and that they are found in real faces when planted and not when absent. */
#include <dirent.h>
#include <stdlib.h>

#include "coordinator/learn/audit.h"
#include "tests/worker/fixture.h"
#include "worker/plant.h"
#include "worker/preprocess.h"

#define SIDE 150
#define FACES 120
#define CHIP ((size_t)SIDE * SIDE * 3)

static int difference(const uint8_t *a, const uint8_t *b, int x, int y, int c)
{
    return a[(y * SIDE + x) * 3 + c] - b[(y * SIDE + x) * 3 + c];
}

static void a_tint_is_reddest_in_the_middle(void)
{
    static uint8_t chip[CHIP], out[CHIP];

    memset(chip, 100, sizeof chip);
    fm_plant(FM_PLANT_TINT, 10, chip, SIDE, out);
    CHECK_INT(difference(out, chip, 75, 75, 0), 10);
    CHECK_INT(difference(out, chip, 75, 75, 1), 0);
    CHECK_INT(difference(out, chip, 75, 75, 2), -10);
    CHECK(difference(out, chip, 0, 0, 0) < 2);
    memset(chip, 252, sizeof chip);
    fm_plant(FM_PLANT_TINT, 10, chip, SIDE, out);
    CHECK_INT(out[(75 * SIDE + 75) * 3], 255);
    fm_plant(FM_PLANT_TINT, 0, chip, SIDE, out);
    CHECK(memcmp(chip, out, sizeof chip) == 0);
}

/* A chip whose red says where a pixel was. */
static void a_warp_moves_the_eyes_apart(void)
{
    static uint8_t chip[CHIP], out[CHIP];

    for (int i = 0; i < SIDE * SIDE; i++)
        memcpy(chip + 3 * i, (uint8_t[]){(uint8_t)(i % SIDE), 0, 0}, 3);
    fm_plant(FM_PLANT_WARP, 4, chip, SIDE, out);
    CHECK_INT(difference(out, chip, 100, 46, 0), -4);
    CHECK_INT(difference(out, chip, 46, 46, 0), 4);
    CHECK_INT(difference(out, chip, 75, 140, 0), 0);
    CHECK_INT(difference(out, chip, 149, 46, 0), 0);
}

/* Codes of real faces, as they are and planted. */
typedef struct {
    fm_plan plan;
    uint32_t *stratum;
    float *codes, *planted;
} cohort;

static bool encode(fm_encoder *e, const uint8_t *chip, float *to)
{
    float code[FM_ENCODER_WIDTH];

    if (!CHECK(fm_encoder_run(e, &chip, 1, code, NULL) == 0))
        return false;
    memcpy(to, code + FM_ENCODER_EMBEDDING, FM_ENCODER_POOLED * sizeof *to);
    return true;
}

static bool add(cohort *c, const fixture_models *m, fm_preprocessor *p, const char *path, fm_plant_effect effect, double size)
{
    static uint8_t chip[CHIP];
    fm_buf bytes = FM_BUF_INIT;
    fm_photo photo = FM_PHOTO_INIT;
    size_t n = c->plan.n, at = n * FM_ENCODER_POOLED;
    bool ok = CHECK(fm_file_read(path, 1u << 22, &bytes, NULL) == 0) &&
              CHECK(fm_preprocess(p, bytes.data, bytes.size, &photo, NULL) == 0);

    if (ok && photo.n_faces) {
        fm_plant(effect, size, photo.faces[0].chip, SIDE, chip);
        ok = encode(fm_models_encoder(m->models), photo.faces[0].chip, c->codes + at) &&
             encode(fm_models_encoder(m->models), chip, c->planted + at);
        c->plan.rows[n] = (fm_plan_row){.sample = (uint32_t)n, .subject = (uint32_t)n, .fold = -1};
        c->plan.n++;
    }
    fm_photo_fini(&photo);
    fm_buf_fini(&bytes);
    return ok;
}

static bool cohort_make(cohort *c, const fixture_models *m, fm_plant_effect effect, double size)
{
    const char *dir = check_data("utkface-2k");
    struct dirent **entries = NULL;
    fm_recipe recipe;
    fm_preprocessor *p = NULL;
    int n = dir ? scandir(dir, &entries, NULL, alphasort) : 0;
    bool ok;

    fm_plan_init(&c->plan);
    c->plan.seed = 9;
    c->plan.rows = calloc(FACES, sizeof *c->plan.rows);
    c->stratum = calloc(FACES, sizeof *c->stratum);
    c->codes = calloc(FACES * FM_ENCODER_POOLED, sizeof *c->codes);
    c->planted = calloc(FACES * FM_ENCODER_POOLED, sizeof *c->planted);
    fm_recipe_default(&recipe);
    ok = n > 0 && CHECK(fm_preprocessor_create(&recipe, m->models, &p, NULL) == 0);
    for (int i = 0; i < n; i++) {
        char path[FM_PATH_MAX];

        snprintf(path, sizeof path, "%.2000s/%.255s", dir, entries[i]->d_name);
        if (ok && c->plan.n < FACES && i % 11 == 0 && strstr(entries[i]->d_name, ".jpg") && atoi(entries[i]->d_name) >= 10)
            ok = add(c, m, p, path, effect, size);
        free(entries[i]);
    }
    free(entries);
    fm_preprocessor_destroy(p);
    return ok && CHECK(c->plan.n > FACES * 9 / 10);
}

static void cohort_fini(cohort *c)
{
    fm_plan_fini(&c->plan);
    free(c->stratum);
    free(c->codes);
    free(c->planted);
}

/* The encoder was trained not to heed colours: a tint of 40 levels is not found in so few faces, a warp of 3 pixels is. */
static void a_planted_warp_is_found_in_real_faces(void)
{
    fm_audit_figure with, without;
    fixture_models m;
    cohort c;

    if (!check_data("utkface-2k") || !fixture_open(&m, true))
        return;
    if (cohort_make(&c, &m, FM_PLANT_WARP, 3)) {
        CHECK(fm_audit_halves(&c.plan, c.stratum, c.codes, c.planted, 0, &with, NULL) == 0);
        CHECK(fm_audit_halves(&c.plan, c.stratum, c.codes, c.codes, 0, &without, NULL) == 0);
        printf("  planted: AUC %.3f [%.3f, %.3f]; absent: %.3f [%.3f, %.3f]\n", with.auc, with.low, with.high, without.auc,
               without.low, without.high);
        CHECK(with.low > 0.5);
        CHECK(without.low <= 0.5 && without.high >= 0.5);
    }
    cohort_fini(&c);
    fixture_close(&m);
}

CHECK_MAIN(CHECK_CASE(a_tint_is_reddest_in_the_middle), CHECK_CASE(a_warp_moves_the_eyes_apart),
           CHECK_CASE(a_planted_warp_is_found_in_real_faces))

/* End to end on real crops: file bytes to codes, against dlib's. */
#include "tests/check.h"

#include <stdlib.h>

#include "tests/oracle.h"
#include "tests/worker/fixture.h"
#include "worker/preprocess.h"

#define ORACLE_FACES 1979
#define MUST_AGREE 1975

/* Which oracle face this is: the row with the same box, or NULL. */
static const oracle_face *find_row(const oracle_face *rows, size_t n, const fm_photo_face *face)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].box.left == face->left && rows[i].box.top == face->top && rows[i].box.right == face->right &&
            rows[i].box.bottom == face->bottom)
            return &rows[i];
    return NULL;
}

static double cosine(const float *a, const float *b, int n)
{
    double ab = 0, aa = 0, bb = 0;

    for (int i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

typedef struct {
    const oracle_faces *o;
    const float *want;              /* oracle codes, f32 [faces, FM_ENCODER_WIDTH] */
    fm_preprocessor *p;
    fm_encoder *encoder;
    size_t faces, agree, found;     /* of the oracle; with code cosine over 0.9999; with the same box */
} parity;

/* Rows of faces.tsv with a face come in the order of codes.f32. */
static void compare_codes(parity *t, const fm_photo *photo, const oracle_face *rows, size_t n, size_t first_code)
{
    for (uint32_t k = 0; k < photo->n_faces; k++) {
        const oracle_face *row = find_row(rows, n, &photo->faces[k]);
        const uint8_t *chip = photo->faces[k].chip;
        float code[FM_ENCODER_WIDTH];
        const float *want;

        if (!row || !CHECK(fm_encoder_run(t->encoder, &chip, 1, code, NULL) == 0))
            continue;
        want = t->want + (first_code + (size_t)(row - rows)) * FM_ENCODER_WIDTH;
        t->found++;
        t->agree += cosine(code, want, FM_ENCODER_EMBEDDING) > 0.9999 &&
                    cosine(code + FM_ENCODER_EMBEDDING, want + FM_ENCODER_EMBEDDING, FM_ENCODER_POOLED) > 0.9999;
    }
}

/* Each every-th photograph through the whole pipeline. */
static void run_photographs(parity *t, size_t every)
{
    size_t code = 0, photographs = 0;

    for (size_t i = 0, n; i < t->o->n; i += n) {
        const oracle_face *rows = &t->o->v[i];
        fm_buf bytes = FM_BUF_INIT;
        char rel[512];
        fm_photo photo;
        size_t real;

        for (n = 1; i + n < t->o->n && strcmp(rows[0].file, rows[n].file) == 0;)
            n++;
        real = rows[0].face == -2 ? 0 : n;
        snprintf(rel, sizeof rel, "utkface-2k/%s", rows[0].file);
        if (photographs++ % every == 0 && oracle_bytes(rel, &bytes) &&
            CHECK(fm_preprocess(t->p, bytes.data, bytes.size, &photo, NULL) == 0)) {
            compare_codes(t, &photo, rows, real, code);
            t->faces += real;
            fm_photo_fini(&photo);
        }
        fm_buf_fini(&bytes);
        code += real;
    }
}

static void codes_as_dlib_from_file_to_code(void)
{
    size_t every = getenv("CHECK_QUICK") ? 10 : 1;
    fm_buf codes = FM_BUF_INIT;
    fm_recipe recipe;
    fixture_models f;
    oracle_faces o;
    parity t = {0};

    if (!oracle_load("oracle/utkface-2k/faces.tsv", &o) || !oracle_bytes("oracle/utkface-2k/codes.f32", &codes) ||
        !fixture_open(&f, true))
        return;
    fm_recipe_default(&recipe);
    recipe.face = FM_FACE_ALL;
    t = (parity){&o, (const float *)(const void *)codes.data, NULL, fm_models_encoder(f.models), 0, 0, 0};
    REQUIRE(codes.size == ORACLE_FACES * FM_ENCODER_WIDTH * sizeof(float));
    REQUIRE(fm_preprocessor_create(&recipe, f.models, &t.p, NULL) == 0);
    run_photographs(&t, every);
    CHECK(t.faces > 0 && (every > 1 || t.faces == ORACLE_FACES));
    if (t.agree + (ORACLE_FACES - MUST_AGREE) < t.faces)
        check_failed(__FILE__, __LINE__, "%zu of %zu faces have dlib's code", t.agree, t.faces);
    if (getenv("CHECK_VERBOSE"))
        printf("  %zu faces, %zu with the same box, %zu with a code of cosine over 0.9999\n", t.faces, t.found, t.agree);
    fm_preprocessor_destroy(t.p);
    fixture_close(&f);
    fm_buf_fini(&codes);
    oracle_free(&o);
}

/* A chip's code is the same bits alone, in a batch, and whatever stands beside it. */
static void codes_do_not_depend_on_the_batch(void)
{
    static float alone[FM_ENCODER_WIDTH], together[40][FM_ENCODER_WIDTH];
    fm_buf chips = FM_BUF_INIT;
    const uint8_t *list[40];
    fixture_models f;
    size_t bytes = 150 * 150 * 3;

    if (!oracle_bytes("oracle/photos/chips.u8", &chips) || !fixture_open(&f, true))
        return;
    for (size_t i = 0; i < 40; i++)
        list[i] = chips.data + i * 7 % 66 * bytes;
    REQUIRE(fm_encoder_run(fm_models_encoder(f.models), list, 40, together[0], NULL) == 0);
    for (size_t i = 0; i < 40; i += 3) {
        REQUIRE(fm_encoder_run(fm_models_encoder(f.models), &list[i], 1, alone, NULL) == 0);
        CHECK(memcmp(alone, together[i], sizeof alone) == 0);
    }
    fixture_close(&f);
    fm_buf_fini(&chips);
}

CHECK_MAIN(CHECK_CASE(codes_as_dlib_from_file_to_code), CHECK_CASE(codes_do_not_depend_on_the_batch))

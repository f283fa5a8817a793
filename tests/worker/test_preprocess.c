/* Photographs to photo payloads, against dlib's boxes, landmarks and chips. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/oracle.h"
#include "tests/worker/fixture.h"
#include "worker/image/encode.h"
#include "worker/preprocess.h"

static bool preprocess_file(fm_preprocessor *p, const char *folder, const char *file, fm_photo *photo)
{
    fm_buf bytes = FM_BUF_INIT;
    char rel[512];
    bool ok;

    snprintf(rel, sizeof rel, "%s/%s", folder, file);
    ok = oracle_bytes(rel, &bytes) && CHECK(fm_preprocess(p, bytes.data, bytes.size, photo, NULL) == 0);
    fm_buf_fini(&bytes);
    return ok;
}

static void compare_face(const fm_photo_face *got, const oracle_face *want, size_t *equal, const uint8_t *chip)
{
    size_t worst = 0, sum = 0, bytes = 150 * 150 * 3;

    CHECK(got->left == want->box.left && got->top == want->box.top && got->right == want->box.right &&
          got->bottom == want->box.bottom && got->view == want->box.view);
    CHECK_NEAR(got->score, want->score, 1e-3);
    CHECK_INT(got->n_points, 68);
    for (int i = 0; i < 68; i++) {
        *equal += (got->points[i][0] == want->points[i].x) + (got->points[i][1] == want->points[i].y);
        CHECK(abs(got->points[i][0] - want->points[i].x) <= 1 && abs(got->points[i][1] - want->points[i].y) <= 1);
    }
    if (!chip)
        return;
    for (size_t i = 0; i < bytes; i++) {
        size_t d = (size_t)abs(got->chip[i] - chip[i]);

        sum += d;
        worst = d > worst ? d : worst;
    }
    CHECK(worst <= 8);
    CHECK_NEAR((double)sum / (double)bytes, 0, 0.3);
}

/* All faces of each `every`-th photograph of a table, and their chips where there is a file of them. */
static void as_dlib(const char *table, uint8_t upsample, const char *chips_rel, size_t every, size_t faces_expected)
{
    fixture_models f;
    fm_preprocessor *p;
    fm_recipe recipe;
    fm_buf chips = FM_BUF_INIT;
    oracle_faces o;
    size_t faces = 0, equal = 0, photographs = 0;

    if (!fixture_open(&f, false) || !oracle_load(table, &o) || (chips_rel && !oracle_bytes(chips_rel, &chips)))
        return;
    fm_recipe_default(&recipe);
    recipe.face = FM_FACE_ALL;
    recipe.upsample = upsample;
    REQUIRE(fm_preprocessor_create(&recipe, f.models, &p, NULL) == 0);
    for (size_t i = 0, n; i < o.n; i += n) {
        fm_photo photo;
        size_t real, kept = 0;

        for (n = 1; i + n < o.n && strcmp(o.v[i].file, o.v[i + n].file) == 0;)
            n++;
        real = o.v[i].face == -2 ? 0 : n;
        if (photographs++ % every != 0 || !preprocess_file(p, "faces", o.v[i].file, &photo))
            continue;
        CHECK_INT(photo.reason, real ? FM_USED : FM_NO_FACE);
        CHECK_INT(photo.upsample, upsample);
        for (size_t k = 0; k < photo.n_faces; k++)      /* scores next to the threshold may fall on either side of it */
            kept += photo.faces[k].score > 0.01f;
        CHECK(kept <= real && real <= photo.n_faces);
        for (size_t k = 0; k < real && k < photo.n_faces; k++, faces++)
            compare_face(&photo.faces[k], &o.v[i + k], &equal,
                         chips_rel && faces < 66 ? chips.data + faces * 150 * 150 * 3 : NULL);
        fm_photo_fini(&photo);
    }
    CHECK(faces > 0 && (every > 1 || faces == faces_expected));
    CHECK((double)equal >= 0.99 * 136 * (double)faces);
    if (getenv("CHECK_VERBOSE"))
        printf("  %s: %zu faces, %zu of %zu coordinates equal\n", table, faces, equal, 136 * faces);
    fm_preprocessor_destroy(p);
    oracle_free(&o);
    fm_buf_fini(&chips);
    fixture_close(&f);
}

static void photographs_as_dlib(void)
{
    as_dlib("oracle/photos/faces.tsv", 0, "oracle/photos/chips.u8", 1, 66);
}

static void doubled_photographs_as_dlib(void)
{
    as_dlib("oracle/photos-up1/faces.tsv", 1, NULL, getenv("CHECK_ALL") ? 1 : 5, 98);
}

typedef struct {
    const char *name;
    fm_face_choice face;
    uint32_t face_min;
    uint8_t upsample;
    uint64_t max_pixels;
    fm_reason reason;
    bool many;          /* more than one face is kept */
} choice_case;

/* faceapi_sample1.jpg has several faces. */
static void recipes_choose(void)
{
    static const choice_case cases[] = {
        {"largest", FM_FACE_LARGEST, 0, 0, 1u << 30, FM_USED, false},
        {"all", FM_FACE_ALL, 0, 0, 1u << 30, FM_USED, true},
        {"only", FM_FACE_ONLY, 0, 0, 1u << 30, FM_SEVERAL_FACES, false},
        {"largest too small", FM_FACE_LARGEST, 5000, 0, 1u << 30, FM_FACE_TOO_SMALL, false},
        {"all too small", FM_FACE_ALL, 5000, 0, 1u << 30, FM_FACE_TOO_SMALL, false},
        {"too many pixels", FM_FACE_ALL, 0, 0, 1000, FM_TOO_LARGE, false},
        {"too many pixels once doubled", FM_FACE_ALL, 0, 1, 500000, FM_TOO_LARGE, false},
    };
    const char *photograph = "faceapi_sample1.jpg";
    fixture_models f;

    if (!check_data("faces/faceapi_sample1.jpg") || !fixture_open(&f, false))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const choice_case *c = &cases[i];
        fm_preprocessor *p;
        fm_recipe recipe;
        fm_photo photo;

        fm_recipe_default(&recipe);
        recipe.face = c->face;
        recipe.face_min_pixels = c->face_min;
        recipe.upsample = c->upsample;
        recipe.max_pixels = c->max_pixels;
        REQUIRE(fm_preprocessor_create(&recipe, f.models, &p, NULL) == 0);
        if (preprocess_file(p, "faces", photograph, &photo)) {
            if (photo.reason != c->reason)
                check_failed(__FILE__, __LINE__, "%s: %s (%s)", c->name, fm_reason_name(photo.reason), photo.detail);
            CHECK(photo.reason == FM_USED ? photo.n_faces >= 1 && photo.chip_size == 150 : photo.n_faces == 0);
            CHECK(photo.reason == FM_USED || photo.detail[0]);
            CHECK_INT(photo.n_faces > 1, c->many);
            fm_photo_fini(&photo);
        }
        fm_preprocessor_destroy(p);
    }
    fixture_close(&f);
}

/* The widest face of the photograph is the one that "largest" keeps. */
static void largest_is_the_widest(void)
{
    fixture_models f;
    fm_preprocessor *p;
    fm_recipe recipe;
    fm_photo all, one;

    if (!check_data("faces/faceapi_sample1.jpg") || !fixture_open(&f, false))
        return;
    fm_recipe_default(&recipe);
    REQUIRE(fm_preprocessor_create(&recipe, f.models, &p, NULL) == 0);
    REQUIRE(preprocess_file(p, "faces", "faceapi_sample1.jpg", &one));
    fm_preprocessor_destroy(p);
    recipe.face = FM_FACE_ALL;
    REQUIRE(fm_preprocessor_create(&recipe, f.models, &p, NULL) == 0);
    REQUIRE(preprocess_file(p, "faces", "faceapi_sample1.jpg", &all));
    CHECK_INT(one.faces_found, all.faces_found);
    for (uint32_t i = 0; i < all.n_faces; i++)
        CHECK(all.faces[i].right - all.faces[i].left <= one.faces[0].right - one.faces[0].left);
    fm_photo_fini(&one);
    fm_photo_fini(&all);
    fm_preprocessor_destroy(p);
    fixture_close(&f);
}

static void what_is_no_photograph_has_a_reason(void)
{
    static const struct { const char *bytes; size_t n; fm_reason reason; } cases[] = {
        {"", 0, FM_UNREADABLE},
        {"GIF89a.......", 13, FM_UNSUPPORTED},
        {"hello, world", 12, FM_UNSUPPORTED},
        {"\xff\xd8\xff\xe0\0\x10JFIF\0", 11, FM_DECODE_ERROR},
    };
    fixture_models f;
    fm_preprocessor *p;
    fm_recipe recipe;

    if (!fixture_open(&f, false))
        return;
    fm_recipe_default(&recipe);
    REQUIRE(fm_preprocessor_create(&recipe, f.models, &p, NULL) == 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_photo photo;

        REQUIRE(fm_preprocess(p, (const uint8_t *)cases[i].bytes, cases[i].n, &photo, NULL) == 0);
        CHECK_STR(fm_reason_name(photo.reason), fm_reason_name(cases[i].reason));
        CHECK(photo.detail[0] && photo.n_faces == 0 && photo.width == 0);
        fm_photo_fini(&photo);
    }
    fm_preprocessor_destroy(p);
    recipe.landmarks = 5;
    CHECK_INT(fm_preprocessor_create(&recipe, f.models, &p, NULL), -EINVAL);
    fixture_close(&f);
}

static void a_photo_does_not_depend_on_what_came_before(void)
{
    static const char *const files[] = {"faceapi_sample1.jpg", "2008_001009.jpg", "faceapi_sample1.jpg"};
    fixture_models f;
    fm_preprocessor *p;
    fm_recipe recipe;
    fm_buf payload[3] = {FM_BUF_INIT, FM_BUF_INIT, FM_BUF_INIT};

    if (!check_data("faces/faceapi_sample1.jpg") || !fixture_open(&f, false))
        return;
    fm_recipe_default(&recipe);
    REQUIRE(fm_preprocessor_create(&recipe, f.models, &p, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        fm_photo photo;

        REQUIRE(preprocess_file(p, "faces", files[i], &photo));
        fm_photo_encode(&photo, &payload[i]);
        fm_photo_fini(&photo);
    }
    CHECK(payload[0].size == payload[2].size && memcmp(payload[0].data, payload[2].data, payload[0].size) == 0);
    for (int i = 0; i < 3; i++)
        fm_buf_fini(&payload[i]);
    fm_preprocessor_destroy(p);
    fixture_close(&f);
}

static void damaged_model_blocks_are_refused(void)
{
    fixture_models f;
    fm_models *m;
    uint8_t *block;

    if (!fixture_open(&f, false))
        return;
    CHECK_INT(fm_models_open(f.block, f.size - 64, &m, NULL), -EBADMSG);
    CHECK_INT(fm_models_open(f.block, 0, &m, NULL), -EBADMSG);
    block = f.block;
    for (size_t at = 0; at < 64; at++) {        /* the header: magic, sizes, offsets */
        block[at] ^= 0x40;
        if (fm_models_open(f.block, f.size, &m, NULL) == 0)
            fm_models_close(m);
        block[at] ^= 0x40;
    }
    CHECK_INT(fm_models_open(f.block, f.size, &m, NULL), 0);
    fm_models_close(m);
    fixture_close(&f);
}

CHECK_MAIN(CHECK_CASE(photographs_as_dlib), CHECK_CASE(doubled_photographs_as_dlib), CHECK_CASE(recipes_choose),
           CHECK_CASE(largest_is_the_widest), CHECK_CASE(what_is_no_photograph_has_a_reason),
           CHECK_CASE(a_photo_does_not_depend_on_what_came_before), CHECK_CASE(damaged_model_blocks_are_refused))

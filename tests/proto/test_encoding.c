/* Encodings and recipes: bytes and back, and digests that tell everything apart. */
#include "proto/encoding.h"

#include <errno.h>

#include "proto/join.h"
#include "proto/recipe.h"
#include "tests/check.h"

static fm_encoding network(void)
{
    fm_encoding e = {.kind = FM_ENCODER_ONNX, .width = 512, .input = "in", .output = "out", .size = 112,
                     .channels = FM_CHANNELS_BGR, .layout = FM_LAYOUT_LAST, .mean = {1, 2, 3}, .scale = {4, 5, 6}};

    memset(e.model.b, 7, sizeof e.model.b);
    return e;
}

static fm_digest digest(const fm_encoding *e)
{
    fm_digest d = {{0}};

    CHECK_INT(fm_encoding_digest(e, &d, NULL), 0);
    return d;
}

static void bytes_and_back(void)
{
    fm_encoding e = network(), back;
    fm_buf b = FM_BUF_INIT;
    fm_reader in;

    fm_encoding_encode(&e, &b);
    in = fm_reader_init(b.data, b.size);
    REQUIRE(fm_encoding_decode(&in, &back, NULL) == 0);
    CHECK(fm_reader_left(&in) == 0 && back.size == 112 && back.scale[2] == 6 && strcmp(back.output, "out") == 0);
    for (size_t n = 0; n < b.size; n++) {
        in = fm_reader_init(b.data, n);
        CHECK_INT(fm_encoding_decode(&in, &back, NULL), -EBADMSG);
    }
    fm_buf_fini(&b);
}

static void every_field_changes_the_digest(void)
{
    fm_encoding v[14];
    fm_digest d[14];

    for (int i = 0; i < 14; i++)
        v[i] = network();
    v[1].kind = FM_ENCODER_DLIB;
    v[2].model.b[31]++;
    v[3].width++;
    v[4].mask = true;
    v[5].fill[1]++;
    v[6].input[0]++;
    v[7].output[0]++;
    v[8].size++;
    v[9].channels = FM_CHANNELS_RGB;
    v[10].layout = FM_LAYOUT_FIRST;
    v[11].mean[2]++;
    v[12].scale[0]++;
    v[13].mask = true;
    v[13].fill[2]++;
    for (int i = 0; i < 14; i++) {
        d[i] = digest(&v[i]);
        for (int k = 0; k < i; k++)
            CHECK(!fm_digest_equal(&d[i], &d[k]));
    }
    CHECK(fm_digest_equal(&d[1], &v[1].model));     /* as stores of earlier versions have it */
}

static void a_mask_is_part_of_the_recipe(void)
{
    fm_recipe r, back;
    fm_buf b = FM_BUF_INIT;
    fm_digest without, ignored, with, other;
    fm_reader in;

    fm_recipe_default(&r);
    fm_recipe_digest(&r, &without, NULL);
    r.mask_model.b[0] = 1;                          /* known, and not asked for */
    fm_recipe_digest(&r, &ignored, NULL);
    r.mask = true;
    fm_recipe_digest(&r, &with, NULL);
    r.mask_model.b[0] = 2;
    fm_recipe_digest(&r, &other, NULL);
    CHECK(fm_digest_equal(&without, &ignored) && !fm_digest_equal(&without, &with) && !fm_digest_equal(&with, &other));
    fm_recipe_encode(&r, &b);
    in = fm_reader_init(b.data, b.size);
    REQUIRE(fm_recipe_decode(&in, &back, NULL) == 0);
    CHECK(back.mask && back.mask_model.b[0] == 2 && fm_reader_left(&in) == 0);
    fm_buf_fini(&b);
}

static void join_files_carry_it(void)
{
    static fm_join join, back;
    fm_buf b = FM_BUF_INIT;

    join.encoding = network();
    strcpy(join.mask.path, "/models/portrait.onnx");
    fm_join_encode(&join, &b);
    REQUIRE(fm_join_decode(b.data, b.size, &back, NULL) == 0);
    CHECK_STR(back.mask.path, "/models/portrait.onnx");
    CHECK(back.encoding.width == 512 && back.encoding.mean[1] == 2);
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(bytes_and_back), CHECK_CASE(every_field_changes_the_digest), CHECK_CASE(a_mask_is_part_of_the_recipe),
           CHECK_CASE(join_files_carry_it))

/* Head files: bytes and back, damage, and codes they do not fit. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/rng.h"
#include "jobs/head_file.h"

enum { N = 60, D = 4, CLASSES = 3 };

/* A small trained head and all that goes with it; fm_head_file_fini. */
static fm_head_file make(void)
{
    static float x[N * D];
    static int32_t label[N];
    fm_rng rng = fm_rng_init(8, 0);
    fm_head_spec spec;
    fm_head_file f = {.study = "a study", .encoder = "dlib-resnet", .code_offset = 128, .code_width = D,
                      .threshold = NAN, .n_classes = CLASSES, .classes = calloc(CLASSES, sizeof *f.classes)};

    fm_head_spec_default(&spec);
    spec.kind = FM_HEAD_LOGISTIC;
    for (int i = 0; i < N; i++) {
        label[i] = i % CLASSES;
        for (int k = 0; k < D; k++)
            x[i * D + k] = (float)(fm_rng_normal(&rng) + (k == label[i]));
    }
    if (fm_head_train(&spec, &(fm_training){{x, D, D, NULL, N}, label, NULL, CLASSES}, 1, 1, NULL, &f.head, NULL) != 0)
        abort();
    fm_recipe_default(&f.recipe);
    memset(&f.recipe.detector_model, 1, sizeof f.recipe.detector_model);
    memset(&f.encoding.model, 2, sizeof f.encoding.model);
    f.classes[0] = strdup("");
    f.classes[1] = strdup("tab\there");
    f.classes[2] = strdup("\xc3\xa9");
    return f;
}

static void bytes_and_back(void)
{
    fm_head_file f = make(), back;
    char path[FM_PATH_MAX];
    fm_buf a = FM_BUF_INIT, b = FM_BUF_INIT;

    fm_path_join(path, sizeof path, check_tmpdir(), "head.bin", NULL);
    REQUIRE(fm_head_file_write(&f, path, NULL) == 0 && fm_head_file_read(path, &back, NULL) == 0);
    CHECK_STR(back.study, "a study");
    CHECK_STR(back.classes[1], "tab\there");
    CHECK(isnan(back.threshold) && back.code_offset == 128 && fm_head_classes(back.head) == CLASSES);
    fm_head_file_encode(&f, &a);
    fm_head_file_encode(&back, &b);
    CHECK(a.size > 0 && a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    fm_head_file_fini(&f);
    fm_head_file_fini(&back);
}

/* The closing digest made right again, so that what lies behind it is reached. */
static void sign(fm_buf *b)
{
    fm_digest d;

    fm_digest_of(b->data, b->size - FM_DIGEST_BYTES, &d);
    memcpy(b->data + b->size - FM_DIGEST_BYTES, d.b, FM_DIGEST_BYTES);
}

static void hostile_bytes(void)
{
    fm_head_file f = make(), back;
    uint64_t seed = 61;
    fm_rng rng = fm_rng_init(seed, 0);
    fm_buf b = FM_BUF_INIT;

    printf("  seed %llu\n", (unsigned long long)seed);
    fm_head_file_encode(&f, &b);
    for (size_t n = 0; n < b.size; n++)
        CHECK_INT(fm_head_file_decode(b.data, n, &back, NULL), -EBADMSG);
    for (int i = 0; i < 3000; i++) {
        size_t at = fm_rng_below(&rng, (uint32_t)(b.size - FM_DIGEST_BYTES));
        uint8_t was = b.data[at];
        int rc;

        b.data[at] = i % 3 ? (uint8_t)fm_rng_u32(&rng) : 0xff;
        if (b.data[at] != was)
            CHECK_INT(fm_head_file_decode(b.data, b.size, &back, NULL), -EBADMSG);
        sign(&b);
        rc = fm_head_file_decode(b.data, b.size, &back, NULL);
        if (CHECK(rc == 0 || rc == -EBADMSG) && rc == 0)
            fm_head_file_fini(&back);
        b.data[at] = was;
        sign(&b);
    }
    fm_buf_fini(&b);
    fm_head_file_fini(&f);
}

static void other_codes_are_refused(void)
{
    fm_head_file f = make();
    fm_recipe recipe = f.recipe;
    fm_encoding encoder = f.encoding;
    fm_err err = FM_ERR_INIT;

    CHECK_INT(fm_head_file_fits(&f, &recipe, &encoder, 128, D, &err), 0);
    CHECK_INT(fm_head_file_fits(&f, &recipe, &encoder, 0, D, &err), -EINVAL);
    CHECK(strstr(err.text, "columns 128 to 131") && strstr(err.text, "columns 0 to 3"));
    recipe.upsample = 1;
    CHECK_INT(fm_head_file_fits(&f, &recipe, &encoder, 128, D, &err), -EINVAL);
    CHECK(strstr(err.text, "recipe") != NULL);
    recipe = f.recipe;
    recipe.landmarks_model.b[0] ^= 1;
    CHECK_INT(fm_head_file_fits(&f, &recipe, &encoder, 128, D, &err), -EINVAL);
    encoder.model.b[3] ^= 1;
    CHECK_INT(fm_head_file_fits(&f, &f.recipe, &encoder, 128, D, &err), -EINVAL);
    CHECK(strstr(err.text, "encoder 0202") != NULL);
    encoder = f.encoding;
    encoder.mask = true;
    CHECK_INT(fm_head_file_fits(&f, &f.recipe, &encoder, 128, D, &err), -EINVAL);
    CHECK(strstr(err.text, "encoder 0202") != NULL);
    fm_head_file_fini(&f);
}

CHECK_MAIN(CHECK_CASE(bytes_and_back), CHECK_CASE(hostile_bytes), CHECK_CASE(other_codes_are_refused))

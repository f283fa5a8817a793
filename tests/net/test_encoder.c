/* The encoder against dlib's codes, against itself over batches and instruction
 * sets (bit for bit), and against damaged files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "tests/check.h"
#include "tests/oracle.h"
#include "worker/net/encoder.h"
#include "worker/net/resnet.h"

#define CHIP_BYTES (FM_ENCODER_CHIP * FM_ENCODER_CHIP * 3)
#define MODEL "dlib_face_recognition_resnet_model_v1.dat"

static bool read_model(fm_buf *file)
{
    const char *path = check_model(MODEL);

    *file = (fm_buf)FM_BUF_INIT;
    return path && CHECK(fm_file_read(path, 1u << 28, file, NULL) == 0);
}

typedef struct {
    void *memory;
    size_t bytes;
    fm_encoder *e;
} opened;

static bool open_for(fm_isa isa, opened *o)
{
    fm_buf file, packed = FM_BUF_INIT;
    bool ok;

    memset(o, 0, sizeof *o);
    if (!read_model(&file))
        return false;
    ok = CHECK(fm_encoder_pack(file.data, file.size, isa, &packed, NULL) == 0);
    o->bytes = packed.size;
    o->memory = ok ? aligned_alloc(64, (packed.size + 63) & ~(size_t)63) : NULL;
    ok = ok && CHECK(o->memory != NULL);
    if (ok)
        memcpy(o->memory, packed.data, packed.size);
    fm_buf_fini(&packed);
    fm_buf_fini(&file);
    return ok && CHECK(fm_encoder_open(o->memory, o->bytes, &o->e, NULL) == 0);
}

static void close_opened(opened *o)
{
    fm_encoder_close(o->e);
    free(o->memory);
}

/* Smooth noise: neighbouring pixels resemble each other, as in photographs. */
static void generate_chip(uint64_t seed, uint8_t *chip)
{
    fm_rng r = fm_rng_init(seed, 1);
    uint8_t coarse[16][16][3];

    for (size_t i = 0; i < sizeof coarse; i++)
        ((uint8_t *)coarse)[i] = (uint8_t)fm_rng_below(&r, 256);
    for (int i = 0; i < CHIP_BYTES; i++) {
        int y = i / 3 / FM_ENCODER_CHIP, x = i / 3 % FM_ENCODER_CHIP, wy = y % 10, wx = x % 10, c = i % 3;
        int v = (10 - wy) * ((10 - wx) * coarse[y / 10][x / 10][c] + wx * coarse[y / 10][x / 10 + 1][c]) +
                wy * ((10 - wx) * coarse[y / 10 + 1][x / 10][c] + wx * coarse[y / 10 + 1][x / 10 + 1][c]);

        chip[i] = (uint8_t)(v / 100);
    }
}

static void chips_of(const uint8_t *bytes, size_t n, const uint8_t **chips)
{
    for (size_t i = 0; i < n; i++)
        chips[i] = bytes + i * CHIP_BYTES;
}

static void compare_code(size_t face, const float *got, const float *want, double *worst, double *least_cosine)
{
    double difference = 0, length = 0, got_length = 0, product = 0;

    for (int i = 0; i < FM_ENCODER_WIDTH; i++) {
        difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += (double)want[i] * want[i];
        got_length += (double)got[i] * got[i];
        product += (double)got[i] * want[i];
    }
    if (!(difference <= 1e-8 * length))
        check_failed(__FILE__, __LINE__, "face %zu: relative difference %g", face, sqrt(difference / length));
    *worst = fmax(*worst, sqrt(difference / length));
    *least_cosine = fmin(*least_cosine, product / sqrt(length * got_length));
}

static void codes_as_dlib(void)
{
    fm_buf chips = FM_BUF_INIT, want = FM_BUF_INIT;
    const uint8_t *chip[66];
    static float codes[66][FM_ENCODER_WIDTH], expected[66][FM_ENCODER_WIDTH];
    double worst = 0, least_cosine = 1;
    opened o;

    if (!oracle_bytes("oracle/photos/chips.u8", &chips) || !oracle_bytes("oracle/photos/codes.f32", &want) ||
        !open_for(fm_cpu_isa(), &o))
        return;
    REQUIRE(chips.size == (size_t)66 * CHIP_BYTES && want.size == sizeof expected);
    memcpy(expected, want.data, sizeof expected);
    chips_of(chips.data, 66, chip);
    CHECK_INT(fm_encoder_run(o.e, chip, 66, codes[0], NULL), 0);
    for (size_t i = 0; i < 66; i++)
        compare_code(i, codes[i], expected[i], &worst, &least_cosine);
    CHECK(least_cosine >= 0.99999);
    if (getenv("CHECK_VERBOSE"))
        printf("  largest relative difference %g, 1 - least cosine %g\n", worst, 1 - least_cosine);
    close_opened(&o);
    fm_buf_fini(&chips);
    fm_buf_fini(&want);
}

/* A chip among others, in every place of a batch, and alone. */
static void codes_do_not_depend_on_the_batch(void)
{
    enum { N = FM_ENCODER_BATCH + 5 };
    static uint8_t bytes[3][CHIP_BYTES];
    static float alone[3][FM_ENCODER_WIDTH], among[N][FM_ENCODER_WIDTH];
    const uint8_t *chips[N];
    opened o;

    for (uint64_t i = 0; i < 3; i++)
        generate_chip(i, bytes[i]);
    if (!open_for(fm_cpu_isa(), &o))
        return;
    for (int i = 0; i < 3; i++)
        REQUIRE(fm_encoder_run(o.e, &(const uint8_t *){bytes[i]}, 1, alone[i], NULL) == 0);
    CHECK(memcmp(alone[0], alone[1], sizeof alone[0]) != 0);
    for (int n = 2; n <= N; n += n < 6 ? 1 : 7) {
        for (int i = 0; i < n; i++)
            chips[i] = bytes[(i + n) % 3];
        REQUIRE(fm_encoder_run(o.e, chips, (size_t)n, among[0], NULL) == 0);
        for (int i = 0; i < n; i++)
            if (memcmp(among[i], alone[(i + n) % 3], sizeof among[i]) != 0)
                check_failed(__FILE__, __LINE__, "chip %d of %d has another code than alone", i, n);
    }
    close_opened(&o);
}

static void every_instruction_set_gives_the_same_bits(void)
{
    enum { N = 3 };
    static uint8_t bytes[N][CHIP_BYTES];
    static float want[N][FM_ENCODER_WIDTH], got[N][FM_ENCODER_WIDTH];
    const uint8_t *chips[N];
    opened o;

    for (uint64_t i = 0; i < N; i++)
        generate_chip(10 + i, bytes[i]);
    memset(bytes[1], 255, CHIP_BYTES / 2);
    chips_of(bytes[0], N, chips);
    for (int isa = FM_ISA_PLAIN; isa <= (int)fm_cpu_isa(); isa++) {
        if (!open_for((fm_isa)isa, &o))
            return;
        REQUIRE(fm_encoder_run(o.e, chips, N, got[0], NULL) == 0);
        if (isa == FM_ISA_PLAIN)
            memcpy(want, got, sizeof want);
        for (int i = 0; i < N; i++)
            if (memcmp(want[i], got[i], sizeof got[i]) != 0)
                check_failed(__FILE__, __LINE__, "chip %d: %s differs from plain", i, fm_isa_name((fm_isa)isa));
        close_opened(&o);
    }
}

static void damaged_files_are_refused(void)
{
    fm_buf file, packed = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    if (!read_model(&file))
        return;
    for (size_t n = 0; n < file.size; n += n < 400 ? 1 : 1 + file.size / 200) {
        /* a copy of that size: a read past its end does not go unnoticed */
        uint8_t *cut = malloc(n ? n : 1);

        REQUIRE(cut != NULL);
        memcpy(cut, file.data, n);
        CHECK_INT(fm_encoder_pack(cut, n, FM_ISA_PLAIN, &packed, &err), -EBADMSG);
        CHECK_INT(packed.size, 0);
        CHECK(strstr(err.text, "expected") && strstr(err.text, "byte"));
        free(cut);
    }
    fm_buf_u8(&file, 0);
    CHECK_INT(fm_encoder_pack(file.data, file.size, FM_ISA_PLAIN, &packed, &err), -EBADMSG);
    fm_buf_fini(&file);
}

/* A flipped bit is found, or is in a number that the network's shape does not depend on: never an overrun. */
static void flipped_bits_are_found_or_are_numbers(void)
{
    const size_t head = 340;    /* bytes before the first convolution: what layers there are, five numbers */
    fm_resnet net;
    fm_buf file;
    fm_rng r = fm_rng_init(6, 6);
    size_t found = 0;

    if (!read_model(&file))
        return;
    for (size_t bit = 0; bit < 8 * head + 4000; bit++) {
        size_t at = bit < 8 * head ? bit / 8 : head + fm_rng_below(&r, (uint32_t)(file.size - head));
        int rc;

        file.data[at] ^= (uint8_t)(1u << bit % 8);
        rc = fm_resnet_read(file.data, file.size, &net, NULL);
        CHECK(rc == 0 || rc == -EBADMSG);
        found += bit < 8 * head && rc == -EBADMSG;
        file.data[at] ^= (uint8_t)(1u << bit % 8);
    }
    CHECK(found > 8 * head * 9 / 10);
    CHECK_INT(fm_resnet_read(file.data, file.size, &net, NULL), 0);
    fm_buf_fini(&file);
}

static void weights_that_are_no_numbers_are_refused(void)
{
    fm_buf file, packed = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    if (!read_model(&file))
        return;
    memset(file.data + 1000, 0xff, 4);
    CHECK_INT(fm_encoder_pack(file.data, file.size, FM_ISA_PLAIN, &packed, &err), -EBADMSG);
    CHECK(strstr(err.text, "not a number") != NULL);
    CHECK_INT(packed.size, 0);
    fm_buf_fini(&packed);
    fm_buf_fini(&file);
}

static void strange_packed_images_are_refused(void)
{
    fm_encoder *e = NULL;
    uint32_t isa = FM_ISA_AVX512 + 1;
    opened o;

    CHECK_INT(fm_encoder_open("", 0, &e, NULL), -EBADMSG);
    if (!open_for(FM_ISA_PLAIN, &o))
        return;
    CHECK_INT(fm_encoder_open(o.memory, o.bytes - 1, &e, NULL), -EBADMSG);
    CHECK_INT(fm_encoder_open(o.memory, 32, &e, NULL), -EBADMSG);
    memcpy((uint8_t *)o.memory + 4, &isa, sizeof isa);
    CHECK_INT(fm_encoder_open(o.memory, o.bytes, &e, NULL), -EBADMSG);
    memset(o.memory, 0, 4);
    CHECK_INT(fm_encoder_open(o.memory, o.bytes, &e, NULL), -EBADMSG);
    CHECK(e == NULL);
    close_opened(&o);
}

CHECK_MAIN(CHECK_CASE(codes_as_dlib), CHECK_CASE(codes_do_not_depend_on_the_batch),
           CHECK_CASE(every_instruction_set_gives_the_same_bits), CHECK_CASE(damaged_files_are_refused),
           CHECK_CASE(flipped_bits_are_found_or_are_numbers), CHECK_CASE(weights_that_are_no_numbers_are_refused),
           CHECK_CASE(strange_packed_images_are_refused))

/* Record codecs: round trips, and hostile bytes that must end in errors. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rng.h"
#include "storage/record.h"

static fm_digest key_of(const char *what)
{
    fm_digest d;

    fm_digest_of(what, strlen(what), &d);
    return d;
}

static void a_record_reads_back(void)
{
    fm_digest key = key_of("a"), other = key_of("b"), hash;
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    const void *payload;
    char hex[FM_DIGEST_HEX];
    size_t n;

    fm_record_encode(FM_RECORD_CODE, &key, "chip", 4, &b);
    REQUIRE(!b.failed);
    CHECK_INT(b.size, 80 + 4);
    CHECK_INT(fm_record_decode(b.data, b.size, FM_RECORD_CODE, &key, &payload, &n, &hash, &err), 0);
    CHECK(n == 4 && memcmp(payload, "chip", 4) == 0);
    CHECK(memcmp(hash.b, b.data + 48, sizeof hash.b) == 0);
    CHECK_INT(fm_record_decode(b.data, b.size, FM_RECORD_PHOTO, &key, &payload, &n, NULL, &err), -EBADMSG);
    CHECK(strstr(err.text, "another kind") != NULL);
    CHECK_INT(fm_record_decode(b.data, b.size, FM_RECORD_CODE, &other, &payload, &n, NULL, &err), -EBADMSG);
    fm_digest_hex(&other, hex);
    CHECK(strstr(err.text, hex) && strstr(err.text, "code"));
    b.data[4] = 9;
    CHECK_INT(fm_record_decode(b.data, b.size, FM_RECORD_CODE, &key, &payload, &n, NULL, &err), -EPROTO);
    CHECK(strstr(err.text, "version 9") != NULL);
    fm_buf_fini(&b);
}

static void an_empty_payload_is_a_record(void)
{
    fm_digest key = key_of("empty");
    fm_buf b = FM_BUF_INIT;
    const void *payload;
    size_t n = 1;

    fm_record_encode(FM_RECORD_PHOTO, &key, NULL, 0, &b);
    REQUIRE(!b.failed);
    CHECK_INT(fm_record_decode(b.data, b.size, FM_RECORD_PHOTO, &key, &payload, &n, NULL, NULL), 0);
    CHECK_INT(n, 0);
    fm_buf_fini(&b);
}

/* Every bit of a record is under its digest, and every length but its own is refused. */
static void every_flipped_bit_is_found(void)
{
    fm_digest key = key_of("bits");
    fm_buf b = FM_BUF_INIT;
    const void *payload;
    uint8_t *cut;
    size_t n;

    fm_record_encode(FM_RECORD_PHOTO, &key, "some payload", 12, &b);
    REQUIRE(!b.failed);
    for (size_t bit = 0; bit < 8 * b.size; bit++) {
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (fm_record_decode(b.data, b.size, FM_RECORD_PHOTO, &key, &payload, &n, NULL, NULL) == 0)
            check_failed(__FILE__, __LINE__, "bit %zu goes unnoticed", bit);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < b.size; size++) {
        cut = malloc(size ? size : 1);
        REQUIRE(cut != NULL);
        memcpy(cut, b.data, size);
        CHECK_INT(fm_record_decode(cut, size, FM_RECORD_PHOTO, &key, &payload, &n, NULL, NULL), -EBADMSG);
        free(cut);
    }
    fm_buf_fini(&b);
}

static void codes_read_back(void)
{
    const float codes[6] = {1, -2, 0.5f, 4, 1e-30f, -0.0f};
    float got[6] = {0};
    uint32_t faces = 9;
    fm_buf b = FM_BUF_INIT;

    fm_code_encode(2, 3, codes, &b);
    REQUIRE(!b.failed);
    CHECK_INT(fm_code_decode(b.data, b.size, 3, 2, got, &faces, NULL), 0);
    CHECK_INT(faces, 2);
    CHECK(memcmp(got, codes, sizeof codes) == 0);
    CHECK_INT(fm_code_decode(b.data, b.size, 3, 1, got, &faces, NULL), -EBADMSG);
    CHECK_INT(fm_code_decode(b.data, b.size, 2, 3, got, &faces, NULL), -EBADMSG);
    CHECK_INT(fm_code_decode(b.data, b.size - 1, 3, 2, got, &faces, NULL), -EBADMSG);
    b.size = 0;
    fm_code_encode(0, 3, NULL, &b);
    CHECK_INT(fm_code_decode(b.data, b.size, 3, 0, got, &faces, NULL), 0);
    CHECK_INT(faces, 0);
    fm_buf_fini(&b);
}

static void hostile_codes_are_errors(void)
{
    /* 65536 x 65536 values wrap to nothing in 32 bits. */
    static const uint8_t wrap[8] = {0, 0, 1, 0, 0, 0, 1, 0};
    uint64_t seed = check_seed();
    fm_rng r = fm_rng_init(seed, fm_rng_stream("hostile codes", 0, 0));
    float codes[4];
    uint32_t faces;

    CHECK_INT(fm_code_decode(wrap, sizeof wrap, 65536, 65536, NULL, &faces, NULL), -EBADMSG);
    for (int i = 0; i < 20000; i++) {
        size_t n = fm_rng_below(&r, 32);
        uint8_t *bytes = malloc(n ? n : 1);

        REQUIRE(bytes != NULL);
        for (size_t k = 0; k < n; k++)
            bytes[k] = fm_rng_below(&r, 4) ? (uint8_t)fm_rng_below(&r, 3) : (uint8_t)fm_rng_u32(&r);
        if (fm_code_decode(bytes, n, 2, 2, codes, &faces, NULL) == 0)
            CHECK(faces <= 2 && n == 8 + 8 * faces);
        free(bytes);
    }
}

CHECK_MAIN(CHECK_CASE(a_record_reads_back), CHECK_CASE(an_empty_payload_is_a_record),
           CHECK_CASE(every_flipped_bit_is_found), CHECK_CASE(codes_read_back), CHECK_CASE(hostile_codes_are_errors))

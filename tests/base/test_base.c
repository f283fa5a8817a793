/* The foundations: codecs at their bounds, published vectors, atomic writes. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/digest.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/text.h"

static void codec_round_trip_and_overrun(void)
{
    fm_buf b = FM_BUF_INIT;
    char s[8];
    fm_reader r;

    fm_buf_u8(&b, 200);
    fm_buf_u16(&b, 60000);
    fm_buf_u64(&b, UINT64_MAX - 1);
    fm_buf_f64(&b, -0.1);
    fm_buf_str(&b, "chip");
    REQUIRE(!b.failed);
    r = fm_reader_init(b.data, b.size);
    CHECK_INT(fm_reader_u8(&r), 200);
    CHECK_INT(fm_reader_u16(&r), 60000);
    CHECK(fm_reader_u64(&r) == UINT64_MAX - 1);
    CHECK(fm_reader_f64(&r) == -0.1);
    fm_reader_str(&r, s, sizeof s);
    CHECK_STR(s, "chip");
    CHECK(!r.failed && fm_reader_left(&r) == 0);
    CHECK_INT(fm_reader_u32(&r), 0);
    CHECK(r.failed);
    r = fm_reader_init(b.data + 19, b.size - 19);
    fm_reader_str(&r, s, 4);    /* "chip" needs five bytes */
    CHECK(r.failed);
    fm_buf_fini(&b);
}

/* Vectors published with Random123 (kat_vectors, philox4x32-10). */
static void philox_published_vectors(void)
{
    static const uint32_t all[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, none[4];
    uint32_t out[4];

    fm_philox4x32(none, none, out);
    CHECK(out[0] == 0x6627e8d5 && out[1] == 0xe169c58d && out[2] == 0xbc57ac4c && out[3] == 0x9b00dbd8);
    fm_philox4x32(all, all, out);
    CHECK(out[0] == 0x408f276d && out[1] == 0x41c83b0e && out[2] == 0xa20bc7c6 && out[3] == 0x6d5451fd);
}

static void rng_is_uniform_enough(void)
{
    fm_rng r = fm_rng_init(7, fm_rng_stream("test", 0, 0));
    double sum = 0, squares = 0;
    int counts[6] = {0};

    for (int i = 0; i < 60000; i++) {
        double z = fm_rng_normal(&r);

        sum += z;
        squares += z * z;
        counts[fm_rng_below(&r, 6)]++;
    }
    CHECK_NEAR(sum / 60000, 0, 0.02);
    CHECK_NEAR(squares / 60000, 1, 0.03);
    for (int i = 0; i < 6; i++)
        CHECK_NEAR(counts[i], 10000, 400);
}

static void sha256_of_abc(void)
{
    char hex[FM_DIGEST_HEX], path[FM_PATH_MAX];
    fm_digest memory, file;

    fm_sha256_of("abc", 3, &memory);
    fm_digest_hex(&memory, hex);
    CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    fm_path_join(path, sizeof path, check_tmpdir(), "abc", NULL);
    REQUIRE(fm_file_write(path, "abc", 3, NULL) == 0);
    CHECK_INT(fm_sha256_file(path, &file, NULL), 0);
    CHECK(fm_digest_equal(&memory, &file));
}

static void a_fault_may_mean_one_thing(void)
{
    fm_fault_set("photo@b.jpg:2,other");
    CHECK(!fm_fault_of("photo", "dir/a.jpg") && !fm_fault_of("photo", "dir/b.jpg"));
    CHECK(!fm_fault("photo") && !fm_fault_of("phot", "o@b.jpg"));
    CHECK(fm_fault_of("photo", "b.jpg"));
    CHECK(fm_fault_of("other", "whatever"));
    fm_fault_set(NULL);
}

static void files_are_replaced_whole_or_not_at_all(void)
{
    char path[FM_PATH_MAX], fifo[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    fm_path_join(path, sizeof path, check_tmpdir(), "f", NULL);
    REQUIRE(fm_file_write(path, "old", 3, NULL) == 0);
    fm_fault_set("file.rename");
    CHECK_INT(fm_file_write(path, "new", 3, &err), -EIO);
    fm_fault_set(NULL);
    CHECK(strstr(err.text, path) != NULL);
    REQUIRE(fm_file_read(path, 100, &b, &err) == 0);
    CHECK(b.size == 3 && memcmp(b.data, "old", 3) == 0);
    CHECK_INT(fm_file_read(path, 2, &b, &err), -EFBIG);
    CHECK_INT(fm_file_read(check_tmpdir(), 2, &b, &err), -EINVAL);
    fm_path_join(fifo, sizeof fifo, check_tmpdir(), "fifo", NULL);
    REQUIRE(mkfifo(fifo, 0600) == 0);
    CHECK_INT(fm_file_read(fifo, 2, &b, &err), -EINVAL);
    fm_buf_fini(&b);
}

static void nearest_name_is_suggested(void)
{
    static const char *const names[] = {"recipe", "encoder", "evaluate", "cohorts"};

    CHECK_STR(fm_nearest("encodre", names, 4), "encoder");
    CHECK_STR(fm_nearest("cohort", names, 4), "cohorts");
    CHECK(fm_nearest("banana", names, 4) == NULL);
}

static void tsv_fields_keep_their_columns(void)
{
    fm_buf b = FM_BUF_INIT;

    fm_tsv_field(&b, "a\tb\\c\nd");
    fm_buf_u8(&b, 0);
    CHECK_STR((char *)b.data, "a\\tb\\\\c\\nd");
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(a_fault_may_mean_one_thing), CHECK_CASE(files_are_replaced_whole_or_not_at_all), CHECK_CASE(codec_round_trip_and_overrun),
           CHECK_CASE(philox_published_vectors), CHECK_CASE(rng_is_uniform_enough), CHECK_CASE(sha256_of_abc),
           CHECK_CASE(nearest_name_is_suggested), CHECK_CASE(tsv_fields_keep_their_columns))

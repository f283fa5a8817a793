/* study.keys: reads back, is replaced whole or not at all, and any damage is an error. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/rng.h"
#include "storage/keys.h"

static fm_study_key entries[3] = {
    {.name = (char *)"one", .path = (char *)"/a/one.jpg", .reason = FM_USED},
    {.name = (char *)"", .path = (char *)"/a/\xff\n.png", .reason = FM_NO_FACE},
    {.name = (char *)"three", .path = (char *)"", .reason = FM_TIMED_OUT},
};

static fm_study_keys sample(size_t n)
{
    for (int i = 0; i < 3; i++) {
        fm_digest_of(&i, sizeof i, &entries[i].image);
        fm_digest_of(&entries[i].image, 3, &entries[i].photo);
    }
    return (fm_study_keys){entries, n};
}

static void keys_read_back(void)
{
    const char *dir = check_tmpdir();
    fm_study_keys keys = sample(3), got;
    fm_err err = FM_ERR_INIT;

    CHECK_INT(fm_keys_read(dir, &got, &err), -ENOENT);
    CHECK(strstr(err.text, "no build") != NULL);
    CHECK_INT(fm_keys_write(dir, &keys, &err), 0);
    REQUIRE(fm_keys_read(dir, &got, &err) == 0);
    REQUIRE(got.n == 3);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(got.v[i].name, entries[i].name);
        CHECK_STR(got.v[i].path, entries[i].path);
        CHECK_INT(got.v[i].reason, entries[i].reason);
        CHECK(fm_digest_equal(&got.v[i].image, &entries[i].image));
        CHECK(fm_digest_equal(&got.v[i].photo, &entries[i].photo));
        CHECK(fm_digest_is_zero(&got.v[i].code));
    }
    fm_keys_fini(&got);
    keys.n = 0;
    CHECK_INT(fm_keys_write(dir, &keys, &err), 0);
    REQUIRE(fm_keys_read(dir, &got, &err) == 0);
    CHECK_INT(got.n, 0);
    fm_keys_fini(&got);
}

static void a_failed_write_keeps_the_old(void)
{
    static const char *const faults[] = {"file.write", "file.fsync", "file.rename"};
    const char *dir = check_tmpdir();
    fm_study_keys keys = sample(3), got;
    fm_err err = FM_ERR_INIT;

    REQUIRE(fm_keys_write(dir, &keys, &err) == 0);
    keys.n = 1;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        fm_fault_set(faults[i]);
        CHECK(fm_keys_write(dir, &keys, &err) < 0);
        CHECK(strstr(err.text, "study.keys") != NULL);
        fm_fault_set(NULL);
        REQUIRE(fm_keys_read(dir, &got, &err) == 0);
        CHECK_INT(got.n, 3);
        fm_keys_fini(&got);
    }
}

static int write_and_read(const char *dir, const char *path, const void *bytes, size_t n)
{
    fm_study_keys got;
    int rc = fm_file_write(path, bytes, n, NULL);

    if (rc == 0 && (rc = fm_keys_read(dir, &got, NULL)) == 0)
        fm_keys_fini(&got);
    return rc;
}

/* Flipped bits and cuts fall to the digest; bytes under a right digest fall to the bounds. */
static void damage_is_an_error(void)
{
    const char *dir = check_tmpdir();
    fm_study_keys keys = sample(3);
    fm_buf b = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    uint64_t seed = check_seed();
    fm_rng r = fm_rng_init(seed, fm_rng_stream("hostile keys", 0, 0));

    REQUIRE(fm_path_join(path, sizeof path, dir, "study.keys", NULL) == 0);
    REQUIRE(fm_keys_write(dir, &keys, NULL) == 0 && fm_file_read(path, 1 << 20, &b, NULL) == 0);
    for (int i = 0; i < 100; i++) {
        size_t at = fm_rng_below(&r, (uint32_t)b.size);

        b.data[at] ^= (uint8_t)(1 << fm_rng_below(&r, 8));
        CHECK_INT(write_and_read(dir, path, b.data, b.size), -EBADMSG);
        fm_buf_fini(&b);
        REQUIRE(fm_keys_write(dir, &keys, NULL) == 0 && fm_file_read(path, 1 << 20, &b, NULL) == 0);
        CHECK_INT(write_and_read(dir, path, b.data, at), -EBADMSG);
    }
    for (int i = 0; i < 300; i++) {
        uint8_t *copy = malloc(b.size);
        fm_digest check;
        int rc;

        REQUIRE(copy != NULL);
        memcpy(copy, b.data, b.size);
        for (int k = 0; k < 3; k++)
            copy[fm_rng_below(&r, k ? (uint32_t)b.size - 32 : 40)] = (uint8_t)fm_rng_u32(&r);
        fm_digest_of(copy, b.size - 32, &check);
        memcpy(copy + b.size - 32, check.b, 32);
        rc = write_and_read(dir, path, copy, b.size);
        CHECK(rc == 0 || rc == -EBADMSG);
        free(copy);
    }
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(keys_read_back), CHECK_CASE(a_failed_write_keeps_the_old), CHECK_CASE(damage_is_an_error))

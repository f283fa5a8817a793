/* Stores of other versions: one of version 1 is kept in tests/data/store-1 and must read as on the day it was made; one of
 * a version to come is refused by its number.
 * KEEP=FOLDER makes such a store again, for when a version is added. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/catalog_env.h"
#include "storage/keys.h"
#include "storage/photo.h"
#include "storage/store.h"

#define KEPT "tests/data/store-1"
#define KEPT_DIGEST "9b661a13a18307dab3c4594bc069d1059b76de41a8c25f20fe4b2f9d89c8a1fa"

enum { CHIP = 4, WIDTH = 3 };

static char store[FM_PATH_MAX];
static fm_digest photo_key = {{1}}, code_key = {{2}};
static const float codes[WIDTH] = {0.5f, -1.25f, 3e-8f};

static int copy(const char *from, const char *to)
{
    fm_buf b = FM_BUF_INIT;
    int rc = fm_file_read(from, 1 << 20, &b, NULL);

    if (rc == 0)
        rc = fm_file_write(to, b.data, b.size, NULL);
    fm_buf_fini(&b);
    return rc;
}

/* The kept store where it can be written to. */
static bool take_copy(void)
{
    static const char *const files[] = {"catalog/data.mdb", "segments/one", "study.keys"};
    char from[FM_PATH_MAX], to[FM_PATH_MAX];

    snprintf(store, sizeof store, "%.4000s/store", check_tmpdir());
    snprintf(to, sizeof to, "%.4000s/catalog", store);
    if (fm_dir_make(to, NULL) != 0)
        return CHECK(!"a folder could be made");
    snprintf(to, sizeof to, "%.4000s/segments", store);
    if (fm_dir_make(to, NULL) != 0)
        return CHECK(!"a folder could be made");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(from, sizeof from, "%s/%s", KEPT, files[i]);
        snprintf(to, sizeof to, "%.4000s/%s", store, files[i]);
        if (!CHECK(copy(from, to) == 0))
            return false;
    }
    return true;
}

static void fill_photo(fm_photo *photo, fm_photo_face *face, uint8_t *chip)
{
    memset(photo, 0, sizeof *photo);
    memset(face, 0, sizeof *face);
    for (int i = 0; i < CHIP * CHIP * 3; i++)
        chip[i] = (uint8_t)(5 * i);
    *face = (fm_photo_face){.left = -3, .top = 4, .right = 50, .bottom = 60, .score = 1.5f, .view = 2, .n_points = 5,
                            .chip = chip};
    for (int i = 0; i < 5; i++) {
        face->points[i][0] = 10 + i;
        face->points[i][1] = 20 - i;
    }
    *photo = (fm_photo){.reason = FM_USED, .detail = "kept", .width = 640, .height = 480, .format = FM_PHOTO_JPEG,
                        .orientation = 6, .jpeg_quality = 90, .upsample = 1, .faces_found = 2, .chip_size = CHIP,
                        .n_faces = 1, .faces = face};
}

static bool same_photo(const fm_photo *a, const fm_photo *b)
{
    const fm_photo_face *f = a->faces, *g = b->faces;

    return a->reason == b->reason && strcmp(a->detail, b->detail) == 0 && a->width == b->width &&
           a->height == b->height && a->format == b->format && a->orientation == b->orientation &&
           a->jpeg_quality == b->jpeg_quality && a->upsample == b->upsample && a->faces_found == b->faces_found &&
           a->chip_size == b->chip_size && a->n_faces == 1 && f->left == g->left && f->top == g->top &&
           f->right == g->right && f->bottom == g->bottom && f->score == g->score && f->view == g->view &&
           f->n_points == g->n_points && memcmp(f->points, g->points, 5 * sizeof f->points[0]) == 0 &&
           memcmp(f->chip, g->chip, CHIP * CHIP * 3) == 0;
}

static int make_kept(const char *dir)
{
    uint8_t chip[CHIP * CHIP * 3];
    fm_catalog_ack_item item = {.path = "/p/one.jpg", .photo_key = photo_key, .code_key = code_key, .photo_here = true,
                                .code_here = true};
    fm_study_key key = {.name = (char *)"one", .path = (char *)"/p/one.jpg", .image = {{3}}, .photo = photo_key,
                        .code = code_key, .reason = FM_USED};
    fm_buf photo_bytes = FM_BUF_INIT, code_bytes = FM_BUF_INIT;
    fm_segment_writer *w;
    fm_photo_face face;
    fm_catalog *c;
    uint64_t epoch;
    uint32_t number;
    fm_photo photo;
    int rc;

    fill_photo(&photo, &face, chip);
    fm_photo_encode(&photo, &photo_bytes);
    fm_code_encode(1, WIDTH, codes, &code_bytes);
    item.file = (fm_catalog_file){.size_bytes = 9, .mtime_ns = 8, .image = {{3}}, .photo_key = photo_key};
    rc = fm_catalog_open(dir, true, &c, NULL) || fm_catalog_take(c, &epoch, NULL) ||
         fm_catalog_add_segment(c, "one", &number, NULL) || fm_segment_create(dir, "one", 0, &w, NULL) ||
         fm_segment_put(w, FM_RECORD_PHOTO, &photo_key, photo_bytes.data, photo_bytes.size, NULL) ||
         fm_segment_put(w, FM_RECORD_CODE, &code_key, code_bytes.data, code_bytes.size, NULL) ||
         fm_segment_commit(w, NULL) || fm_catalog_ack(c, epoch, number, &item, 1, NULL) ||
         fm_segment_seal(w, dir, NULL) || fm_catalog_segment_sealed(c, number, 2, NULL) ||
         fm_keys_write(dir, &(fm_study_keys){&key, 1}, NULL);
    fm_catalog_close(c);
    fm_buf_fini(&photo_bytes);
    fm_buf_fini(&code_bytes);
    return rc;
}

static void a_store_of_version_1_reads_as_it_was_written(void)
{
    uint8_t chip[CHIP * CHIP * 3];
    char hex[FM_DIGEST_HEX];
    uint64_t checked = 0, damaged = 1;
    float got[WIDTH] = {0};
    fm_photo photo, want;
    fm_photo_face face;
    const void *payload;
    uint32_t faces;
    fm_digest digest;
    fm_err err = FM_ERR_INIT;
    fm_store *s;
    size_t n;

    if (getenv("KEEP"))
        CHECK_INT(make_kept(getenv("KEEP")), 0);
    if (!take_copy())
        return;
    REQUIRE(fm_store_open(store, &s, &err) == 0);
    CHECK_INT(fm_store_verify(s, NULL, NULL, &checked, &damaged, &err), 0);
    CHECK(checked == 2 && damaged == 0);
    REQUIRE(fm_store_digest(s, &photo_key, &code_key, 1, &digest, &err) == 0);
    fm_digest_hex(&digest, hex);
    CHECK_STR(hex, KEPT_DIGEST);
    REQUIRE(fm_store_get(s, FM_RECORD_PHOTO, &photo_key, &payload, &n, NULL, &err) == 0);
    REQUIRE(fm_photo_decode(payload, n, &photo, &err) == 0);
    fill_photo(&want, &face, chip);
    CHECK(same_photo(&photo, &want));
    fm_photo_fini(&photo);
    REQUIRE(fm_store_get(s, FM_RECORD_CODE, &code_key, &payload, &n, NULL, &err) == 0);
    CHECK(fm_code_decode(payload, n, WIDTH, 1, got, &faces, &err) == 0 && memcmp(got, codes, sizeof got) == 0);
    fm_store_close(s);
}

/* Not only read: a coordinator takes it and writes on. */
static void a_store_of_version_1_is_written_on(void)
{
    fm_catalog_file f;
    fm_err err = FM_ERR_INIT;
    fm_study_keys keys;
    uint32_t number;
    uint64_t epoch;
    fm_catalog *c;

    if (!take_copy())
        return;
    REQUIRE(fm_catalog_open(store, false, &c, &err) == 0);
    CHECK_INT(fm_catalog_take(c, &epoch, &err), 0);
    CHECK_INT(epoch, 2);
    CHECK_INT(fm_catalog_find_file(c, "/p/one.jpg", &f, &err), 0);
    CHECK(f.size_bytes == 9 && f.mtime_ns == 8 && f.reason == FM_USED);
    CHECK_INT(fm_catalog_add_segment(c, "two", &number, &err), 0);
    CHECK_INT(number, 2);
    fm_catalog_close(c);
    REQUIRE(fm_keys_read(store, &keys, &err) == 0);
    CHECK(keys.n == 1 && strcmp(keys.v[0].name, "one") == 0 && fm_digest_equal(&keys.v[0].code, &code_key));
    fm_keys_fini(&keys);
}

static int put_version(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    return fm_catalog_put_number(c, txn, FM_CATALOG_VERSION, 4, *(uint64_t *)ctx, err);
}

static void a_version_to_come_is_refused_by_its_number(void)
{
    uint64_t epoch, version = 3;      /* 2 is an encrypted store's */
    fm_err err = FM_ERR_INIT;
    fm_catalog *c;
    fm_store *s;

    if (!take_copy())
        return;
    REQUIRE(fm_catalog_open(store, false, &c, &err) == 0 && fm_catalog_take(c, &epoch, &err) == 0);
    REQUIRE(fm_catalog_write(c, put_version, &version, &err) == 0);
    fm_catalog_close(c);
    CHECK_INT(fm_store_open(store, &s, &err), -EPROTO);
    CHECK(strstr(err.text, "format version 3 where 1 is expected"));
    CHECK_INT(fm_catalog_open(store, true, &c, &err), -EPROTO);
}

static void keys_of_a_version_to_come_are_refused_by_its_number(void)
{
    char path[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;
    fm_buf b = FM_BUF_INIT;
    fm_study_keys keys;
    fm_digest check;

    if (!take_copy())
        return;
    snprintf(path, sizeof path, "%.4000s/study.keys", store);
    REQUIRE(fm_file_read(path, 1 << 20, &b, &err) == 0);
    b.data[4] = 2;
    fm_digest_of(b.data, b.size - FM_DIGEST_BYTES, &check);
    memcpy(b.data + b.size - FM_DIGEST_BYTES, check.b, FM_DIGEST_BYTES);
    REQUIRE(fm_file_write(path, b.data, b.size, &err) == 0);
    fm_buf_fini(&b);
    CHECK_INT(fm_keys_read(store, &keys, &err), -EBADMSG);
    CHECK(strstr(err.text, "format version 2 where 1 is expected"));
}

CHECK_MAIN(CHECK_CASE(a_store_of_version_1_reads_as_it_was_written), CHECK_CASE(a_store_of_version_1_is_written_on),
           CHECK_CASE(a_version_to_come_is_refused_by_its_number),
           CHECK_CASE(keys_of_a_version_to_come_are_refused_by_its_number))

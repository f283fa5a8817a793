/* Encrypted stores: nothing in the clear, nothing without the key, nothing of the
 * forgotten; and a kill at any step of a new generation leaves the old or the new. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/rng.h"
#include "storage/catalog.h"
#include "storage/forget.h"
#include "storage/keys.h"
#include "storage/segment.h"
#include "storage/store.h"

#define MARKER "Marker-of-a-person"
#define PHOTOS 12

static char scratch[FM_PATH_MAX], store[FM_PATH_MAX];
static const uint8_t master[FM_VAULT_KEY_BYTES] = {1, 2, 3}, other[FM_VAULT_KEY_BYTES] = {9};

static void path_of(unsigned i, char out[64])
{
    snprintf(out, 64, "/photos/%s-%u.jpg", MARKER, i);
}

static fm_digest digest_of(unsigned i, const char *what)
{
    char text[64];
    fm_digest d;

    snprintf(text, sizeof text, "%s %u", what, i);
    fm_digest_of(text, strlen(text), &d);
    return d;
}

static size_t payload_of(unsigned i, uint8_t *out)
{
    size_t n = 3000 + 100 * i;

    for (size_t k = 0; k < n; k++)
        out[k] = (uint8_t)MARKER[k % strlen(MARKER)];
    memcpy(out, &i, sizeof i);
    return n;
}

static int put(fm_segment_writer *w, unsigned i)
{
    static uint8_t payload[8192];
    fm_digest image = digest_of(i, "image"), key = digest_of(i, "photo");
    char path[64];

    path_of(i, path);
    fm_segment_of(w, &(fm_key_owner){&image, path});
    return fm_segment_put(w, FM_RECORD_PHOTO, &key, payload, payload_of(i, payload), NULL);
}

static bool write_segment(const fm_vault *vault, const char *name, unsigned first, unsigned n)
{
    fm_segment_writer *w;
    fm_digest key = digest_of(first, "photo");
    const void *payload;
    size_t size;

    if (fm_segment_create(scratch, name, 0, &w, NULL) != 0 || fm_segment_encrypt(w, vault, NULL) != 0)
        return false;
    for (unsigned i = first; i < first + n; i++)
        if (put(w, i) != 0)
            return false;
    return fm_segment_find(w, FM_RECORD_PHOTO, &key, &payload, &size, NULL) == 0 && size == 3000 + 100 * first &&
           fm_segment_seal(w, store, NULL) == 0;
}

/* A store of PHOTOS photographs in two segments, a catalog and a list of keys. */
static bool make_store(bool encrypted)
{
    fm_study_key list[PHOTOS];
    char paths[PHOTOS][64];
    uint64_t epoch;
    uint32_t number[2];
    fm_catalog *c = NULL;
    fm_vault *vault = NULL;
    fm_err err = FM_ERR_INIT;

    if (fm_path_join(scratch, sizeof scratch, check_tmpdir(), "scratch", NULL) != 0 ||
        fm_path_join(store, sizeof store, check_tmpdir(), "store", NULL) != 0)
        return false;
    fm_fault_set(NULL);
    fm_vault_forget_keys();
    fm_dir_remove(store, NULL);
    fm_dir_remove(scratch, NULL);
    if ((encrypted && fm_vault_create(store, master, "/a/key", &err) != 0) ||
        fm_catalog_open(store, true, &c, &err) != 0 || fm_catalog_take(c, &epoch, &err) != 0 ||
        fm_vault_open(store, &vault, &err) != 0 || (vault != NULL) != encrypted ||
        fm_catalog_add_segment(c, "one", &number[0], &err) != 0 || fm_catalog_add_segment(c, "two", &number[1], &err) != 0 ||
        !write_segment(vault, "one", 0, PHOTOS / 2) || !write_segment(vault, "two", PHOTOS / 2, PHOTOS / 2)) {
        check_failed(__FILE__, __LINE__, "no store: %s", err.text);
        return false;
    }
    for (unsigned i = 0; i < PHOTOS; i++) {
        fm_catalog_ack_item item = {.path = paths[i], .file = {.size_bytes = 7, .image = digest_of(i, "image")},
                                    .photo_key = digest_of(i, "photo"), .photo_here = true};

        path_of(i, paths[i]);
        item.file.photo_key = item.photo_key;
        if (!CHECK(fm_catalog_ack(c, epoch, number[i >= PHOTOS / 2], &item, 1, &err) == 0))
            return false;
        list[i] = (fm_study_key){.name = paths[i], .path = paths[i], .image = item.file.image, .photo = item.photo_key};
    }
    CHECK_INT(fm_catalog_segment_sealed(c, number[0], PHOTOS / 2, &err), 0);
    CHECK_INT(fm_catalog_segment_sealed(c, number[1], PHOTOS / 2, &err), 0);
    CHECK_INT(fm_keys_write(store, &(fm_study_keys){list, PHOTOS}, &err), 0);
    fm_catalog_close(c);
    fm_vault_close(vault);
    return check_ok_so_far();
}

/* 0, or what reading photograph i gives. */
static int read_photo(fm_store *s, unsigned i)
{
    static uint8_t expected[8192];
    fm_digest key = digest_of(i, "photo");
    const void *payload;
    size_t n;
    int rc = fm_store_get(s, FM_RECORD_PHOTO, &key, &payload, &n, NULL, NULL);

    if (rc == 0)
        CHECK(n == payload_of(i, expected) && memcmp(payload, expected, n) == 0);
    return rc;
}

/* A bit for each photograph that can be read; all others were forgotten.  UINT_MAX: the store does not open. */
static unsigned readable(void)
{
    unsigned set = 0;
    fm_store *s;

    if (fm_store_open(store, &s, NULL) != 0)
        return ~0u;
    for (unsigned i = 0; i < PHOTOS; i++) {
        int rc = read_photo(s, i);

        CHECK(rc == 0 || rc == -EKEYREVOKED);
        set |= rc == 0 ? 1u << i : 0;
    }
    fm_store_close(s);
    return set;
}

static fm_digest store_digest(void)
{
    fm_digest photo[PHOTOS], out = {{0}};
    fm_store *s;

    for (unsigned i = 0; i < PHOTOS; i++)
        photo[i] = digest_of(i, "photo");
    if (CHECK(fm_store_open(store, &s, NULL) == 0)) {
        CHECK_INT(fm_store_digest(s, photo, (fm_digest[PHOTOS]){{{0}}}, PHOTOS, &out, NULL), 0);
        fm_store_close(s);
    }
    return out;
}

static const uint8_t *wanted;
static size_t wanted_size, files_looked_at;

static int look_in_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    fm_buf b = FM_BUF_INIT;
    bool found;

    (void)ftw;
    if (type != FTW_F)
        return 0;
    CHECK_INT(st->st_mode & 0777, 0600);
    CHECK_INT(fm_file_read(path, 1u << 30, &b, NULL), 0);
    found = b.size && memmem(b.data, b.size, wanted, wanted_size);
    files_looked_at++;
    fm_buf_fini(&b);
    return found ? 1 : 0;
}

static bool is_in_store(const void *bytes, size_t n)
{
    wanted = bytes;
    wanted_size = n;
    files_looked_at = 0;
    return nftw(store, look_in_file, 16, FTW_PHYS) == 1;
}

static void nothing_is_in_the_clear_and_the_digest_is_the_same(void)
{
    fm_digest plain, encrypted, image = digest_of(3, "image"), photo = digest_of(3, "photo");
    fm_study_keys keys;

    umask(077);
    REQUIRE(make_store(false));
    CHECK(is_in_store(MARKER, strlen(MARKER)) && is_in_store(image.b, 32) && is_in_store(photo.b, 11));
    plain = store_digest();
    REQUIRE(make_store(true));
    CHECK(!is_in_store(MARKER, strlen(MARKER)) && !is_in_store(image.b, 32) && !is_in_store(photo.b, 11));
    CHECK(files_looked_at >= 7);
    CHECK(!is_in_store(master, sizeof master));
    encrypted = store_digest();
    CHECK(fm_digest_equal(&plain, &encrypted));
    CHECK_INT(readable(), (1 << PHOTOS) - 1);
    REQUIRE(fm_keys_read(store, &keys, NULL) == 0);
    CHECK(keys.n == PHOTOS && strstr(keys.v[2].path, MARKER));
    fm_keys_fini(&keys);
}

static int count_wrong(void)
{
    uint64_t checked = 0, damaged = 0;
    fm_store *s;

    if (fm_store_open(store, &s, NULL) != 0)
        return -1;
    CHECK_INT(fm_store_verify(s, NULL, NULL, &checked, &damaged, NULL), 0);
    CHECK_INT(checked, PHOTOS);
    fm_store_close(s);
    return (int)damaged;
}

static void only_the_key_opens_it(void)
{
    uint8_t key[FM_VAULT_KEY_BYTES];
    fm_err err = FM_ERR_INIT;
    fm_store *s;

    REQUIRE(make_store(true));
    CHECK(fm_vault_store_key(store, key));
    fm_vault_forget_keys();
    CHECK_INT(fm_store_open(store, &s, &err), -ENOKEY);
    CHECK(strstr(err.text, "FACEMILL_KEY_FILE") != NULL);
    CHECK_INT(fm_vault_unlock(store, other, &err), -EKEYREJECTED);
    CHECK_INT(fm_store_open(store, &s, &err), -ENOKEY);
    CHECK_INT(fm_vault_admit(store, other, &err), -EKEYREJECTED);
    CHECK_INT(fm_vault_admit(store, key, &err), 0);
    CHECK_INT(readable(), (1 << PHOTOS) - 1);
    fm_vault_forget_keys();
    CHECK_INT(fm_vault_unlock(store, master, &err), 0);
    CHECK_INT(count_wrong(), 0);
    CHECK(!fm_vault_store_key("/nowhere", key));
}

static void flip(const char *path, size_t at, unsigned bit)
{
    int fd = open(path, O_RDWR);
    uint8_t b = 0;

    CHECK(fd >= 0 && pread(fd, &b, 1, (off_t)at) == 1);
    b ^= (uint8_t)(1u << bit);
    CHECK(pwrite(fd, &b, 1, (off_t)at) == 1);
    close(fd);
}

static size_t size_of(const char *path)
{
    struct stat st;

    return CHECK(stat(path, &st) == 0) ? (size_t)st.st_size : 1;
}

/* A changed bit of the key table costs its record, and is found; of the vault, opens nothing. */
static void changed_bits_of_keys_are_found(void)
{
    uint64_t seed = check_seed();
    fm_rng r = fm_rng_init(seed, 0);
    char table[FM_PATH_MAX + 32], vault[FM_PATH_MAX + 32];

    REQUIRE(make_store(true));
    snprintf(table, sizeof table, "%s/keys.1/one", store);
    snprintf(vault, sizeof vault, "%s/vault", store);
    for (int i = 0; i < 300; i++) {
        size_t at = fm_rng_below(&r, (uint32_t)size_of(table));
        unsigned bit = fm_rng_below(&r, 8);

        flip(table, at, bit);
        CHECK_INT(count_wrong(), 1);
        flip(table, at, bit);
    }
    for (int i = 0; i < 300; i++) {
        size_t at = fm_rng_below(&r, (uint32_t)size_of(vault));
        unsigned bit = fm_rng_below(&r, 8);
        int rc;

        fm_vault_forget_keys();
        flip(vault, at, bit);
        rc = fm_vault_unlock(store, master, NULL);
        CHECK(rc == -EBADMSG || rc == -EPROTO);
        flip(vault, at, bit);
    }
    CHECK_INT(fm_vault_unlock(store, master, NULL), 0);
    CHECK_INT(count_wrong(), 0);
}

static void swapped_segments_and_missing_vaults_are_found(void)
{
    char one[FM_PATH_MAX + 32], two[FM_PATH_MAX + 32], spare[FM_PATH_MAX + 32];
    fm_err err = FM_ERR_INIT;
    fm_store *s;

    REQUIRE(make_store(true));
    snprintf(one, sizeof one, "%s/segments/one", store);
    snprintf(two, sizeof two, "%s/segments/two", store);
    snprintf(spare, sizeof spare, "%s/spare", store);
    CHECK(rename(one, spare) == 0 && rename(two, one) == 0 && rename(spare, two) == 0);
    CHECK(count_wrong() >= PHOTOS);
    CHECK(rename(one, spare) == 0 && rename(two, one) == 0 && rename(spare, two) == 0);
    CHECK_INT(count_wrong(), 0);
    snprintf(one, sizeof one, "%s/vault", store);
    CHECK(rename(one, spare) == 0);
    CHECK_INT(fm_store_open(store, &s, &err), -EBADMSG);
    CHECK(strstr(err.text, "vault is gone") != NULL);
    CHECK(rename(spare, one) == 0);
    REQUIRE(make_store(false));
    CHECK_INT(fm_vault_create(store, master, "", &err), 0);
    CHECK_INT(fm_store_open(store, &s, &err), -EPROTO);
}

static int forget_two(uint64_t *records)
{
    char a[64], b[64];
    fm_forget_item items[2] = {{digest_of(1, "image"), a}, {{{0}}, b}};

    path_of(1, a);
    path_of(8, b);
    return fm_forget(store, items, 2, records, NULL);
}

static void the_forgotten_are_unreadable_and_stay_so(void)
{
    unsigned all = (1u << PHOTOS) - 1, rest = all & ~(1u << 1 | 1u << 8);
    char table[FM_PATH_MAX + 32], kept[FM_PATH_MAX + 32], path[64];
    fm_digest image = digest_of(1, "image"), same = digest_of(2, "image");
    uint64_t records = 0;
    fm_vault *v;
    fm_buf old = FM_BUF_INIT;

    REQUIRE(make_store(true));
    snprintf(table, sizeof table, "%s/keys.1/one", store);
    CHECK_INT(fm_file_read(table, 1 << 20, &old, NULL), 0);
    REQUIRE(forget_two(&records) == 0);
    CHECK_INT(records, 2);
    CHECK_INT(readable(), rest);
    CHECK_INT(count_wrong(), 0);
    CHECK(!fm_path_exists(table));
    /* the table as it was before opens nothing under the new table key */
    snprintf(kept, sizeof kept, "%s/keys.2/one", store);
    CHECK_INT(fm_file_write(kept, old.data, old.size, NULL), 0);
    CHECK_INT(count_wrong(), PHOTOS / 2);
    fm_buf_fini(&old);
    REQUIRE(fm_vault_open(store, &v, NULL) == 0);
    CHECK(fm_vault_forgotten(v, &image, NULL) && !fm_vault_forgotten(v, &same, NULL));
    path_of(8, path);
    CHECK(fm_vault_forgotten(v, NULL, path) && !fm_vault_forgotten(NULL, &image, path));
    fm_vault_close(v);
}

static void a_new_master_key_ends_the_old_one(void)
{
    char vault[FM_PATH_MAX + 32], hint[64];
    fm_buf old = FM_BUF_INIT;
    fm_digest before, after;
    uint64_t records;

    REQUIRE(make_store(true));
    snprintf(vault, sizeof vault, "%s/vault", store);
    before = store_digest();
    CHECK_INT(fm_file_read(vault, 1 << 20, &old, NULL), 0);
    REQUIRE(fm_rekey(store, other, "/b/key", NULL) == 0);
    after = store_digest();
    CHECK(fm_digest_equal(&before, &after));
    fm_vault_forget_keys();
    CHECK_INT(fm_vault_unlock(store, master, NULL), -EKEYREJECTED);
    CHECK_INT(fm_vault_unlock(store, other, NULL), 0);
    CHECK_INT(fm_vault_hint(store, hint, sizeof hint, NULL), 0);
    CHECK_STR(hint, "/b/key");
    CHECK_INT(readable(), (1 << PHOTOS) - 1);
    CHECK_INT(forget_two(&records), 0);
    /* the old vault with the old key opens no key of today */
    CHECK_INT(fm_file_write(vault, old.data, old.size, NULL), 0);
    fm_vault_forget_keys();
    CHECK_INT(fm_vault_unlock(store, master, NULL), 0);
    CHECK(count_wrong() != 0);
    fm_buf_fini(&old);
}

/* Run in a child that the fault kills; false when it was not killed: the fault's place was not reached so often. */
static bool killed_at(const char *fault, bool rekey)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        uint64_t records;

        fm_fault_set(fault);
        _exit((rekey ? fm_rekey(store, other, "", NULL) : forget_two(&records)) != 0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Old or new, nothing in between; taking the store finishes it. */
static void check_after_kill(bool rekey, unsigned *was_new)
{
    unsigned all = (1u << PHOTOS) - 1, now;
    uint64_t epoch;
    fm_catalog *c;
    bool is_new;

    fm_vault_forget_keys();
    if (rekey) {
        is_new = fm_vault_unlock(store, other, NULL) == 0;
        CHECK(is_new || fm_vault_unlock(store, master, NULL) == 0);
        CHECK_INT(readable(), all);
    } else {
        CHECK_INT(fm_vault_unlock(store, master, NULL), 0);
        now = readable();
        is_new = now != all;
        CHECK(!is_new || now == (all & ~(1u << 1 | 1u << 8)));
    }
    *was_new += is_new;
    REQUIRE(fm_catalog_open(store, false, &c, NULL) == 0);
    CHECK_INT(fm_catalog_take(c, &epoch, NULL), 0);
    fm_catalog_close(c);
    for (unsigned g = 1; g <= 2; g++) {
        char dir[FM_PATH_MAX + 32];

        snprintf(dir, sizeof dir, "%s/keys.%u", store, g);
        CHECK(fm_path_exists(dir) == (g == (is_new ? 2 : 1)));
        snprintf(dir, sizeof dir, "%s/vault.old", store);
        CHECK(!fm_path_exists(dir));
    }
    CHECK_INT(count_wrong(), 0);
}

static void killed_at_any_step_it_is_old_or_new(void)
{
    static const char *const places[] = {"forget.table", "file.write", "file.fsync", "file.rename", "vault.write",
                                         "forget.shred"};

    for (int rekey = 0; rekey < 2; rekey++) {
        unsigned kills = 0, was_new = 0;

        for (size_t p = 0; p < sizeof places / sizeof *places; p++)
            for (int n = 1;; n++) {
                char fault[64];

                snprintf(fault, sizeof fault, "%s:%d:kill", places[p], n);
                REQUIRE(make_store(true));
                if (!killed_at(fault, rekey))
                    break;
                kills++;
                check_after_kill(rekey, &was_new);
            }
        CHECK(kills >= 14 && was_new >= 2 && was_new < kills);
    }
}

/* The same places refuse instead: an error, and old or new as well. */
static void refused_at_any_step_it_is_old_or_new(void)
{
    static const char *const places[] = {"forget.table", "file.write", "file.fsync", "file.rename", "vault.write",
                                         "forget.shred"};
    unsigned was_new = 0, refused = 0;

    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        for (int n = 1, rc = -1; rc != 0; n++) {
            char fault[64];
            uint64_t records;

            snprintf(fault, sizeof fault, "%s:%d", places[p], n);
            REQUIRE(make_store(true));
            fm_fault_set(fault);
            rc = forget_two(&records);
            fm_fault_set(NULL);
            refused += rc != 0;
            if (rc != 0)
                check_after_kill(false, &was_new);
        }
    CHECK(refused >= 14);
}

static void a_key_table_that_cannot_be_synced_leaves_no_writer(void)
{
    fm_segment_writer *w;
    fm_vault *vault;
    fm_err err = FM_ERR_INIT;

    REQUIRE(make_store(true) && fm_vault_open(store, &vault, &err) == 0);
    REQUIRE(fm_segment_create(scratch, "three", 0, &w, &err) == 0);
    fm_fault_set("dir.sync:1");
    CHECK_INT(fm_segment_encrypt(w, vault, &err), -EIO);
    fm_fault_set(NULL);
    CHECK(put(w, 0) != 0);
    fm_segment_close(w);
    fm_vault_close(vault);
}

CHECK_MAIN(CHECK_CASE(nothing_is_in_the_clear_and_the_digest_is_the_same), CHECK_CASE(only_the_key_opens_it),
           CHECK_CASE(changed_bits_of_keys_are_found), CHECK_CASE(swapped_segments_and_missing_vaults_are_found),
           CHECK_CASE(the_forgotten_are_unreadable_and_stay_so), CHECK_CASE(a_new_master_key_ends_the_old_one),
           CHECK_CASE(killed_at_any_step_it_is_old_or_new), CHECK_CASE(refused_at_any_step_it_is_old_or_new),
           CHECK_CASE(a_key_table_that_cannot_be_synced_leaves_no_writer))

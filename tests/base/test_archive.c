/* Tar and zip: what other programs made is read, what is damaged is said, nothing read is out of bounds. */
#define _GNU_SOURCE
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/archive.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"

/* Longer than the 100 bytes of a tar's first format, and the 255 of ustar. */
#define LONG_PART "a-folder-with-a-name-that-is-long-enough-for-a-tar-of-1979-to-have-trouble-with-it-and-some-more-of-it"
#define LONG_NAME LONG_PART "/" LONG_PART "/" LONG_PART ".jpg"

static bool reads(const char *archive, const char *member, const char *want)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    bool ok;

    fm_path_join(path, sizeof path, archive, member, NULL);
    ok = fm_file_read(path, 1 << 20, &b, &err) == 0 && b.size == strlen(want) && (b.size == 0 || memcmp(b.data, want, b.size) == 0);
    if (!ok)
        fprintf(stderr, "  %s: %s\n", member, err.text);
    fm_buf_fini(&b);
    return ok;
}

static int read_error(const char *archive, const char *member, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_path_join(path, sizeof path, archive, member, NULL);
    rc = fm_file_read(path, 1 << 20, &b, err);
    fm_buf_fini(&b);
    return rc;
}

static bool shell(const char *dir, const char *command)
{
    char line[2 * FM_PATH_MAX];

    snprintf(line, sizeof line, "cd '%s' && { %s; } >/dev/null 2>&1", dir, command);
    return system(line) == 0;
}

static void tars_of_every_format_are_read(void)
{
    static const char *const formats[] = {"gnu", "pax", "ustar", "v7"};
    const char *dir = check_tmpdir();

    REQUIRE(shell(dir, "mkdir -p in/sub " LONG_PART "/" LONG_PART " && printf one >in/a.jpg && : >in/empty && "
                       "printf two >in/sub/b.jpg && printf three >" LONG_NAME " && ln in/a.jpg in/hard && ln -s a.jpg in/soft"));
    for (size_t i = 0; i < 4; i++) {
        char command[2048], tar[FM_PATH_MAX];
        fm_err err = FM_ERR_INIT;

        snprintf(command, sizeof command, "tar --format=%s -cf %s.tar ./in %s", formats[i], formats[i],
                 i < 2 ? LONG_NAME : "");
        REQUIRE(shell(dir, command));
        snprintf(tar, sizeof tar, "%s/%s.tar", dir, formats[i]);
        CHECK(reads(tar, "in/a.jpg", "one") || reads(tar, "in/hard", "one"));
        CHECK(reads(tar, "./in//sub/b.jpg", "two"));
        CHECK(reads(tar, "in/empty", ""));
        CHECK(i >= 2 || reads(tar, LONG_NAME, "three"));
        CHECK_INT(read_error(tar, "in/soft", &err), -ENOTSUP);
        CHECK(strstr(err.text, "in/soft") && strstr(err.text, formats[i]));
        CHECK_INT(read_error(tar, "in/none.jpg", &err), -ENOENT);
        CHECK_INT(read_error(tar, "in/sub", &err), -EISDIR);
        CHECK_INT(read_error(tar, "../x", &err), -EINVAL);
        CHECK_INT(read_error(tar, "in/a.jpg/x", &err), -ENOENT);
    }
}

typedef struct {
    fm_buf bytes, list;
    unsigned n;
} zip;

static void zip_add(zip *z, const char *name, const char *text, int method, unsigned flags, bool wide)
{
    uint8_t packed[4096];
    uint32_t size = (uint32_t)strlen(text), n = size, crc = (uint32_t)crc32_z(0, (const Bytef *)text, size);
    uint64_t at = z->bytes.size;

    memcpy(packed, text, n);
    if (method == 8) {
        z_stream s = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = size, .next_out = packed, .avail_out = sizeof packed};

        deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
        deflate(&s, Z_FINISH);
        n = (uint32_t)s.total_out;
        deflateEnd(&s);
    }
    for (int central = 0; central < 2; central++) {
        fm_buf *b = central ? &z->list : &z->bytes;

        fm_buf_u32(b, central ? 0x02014b50 : 0x04034b50);
        if (central)
            fm_buf_u16(b, 20);
        fm_buf_u16(b, 20);
        fm_buf_u16(b, (uint16_t)flags);
        fm_buf_u16(b, (uint16_t)method);
        fm_buf_u32(b, 0x5a000000);
        fm_buf_u32(b, crc);
        fm_buf_u32(b, central && wide ? UINT32_MAX : n);
        fm_buf_u32(b, central && wide ? UINT32_MAX : size);
        fm_buf_u16(b, (uint16_t)strlen(name));
        fm_buf_u16(b, central && wide ? 28 : 0);
        if (central) {
            fm_buf_u16(b, 0);
            fm_buf_u32(b, 0);
            fm_buf_u32(b, 0);
            fm_buf_u32(b, wide ? UINT32_MAX : (uint32_t)at);
        }
        fm_buf_put(b, name, strlen(name));
        if (central && wide) {
            fm_buf_u16(b, 1);
            fm_buf_u16(b, 24);
            fm_buf_u64(b, size);
            fm_buf_u64(b, n);
            fm_buf_u64(b, at);
        }
    }
    fm_buf_put(&z->bytes, packed, n);
    z->n++;
}

static void zip_end(zip *z, bool wide)
{
    uint64_t at = z->bytes.size, end = at + z->list.size;

    fm_buf_put(&z->bytes, z->list.data, z->list.size);
    if (wide) {
        fm_buf_u32(&z->bytes, 0x06064b50);
        fm_buf_u64(&z->bytes, 44);
        fm_buf_u32(&z->bytes, 45 | 45 << 16);
        fm_buf_u64(&z->bytes, 0);
        fm_buf_u64(&z->bytes, z->n);
        fm_buf_u64(&z->bytes, z->n);
        fm_buf_u64(&z->bytes, z->list.size);
        fm_buf_u64(&z->bytes, at);
        fm_buf_u32(&z->bytes, 0x07064b50);
        fm_buf_u32(&z->bytes, 0);
        fm_buf_u64(&z->bytes, end);
        fm_buf_u32(&z->bytes, 1);
    }
    fm_buf_u32(&z->bytes, 0x06054b50);
    fm_buf_u32(&z->bytes, 0);
    fm_buf_u16(&z->bytes, (uint16_t)z->n);
    fm_buf_u16(&z->bytes, (uint16_t)z->n);
    fm_buf_u32(&z->bytes, wide ? UINT32_MAX : (uint32_t)z->list.size);
    fm_buf_u32(&z->bytes, wide ? UINT32_MAX : (uint32_t)at);
    fm_buf_u16(&z->bytes, 3);
    fm_buf_put(&z->bytes, "end", 3);
    fm_buf_fini(&z->list);
}

static zip sample_zip(bool wide)
{
    zip z = {FM_BUF_INIT, FM_BUF_INIT, 0};

    zip_add(&z, "in/", "", 0, 0, wide);
    zip_add(&z, "in/a.jpg", "one", 0, 0, wide);
    zip_add(&z, "in/sub/b.jpg", "two two two two two two two two two two two", 8, 0, wide);
    zip_add(&z, "in/a.jpg", "again", 8, 0, wide);
    zip_add(&z, "secret.jpg", "hidden", 0, 1, wide);
    zip_add(&z, "new.jpg", "new", 93, 0, wide);
    zip_end(&z, wide);
    return z;
}

static void zips_are_read(void)
{
    char path[FM_PATH_MAX];

    for (int wide = 0; wide < 2; wide++) {
        zip z = sample_zip(wide);
        fm_err err = FM_ERR_INIT;

        snprintf(path, sizeof path, "%s/x.zip", check_tmpdir());
        REQUIRE(fm_file_write(path, z.bytes.data, z.bytes.size, NULL) == 0);
        CHECK(reads(path, "in/a.jpg", "again"));
        CHECK(reads(path, "in/sub/b.jpg", "two two two two two two two two two two two"));
        CHECK_INT(read_error(path, "secret.jpg", &err), -ENOTSUP);
        CHECK(strstr(err.text, "secret.jpg") && strstr(err.text, "encrypted"));
        CHECK_INT(read_error(path, "new.jpg", &err), -ENOTSUP);
        CHECK(strstr(err.text, "compressed"));
        fm_buf_fini(&z.bytes);
    }
}

static void names_that_lead_out_are_refused(void)
{
    char path[FM_PATH_MAX];
    zip z = {FM_BUF_INIT, FM_BUF_INIT, 0};
    fm_err err = FM_ERR_INIT;

    zip_add(&z, "a/../../b.jpg", "x", 0, 0, false);
    zip_end(&z, false);
    snprintf(path, sizeof path, "%s/out.zip", check_tmpdir());
    REQUIRE(fm_file_write(path, z.bytes.data, z.bytes.size, NULL) == 0);
    CHECK_INT(read_error(path, "b.jpg", &err), -EBADMSG);
    CHECK(strstr(err.text, "out.zip") && strstr(err.text, "a/../../b.jpg"));
    fm_buf_fini(&z.bytes);
}

static int collect(void *ctx, const char *name, size_t n, fm_err *err)
{
    fm_buf *b = ctx;

    (void)err;
    fm_buf_put(b, name, n);
    fm_buf_u8(b, ' ');
    return 0;
}

static void folders_are_listed_once(void)
{
    const char *dir = check_tmpdir();
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    struct stat st;

    REQUIRE(shell(dir, "mkdir -p b/c b-d && touch a b/1 b/c/2 b/c/3 b-d/4 && tar -cf l.tar a b b-d"));
    snprintf(path, sizeof path, "%s/l.tar", dir);
    CHECK_INT(fm_archive_list(path, collect, &b, NULL), 0);
    snprintf(path, sizeof path, "%s/l.tar/b", dir);
    CHECK_INT(fm_archive_list(path, collect, &b, NULL), 0);
    fm_buf_u8(&b, 0);
    CHECK_STR((char *)b.data, "a b-d b 1 c ");
    CHECK(fm_path_stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    snprintf(path, sizeof path, "%s/l.tar/b/", dir);
    CHECK(fm_path_stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    snprintf(path, sizeof path, "%s/l.tar/b/1", dir);
    CHECK(fm_path_stat(path, &st) == 0 && S_ISREG(st.st_mode));
    fm_buf_fini(&b);
}

/* Write the archive under a new name, so that none is found by the kept list, and touch all that it says it holds. */
static int try_bytes(const char *dir, const char *ending, const uint8_t *bytes, size_t n, fm_buf *got)
{
    static unsigned number;
    char path[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;
    FILE *f;
    int rc;

    snprintf(path, sizeof path, "%s/%u%s", dir, number++, ending);
    f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        return 1;
    got->size = 0;
    strcat(path, "/in/sub/b.jpg");
    rc = fm_file_read(path, 1 << 20, got, &err);
    *strstr(path, "/in/sub") = '\0';
    unlink(path);
    if (rc != 0 && !strstr(err.text, ending))
        check_failed(__FILE__, __LINE__, "an error that does not name the archive: %s", err.text);
    return rc;
}

static void cut_anywhere(const char *ending, const uint8_t *bytes, size_t n, size_t whole)
{
    fm_buf got = FM_BUF_INIT;

    CHECK_INT(try_bytes(check_tmpdir(), ending, bytes, n, &got), 0);
    for (size_t i = 0; i < whole; i++)
        if (try_bytes(check_tmpdir(), ending, bytes, i, &got) != -EBADMSG)
            check_failed(__FILE__, __LINE__, "%s cut to %zu bytes is not refused", ending, i);
    fm_buf_fini(&got);
}

/* A flipped bit is refused, or does no harm to the bytes; sums says whether the format has sums of them. */
static void flip_anywhere(const char *ending, uint8_t *bytes, size_t n, const char *want, bool sums)
{
    uint64_t seed = 20;
    fm_rng r = fm_rng_init(seed, fm_rng_stream("archive", 0, 0));
    fm_buf got = FM_BUF_INIT;
    size_t wrong = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t bit = (uint8_t)(1u << fm_rng_below(&r, 8));

        bytes[i] ^= bit;
        if (try_bytes(check_tmpdir(), ending, bytes, n, &got) == 0)
            wrong += got.size != strlen(want) || memcmp(got.data, want, got.size) != 0;
        bytes[i] ^= bit;
    }
    if (wrong > (sums ? 0 : strlen(want)))
        check_failed(__FILE__, __LINE__, "%s: %zu flips gave other bytes (seed %llu)", ending, wrong, (unsigned long long)seed);
    fm_buf_fini(&got);
}

static void cut_and_flipped_zips(void)
{
    for (int wide = 0; wide < 2; wide++) {
        zip z = sample_zip(wide);

        cut_anywhere(".zip", z.bytes.data, z.bytes.size, z.bytes.size);
        flip_anywhere(".zip", z.bytes.data, z.bytes.size, "two two two two two two two two two two two", true);
        fm_buf_fini(&z.bytes);
    }
}

static void cut_and_flipped_tars(void)
{
    const char *dir = check_tmpdir();
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;

    REQUIRE(shell(dir, "mkdir -p in/sub && printf one >in/a.jpg && printf two >in/sub/b.jpg && "
                       "tar -b 1 --format=pax -cf p.tar in/a.jpg in/sub/b.jpg"));
    snprintf(path, sizeof path, "%s/p.tar", dir);
    REQUIRE(fm_file_read(path, 1 << 20, &b, NULL) == 0);
    cut_anywhere(".tar", b.data, b.size, b.size - 512);     /* of two blocks of zeros one is enough */
    flip_anywhere(".tar", b.data, b.size, "two", false);
    fm_buf_fini(&b);
}

static void what_changed_has_another_stamp(void)
{
    const char *dir = check_tmpdir();
    char path[FM_PATH_MAX];
    struct stat first, second;
    zip z = sample_zip(false);

    snprintf(path, sizeof path, "%s/s.zip", dir);
    REQUIRE(fm_file_write(path, z.bytes.data, z.bytes.size, NULL) == 0);
    fm_buf_fini(&z.bytes);
    strcat(path, "/in/sub/b.jpg");
    REQUIRE(fm_path_stat(path, &first) == 0);
    z = (zip){FM_BUF_INIT, FM_BUF_INIT, 0};
    zip_add(&z, "more.jpg", "more", 0, 0, false);
    zip_add(&z, "in/sub/b.jpg", "two two two two two two two two two two two", 8, 0, false);
    zip_add(&z, "in/a.jpg", "other", 8, 0, false);
    zip_end(&z, false);
    *strstr(path, "/in") = '\0';
    REQUIRE(fm_file_write(path, z.bytes.data, z.bytes.size, NULL) == 0);
    fm_buf_fini(&z.bytes);
    CHECK(reads(path, "more.jpg", "more"));
    strcat(path, "/in/sub/b.jpg");
    REQUIRE(fm_path_stat(path, &second) == 0);
    CHECK(first.st_mtim.tv_sec == second.st_mtim.tv_sec && first.st_mtim.tv_nsec == second.st_mtim.tv_nsec);
    strcpy(strstr(path, "/in"), "/in/a.jpg");
    REQUIRE(fm_path_stat(path, &second) == 0);
    CHECK(first.st_mtim.tv_nsec != second.st_mtim.tv_nsec);
}

static void bounds_are_kept(void)
{
    char path[FM_PATH_MAX];
    zip z = sample_zip(false);
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    snprintf(path, sizeof path, "%s/m.zip", check_tmpdir());
    REQUIRE(fm_file_write(path, z.bytes.data, z.bytes.size, NULL) == 0);
    strcat(path, "/in/sub/b.jpg");
    CHECK_INT(fm_file_read(path, 42, &b, &err), -EFBIG);
    CHECK_INT(fm_file_read(path, 43, &b, &err), 0);
    fm_buf_fini(&b);
    fm_buf_fini(&z.bytes);
}

/* Members written in another order than their names', two archives mixed, plain files and a missing member between. */
static void archives_are_read_from_their_beginning_to_their_end(void)
{
    static const char *const names[] = {"z.tar/a", "plain/1", "z.tar/b", "y.zip/in/a.jpg", "z.tar/none", "z.tar/c",
                                        "y.zip/in/sub/b.jpg", "plain/0", "z.tar/in", "y.zip/in/a.jpg"};
    /* z.tar holds c, b, a; of y.zip's two members in/a.jpg the later counts, which lies behind b.jpg. */
    static const uint32_t want[] = {5, 2, 0, 1, 6, 3, 9, 4, 7, 8};
    enum { N = sizeof names / sizeof *names };
    const char *dir = check_tmpdir(), *paths[N];
    char path[N][FM_PATH_MAX];
    uint32_t which[N];
    zip z = sample_zip(false);

    REQUIRE(shell(dir, "printf 1 >a && printf 2 >b && printf 3 >c && mkdir -p in && tar -cf z.tar c b a in"));
    snprintf(path[0], FM_PATH_MAX, "%s/y.zip", dir);
    REQUIRE(fm_file_write(path[0], z.bytes.data, z.bytes.size, NULL) == 0);
    fm_buf_fini(&z.bytes);
    for (uint32_t i = 0; i < N; i++) {
        fm_path_join(path[i], FM_PATH_MAX, dir, names[i], NULL);
        paths[i] = path[i];
        which[i] = i;
    }
    CHECK_INT(fm_archive_order(paths, which, N, NULL), 0);
    for (uint32_t i = 0; i < N; i++)
        CHECK_INT(which[i], want[i]);
    for (uint32_t i = 0; i < 3; i++)
        which[i] = want[7 + i];
    CHECK_INT(fm_archive_order(paths, which, 3, NULL), 0);      /* none of these is a member */
    CHECK(which[0] == 4 && which[1] == 7 && which[2] == 8);
}

CHECK_MAIN(CHECK_CASE(archives_are_read_from_their_beginning_to_their_end),
           CHECK_CASE(tars_of_every_format_are_read), CHECK_CASE(zips_are_read), CHECK_CASE(names_that_lead_out_are_refused),
           CHECK_CASE(folders_are_listed_once), CHECK_CASE(cut_and_flipped_zips), CHECK_CASE(cut_and_flipped_tars),
           CHECK_CASE(what_changed_has_another_stamp), CHECK_CASE(bounds_are_kept))

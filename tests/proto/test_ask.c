#define _GNU_SOURCE
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/ask.h"
#include "tests/check.h"

static void codec(void)
{
    fm_ask ask = {.kind = FM_ASK_LISTEN, .host = "node17.site"}, back;
    fm_buf b = FM_BUF_INIT;

    fm_ask_encode(&ask, &b);
    REQUIRE(!b.failed && fm_ask_decode(b.data, b.size, &back, NULL) == 0);
    CHECK(back.kind == FM_ASK_LISTEN && strcmp(back.host, ask.host) == 0);
    for (size_t n = 0; n < b.size; n++)
        CHECK_INT(fm_ask_decode(b.data, n, &back, NULL), -EBADMSG);
    for (size_t i = 0; i < 7; i++) {                    /* magic, version, kind */
        b.data[i] ^= 0x40;
        CHECK_INT(fm_ask_decode(b.data, b.size, &back, NULL), -EBADMSG);
        b.data[i] ^= 0x40;
    }
    fm_buf_u8(&b, 0);
    CHECK_INT(fm_ask_decode(b.data, b.size, &back, NULL), -EBADMSG);
    fm_buf_fini(&b);
}

static void folders_of_others_are_refused(void)
{
    char dir[FM_PATH_MAX], name[FM_ASK_NAME_MAX], join[FM_PATH_MAX], path[FM_PATH_MAX];
    volatile sig_atomic_t stop = 1;
    struct stat st;

    snprintf(dir, sizeof dir, "%s/" FM_RUN_ASK, check_tmpdir());
    CHECK_INT(fm_ask_post(check_tmpdir(), FM_ASK_CREW, name, NULL), -ENOENT);
    REQUIRE(mkdir(dir, 0755) == 0 && chmod(dir, 0755) == 0);
    CHECK_INT(fm_ask_post(check_tmpdir(), FM_ASK_CREW, name, NULL), -EACCES);
    REQUIRE(chmod(dir, 0700) == 0);
    REQUIRE(fm_ask_post(check_tmpdir(), FM_ASK_CREW, name, NULL) == 0);
    snprintf(path, sizeof path, "%.3800s/%s.ask", dir, name);
    CHECK(stat(path, &st) == 0);
    CHECK_INT(fm_ask_await(check_tmpdir(), name, &stop, join, NULL), -EINTR);
    CHECK(stat(path, &st) != 0);                        /* taken back */
    snprintf(path, sizeof path, "%.3800s/%s.join", dir, name);
    REQUIRE(fm_file_write(path, "x", 1, NULL) == 0);
    CHECK_INT(fm_ask_await(check_tmpdir(), name, &stop, join, NULL), 0);
    CHECK_STR(join, path);
    CHECK_INT(fm_ask_over(check_tmpdir(), 12, NULL), 0);
    snprintf(path, sizeof path, "%.3800s/12.over", dir);
    CHECK(stat(path, &st) == 0);
    REQUIRE(fm_dir_remove(dir, NULL) == 0);
    REQUIRE(symlink("/tmp", dir) == 0);
    CHECK_INT(fm_ask_post(check_tmpdir(), FM_ASK_CREW, name, NULL), -EACCES);
}

CHECK_MAIN(CHECK_CASE(codec), CHECK_CASE(folders_of_others_are_refused))

/* The export log: what is changed, removed, moved or cut is found, and a gap stays one. */
#include "tests/check.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "jobs/export_log.h"
#include "storage/vault.h"

#define LINES 5

static char out[FM_PATH_MAX], log_path[FM_PATH_MAX], head_path[FM_PATH_MAX];
static const uint8_t master[FM_VAULT_KEY_BYTES] = {7};

static void count(void *ctx, const char *what)
{
    (void)what;
    ++*(int *)ctx;
}

static int findings(void)
{
    uint64_t lines = 0;
    int n = 0;
    fm_err err = FM_ERR_INIT;

    CHECK_INT(fm_export_log_check(out, count, &n, &lines, &err), 0);
    CHECK_STR(err.text, "");
    return n;
}

static void read_into(const char *path, fm_buf *b)
{
    b->size = 0;
    CHECK_INT(fm_file_read(path, 1 << 20, b, NULL), 0);
}

static void put_back(const char *path, const fm_buf *b, size_t n)
{
    FILE *f = fopen(path, "wb");    /* without a sync: there are hundreds */

    CHECK(f && fwrite(b->data, 1, n, f) == n && fclose(f) == 0);
}

static bool make(bool encrypted)
{
    char store[FM_PATH_MAX];

    if (!CHECK(fm_path_join(out, sizeof out, check_tmpdir(), encrypted ? "encrypted" : "plain", NULL) == 0))
        return false;
    fm_path_join(store, sizeof store, out, "store", NULL);
    fm_path_join(log_path, sizeof log_path, out, "export.log", NULL);
    fm_path_join(head_path, sizeof head_path, out, "run/export.head", NULL);
    fm_dir_remove(out, NULL);
    if (encrypted && !CHECK(fm_vault_create(store, master, "", NULL) == 0))
        return false;
    CHECK_INT(fm_dir_make(out, NULL), 0);
    CHECK_INT(findings(), 0);
    for (int i = 0; i < LINES; i++)
        CHECK_INT(fm_export_log_add(out, i & 1 ? "codes" : "ledger", i == 2, "/to/a\tfolder", NULL), 0);
    CHECK_INT(findings(), 0);
    return check_ok_so_far();
}

static void every_changed_byte_and_every_cut_is_found(void)
{
    for (int encrypted = 0; encrypted < 2; encrypted++) {
        fm_buf whole = FM_BUF_INIT;

        REQUIRE(make(encrypted));
        read_into(log_path, &whole);
        for (size_t i = 0; i < whole.size; i += 3) {
            whole.data[i] ^= 4;
            put_back(log_path, &whole, whole.size);
            CHECK(findings() > 0);
            whole.data[i] ^= 4;
        }
        for (size_t n = 0; n < whole.size; n += 3) {
            put_back(log_path, &whole, n);
            CHECK(findings() > 0);
        }
        put_back(log_path, &whole, whole.size);
        CHECK_INT(findings(), 0);
        fm_buf_fini(&whole);
    }
}

/* The log's lines without line `skip`, or with it and the one behind it swapped. */
static void rearrange(const fm_buf *whole, int skip, bool swap)
{
    fm_buf text = FM_BUF_INIT;
    const char *line[LINES + 1] = {(const char *)whole->data};

    for (int i = 0; i < LINES; i++)
        line[i + 1] = strchr(line[i], '\n') + 1;
    for (int i = 0; i < LINES; i++) {
        int from = swap && i == skip ? i + 1 : swap && i == skip + 1 ? i - 1 : i;

        if (swap || i != skip)
            fm_buf_put(&text, line[from], (size_t)(line[from + 1] - line[from]));
    }
    put_back(log_path, &text, text.size);
    fm_buf_fini(&text);
}

static void removed_and_moved_lines_are_found(void)
{
    fm_buf whole = FM_BUF_INIT;

    REQUIRE(make(true));
    read_into(log_path, &whole);
    fm_buf_u8(&whole, '\0');
    for (int i = 0; i < LINES; i++) {
        rearrange(&whole, i, false);
        CHECK(findings() > 0);
    }
    for (int i = 0; i + 1 < LINES; i++) {
        rearrange(&whole, i, true);
        CHECK(findings() > 0);
    }
    CHECK_INT(remove(log_path), 0);
    CHECK(findings() > 0);
    put_back(log_path, &whole, whole.size - 1);
    CHECK_INT(remove(head_path), 0);
    CHECK(findings() > 0);
    fm_buf_fini(&whole);
}

/* Lines taken off the end: what is exported afterwards does not hide it. */
static void a_gap_is_never_closed(void)
{
    fm_buf whole = FM_BUF_INIT;

    REQUIRE(make(true));
    read_into(log_path, &whole);
    fm_buf_u8(&whole, '\0');
    rearrange(&whole, LINES - 1, false);
    CHECK_INT(fm_export_log_add(out, "codes", false, "x", NULL), 0);
    CHECK(findings() > 0);
    fm_buf_fini(&whole);
}

/* Killed between line and head: no finding, and the next one goes on. */
static void a_line_ahead_of_the_head_is_whole(void)
{
    fm_buf head = FM_BUF_INIT;

    REQUIRE(make(false));
    read_into(head_path, &head);
    CHECK_INT(fm_export_log_add(out, "codes", false, "x", NULL), 0);
    put_back(head_path, &head, head.size);
    CHECK_INT(findings(), 0);
    CHECK_INT(fm_export_log_add(out, "codes", false, "x", NULL), 0);
    CHECK_INT(findings(), 0);
    put_back(head_path, &head, head.size);
    CHECK(findings() > 0);
    fm_buf_fini(&head);
}

/* A byte of zeros, as a file system leaves where power failed, does not end what is looked at. */
static void nothing_hides_behind_a_zero(void)
{
    fm_buf whole = FM_BUF_INIT;

    REQUIRE(make(false));
    read_into(log_path, &whole);
    fm_buf_put(&whole, "\0more", 5);
    put_back(log_path, &whole, whole.size);
    CHECK(findings() > 0);
    fm_buf_fini(&whole);
}

/* A log made without the key, or with another store's, does not pass for an encrypted store's. */
static void only_the_key_makes_lines(void)
{
    fm_buf whole = FM_BUF_INIT, head = FM_BUF_INIT;

    REQUIRE(make(false));
    read_into(log_path, &whole);
    read_into(head_path, &head);
    REQUIRE(make(true));
    put_back(log_path, &whole, whole.size);
    put_back(head_path, &head, head.size);
    CHECK(findings() > 0);
    REQUIRE(make(true));
    read_into(log_path, &whole);
    fm_vault_forget_keys();
    CHECK(fm_export_log_add(out, "codes", false, "x", NULL) != 0);
    fm_buf_fini(&whole);
    fm_buf_fini(&head);
}

CHECK_MAIN(CHECK_CASE(every_changed_byte_and_every_cut_is_found), CHECK_CASE(removed_and_moved_lines_are_found),
           CHECK_CASE(a_gap_is_never_closed), CHECK_CASE(a_line_ahead_of_the_head_is_whole),
           CHECK_CASE(nothing_hides_behind_a_zero), CHECK_CASE(only_the_key_makes_lines))

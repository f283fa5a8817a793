/* A journal says at what its worker died. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "proto/journal.h"
#include "tests/check.h"

/* What a child does with a journal of 100 ms a photograph before it ends by itself or not. */
static int end_of(const char *store, void (*life)(fm_journal *j))
{
    pid_t child = fork();
    int status = 0;
    fm_journal *j;

    if (child == 0) {
        if (fm_journal_open(store, "e1-n0", 100, &j, NULL) != 0)
            _exit(9);
        life(j);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return status;
}

static void dies(fm_journal *j)
{
    fm_journal_begin(j, 7, 41, NULL);
    fm_journal_begin(j, (uint64_t)3 << 32 | 7, 42, NULL);
    raise(SIGKILL);
}

static void hangs(fm_journal *j)
{
    fm_journal_begin(j, 7, 43, NULL);
    for (;;)
        pause();
}

/* Longer than the limit, but not at a photograph; then many photographs that take longer together. */
static void works(fm_journal *j)
{
    fm_journal_begin(j, 7, 44, NULL);
    fm_journal_idle(j, NULL);
    usleep(250000);
    for (int i = 0; i < 10; i++) {
        fm_journal_begin(j, 7, 45, NULL);
        usleep(20000);
    }
    fm_journal_idle(j, NULL);
    fm_journal_close(j);
}

static void what_it_says(void)
{
    const char *store = check_tmpdir();
    fm_journal_entry at;
    int status;

    CHECK_INT(fm_journal_read(store, "e1-n0", &at, NULL), -ENOENT);
    status = end_of(store, dies);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_INT(fm_journal_read(store, "e1-n0", &at, NULL), 0);
    CHECK(at.busy && !at.timed_out && at.item == 42 && at.lease == ((uint64_t)3 << 32 | 7));
    status = end_of(store, hangs);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_INT(fm_journal_read(store, "e1-n0", &at, NULL), 0);
    CHECK(at.busy && at.timed_out && at.item == 43 && at.lease == 7);
    status = end_of(store, works);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_INT(fm_journal_read(store, "e1-n0", &at, NULL), 0);
    CHECK(!at.busy && !at.timed_out);
    fm_journal_remove(store, "e1-n0");
    CHECK_INT(fm_journal_read(store, "e1-n0", &at, NULL), -ENOENT);
}

static void a_damaged_one_says_nothing(void)
{
    const char *store = check_tmpdir();
    char path[FM_PATH_MAX];
    fm_journal_entry at;
    fm_journal *j;

    REQUIRE(fm_journal_open(store, "e1-n1", 0, &j, NULL) == 0);
    CHECK_INT(fm_journal_read(store, "e1-n1", &at, NULL), 0);       /* nothing yet */
    CHECK(!at.busy);
    CHECK_INT(fm_journal_begin(j, 1, 2, NULL), 0);
    fm_journal_close(j);
    snprintf(path, sizeof path, "%.4000s/%s/e1-n1", store, FM_JOURNALS);
    for (int n = 0; n < 30; n++) {
        if (n == 17)
            continue;
        REQUIRE(fm_file_write(path, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", (size_t)n, NULL) == 0);
        CHECK_INT(fm_journal_read(store, "e1-n1", &at, NULL), n > 17 ? -EFBIG : 0);
        CHECK(!at.busy);
    }
    REQUIRE(fm_file_write(path, "xbbbbbbbbbbbbbbbb", 17, NULL) == 0);
    CHECK_INT(fm_journal_read(store, "e1-n1", &at, NULL), 0);
    CHECK(!at.busy);
}

CHECK_MAIN(CHECK_CASE(what_it_says), CHECK_CASE(a_damaged_one_says_nothing))

/* A file rather than a message: what a socket was given is lost when the process
 * dies before its I/O thread runs, which is just when it matters; a page of the
 * file cache outlives the process.  It need not outlive the machine, whose death is
 * no photograph's fault, so nothing is synced.  Rejected: a mapped page, which is
 * a little cheaper and ends the worker with SIGBUS on a full disk.
 *
 * The watchdog is the process's timer and a signal handler, so that it also ends a
 * worker that hangs in a library; a thread would do too, but MPI and the numerics
 * were started without any. */
#define _GNU_SOURCE
#include "proto/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

enum { IDLE = 'i', BUSY = 'b', TIMED_OUT = 't' };

#define LINE_BYTES 17           /* state, lease, item */

struct fm_journal {
    int file;
    uint32_t limit_ms;
    char path[FM_PATH_MAX];
};

static volatile sig_atomic_t watched = -1;      /* file of the journal that has a limit */

static void on_alarm(int number)
{
    const char state = TIMED_OUT;

    (void)number;
    if (watched >= 0 && pwrite((int)watched, &state, 1, 0) == 1)
        raise(SIGKILL);
    _exit(1);
}

static int journal_path(const char *store_dir, const char *name, bool make, char out[FM_PATH_MAX], fm_err *err)
{
    char folder[FM_PATH_MAX];
    int rc = fm_path_join(folder, sizeof folder, store_dir, FM_JOURNALS, err);

    if (rc == 0 && make)
        rc = fm_dir_make(folder, err);
    return rc == 0 ? fm_path_join(out, FM_PATH_MAX, folder, name, err) : rc;
}

int fm_journal_open(const char *store_dir, const char *name, uint32_t limit_ms, fm_journal **out, fm_err *err)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    fm_journal *j = calloc(1, sizeof *j);
    int rc;

    if (!j)
        return fm_fail_nomem(err, "journal", sizeof *j);
    j->limit_ms = limit_ms;
    rc = journal_path(store_dir, name, true, j->path, err);
    if (rc == 0) {
        j->file = open(j->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (j->file < 0)
            rc = fm_fail(err, -errno, "%s: %s", j->path, strerror(errno));
    }
    if (rc != 0) {
        free(j);
        return rc;
    }
    if (limit_ms) {
        watched = j->file;
        sigemptyset(&action.sa_mask);
        sigaction(SIGALRM, &action, NULL);
    }
    *out = j;
    return 0;
}

static void set_alarm(const fm_journal *j, bool on)
{
    uint32_t ms = on ? j->limit_ms : 0;
    struct itimerval at = {.it_value = {ms / 1000, ms % 1000 * 1000}};

    if (j->limit_ms)
        setitimer(ITIMER_REAL, &at, NULL);
}

void fm_journal_close(fm_journal *j)
{
    if (!j)
        return;
    set_alarm(j, false);
    if (j->limit_ms)
        watched = -1;
    close(j->file);
    free(j);
}

static int write_line(const fm_journal *j, int state, uint64_t lease, uint64_t item, fm_err *err)
{
    uint8_t line[LINE_BYTES] = {(uint8_t)state};
    ssize_t n;

    memcpy(line + 1, &lease, 8);
    memcpy(line + 9, &item, 8);
    n = pwrite(j->file, line, sizeof line, 0);
    if (n == (ssize_t)sizeof line)
        return 0;
    return n < 0 ? fm_fail(err, -errno, "%s: %s", j->path, strerror(errno))
                 : fm_fail(err, -EIO, "%s: cannot be written: is the disk full?", j->path);
}

int fm_journal_begin(fm_journal *j, uint64_t lease, uint64_t item, fm_err *err)
{
    set_alarm(j, true);
    return write_line(j, BUSY, lease, item, err);
}

int fm_journal_idle(fm_journal *j, fm_err *err)
{
    set_alarm(j, false);
    return write_line(j, IDLE, 0, 0, err);
}

int fm_journal_read(const char *store_dir, const char *name, fm_journal_entry *out, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf line = FM_BUF_INIT;
    int rc = journal_path(store_dir, name, false, path, err);

    if (rc == 0)
        rc = fm_file_read(path, LINE_BYTES, &line, err);
    memset(out, 0, sizeof *out);
    if (rc == 0 && line.size == LINE_BYTES) {
        out->timed_out = line.data[0] == TIMED_OUT;
        out->busy = out->timed_out || line.data[0] == BUSY;
        memcpy(&out->lease, line.data + 1, 8);
        memcpy(&out->item, line.data + 9, 8);
    }
    fm_buf_fini(&line);
    return rc;
}

void fm_journal_remove(const char *store_dir, const char *name)
{
    char path[FM_PATH_MAX];

    if (journal_path(store_dir, name, false, path, NULL) == 0)
        unlink(path);
}

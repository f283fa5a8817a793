/* fork and exec.  Everything that allocates is done before the fork, so that the
 * child calls only what a child of a threaded program may.  A failed exec comes
 * back as an errno through a pipe that a successful one closes. */
#define _GNU_SOURCE
#include "cluster/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

#define CAPTURE_MAX 65536
#define NAP_MS 20

void fm_words_fini(fm_words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
    free(w->v);
    *w = (fm_words)FM_WORDS_INIT;
}

/* Takes word over. */
static void add_owned(fm_words *w, char *word)
{
    char **grown = w->failed || !word ? NULL : realloc(w->v, (w->n + 2) * sizeof *grown);

    if (!grown) {
        free(word);
        w->failed = true;
        return;
    }
    w->v = grown;
    w->v[w->n++] = word;
    w->v[w->n] = NULL;
}

void fm_words_add(fm_words *w, const char *word)
{
    add_owned(w, strdup(word));
}

void fm_words_printf(fm_words *w, const char *fmt, ...)
{
    char *word = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&word, fmt, ap) < 0)
        word = NULL;
    va_end(ap);
    add_owned(w, word);
}

void fm_words_set(fm_words *w, const char *name, const char *value)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < w->n; i++) {
        if (strncmp(w->v[i], name, n) != 0 || w->v[i][n] != '=')
            continue;
        free(w->v[i]);
        w->v[i] = w->v[--w->n];
        w->v[w->n] = NULL;
        break;
    }
    fm_words_printf(w, "%s=%s", name, value);
}

bool fm_program_find(const char *name, char *out, size_t out_size)
{
    const char *at = getenv("PATH");

    for (; at && *at; at += strcspn(at, ":"), at += *at == ':') {
        int n = (int)strcspn(at, ":");

        if (n == 0 || *at != '/' || (size_t)n + strlen(name) + 2 > out_size)
            continue;
        memcpy(out, at, (size_t)n);
        out[n] = '/';
        strcpy(out + n + 1, name);
        if (access(out, X_OK) == 0)
            return true;
    }
    return false;
}

/* In the child; writes why it failed to report and ends. */
static _Noreturn void be_child(const fm_words *argv, const fm_words *env, int output, int report, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY);
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    ssize_t ignored;

    sigemptyset(&none);
    sigaction(SIGTERM, &usual, NULL);
    sigaction(SIGUSR1, &usual, NULL);
    sigaction(SIGINT, &usual, NULL);
    sigaction(SIGPIPE, &usual, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() == parent && null >= 0 && dup2(null, 0) >= 0 &&
        (output < 0 || (dup2(output, 1) >= 0 && dup2(output, 2) >= 0)))
        execve(argv->v[0], argv->v, env->v);
    ignored = write(report, &errno, sizeof errno);
    (void)ignored;
    _exit(127);
}

/* output  a descriptor for what it prints, -1: ours. */
static int start(const fm_words *argv, const fm_words *env, int output, pid_t *out, fm_err *err)
{
    int report[2], why = 0;
    pid_t parent = getpid(), pid;
    ssize_t n;

    if (argv->failed || env->failed || argv->n == 0 || env->n == 0)
        return fm_fail_nomem(err, "command line", 0);
    if (pipe2(report, O_CLOEXEC) != 0)
        return fm_fail(err, -errno, "%s: cannot start: %s", argv->v[0], strerror(errno));
    pid = fork();
    if (pid == 0)
        be_child(argv, env, output, report[1], parent);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return fm_fail(err, -EAGAIN, "%s: cannot start: no more processes", argv->v[0]);
    }
    setpgid(pid, pid);      /* here too: whoever is first */
    do
        n = read(report[0], &why, sizeof why);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == (ssize_t)sizeof why) {
        waitpid(pid, NULL, 0);
        return fm_fail(err, why > 0 ? -why : -EIO, "%s: cannot start: %s", argv->v[0], strerror(why));
    }
    *out = pid;
    return 0;
}

int fm_process_start(const fm_words *argv, const fm_words *env, const char *log, pid_t *out, fm_err *err)
{
    int output = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    int rc;

    if (log && output < 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", log, strerror(errno));
    rc = start(argv, env, output, out, err);
    if (output >= 0)
        close(output);
    return rc;
}

static int status_of(int raw)
{
    return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

bool fm_process_ended(pid_t pid, int *status)
{
    int raw;
    pid_t got = waitpid(pid, &raw, WNOHANG);

    if (got == 0 || (got < 0 && errno == EINTR))
        return false;
    *status = got == pid ? status_of(raw) : 255;
    return true;
}

static bool ends_within(pid_t pid, int ms, int *status)
{
    for (uint64_t end = fm_clock_ms() + (uint64_t)ms; fm_clock_ms() < end;) {
        if (fm_process_ended(pid, status))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
    }
    return false;
}

void fm_process_stop(pid_t pid, int soft_ms, int hard_ms, int *status)
{
    int raw;

    if (soft_ms > 0)
        kill(pid, SIGUSR1);
    if (ends_within(pid, soft_ms, status))
        return;
    kill(-pid, SIGTERM);
    if (ends_within(pid, hard_ms, status))
        return;
    kill(-pid, SIGKILL);
    while (waitpid(pid, &raw, 0) < 0 && errno == EINTR)
        ;
    *status = 128 + SIGKILL;
}

/* Read until the end, too much, or end_ms. */
static int drain(int fd, uint64_t end_ms, fm_buf *out)
{
    size_t start_size = out->size;

    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        uint64_t now = fm_clock_ms();
        char block[4096];
        ssize_t n;

        if (now >= end_ms)
            return -ETIMEDOUT;
        if (poll(&p, 1, (int)(end_ms - now)) <= 0)
            continue;
        n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        if (out->size - start_size < CAPTURE_MAX)
            fm_buf_put(out, block, (size_t)n);
    }
}

int fm_process_capture(const fm_words *argv, const fm_words *env, int timeout_ms, fm_buf *out, fm_err *err)
{
    int ends[2], rc, status = 0;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return fm_fail(err, -errno, "%s: cannot start: %s", argv->v ? argv->v[0] : "command", strerror(errno));
    rc = start(argv, env, ends[1], &pid, err);
    close(ends[1]);
    if (rc != 0) {
        close(ends[0]);
        return rc;
    }
    rc = drain(ends[0], fm_clock_ms() + (uint64_t)timeout_ms, out);
    close(ends[0]);
    if (rc != 0) {
        fm_process_stop(pid, 0, 0, &status);
        return fm_fail(err, rc, "%s: no end after %d ms", argv->v[0], timeout_ms);
    }
    while (!fm_process_ended(pid, &status))
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
    if (out->failed)
        return fm_fail_nomem(err, "what a command printed", out->size);
    return status == 0 ? 0 : fm_fail(err, -EIO, "%s: ended with status %d", argv->v[0], status);
}

/* The child tells what it finds through a pipe: frames of a kind, two lengths and
 * two texts.  Its last frame says how it ended; when none comes it died, and the
 * segment that it named last is where. */
#define _GNU_SOURCE
#include "jobs/verify_store.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef enum { FRAME_AT, FRAME_WRONG, FRAME_END } frame_kind;

typedef struct {
    frame_kind kind;
    int rc;                     /* FRAME_END, as the counts */
    bool has_segment;
    uint64_t checked, damaged;
    char segment[FM_SEGMENT_NAME_MAX];
    char text[sizeof((fm_err *)0)->text];
} frame;

static int write_frame(int fd, const frame *f)
{
    for (size_t done = 0; done < sizeof *f;) {
        ssize_t n = write(fd, (const char *)f + done, sizeof *f - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* 1: a frame; 0: the end, wherever it comes; negative. */
static int read_frame(int fd, frame *f)
{
    for (size_t done = 0; done < sizeof *f;) {
        ssize_t n = read(fd, (char *)f + done, sizeof *f - done);

        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

static void put_text(char *to, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);

    memcpy(to, text, n);
    to[n] = '\0';
}

static void send_wrong(void *ctx, const char *segment, const char *what)
{
    frame f = {.kind = what ? FRAME_WRONG : FRAME_AT, .has_segment = segment != NULL};

    put_text(f.segment, sizeof f.segment, segment ? segment : "");
    put_text(f.text, sizeof f.text, what ? what : "");
    if (write_frame(*(int *)ctx, &f) != 0)
        _exit(1);       /* nobody listens */
}

static void check_and_tell(const char *store_dir, int fd)
{
    frame end = {.kind = FRAME_END};
    fm_err err = FM_ERR_INIT;
    fm_store *store = NULL;

    end.rc = fm_store_open(store_dir, &store, &err);
    if (end.rc == 0)
        end.rc = fm_store_verify(store, send_wrong, &fd, &end.checked, &end.damaged, &err);
    fm_store_close(store);
    put_text(end.text, sizeof end.text, err.text);
    _exit(write_frame(fd, &end) == 0 ? 0 : 1);
}

static void tell_death(fm_store_wrong fn, void *ctx, const char *at, int status)
{
    char what[FM_SEGMENT_NAME_MAX + 256];

    snprintf(what, sizeof what, "%s%s: the process that checked it died (%s); its disk may be failing, and what comes "
             "after it was not checked", at[0] ? "segment " : "the catalog", at,
             WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it said nothing");
    fn(ctx, at[0] ? at : NULL, what);
}

/* Pass on what comes.  1: the end frame is in *last; 0: there was none, and `at` is the segment named last. */
static int listen_to(int fd, fm_store_wrong fn, void *ctx, frame *last, char at[FM_SEGMENT_NAME_MAX])
{
    int rc;

    at[0] = '\0';
    while ((rc = read_frame(fd, last)) == 1 && last->kind != FRAME_END) {
        if (last->kind == FRAME_AT)
            memcpy(at, last->segment, FM_SEGMENT_NAME_MAX);
        else
            fn(ctx, last->has_segment ? last->segment : NULL, last->text);
    }
    return rc;
}

int fm_verify_store(const char *store_dir, fm_store_wrong fn, void *ctx, uint64_t *checked, uint64_t *damaged,
                    fm_err *err)
{
    char at[FM_SEGMENT_NAME_MAX];
    int ends[2], status = 0, rc;
    frame last;
    pid_t child;

    if (pipe(ends) != 0)
        return fm_fail(err, -errno, "cannot make a pipe: %s", strerror(errno));
    child = fork();
    if (child == 0) {
        close(ends[0]);
        check_and_tell(store_dir, ends[1]);
    }
    close(ends[1]);
    if (child < 0)
        rc = fm_fail(err, -errno, "cannot start the process that checks the store: %s", strerror(errno));
    else if ((rc = listen_to(ends[0], fn, ctx, &last, at)) < 0)
        fm_fail(err, rc, "cannot hear the process that checks the store: %s", strerror(-rc));
    close(ends[0]);
    if (child > 0)
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
    if (rc < 0)
        return rc;
    if (rc == 0) {
        tell_death(fn, ctx, at, status);
        *checked = 0;
        *damaged = 1;
        return 0;
    }
    if (last.rc != 0)
        return fm_fail(err, last.rc, "%s", last.text);
    *checked = last.checked;
    *damaged = last.damaged;
    return 0;
}

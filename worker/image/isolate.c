/* Three processes.  The worker asks over a socket pair; the decoder at its other end
 * does nothing else; bytes and pixels pass through a file in memory that all three
 * hold, so that a photograph costs one switch there and one back.  The keeper waits for decoders to die,
 * says so to the worker over a second pair, and forks the next one.  The keeper is
 * forked before MPI starts and stays as small as it was then, so that a new decoder
 * costs a millisecond and inherits nothing of MPI's.
 *
 * A decoder can die in the middle of a frame.  So the worker, told of a death,
 * empties its end and sends nothing more until the keeper has emptied the other:
 * the next decoder begins with an empty line.
 *
 * Rejected: a decoder that the worker forks itself (not safe once MPI and ZeroMQ
 * run); pixels through the socket (six times as long, in pieces of its buffer);
 * mapping the file (a decoder that cuts it short would be a SIGBUS). */
#define _GNU_SOURCE
#include "worker/image/isolate.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"

#define TRIES 2
#define BYTES_A_PIXEL 16            /* of a progressive JPEG of four colours: coefficients, pixels, pixels turned */
#define KEPT_BYTES ((off_t)32 << 20)    /* what the file may keep from one photograph to the next */
#define SPARE_BYTES ((uint64_t)64 << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BOUNDED 0                   /* a sanitizer's shadow is larger than any bound */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define BOUNDED 0
#endif
#endif
#ifndef BOUNDED
#define BOUNDED 1
#endif

struct fm_isolate {
    int data, notice;               /* to the decoder, to the keeper */
    int file;                       /* bytes, then pixels */
    pid_t keeper;
};

typedef struct {
    uint64_t n;                     /* bytes in the file */
    fm_decode_limits limits;
} request;

typedef struct {
    int rc, width, height;          /* packed rows of pixels are in the file when rc is 0 */
    fm_decode_info info;
    char text[sizeof((fm_err *)0)->text];
} reply;

/* The decoder. */

/* All of it or nothing: false when the worker is gone. */
static bool read_all(int fd, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = read(fd, (char *)to + done, n - done);

        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = send(fd, (const char *)from + done, n - done, MSG_NOSIGNAL);

        if (put < 0 && errno != EINTR)
            return false;
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* To or from the start of the file, all of it. */
static bool file_put(int file, const void *from, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(file, (const char *)from + done, n - done, (off_t)done);

        if (put == 0 || (put < 0 && errno != EINTR))
            return false;
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool file_get(int file, void *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(file, (char *)to + done, n - done, (off_t)done);

        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

static uint64_t address_space_now(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f && fscanf(f, "%llu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void bound_memory(uint64_t base, const request *r)
{
    struct rlimit limit;
    uint64_t most = base + r->n + SPARE_BYTES;

    most += r->limits.max_pixels < UINT64_MAX / 32 ? BYTES_A_PIXEL * r->limits.max_pixels : UINT64_MAX / 2;
    if (!BOUNDED || base == 0 || getrlimit(RLIMIT_AS, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max != RLIM_INFINITY && most > limit.rlim_max ? limit.rlim_max : most;
    setrlimit(RLIMIT_AS, &limit);
}

static bool answer(int fd, int file, const request *r, const uint8_t *bytes)
{
    fm_image image = FM_IMAGE_INIT;
    fm_err err = FM_ERR_INIT;
    char size[24];
    reply a;

    memset(&a, 0, sizeof a);
    snprintf(size, sizeof size, "%llu", (unsigned long long)r->n);
    if (fm_fault_of("decode", size))
        a.rc = fm_fail(&err, -ENOMEM, "decoding refused by a fault");
    else
        a.rc = fm_image_decode(bytes, r->n, &r->limits, &image, &a.info, &err);
    if (a.rc == 0 && !file_put(file, image.pixels, 3 * (size_t)image.width * (size_t)image.height))
        a.rc = fm_fail(&err, -ENOMEM, "no memory for the pixels");
    a.width = image.width;
    a.height = image.height;
    memcpy(a.text, err.text, sizeof a.text);
    fm_image_fini(&image);
    return write_all(fd, &a, sizeof a);
}

/* Until the worker is gone. */
static _Noreturn void decode_for_ever(int fd, int file)
{
    uint64_t base = address_space_now();
    request r;

    while (read_all(fd, &r, sizeof r)) {
        uint8_t *bytes;

        bound_memory(base, &r);
        bytes = malloc(r.n + 1);
        if (!bytes || !file_get(file, bytes, r.n))
            _exit(1);
        if (!answer(fd, file, &r, bytes))
            break;
        free(bytes);
    }
    _exit(0);
}

/* The keeper. */

static void drain(int fd)
{
    char block[65536];

    while (recv(fd, block, sizeof block, MSG_DONTWAIT) > 0)
        ;
}

static _Noreturn void keep_decoders(int data, int notice, int file)
{
    const int ignored[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};   /* the worker ends us, and those are for it */
    int status;
    char go;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    for (;;) {
        pid_t decoder = fork();

        if (decoder == 0) {
            close(notice);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            decode_for_ever(data, file);
        }
        while (decoder > 0 && waitpid(decoder, &status, 0) < 0 && errno == EINTR)
            ;
        if (decoder < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
            !write_all(notice, &status, sizeof status) || !read_all(notice, &go, 1))
            _exit(0);
        drain(data);
        if (!write_all(notice, &go, 1))
            _exit(0);
    }
}

/* The worker. */

int fm_isolate_start(fm_isolate **out, fm_err *err)
{
    fm_isolate *d = malloc(sizeof *d);
    int data[2] = {-1, -1}, notice[2] = {-1, -1};

    if (!d)
        return fm_fail_nomem(err, "decoder", sizeof *d);
    fflush(NULL);
    d->keeper = -1;
    d->file = memfd_create("photograph", MFD_CLOEXEC);
    if (d->file >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data) == 0 &&
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, notice) == 0)
        d->keeper = fork();
    if (d->keeper == 0) {
        close(data[0]);
        close(notice[0]);
        keep_decoders(data[1], notice[1], d->file);
    }
    if (d->keeper < 0) {
        int code = errno;

        for (int i = 0; i < 2; i++) {
            if (data[i] >= 0)
                close(data[i]);
            if (notice[i] >= 0)
                close(notice[i]);
        }
        if (d->file >= 0)
            close(d->file);
        free(d);
        return fm_fail(err, -code, "the decoder's process cannot be started: %s", strerror(code));
    }
    close(data[1]);
    close(notice[1]);
    d->data = data[0];
    d->notice = notice[0];
    *out = d;
    return 0;
}

void fm_isolate_end(fm_isolate *d)
{
    if (!d)
        return;
    kill(d->keeper, SIGKILL);       /* its decoder dies with it */
    while (waitpid(d->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    close(d->data);
    close(d->notice);
    close(d->file);
    free(d);
}

static int keeper_gone(fm_err *err)
{
    return fm_fail(err, -EIO, "the process that keeps the decoder is gone: this worker has to start again");
}

/* Wait until the data socket is ready, or with events 0 not at all.  0; 1: the decoder died; -EIO. */
static int await_data(const fm_isolate *d, short events, fm_err *err)
{
    struct pollfd fds[2] = {{.fd = d->notice, .events = POLLIN}, {.fd = d->data, .events = events}};

    while (poll(fds, events ? 2 : 1, events ? -1 : 0) < 0)
        if (errno != EINTR)
            return fm_fail(err, -EIO, "cannot wait for the decoder: %s", strerror(errno));
    if (fds[0].revents & POLLIN)
        return 1;
    return fds[0].revents ? keeper_gone(err) : 0;
}

/* Send (events POLLOUT) or receive (POLLIN) all of it.  0; 1: the decoder died; -EIO. */
static int transfer(const fm_isolate *d, short events, void *at, size_t n, fm_err *err)
{
    for (size_t done = 0; done < n;) {
        int rc = await_data(d, events, err);
        ssize_t some;

        if (rc != 0)
            return rc;
        some = events == POLLOUT ? send(d->data, (char *)at + done, n - done, MSG_NOSIGNAL | MSG_DONTWAIT)
                                 : recv(d->data, (char *)at + done, n - done, MSG_DONTWAIT);
        if ((some < 0 && errno != EINTR && errno != EAGAIN) || (some == 0 && events == POLLIN))
            return keeper_gone(err);
        done += some > 0 ? (size_t)some : 0;
    }
    return 0;
}

/* Bury the decoder: read how it died, clear the line, let the keeper make the next. */
static int bury(const fm_isolate *d, int *status, fm_err *err)
{
    char go = 'g';

    if (!read_all(d->notice, status, sizeof *status))
        return keeper_gone(err);
    drain(d->data);
    return write_all(d->notice, &go, 1) && read_all(d->notice, &go, 1) ? 0 : keeper_gone(err);
}

/* One try: 0 and *a with the image, 1 when the decoder died, or negative. */
static int try_once(const fm_isolate *d, const uint8_t *bytes, request r, reply *a, fm_image *image, fm_err *err)
{
    size_t size;
    int rc;

    if (!file_put(d->file, bytes, r.n))
        return fm_fail_nomem(err, "a photograph's bytes", r.n);
    rc = transfer(d, POLLOUT, &r, sizeof r, err);
    if (rc == 0)
        rc = transfer(d, POLLIN, a, sizeof *a, err);
    if (rc != 0 || a->rc != 0)
        return rc;
    a->text[sizeof a->text - 1] = '\0';
    rc = fm_image_create(a->width, a->height, image, err);
    size = 3 * (size_t)a->width * (size_t)a->height;
    if (rc == 0 && !file_get(d->file, image->pixels, size)) {
        fm_image_fini(image);
        rc = fm_fail(err, -EIO, "the decoder's pixels cannot be read: %s", strerror(errno));
    }
    return rc;
}

/* What a large photograph took is not kept for all that follow. */
static void free_memory(const fm_isolate *d)
{
    struct stat st;

    if (fstat(d->file, &st) == 0 && st.st_size > KEPT_BYTES && ftruncate(d->file, 0) != 0)
        return;     /* the next one overwrites it */
}

/* Does a decoder decode at all?  Asked before a photograph is blamed, with a PNG of one pixel. */
static int check_decoder(const fm_isolate *d, fm_err *err)
{
    static const uint8_t pixel[] = {
        0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
        0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b,
        0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x68, 0x00, 0x00, 0x00,
        0x82, 0x00, 0x81, 0xda, 0x45, 0x08, 0x3b, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae,
        0x42, 0x60, 0x82
    };
    const request r = {sizeof pixel, {.max_pixels = 1}};
    fm_image image = FM_IMAGE_INIT;
    fm_err why = FM_ERR_INIT;
    int status, rc;
    reply a;

    rc = try_once(d, pixel, r, &a, &image, &why);
    if (rc == 1 && bury(d, &status, err) != 0)
        return -EIO;
    fm_image_fini(&image);
    if (rc == 0 && a.rc == 0)
        return 0;
    return fm_fail(err, -EIO, "decoders fail whatever they are given: this machine has no memory left, or the program is "
                   "damaged (facemill doctor)");
}

int fm_isolate_decode(fm_isolate *d, const uint8_t *bytes, size_t n, const fm_decode_limits *limits, fm_image *out,
                      fm_decode_info *info, fm_err *err)
{
    const request r = {n, *limits};
    int status = 0, died, rc;
    reply a;

    if (!d)
        return fm_image_decode(bytes, n, limits, out, info, err);
    memset(info, 0, sizeof *info);
    died = await_data(d, 0, err);       /* while it had nothing to do: no photograph's fault */
    rc = died == 1 ? bury(d, &status, err) : died;
    for (int i = 0; rc == 0 && i < TRIES; i++) {
        fm_image image = FM_IMAGE_INIT;

        rc = try_once(d, bytes, r, &a, &image, err);
        if (rc == 0 && a.rc != -ENOMEM) {
            *info = a.info;
            if (a.rc == 0)
                *out = image;
            free_memory(d);
            return a.rc ? fm_fail(err, a.rc, "%s", a.text) : 0;
        }
        status = 0;
        if (rc == 1)
            rc = bury(d, &status, err);
    }
    if (rc != 0 || (rc = check_decoder(d, err)) != 0)
        return rc;
    info->reason = FM_CRASHED;
    return fm_fail(err, -ECHILD, "the decoder %s%s, %d times",
                   WIFSIGNALED(status) ? "died: " : "could not have the memory that these bytes take",
                   WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "", TRIES);
}

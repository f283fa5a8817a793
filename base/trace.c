/* Events are formatted into a buffer that is written when it is large or asked for;
 * times count from the moment the trace was made. */
#include "base/trace.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

#define BUFFER_BYTES 65536
#define KEPT_BYTES (1u << 20)

struct fm_trace {
    uint64_t start_us, written;
    fm_buf pending;
    int fd;             /* -1: not begun, or given up */
    bool begun, full;
};

fm_trace *fm_trace_create(void)
{
    fm_trace *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->start_us = fm_clock_us();
    t->fd = -1;
    fm_buf_printf(&t->pending, "[\n");
    return t;
}

void fm_trace_flush(fm_trace *t)
{
    if (!t || !t->begun)
        return;
    for (size_t at = 0; t->fd >= 0 && at < t->pending.size;) {
        ssize_t n = write(t->fd, t->pending.data + at, t->pending.size - at);

        if (n <= 0) {
            close(t->fd);
            t->fd = -1;
        } else {
            at += (size_t)n;
        }
    }
    t->written += t->pending.size;
    t->pending.size = 0;
}

void fm_trace_drop(fm_trace *t)
{
    if (!t)
        return;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->begun = true;
    t->pending.size = 0;
}

void fm_trace_begin(fm_trace *t, const char *path)
{
    if (!t || t->begun)
        return;
    t->begun = true;
    t->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fm_trace_flush(t);
}

void fm_trace_destroy(fm_trace *t)
{
    if (!t)
        return;
    fm_trace_flush(t);
    if (t->fd >= 0)
        close(t->fd);
    fm_buf_fini(&t->pending);
    free(t);
}

/* May one event more be added? */
static bool room(fm_trace *t)
{
    if (!t || t->full || t->pending.failed || (t->begun && t->fd < 0))
        return false;
    if (t->begun && t->pending.size > BUFFER_BYTES)
        fm_trace_flush(t);
    t->full = t->written + t->pending.size > (t->begun ? FM_TRACE_BYTES : KEPT_BYTES);
    if (t->full)
        fm_buf_printf(&t->pending, "{\"ph\":\"i\",\"name\":\"the trace is full\",\"pid\":0,\"tid\":0,\"ts\":%" PRIu64
                      ",\"s\":\"g\"},\n", fm_clock_us() - t->start_us);
    return !t->full;
}

void fm_trace_track(fm_trace *t, uint32_t process, uint32_t thread, const char *process_name, const char *thread_name)
{
    if (!room(t))
        return;
    fm_buf_printf(&t->pending, "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32
                  ",\"args\":{\"name\":\"%s\"}},\n", process, thread, process_name);
    fm_buf_printf(&t->pending, "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32
                  ",\"args\":{\"name\":\"%s\"}},\n", process, thread, thread_name);
}

void fm_trace_span(fm_trace *t, uint32_t process, uint32_t thread, const char *name, uint64_t start_us,
                   uint64_t took_us, uint64_t n)
{
    if (!room(t))
        return;
    fm_buf_printf(&t->pending, "{\"ph\":\"X\",\"name\":\"%s\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32 ",\"ts\":%" PRIu64
                  ",\"dur\":%" PRIu64 ",\"args\":{\"n\":%" PRIu64 "}},\n", name, process, thread,
                  start_us > t->start_us ? start_us - t->start_us : 0, took_us, n);
}

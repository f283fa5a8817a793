#include "jobs/progress.h"

#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#define LINE_EVERY_MS 10000
#define BAR_WIDTH 24
#define TEXT_MAX 256

void fm_progress_init(fm_progress *p, FILE *to)
{
    *p = (fm_progress){.to = to, .terminal = isatty(fileno(to)) != 0, .started_ms = fm_clock_ms()};
    p->said_ms = p->started_ms;
}

static size_t add(char *out, size_t size, size_t at, const char *fmt, ...) FM_PRINTF(4, 5);
static size_t add(char *out, size_t size, size_t at, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (at >= size)
        return at;
    va_start(ap, fmt);
    n = vsnprintf(out + at, size - at, fmt, ap);
    va_end(ap);
    return n < 0 ? at : at + (size_t)n;
}

static size_t add_left_out(char *out, size_t size, size_t at, const fm_build_counts *c)
{
    const char *before = "  left out: ";

    for (int r = FM_USED + 1; r < FM_REASON_COUNT; r++)
        if (c->left_out[r]) {
            at = add(out, size, at, "%s%llu %s", before, (unsigned long long)c->left_out[r],
                     fm_reason_name((fm_reason)r));
            before = ", ";
        }
    return at;
}

void fm_progress_line(const fm_build_counts *c, double rate, char *out, size_t size)
{
    uint64_t left = c->photographs - c->done;
    int percent = c->photographs ? (int)(100 * c->done / c->photographs) : 100;
    size_t at = add(out, size, 0, "%llu/%llu  %d%%", (unsigned long long)c->done, (unsigned long long)c->photographs,
                    percent);

    if (rate > 0) {
        double s = (double)left / rate;

        at = add(out, size, at, "  %.1f/s", rate);
        if (left && s < 360000)
            at = s < 3600 ? add(out, size, at, "  %d:%02d left", (int)s / 60, (int)s % 60)
                          : add(out, size, at, "  %d:%02d h left", (int)s / 3600, (int)s / 60 % 60);
    }
    at = add_left_out(out, size, at, c);
    if (c->crews_lost)
        add(out, size, at, "  crews restarted: %u", c->crews_lost);
}

static double rate_of(const fm_progress *p, const fm_build_counts *c)
{
    double seconds = (double)(fm_clock_ms() - p->started_ms) / 1000;

    return seconds > 0.5 ? (double)(c->done - p->done_at_start) / seconds : 0;
}

static void draw(fm_progress *p, const fm_build_counts *c, const char *line)
{
    char bar[BAR_WIDTH + 1];
    int full = c->photographs ? (int)(BAR_WIDTH * c->done / c->photographs) : BAR_WIDTH;

    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = '\0';
    fprintf(p->to, "\r[%s] %s\033[K", bar, line);
    fflush(p->to);
    p->drawn = true;
}

void fm_progress_show(void *ctx, const fm_build_counts *now)
{
    fm_progress *p = ctx;
    char line[TEXT_MAX];

    if (!p->begun) {
        p->begun = true;
        p->done_at_start = now->done;
    }
    fm_progress_line(now, rate_of(p, now), line, sizeof line);
    if (p->terminal) {
        draw(p, now, line);
    } else if (fm_clock_ms() - p->said_ms >= LINE_EVERY_MS) {
        fm_info("%s", line);
        p->said_ms = fm_clock_ms();
    }
}

void fm_progress_end(fm_progress *p, const fm_build_counts *last)
{
    char line[TEXT_MAX];

    fm_progress_line(last, rate_of(p, last), line, sizeof line);
    if (p->terminal)
        draw(p, last, line);
    else
        fm_info("%s", line);
    if (p->drawn)
        fputc('\n', p->to);
    p->drawn = false;
}

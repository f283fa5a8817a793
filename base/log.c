/* Log lines are formatted into one buffer and written with one write(), so
 * that lines of several ranks on one terminal never mix. */
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int threshold;       /* once the environment was read */
static bool as_json;
static char who_am_i[64];

/* One word of $FACEMILL_LOG. */
static void take_word(const char *word, size_t n)
{
    for (int i = 0; i <= FM_LOG_ERROR; i++)
        if (strlen(level_names[i]) == n && strncmp(word, level_names[i], n) == 0)
            threshold = i;
    if (n == 4 && strncmp(word, "json", n) == 0)
        as_json = true;
}

static void read_environment(void)
{
    const char *at = getenv("FACEMILL_LOG");

    threshold = FM_LOG_INFO;
    while (at && *at) {
        size_t n = strcspn(at, ",");

        take_word(at, n);
        at += n + (at[n] == ',');
    }
}

void fm_log_set_level(fm_log_level level)
{
    pthread_once(&once, read_environment);
    threshold = (int)level;
}

void fm_log_set_json(bool json)
{
    pthread_once(&once, read_environment);
    as_json = json;
}

void fm_log_set_who(const char *who)
{
    snprintf(who_am_i, sizeof who_am_i, "%s", who);
}

const char *fm_log_who(void)
{
    return who_am_i;
}

/* Text inside a JSON string: UTF-8 passes, what would end the string or the line does not. */
static size_t json_text(const char *text, char *out, size_t size)
{
    size_t n = 0;

    for (; *text && n + 7 < size; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            n += (size_t)snprintf(out + n, size - n, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        else
            out[n++] = (char)c;
    }
    out[n] = '\0';
    return n;
}

static size_t json_line(const char *time, const char *host, fm_log_level level, const char *text, char *out, size_t size)
{
    char who[sizeof who_am_i * 2], said[LINE_MAX_BYTES - 400];

    json_text(who_am_i, who, sizeof who);
    json_text(text, said, sizeof said);
    return (size_t)snprintf(out, size, "{\"time\":\"%s\",\"host\":\"%s\",\"who\":\"%s\",\"level\":\"%s\",\"text\":\"%s\"}\n",
                            time, host, who, level_names[level], said);
}

void fm_log(fm_log_level level, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES], text[900], when[40], host[32] = "?";
    struct timespec now;
    struct tm tm;
    size_t n;
    va_list ap;

    pthread_once(&once, read_environment);
    if ((int)level < threshold)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + n, sizeof when - n, ".%03ldZ", now.tv_nsec / 1000000);
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (as_json)
        n = json_line(when, host, level, text, line, sizeof line);
    else
        n = (size_t)snprintf(line, sizeof line, "%s %s%s%s %s: %s\n", when, host, who_am_i[0] ? " " : "", who_am_i,
                             level_names[level], text);
    if (write(STDERR_FILENO, line, n) < 0)
        return;     /* stderr is gone; there is nowhere left to say so */
}

_Noreturn void fm_assert_failed(const char *expr, const char *file, int line, const char *func)
{
    fm_error("a bug in facemill, please report it: \"%s\" does not hold in %s (%s:%d)", expr, func, file, line);
    abort();
}

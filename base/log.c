/* Log lines are formatted into one buffer and written with one write(), so
 * that lines of several ranks on one terminal never mix. */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static int threshold = -1;
static char who_am_i[64];

static int threshold_get(void)
{
    if (threshold < 0) {
        const char *env = getenv("FACEMILL_LOG");

        threshold = FM_LOG_INFO;
        for (int i = 0; env && i <= FM_LOG_ERROR; i++)
            if (strcmp(env, level_names[i]) == 0)
                threshold = i;
    }
    return threshold;
}

void fm_log_set_level(fm_log_level level)
{
    threshold = (int)level;
}

void fm_log_set_who(const char *who)
{
    snprintf(who_am_i, sizeof who_am_i, "%s", who);
}

const char *fm_log_who(void)
{
    return who_am_i;
}

void fm_log(fm_log_level level, const char *fmt, ...)
{
    char line[1024], host[32] = "?";
    struct timespec now;
    struct tm tm;
    size_t n;
    va_list ap;

    if ((int)level < threshold_get())
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    gethostname(host, sizeof host - 1);
    host[strcspn(host, ".")] = '\0';
    n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s%s%s %s: ", now.tv_nsec / 1000000, host,
                          who_am_i[0] ? " " : "", who_am_i, level_names[level]);
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n = strlen(line);
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return;     /* stderr is gone; there is nowhere left to say so */
}

_Noreturn void fm_assert_failed(const char *expr, const char *file, int line, const char *func)
{
    fm_error("a bug in facemill, please report it: \"%s\" does not hold in %s (%s:%d)", expr, func, file, line);
    abort();
}

/* The error channel: formats into the caller's fixed-size struct, allocates nothing. */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int fm_vfail(fm_err *err, int code, const char *fmt, va_list ap)
{
    if (err) {
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
    }
    return code;
}

int fm_fail(fm_err *err, int code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fm_vfail(err, code, fmt, ap);
    va_end(ap);
    return code;
}

int fm_fail_in(fm_err *err, int code, const char *fmt, ...)
{
    char cause[sizeof err->text];
    va_list ap;
    size_t used;

    if (!err)
        return code;
    memcpy(cause, err->text, sizeof cause);
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", cause[0] ? cause : strerror(-code));
    err->code = code;
    return code;
}

int fm_fail_nomem(fm_err *err, const char *what, unsigned long long bytes)
{
    return fm_fail(err, -ENOMEM, "no memory for %s (%llu bytes)", what, bytes);
}

/* The one error channel.
 *
 * A function that can fail returns 0 or a negative errno value, and takes an
 * fm_err (NULL allowed) into which the place that knows the cause writes one
 * sentence: what was expected, what was found, what to do.  It is logged once,
 * at the edge of the program. */
#ifndef FM_BASE_ERR_H
#define FM_BASE_ERR_H

#include <stdarg.h>

typedef struct {
    int code;           /* 0, or the negative errno value that was returned */
    char text[512];     /* one sentence, no newline; empty when code is 0 */
} fm_err;

#define FM_ERR_INIT {0, ""}

#if defined(__GNUC__)
#define FM_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define FM_PRINTF(f, a)
#endif

/* Record a failure and return its code, so that callers can write
 *     return fm_fail(err, -EINVAL, "%s: expected ...", name);
 * code  negative errno value.
 * Replaces what err held.  Never fails; long texts are cut. */
int fm_fail(fm_err *err, int code, const char *fmt, ...) FM_PRINTF(3, 4);
int fm_vfail(fm_err *err, int code, const char *fmt, va_list ap);

/* Put "context: " before what err already says; returns err's code. */
int fm_fail_in(fm_err *err, int code, const char *fmt, ...) FM_PRINTF(3, 4);

/* Allocation failure, said in one way everywhere: "no memory for <what> (<bytes> bytes)". */
int fm_fail_nomem(fm_err *err, const char *what, unsigned long long bytes);

#endif

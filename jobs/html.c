/* A printf whose %s escapes: the names that manifests bring in reach a page by
 * this one road, so that forgetting to escape takes more effort than escaping. */
#include "jobs/html.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void put(fm_buf *b, const char *s)
{
    fm_buf_put(b, s, strlen(s));
}

void fm_html_text(fm_buf *b, const char *s)
{
    fm_buf clean = FM_BUF_INIT;

    fm_utf8_text(&clean, s);
    for (size_t i = 0; i < clean.size; i++)
        switch (clean.data[i]) {
        case '&': put(b, "&amp;"); break;
        case '<': put(b, "&lt;"); break;
        case '>': put(b, "&gt;"); break;
        case '"': put(b, "&quot;"); break;
        case '\'': put(b, "&#39;"); break;
        default: fm_buf_u8(b, clean.data[i]);
        }
    b->failed = b->failed || clean.failed;
    fm_buf_fini(&clean);
}

/* The conversion that starts at s ('%'), copied to spec; returns what follows it. */
static const char *conversion(const char *s, char *spec, size_t size)
{
    size_t n = strcspn(s + 1, "sdufg%") + 2;

    if (n >= size)
        n = size - 1;
    memcpy(spec, s, n);
    spec[n] = '\0';
    return s + n;
}

void fm_html(fm_buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    while (*fmt) {
        size_t plain = strcspn(fmt, "%");
        char spec[16], number[352] = "";
        double real;

        fm_buf_put(b, fmt, plain);
        fmt += plain;
        if (!*fmt)
            break;
        fmt = conversion(fmt, spec, sizeof spec);
        switch (spec[strlen(spec) - 1]) {
        case 's': fm_html_text(b, va_arg(ap, const char *)); break;
        case 'd': snprintf(number, sizeof number, "%d", va_arg(ap, int)); break;
        case 'u':
            if (spec[1] == 'z')
                snprintf(number, sizeof number, "%zu", va_arg(ap, size_t));
            else
                snprintf(number, sizeof number, "%u", va_arg(ap, unsigned));
            break;
        case '%': snprintf(number, sizeof number, "%%"); break;
        default:
            real = va_arg(ap, double);
            snprintf(number, sizeof number, spec, isfinite(real) ? real : 0.0);
        }
        put(b, number);
    }
    va_end(ap);
}

const char *fm_grouped(uint64_t v, char out[FM_GROUPED])
{
    char digits[24];
    size_t n = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)v), at = 0;

    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

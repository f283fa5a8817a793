/* HTML in which text is escaped unless it was written as markup. */
#ifndef FM_JOBS_HTML_H
#define FM_JOBS_HTML_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Append text: & < > " ' become entities; what is not UTF-8 becomes U+FFFD. */
void fm_html_text(fm_buf *b, const char *s);

/* Append markup with values.  fmt is markup and trusted; a string that %s brings in is text and is escaped.
 * Conversions: %s, %d, %u, %zu, %g and %f with a precision, %%.  A number that is not finite is
 * written as 0: an SVG with "nan" in it is not drawn at all. */
void fm_html(fm_buf *b, const char *fmt, ...) FM_PRINTF(2, 3);

/* "12,345" into out, and returned. */
#define FM_GROUPED 28
const char *fm_grouped(uint64_t v, char out[FM_GROUPED]);

#endif

/* The screen of `facemill watch`. */
#ifndef FM_JOBS_WATCH_H
#define FM_JOBS_WATCH_H

#include <jansson.h>

#include "base/buf.h"

/* Append lines of text, no escapes in them.
 * before  an earlier status of the same build, for rates of the time between; NULL: rates are of the whole build. */
void fm_watch_screen(const json_t *now, const json_t *before, fm_buf *out);

#endif

/* One line an event, on stderr: time, host, rank (when there is one), level, text.
 * Nothing that identifies a person (paths, subjects) is logged above FM_LOG_DEBUG.
 * Threads: any may log; what is set is set before there are others. */
#ifndef FM_BASE_LOG_H
#define FM_BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

typedef enum { FM_LOG_DEBUG, FM_LOG_INFO, FM_LOG_WARN, FM_LOG_ERROR } fm_log_level;

/* Lines below level are dropped.  Default FM_LOG_INFO; $FACEMILL_LOG (debug, info, warn, error) sets it. */
void fm_log_set_level(fm_log_level level);
/* A line is a JSON object with time, host, who, level and text.  $FACEMILL_LOG has the word json for it: "warn,json". */
void fm_log_set_json(bool json);

/* What stands in front of each line, e.g. "crew 2 rank 3".  Copied; "" for none. */
void fm_log_set_who(const char *who);
const char *fm_log_who(void);

void fm_log(fm_log_level level, const char *fmt, ...) FM_PRINTF(2, 3);

#define fm_debug(...) fm_log(FM_LOG_DEBUG, __VA_ARGS__)
#define fm_info(...)  fm_log(FM_LOG_INFO, __VA_ARGS__)
#define fm_warn(...)  fm_log(FM_LOG_WARN, __VA_ARGS__)
#define fm_error(...) fm_log(FM_LOG_ERROR, __VA_ARGS__)

/* Our own bug, never a user's mistake: prints the expression, where, who and aborts. */
#define fm_assert(x) ((x) ? (void)0 : fm_assert_failed(#x, __FILE__, __LINE__, __func__))
_Noreturn void fm_assert_failed(const char *expr, const char *file, int line, const char *func);

#endif

/* What happened when, as a file that chrome://tracing and Perfetto open: an array of events, one a line, whose closing
 * bracket the format lets be missing, so that the file of a program that was killed opens too.
 *
 * A trace that could not be made or written is silently none: it explains a run, it is no part of it.  Every function
 * takes NULL for none.  Threads: one. */
#ifndef FM_BASE_TRACE_H
#define FM_BASE_TRACE_H

#include <stdint.h>

#define FM_TRACE_BYTES (48u << 20)      /* where it ends, saying so; about four million photographs */

typedef struct fm_trace fm_trace;

/* A trace that is kept in memory until it is begun, and forgotten if it never is. */
fm_trace *fm_trace_create(void);
/* Write what was kept to this file, replacing one that is there, and what comes from now on; once. */
void fm_trace_begin(fm_trace *t, const char *path);
void fm_trace_destroy(fm_trace *t);

/* What a track is called: two words, of the process and of the thread.  Words and names here hold no quotes, backslashes
 * and control characters. */
void fm_trace_track(fm_trace *t, uint32_t process, uint32_t thread, const char *process_name, const char *thread_name);
/* Something began at start_us (fm_clock_us) and took so long; n of what it was about. */
void fm_trace_span(fm_trace *t, uint32_t process, uint32_t thread, const char *name, uint64_t start_us,
                   uint64_t took_us, uint64_t n);
void fm_trace_flush(fm_trace *t);
/* What is not written yet never is: the file is somebody else's now. */
void fm_trace_drop(fm_trace *t);

#endif

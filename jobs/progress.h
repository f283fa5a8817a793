/* Telling a person how far a build is: a bar on a terminal, a line every ten
 * seconds elsewhere. */
#ifndef FM_JOBS_PROGRESS_H
#define FM_JOBS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "coordinator/build.h"

typedef struct {
    FILE *to;                   /* stderr */
    bool terminal, drawn;
    uint64_t started_ms, said_ms;
    uint64_t done_at_start;     /* found in the store: they say nothing about the rate */
    bool begun;
} fm_progress;

void fm_progress_init(fm_progress *p, FILE *to);
/* Draw or print, when it is time to.  Has the type of fm_build_spec.progress; ctx is an fm_progress. */
void fm_progress_show(void *ctx, const fm_build_counts *now);
/* Leave the terminal's line. */
void fm_progress_end(fm_progress *p, const fm_build_counts *last);

/* One line: "312/2002  15%  41.3/s  0:41 left  left out: 3 no_face, 1 decode_error".
 * rate  photographs a second, 0: not known yet. */
void fm_progress_line(const fm_build_counts *now, double rate, char *out, size_t out_size);

#endif

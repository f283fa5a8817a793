/* What the workers of a build spent their time on (OUT/run/usage.json), read back. */
#ifndef FM_JOBS_USAGE_H
#define FM_JOBS_USAGE_H

#include <stdint.h>

#include "base/err.h"
#include "proto/message.h"

typedef struct {
    double seconds;         /* of the build by the clock; 0: nothing is known */
    uint32_t workers;       /* the most there were at once */
    struct { double seconds; uint64_t things; } spent[FM_SPAN_KINDS];      /* by all workers together */
} fm_usage;

/* *out is all zeros when no build of this study had work to hand out.  Errors: -EBADMSG, what reading gives. */
int fm_usage_read(const char *run_dir, fm_usage *out, fm_err *err);

#endif

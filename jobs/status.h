/* What a build wrote down about itself (coordinator/status.h), read back. */
#ifndef FM_JOBS_STATUS_H
#define FM_JOBS_STATUS_H

#include <jansson.h>

#include "base/err.h"
#include "coordinator/build.h"

/* OUT/run/status.json.  Errors: -ENOENT (no build has been started there), -EBADMSG, what reading gives. */
int fm_status_read(const char *out_dir, json_t **status, fm_err *err);
void fm_status_counts(const json_t *status, fm_build_counts *c);
const char *fm_status_state(const json_t *status);      /* "" when it has none */

#endif

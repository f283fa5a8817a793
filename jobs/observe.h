/* Speaking to a running build from outside, with the observer's key in OUT/run. */
#ifndef FM_JOBS_OBSERVE_H
#define FM_JOBS_OBSERVE_H

#include <signal.h>

#include "base/err.h"
#include "proto/message.h"
#include "proto/socket.h"

/* From another host than the build's this first asks it to listen for other hosts (proto/ask.h).
 * Errors: -ENOENT (no build runs there), what reading the join file and connecting give. */
int fm_observe_open(const char *out_dir, const volatile sig_atomic_t *stop, fm_client **out, fm_err *err);

/* Ask, and wait for the answer.
 * text    goes with the question; NULL: none.
 * answer  fm_message_fini it; written on 0 only.
 * Errors: -ETIMEDOUT, what the socket gives. */
int fm_observe_ask(fm_client *client, fm_message_type question, const char *text, int timeout_ms, fm_message *answer,
                   fm_err *err);

#endif

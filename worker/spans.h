/* What a worker spends its time on, kept from one acknowledgement to the next.  Threads: one. */
#ifndef FM_WORKER_SPANS_H
#define FM_WORKER_SPANS_H

#include <stdint.h>

#include "proto/message.h"

typedef struct {
    uint8_t kind;
    uint64_t start_us, took_us, n;      /* fm_clock_us */
} fm_spans_entry;

typedef struct {
    fm_spans_entry v[FM_SPANS_MAX];
    uint32_t n;
} fm_spans;

/* Something that began at start_us is over now.
 * n  photographs, chips or records. */
void fm_spans_add(fm_spans *s, fm_span_kind kind, uint64_t start_us, uint64_t n);
/* The same for what is one of many short ones: it becomes part of the last span of its kind, unless something that takes
 * long came in between. */
void fm_spans_join(fm_spans *s, fm_span_kind kind, uint64_t start_us, uint64_t n);
/* Put all into a message that is sent now, with the memory of this process, and begin again.  Errors: -ENOMEM. */
int fm_spans_take(fm_spans *s, fm_message *m, fm_err *err);

#endif

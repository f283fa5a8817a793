/* Reading and cutting alternate photograph by photograph; a span of each for every
 * run of them says as much as one a photograph, in a fiftieth of the room.  When
 * there is no room left, what comes becomes part of the last of its kind. */
#include "worker/spans.h"

#include "base/cpu.h"
#include "base/text.h"

static fm_spans_entry *last_of(fm_spans *s, fm_span_kind kind, bool anywhere)
{
    for (uint32_t i = s->n; i > 0; i--) {
        fm_spans_entry *e = &s->v[i - 1];

        if (e->kind == kind)
            return e;
        if (!anywhere && e->kind != FM_SPAN_READ && e->kind != FM_SPAN_CHIP)
            return NULL;
    }
    return NULL;
}

static void put(fm_spans *s, fm_spans_entry *into, fm_span_kind kind, uint64_t start_us, uint64_t n)
{
    uint64_t took = fm_clock_us() - start_us;

    if (into) {
        into->took_us += took;
        into->n += n;
    } else if (s->n < FM_SPANS_MAX) {
        s->v[s->n++] = (fm_spans_entry){(uint8_t)kind, start_us, took, n};
    }
}

void fm_spans_add(fm_spans *s, fm_span_kind kind, uint64_t start_us, uint64_t n)
{
    put(s, s->n == FM_SPANS_MAX ? last_of(s, kind, true) : NULL, kind, start_us, n);
}

void fm_spans_join(fm_spans *s, fm_span_kind kind, uint64_t start_us, uint64_t n)
{
    put(s, last_of(s, kind, s->n == FM_SPANS_MAX), kind, start_us, n);
}

static uint32_t cut(uint64_t v)
{
    return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

int fm_spans_take(fm_spans *s, fm_message *m, fm_err *err)
{
    uint64_t now = fm_clock_us();
    int rc = 0;

    m->memory = fm_memory_held();
    for (uint32_t i = 0; rc == 0 && i < s->n; i++) {
        const fm_spans_entry *e = &s->v[i];

        rc = fm_message_add_span(m, &(fm_span){e->kind, cut(now - e->start_us), cut(e->took_us), cut(e->n)}, err);
    }
    if (rc == 0)
        s->n = 0;
    return rc;
}

/* Those who look, or ask for an end, and the account of what workers say they spent.
 *
 * Workers' clocks are not known here: what they say began so long ago is put so
 * long before the moment their message is read, which is late by what the message
 * took. */
#define _GNU_SOURCE
#include "coordinator/conversation_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/text.h"
#include "coordinator/status.h"

static int drain_asked(fm_conversation *c, const char *node, fm_message *reply, fm_err *err)
{
    uint32_t told = c->here;
    int rc = 0;

    if (node)
        rc = fm_conversation_retire(c, node, &told, err);
    else
        fm_conversation_drain(c);
    if (told || !node)
        fm_info("asked to drain%s%s: no more work is handed out to %u workers", node ? " " : "", node ? node : "", told);
    fm_message_init(reply, FM_MSG_ACKED);
    reply->records = told;
    return rc;
}

static int status_asked(const fm_conversation *c, uint64_t now_ms, fm_message *reply, fm_err *err)
{
    fm_conversation_facts facts;
    fm_status status = {c->draining ? "draining" : "running", c->spec.epoch, &c->spec.todo->counts, &facts};
    fm_buf b = FM_BUF_INIT;
    int rc = fm_conversation_facts_take(c, now_ms, &facts, err);

    if (rc != 0)
        return rc;
    fm_status_json(&status, &b);
    fm_buf_u8(&b, 0);
    fm_message_init(reply, FM_MSG_STATUS);
    rc = b.failed ? fm_fail_nomem(err, "status", b.size) : fm_message_set_text(reply, (const char *)b.data, err);
    fm_buf_fini(&b);
    fm_conversation_facts_fini(&facts);
    return rc;
}

int fm_conversation_hear_observer(fm_conversation *c, const fm_message *m, uint64_t now_ms, fm_message *reply,
                                  bool *answered, fm_err *err)
{
    *answered = m->type == FM_MSG_DRAIN_ASK || m->type == FM_MSG_STATUS_ASK;
    if (m->type == FM_MSG_DRAIN_ASK)
        return drain_asked(c, m->text, reply, err);
    return *answered ? status_asked(c, now_ms, reply, err) : 0;
}

void fm_conversation_name_track(const fm_conversation *c, const fm_talker *w)
{
    char crew[FM_HOST_WORD + 32], rank[32];

    snprintf(crew, sizeof crew, "crew %u on %s", w->crew, w->host);
    snprintf(rank, sizeof rank, "rank %u", w->rank);
    fm_trace_track(c->spec.trace, w->crew + 1, w->rank + 1, crew, rank);
}

/* Cutting begins with the first photograph of a run that was read in the same time: tracks nest better one after the other. */
static void trace_spans(const fm_conversation *c, const fm_talker *w, const fm_message *m)
{
    uint64_t now_us = fm_clock_us(), end_us = 0;

    for (uint32_t i = 0; i < m->n_spans; i++) {
        const fm_span *span = &m->spans[i];
        uint64_t start_us = now_us - span->ago_us;

        start_us = start_us < end_us ? end_us : start_us;
        end_us = start_us + span->took_us;
        fm_trace_span(c->spec.trace, w->crew + 1, w->rank + 1, fm_span_name((fm_span_kind)span->kind), start_us,
                      span->took_us, span->n);
    }
}

void fm_conversation_account(fm_conversation *c, fm_talker *w, const fm_message *m)
{
    for (uint32_t i = 0; i < m->n_spans; i++) {
        const fm_span *span = &m->spans[i];

        c->spent[span->kind].us += span->took_us;
        c->spent[span->kind].n += span->n;
        w->busy_us += span->kind == FM_SPAN_WAIT ? 0 : span->took_us;
    }
    w->memory = m->memory;
    if (m->n_spans)
        trace_spans(c, w, m);
}

/* Photographs a second of work; 0: nothing to judge by yet. */
static double rate_of(const fm_talker *w)
{
    return w->busy_us ? (double)w->photographs * 1e6 / (double)w->busy_us : 0;
}

static int by_rate(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static int by_crew(const void *a, const void *b)
{
    const fm_crew_facts *x = a, *y = b;

    return (x->crew > y->crew) - (x->crew < y->crew);
}

static fm_crew_facts *crew_of(fm_conversation_facts *f, const fm_talker *w)
{
    for (uint32_t i = f->n_crews; i > 0; i--)       /* a crew's workers come together */
        if (f->crews[i - 1].crew == w->crew)
            return &f->crews[i - 1];
    f->crews[f->n_crews] = (fm_crew_facts){.crew = w->crew};
    memcpy(f->crews[f->n_crews].host, w->host, sizeof w->host);
    return &f->crews[f->n_crews++];
}

static void add_to_crew(fm_crew_facts *crew, const fm_talker *w, uint64_t now_ms)
{
    uint64_t silent_ms = now_ms - w->heard_ms;

    crew->ranks++;
    crew->photographs += w->photographs;
    crew->memory += w->memory;
    crew->leaving = crew->leaving || w->finishing;
    crew->silent_ms = silent_ms > crew->silent_ms ? silent_ms : crew->silent_ms;
    if (now_ms > w->since_ms)
        crew->rate += (double)w->photographs * 1000 / (double)(now_ms - w->since_ms);
}

/* Who is slowest, and what the middle rank does. */
static void judge_rates(const fm_conversation *c, double *rates, fm_conversation_facts *f)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n_workers; i++) {
        const fm_talker *w = &c->workers[i];
        double rate = w->presence == FM_HERE ? rate_of(w) : 0;

        if (rate <= 0)
            continue;
        rates[n++] = rate;
        if (f->slowest.rate > 0 && rate >= f->slowest.rate)
            continue;
        f->slowest.rate = rate;
        f->slowest.crew = w->crew;
        f->slowest.rank = w->rank;
        memcpy(f->slowest.host, w->host, sizeof w->host);
    }
    qsort(rates, n, sizeof *rates, by_rate);
    f->slowest.median = n ? rates[n / 2] : 0;
}

int fm_conversation_facts_take(const fm_conversation *c, uint64_t now_ms, fm_conversation_facts *out, fm_err *err)
{
    double *rates = calloc((size_t)c->n_workers + 1, sizeof *rates);
    fm_conversation_facts f = {.crews = calloc((size_t)c->here + 1, sizeof *f.crews), .ranks = c->here,
                               .memory = fm_memory_held()};

    if (!rates || !f.crews) {
        free(rates);
        free(f.crews);
        return fm_fail_nomem(err, "status", c->here * sizeof *f.crews);
    }
    fm_conversation_look(c, &f.state);
    for (int k = 0; k < FM_SPAN_KINDS; k++) {
        f.spent[k].us = c->spent[k].us;
        f.spent[k].n = c->spent[k].n;
    }
    for (uint32_t i = 0; i < c->n_workers; i++)
        if (c->workers[i].presence == FM_HERE)
            add_to_crew(crew_of(&f, &c->workers[i]), &c->workers[i], now_ms);
    qsort(f.crews, f.n_crews, sizeof *f.crews, by_crew);
    judge_rates(c, rates, &f);
    free(rates);
    *out = f;
    return 0;
}

void fm_conversation_facts_fini(fm_conversation_facts *f)
{
    free(f->crews);
    memset(f, 0, sizeof *f);
}

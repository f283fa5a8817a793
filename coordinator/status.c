/* Numbers, words from fixed lists and names of hosts (which were cleaned when they came in) only, so nothing needs
 * escaping and no JSON library is needed to write it. */
#include "coordinator/status.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "proto/message.h"

static const char *const states[] = {"planning", "running", "draining", "finished", "stopped", "failed"};

static void put_stages(const fm_conversation_facts *f, fm_buf *out)
{
    fm_buf_printf(out, ", \"stages\": {");
    for (int k = 0; k < FM_SPAN_KINDS; k++)
        fm_buf_printf(out, "%s\"%s\": {\"seconds\": %.3f, \"things\": %" PRIu64 "}", k ? ", " : "",
                      fm_span_name((fm_span_kind)k), (double)f->spent[k].us / 1e6, f->spent[k].n);
    fm_buf_printf(out, "}");
}

static void put_crews(const fm_conversation_facts *f, fm_buf *out)
{
    fm_buf_printf(out, ", \"crews\": [");
    for (uint32_t i = 0; i < f->n_crews; i++) {
        const fm_crew_facts *c = &f->crews[i];

        fm_buf_printf(out, "%s{\"crew\": %" PRIu32 ", \"host\": \"%s\", \"ranks\": %" PRIu32 ", \"photographs\": %" PRIu64
                      ", \"rate\": %.2f, \"memory\": %" PRIu64 ", \"silent\": %.1f, \"leaving\": %s}", i ? ", " : "",
                      c->crew, c->host, c->ranks, c->photographs, c->rate, c->memory, (double)c->silent_ms / 1000,
                      c->leaving ? "true" : "false");
    }
    fm_buf_printf(out, "]");
    if (f->slowest.rate > 0)
        fm_buf_printf(out, ", \"slowest\": {\"crew\": %" PRIu32 ", \"rank\": %" PRIu32 ", \"host\": \"%s\", \"rate\": %.2f, "
                      "\"median\": %.2f}", f->slowest.crew, f->slowest.rank, f->slowest.host, f->slowest.rate,
                      f->slowest.median);
}

static void put_facts(const fm_conversation_facts *f, fm_buf *out)
{
    fm_buf_printf(out, ", \"ranks\": %" PRIu32 ", \"shards\": {\"queued\": %" PRIu32 ", \"leased\": %" PRIu32
                  ", \"done\": %" PRIu32 "}, \"twice\": %" PRIu64 ", \"memory\": %" PRIu64, f->ranks, f->state.queued,
                  f->state.leased, f->state.done, f->state.twice, f->memory);
    put_stages(f, out);
    put_crews(f, out);
}

void fm_status_json(const fm_status *s, fm_buf *out)
{
    const fm_build_counts *c = s->counts;
    const char *comma = "";

    fm_buf_printf(out, "{\"state\": \"%s\", \"epoch\": %" PRIu64 ", \"seconds\": %.1f, ", s->state, s->epoch, c->seconds);
    fm_buf_printf(out, "\"photographs\": %" PRIu64 ", \"done\": %" PRIu64 ", ", c->photographs, c->done);
    fm_buf_printf(out, "\"photos_made\": %" PRIu64 ", \"photos_reused\": %" PRIu64 ", ", c->photos_made,
                  c->photos_reused);
    fm_buf_printf(out, "\"codes_made\": %" PRIu64 ", \"codes_reused\": %" PRIu64 ", \"left_out\": {", c->codes_made,
                  c->codes_reused);
    for (int r = 0; r < FM_REASON_COUNT; r++) {
        if (!c->left_out[r])
            continue;
        fm_buf_printf(out, "%s\"%s\": %" PRIu64, comma, fm_reason_name((fm_reason)r), c->left_out[r]);
        comma = ", ";
    }
    fm_buf_printf(out, "}, \"leases_lost\": %" PRIu64 ", \"crews_lost\": %" PRIu32 ", \"workers\": %" PRIu32,
                  c->leases_lost, c->crews_lost, c->workers);
    if (s->facts)
        put_facts(s->facts, out);
    fm_buf_printf(out, "}\n");
}

static void begin(fm_buf *out, const char *name, const char *type, const char *help)
{
    fm_buf_printf(out, "# HELP facemill_%s %s\n# TYPE facemill_%s %s\n", name, help, name, type);
}

static void put(fm_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    begin(out, name, type, help);
    fm_buf_printf(out, "facemill_%s %" PRIu64 "\n", name, value);
}

static void put_counts_metrics(const fm_status *s, fm_buf *out)
{
    const fm_build_counts *c = s->counts;

    begin(out, "build_state", "gauge", "1 for the state that the build is in.");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        fm_buf_printf(out, "facemill_build_state{state=\"%s\"} %d\n", states[i], strcmp(states[i], s->state) == 0);
    put(out, "photographs", "gauge", "Photographs in the list.", c->photographs);
    put(out, "photographs_done", "gauge", "Photographs acknowledged or found in the store.", c->done);
    put(out, "photos_made_total", "counter", "Photo records made by this run.", c->photos_made);
    put(out, "codes_made_total", "counter", "Code records made by this run.", c->codes_made);
    begin(out, "left_out", "gauge", "Photographs left out, by reason.");
    for (int r = FM_USED + 1; r < FM_REASON_COUNT; r++)
        fm_buf_printf(out, "facemill_left_out{reason=\"%s\"} %" PRIu64 "\n", fm_reason_name((fm_reason)r), c->left_out[r]);
    put(out, "leases_lost_total", "counter", "Shards that were handed out again.", c->leases_lost);
    put(out, "crews_lost_total", "counter", "Crews that ended before their work was done.", c->crews_lost);
    begin(out, "build_seconds", "gauge", "Seconds since the build began.");
    fm_buf_printf(out, "facemill_build_seconds %.1f\n", c->seconds);
}

static void put_crew_metrics(const fm_conversation_facts *f, fm_buf *out)
{
    begin(out, "crew_ranks", "gauge", "Workers that are here, by crew.");
    for (uint32_t i = 0; i < f->n_crews; i++)
        fm_buf_printf(out, "facemill_crew_ranks{crew=\"%" PRIu32 "\",host=\"%s\"} %" PRIu32 "\n", f->crews[i].crew,
                      f->crews[i].host, f->crews[i].ranks);
    begin(out, "crew_photographs", "gauge", "Photographs acknowledged by the workers that are here, by crew.");
    for (uint32_t i = 0; i < f->n_crews; i++)
        fm_buf_printf(out, "facemill_crew_photographs{crew=\"%" PRIu32 "\",host=\"%s\"} %" PRIu64 "\n", f->crews[i].crew,
                      f->crews[i].host, f->crews[i].photographs);
    begin(out, "crew_memory_bytes", "gauge", "Memory that the workers of a crew hold, what they share counted each time.");
    for (uint32_t i = 0; i < f->n_crews; i++)
        fm_buf_printf(out, "facemill_crew_memory_bytes{crew=\"%" PRIu32 "\",host=\"%s\"} %" PRIu64 "\n", f->crews[i].crew,
                      f->crews[i].host, f->crews[i].memory);
}

void fm_status_metrics(const fm_status *s, fm_buf *out)
{
    const fm_conversation_facts *f = s->facts;

    put_counts_metrics(s, out);
    if (!f)
        return;
    put(out, "ranks", "gauge", "Workers that are here.", f->ranks);
    put(out, "coordinator_memory_bytes", "gauge", "Memory that the coordinator holds.", f->memory);
    begin(out, "stage_seconds_total", "counter", "Seconds that workers spent, by stage.");
    for (int k = 0; k < FM_SPAN_KINDS; k++)
        fm_buf_printf(out, "facemill_stage_seconds_total{stage=\"%s\"} %.3f\n", fm_span_name((fm_span_kind)k),
                      (double)f->spent[k].us / 1e6);
    begin(out, "stage_things_total", "counter", "Photographs, chips or records that workers dealt with, by stage.");
    for (int k = 0; k < FM_SPAN_KINDS; k++)
        fm_buf_printf(out, "facemill_stage_things_total{stage=\"%s\"} %" PRIu64 "\n", fm_span_name((fm_span_kind)k),
                      f->spent[k].n);
    put_crew_metrics(f, out);
}

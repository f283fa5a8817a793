/* Crews as the conversation knows them: who of a crew is here, what becomes of the
 * rest when it ends, and which photograph it died of.
 *
 * A photograph is suspected when its worker's journal names it, tried alone, and
 * quarantined when that kills again (docs/guarantees.md). */
#include "coordinator/conversation_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "coordinator/handout.h"
#include "proto/journal.h"

#define DEATHS 2                /* of workers at a photograph that is tried alone, until it is quarantined */

uint64_t fm_conversation_crew_heard(const fm_conversation *c, uint32_t crew)
{
    uint64_t heard_ms = 0;

    for (uint32_t i = 0; i < c->n_workers; i++)
        if (c->workers[i].crew == crew && c->workers[i].heard_ms > heard_ms)
            heard_ms = c->workers[i].heard_ms;
    return heard_ms;
}

uint32_t fm_conversation_crew_size(const fm_conversation *c, uint32_t crew, bool *known)
{
    uint32_t n = 0;

    *known = false;
    for (uint32_t i = 0; i < c->n_workers; i++) {
        *known = *known || c->workers[i].crew == crew;
        n += c->workers[i].crew == crew && c->workers[i].presence == FM_HERE;
    }
    return n;
}

/* A suspect's shard is its own by now: two deaths there, and it is quarantined. */
static int blame(fm_conversation *c, uint32_t shard, fm_reason reason, fm_err *err)
{
    const char *path = c->spec.todo->paths[c->spec.todo->todo[c->spec.todo->first[shard]]];
    int rc;

    if (fm_leases_blame(c->leases, shard) < DEATHS)
        return 0;
    fm_warn("a photograph is quarantined as %s, %d workers died of it: the ledger names it", fm_reason_name(reason),
            DEATHS);
    fm_debug("quarantined: %s", path);
    rc = fm_handout_condemn(c->spec.todo, &c->spec.segments, shard, reason, err);
    if (rc != 0)
        return rc;
    fm_leases_condemn(c->leases, shard);
    c->condemned++;
    return 0;
}

/* The photograph gets a shard of its own. */
static int isolate(fm_conversation *c, uint32_t shard, uint32_t place, fm_err *err)
{
    uint32_t before = c->spec.todo->n_shards;
    int rc = fm_worklist_split(c->spec.todo, shard, place, err);

    if (rc == 0)
        rc = fm_leases_add(c->leases, c->spec.todo->n_shards - before, err);
    if (rc != 0)
        return rc;
    fm_leases_isolate(c->leases, shard);
    c->suspected++;
    return 0;
}

/* The worker died.  What its journal names is done or somebody else's by now, or it is the suspect. */
static int suspect(fm_conversation *c, fm_talker *w, uint64_t now_ms, fm_err *err)
{
    fm_journal_entry at;
    int rc = fm_journal_read(c->spec.segments.store_dir, w->journal, &at, NULL);
    uint32_t shard = (uint32_t)at.lease, place;
    bool silent = now_ms - w->heard_ms >= fm_conversation_silence_ms(c);

    fm_journal_remove(c->spec.segments.store_dir, w->journal);
    if (rc != 0 || !at.busy || !fm_leases_given(c->leases, at.lease) ||
        fm_leases_state(c->leases, shard) != FM_SHARD_QUEUED)
        return 0;
    place = fm_worklist_place(c->spec.todo, shard, at.item);
    if (place == FM_NOBODY)
        return 0;
    if (!fm_leases_alone(c->leases, shard))
        return isolate(c, shard, place, err);
    return w->alone ? blame(c, shard, at.timed_out || silent ? FM_TIMED_OUT : FM_CRASHED, err) : 0;
}

int fm_conversation_crew_ended(fm_conversation *c, uint32_t crew, uint64_t now_ms, bool *clean, fm_err *err)
{
    uint32_t left = 0, died = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {
        fm_talker *w = &c->workers[i];

        if (w->crew != crew)
            continue;
        *(w->presence == FM_LEFT ? &left : &died) += 1;
        if (w->presence == FM_HERE)
            rc = fm_conversation_part_with(c, w, FM_GONE, now_ms, err);
    }
    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {    /* when all have given back what they held */
        fm_talker *w = &c->workers[i];

        if (w->crew != crew)
            continue;
        if (w->presence == FM_GONE)
            rc = suspect(c, w, now_ms, err);
        w->crew = FM_NOBODY;
    }
    *clean = left > 0 && died == 0;
    return rc;
}

int fm_conversation_dismiss_silent(fm_conversation *c, uint64_t now_ms, fm_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {
        fm_talker *w = &c->workers[i];

        if (w->presence != FM_HERE || w->crew < c->spec.crews || now_ms - w->heard_ms < fm_conversation_silence_ms(c))
            continue;
        fm_warn("worker %u of crew %u has been silent for %llu s and is given up", i, w->crew,
                (unsigned long long)(now_ms - w->heard_ms) / 1000);
        rc = fm_conversation_part_with(c, w, FM_GONE, now_ms, err);
    }
    return rc;
}

bool fm_conversation_retired(const fm_conversation *c, uint32_t crew)
{
    for (uint32_t i = 0; i < c->n_retired; i++)
        if (c->retired[i] == crew)
            return true;
    return false;
}

static int retire(fm_conversation *c, uint32_t crew, fm_err *err)
{
    uint32_t *grown;

    if (fm_conversation_retired(c, crew))
        return 0;
    grown = realloc(c->retired, (c->n_retired + 1) * sizeof *grown);
    if (!grown)
        return fm_fail_nomem(err, "crews", (c->n_retired + 1) * sizeof *grown);
    c->retired = grown;
    c->retired[c->n_retired++] = crew;
    return 0;
}

static bool is_on(const fm_talker *w, const char *node)
{
    size_t n = strcspn(node, ".");
    char number[16];

    snprintf(number, sizeof number, "%u", w->crew);
    return strcmp(number, node) == 0 || strcmp(w->host, node) == 0 ||
           (strcspn(w->host, ".") == n && strncmp(w->host, node, n) == 0);
}

int fm_conversation_retire(fm_conversation *c, const char *node, uint32_t *told, fm_err *err)
{
    int rc = 0;

    *told = 0;
    for (uint32_t i = 0; rc == 0 && i < c->n_workers; i++) {
        fm_talker *w = &c->workers[i];

        if (w->presence != FM_HERE || !is_on(w, node))
            continue;
        w->finishing = true;
        ++*told;
        rc = retire(c, w->crew, err);
    }
    return rc;
}

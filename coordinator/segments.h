/* Open segments: how they are named, and what becomes of those whose writers are
 * gone.  No clock beside fm_segments_recover's; threads: one. */
#ifndef FM_COORDINATOR_SEGMENTS_H
#define FM_COORDINATOR_SEGMENTS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "storage/catalog.h"

/* Where segments lie. */
typedef struct {
    fm_catalog *catalog;
    const char *store_dir, *scratch_dir;
    uint64_t epoch;
} fm_segments;

/* A name that no other segment of the store has: epoch and count, and the writer's host and process, so
 * that a later coordinator can tell whether it still runs.
 * count  each number once an epoch. */
void fm_segments_name(uint64_t epoch, uint32_t count, const char *host, uint32_t pid, char out[FM_SEGMENT_NAME_MAX]);
/* Is the process that wrote this segment known to be gone?  Only of this host's processes can that be known. */
bool fm_segments_writer_gone(const char *name);

/* An open segment is left for good: adopt what its writer committed, or take it down as lost.
 * *lost  true when its records are gone: what relied on them has to be done again.  A segment that never
 *        held a record is "lost" too.
 * Errors: -EBUSY (its writer lives after all), what the store gives, its disk being full among them; the segment then
 * stays open. */
int fm_segments_settle(const fm_segments *s, uint32_t number, const char *name, bool *lost, fm_err *err);

/* A record somebody found. */
typedef struct {
    fm_record_kind kind;
    fm_digest key;
    bool sealed;            /* it is in a sealed segment */
} fm_segments_find;

/* Look in sealed segments for records that the catalog does not know, and tell it of those that are there.  They come
 * from leases that were lost after their commit, and from copies: of a record that two segments hold the catalog
 * knows one place, which may be lost.
 * finds  [n]; sealed is written.  Opens every sealed segment until all are found. */
int fm_segments_locate(const fm_segments *s, fm_segments_find *finds, size_t n, fm_err *err);

/* The segment is given up, with whatever it holds. */
int fm_segments_abandon(const fm_segments *s, uint32_t number, const char *name, fm_err *err);

/* At the start of an epoch, before planning: settle every open segment of earlier ones, and take down as lost
 * those sealed ones that are not in the store any more.
 * patience_ms  how long workers of earlier epochs that may still run are given to end: FM_SILENCE_MS and some.
 * Errors: -EINTR (stop was set while waiting), what the store gives. */
int fm_segments_recover(const fm_segments *s, uint64_t patience_ms, const volatile sig_atomic_t *stop, fm_err *err);

#endif

/* The list of photographs of a build: what is known of each, which are left to
 * do, and in which shards those are handed out.  Local; threads: one. */
#ifndef FM_COORDINATOR_WORKLIST_H
#define FM_COORDINATOR_WORKLIST_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "coordinator/build.h"
#include "storage/catalog.h"

typedef struct {
    fm_digest image;        /* of its bytes; zero: not known yet, or it cannot be read */
    uint8_t reason;         /* fm_reason, when done */
    bool done;
    bool photo_made, code_made;     /* by this run */
} fm_worklist_photo;

typedef struct {
    const char *const *paths;       /* [n], borrowed */
    uint32_t n;
    fm_worklist_photo *photos;          /* [n] */
    fm_digest recipe;               /* digest of the recipe */
    fm_digest encoder;              /* digest of the encoding; zero: no codes */
    uint64_t max_bytes;             /* of the recipe: a larger file is not read */
    uint32_t *todo;                 /* [n_todo] what was left to do at the start, as fm_archive_order has it */
    uint32_t n_todo;
    uint32_t *first, *end;          /* [n_shards] shard s is todo[first[s]] .. todo[end[s] - 1] */
    uint32_t n_shards, room_shards;
    bool fixed;                     /* shards are as large as the study says */
    fm_build_counts counts;         /* of the list as it stands; seconds, leases, crews and workers are others' */
} fm_worklist;

/* Look every photograph up in the catalog and cut what is left into shards.  A file whose size and mtime are
 * those the catalog knows is taken for the same file, unless spec->paranoid.  One that was quarantined (crashed,
 * timed_out) stays so under the same condition, whatever the recipe.
 * catalog  no open segment may be in it: a record in one that is then lost would be taken for done.
 * Memory: 41 bytes a photograph.
 * Errors: -EINTR (spec->stop was set), -E2BIG (more than 2^32 - 2 photographs), -ENOMEM, what the catalog gives. */
int fm_worklist_create(const fm_build_spec *spec, fm_catalog *catalog, fm_worklist **out, fm_err *err);
void fm_worklist_destroy(fm_worklist *p);

/* The keys that a photograph with this outcome has in the store; zero where it has none: without an
 * image digest, or when the worker rather than the photograph was at fault; codes only when used. */
void fm_worklist_keys(const fm_worklist *p, const fm_digest *image, fm_reason reason, fm_digest *photo, fm_digest *code);

/* What became of a photograph, and: it has to be done again. */
void fm_worklist_done(fm_worklist *p, uint32_t item, const fm_worklist_photo *outcome);
void fm_worklist_undo(fm_worklist *p, uint32_t item);

/* One of a shard's photographs gets the shard for itself; what stands before and behind it becomes shards of their
 * own, at the end of the list: 0, 1 or 2 more.
 * place  of the photograph in the shard, from 0.
 * Errors: -ENOMEM (nothing changed). */
int fm_worklist_split(fm_worklist *p, uint32_t shard, uint32_t place, fm_err *err);
/* The shard keeps so many of its photographs; the rest become a shard at the end of the list.  Errors: -ENOMEM. */
int fm_worklist_cut(fm_worklist *p, uint32_t shard, uint32_t keep, fm_err *err);
/* How many photographs a worker should be given now: fewer the nearer the end, so that all finish together (guided
 * self-scheduling).  UINT32_MAX: whole shards, because the study says how large they are.
 * out  photographs that are handed out already; workers  how many share what is left. */
uint32_t fm_worklist_share(const fm_worklist *p, uint64_t out, uint32_t workers);
/* Which of the shard's photographs this is; UINT32_MAX: none. */
uint32_t fm_worklist_place(const fm_worklist *p, uint32_t shard, uint64_t item);

/* Does the catalog know the records of every photograph of this shard?  All of them are done. */
int fm_worklist_shard_held(const fm_worklist *p, uint32_t shard, fm_catalog *catalog, bool *held, fm_err *err);

/* STORE/study.keys from what is known; all photographs are done. */
int fm_worklist_write_keys(const fm_worklist *p, const char *const *names, const char *store_dir, fm_err *err);

#endif

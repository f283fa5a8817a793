/* Planning, and the account of what is done.
 *
 * A photograph is done when the catalog knows its file by size and mtime, holds
 * the records that its bytes, the recipe and the encoder ask for, and says how it
 * ended under this recipe.  Whether one that is not done needs decoding or only
 * encoding is asked again when it is handed out (conversation.c), because the
 * answer changes while the build runs.
 *
 * Shards shrink towards the end of the list (guided self-scheduling, Polychronopoulos
 * and Kuck 1987), so that workers finish together.  How many workers will come is
 * not known yet, so they shrink as for WORKERS_GUESSED; when they are handed out, and
 * the workers are known, they are cut to what each should get.  Always: the
 * counts follow from the photographs' flags, through add() only. */
#include "coordinator/worklist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "base/file.h"
#include "proto/message.h"
#include "proto/recipe.h"
#include "storage/keys.h"

#define SHARD_MAX 64            /* photographs: some seconds of work */
#define SHARD_MIN 8             /* one batch of the encoder */
#define SHARE_MIN 4             /* of the last ones: half a batch, but nobody waits long for it */
#define SHARES 4                /* of what is left, for each worker: one at a third of the others' speed ends its share before
                                   the others have done the rest */
#define WORKERS_GUESSED 16
#define SHARD_PATH_BYTES (FM_MESSAGE_MAX / 2)
#define ITEM_BYTES 64           /* of a message, beside path and segment name; more than it takes */

static bool has_record(const fm_digest *image, fm_reason reason)
{
    return !fm_digest_is_zero(image) && reason <= FM_FACE_TOO_SMALL;
}

void fm_worklist_keys(const fm_worklist *p, const fm_digest *image, fm_reason reason, fm_digest *photo, fm_digest *code)
{
    memset(photo, 0, sizeof *photo);
    memset(code, 0, sizeof *code);
    if (!has_record(image, reason))
        return;
    fm_key_photo(image, &p->recipe, photo);
    if (reason == FM_USED && !fm_digest_is_zero(&p->encoder))
        fm_key_code(photo, &p->encoder, code);
}

/* Count a done photograph in (by = 1) or out (by = -1: unsigned, so it wraps to one less). */
static void add(fm_worklist *p, const fm_worklist_photo *photo, uint64_t by)
{
    fm_build_counts *c = &p->counts;

    c->done += by;
    if (photo->reason != FM_USED)
        c->left_out[photo->reason] += by;
    if (!has_record(&photo->image, (fm_reason)photo->reason))
        return;
    *(photo->photo_made ? &c->photos_made : &c->photos_reused) += by;
    if (photo->reason == FM_USED && !fm_digest_is_zero(&p->encoder))
        *(photo->code_made ? &c->codes_made : &c->codes_reused) += by;
}

void fm_worklist_done(fm_worklist *p, uint32_t item, const fm_worklist_photo *outcome)
{
    fm_worklist_photo *photo = &p->photos[item];

    if (photo->done)
        add(p, photo, (uint64_t)-1);
    *photo = *outcome;
    photo->done = true;
    add(p, photo, 1);
}

void fm_worklist_undo(fm_worklist *p, uint32_t item)
{
    if (p->photos[item].done)
        add(p, &p->photos[item], (uint64_t)-1);
    p->photos[item].done = false;
}

/* 0 and *held; a key of zeros asks for nothing. */
static int holds(fm_catalog *catalog, fm_record_kind kind, const fm_digest *key, bool *held, fm_err *err)
{
    uint32_t segment;
    int rc = fm_digest_is_zero(key) ? 0 : fm_catalog_find_record(catalog, kind, key, &segment, err);

    *held = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}

static int holds_both(const fm_worklist *p, fm_catalog *catalog, const fm_digest *image, fm_reason reason, bool *held,
                      fm_err *err)
{
    fm_digest photo, code;
    int rc;

    fm_worklist_keys(p, image, reason, &photo, &code);
    rc = holds(catalog, FM_RECORD_PHOTO, &photo, held, err);
    if (rc == 0 && *held)
        rc = holds(catalog, FM_RECORD_CODE, &code, held, err);
    return rc;
}

int fm_worklist_shard_held(const fm_worklist *p, uint32_t shard, fm_catalog *catalog, bool *held, fm_err *err)
{
    int rc = 0;

    *held = true;
    for (uint32_t k = p->first[shard]; rc == 0 && *held && k < p->end[shard]; k++) {
        const fm_worklist_photo *photo = &p->photos[p->todo[k]];

        rc = holds_both(p, catalog, &photo->image, (fm_reason)photo->reason, held, err);
    }
    return rc;
}

/* A file whose bytes nobody hashed last time is not handed out again while it looks as hopeless as then. */
static bool still_unread(const fm_worklist *p, const char *path, fm_reason reason, const struct stat *st)
{
    if (reason == FM_TOO_LARGE)
        return st && S_ISREG(st->st_mode) && (uint64_t)st->st_size > p->max_bytes;
    return reason == FM_UNREADABLE &&
           (!st || !S_ISREG(st->st_mode) || st->st_size == 0 || !fm_path_readable(path));
}

static bool same_file(const fm_catalog_file *file, const struct stat *st)
{
    return st && file->size_bytes == (uint64_t)st->st_size &&
           file->mtime_ns == (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* What the catalog says of a file that it knows. */
static int plan_known(fm_worklist *p, fm_catalog *catalog, uint32_t item, const fm_catalog_file *file,
                      const struct stat *st, fm_err *err)
{
    fm_worklist_photo outcome = {.image = file->image, .reason = (uint8_t)file->reason};
    fm_digest photo, code = {{0}};
    bool held;
    int rc;

    if (file->reason == FM_CRASHED || file->reason == FM_TIMED_OUT) {
        if (same_file(file, st))
            fm_worklist_done(p, item, &outcome);
        return 0;
    }
    if (fm_digest_is_zero(&file->image)) {
        if (still_unread(p, p->paths[item], file->reason, st))
            fm_worklist_done(p, item, &outcome);
        return 0;
    }
    if (!same_file(file, st))
        return 0;
    if (fm_catalog_forgotten(catalog, &file->image, NULL)) {
        outcome.reason = FM_FORGOTTEN;
        fm_worklist_done(p, item, &outcome);
        return 0;
    }
    p->photos[item].image = file->image;
    fm_key_photo(&file->image, &p->recipe, &photo);
    if (!fm_digest_equal(&photo, &file->photo_key))     /* another recipe, or no record: how it ends is not known */
        return 0;
    if (file->reason == FM_USED && !fm_digest_is_zero(&p->encoder))
        fm_key_code(&photo, &p->encoder, &code);
    rc = holds(catalog, FM_RECORD_CODE, &code, &held, err);     /* the photo record is there: the file rests on it */
    if (rc == 0 && held)
        fm_worklist_done(p, item, &outcome);
    return rc;
}

static int plan_one(fm_worklist *p, fm_catalog *catalog, bool paranoid, uint32_t item, fm_err *err)
{
    const char *path = p->paths[item];
    fm_catalog_file file;
    struct stat st;
    int rc;

    if (strlen(path) >= FM_PATH_MAX) {      /* no system call takes it, no message need carry it */
        fm_worklist_done(p, item, &(fm_worklist_photo){.reason = FM_UNREADABLE});
        return 0;
    }
    if (fm_catalog_forgotten(catalog, NULL, path)) {
        fm_worklist_done(p, item, &(fm_worklist_photo){.reason = FM_FORGOTTEN});
        return 0;
    }
    if (paranoid)
        return 0;
    rc = fm_catalog_find_file(catalog, path, &file, err);
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    return plan_known(p, catalog, item, &file, fm_path_stat(path, &st) == 0 ? &st : NULL, err);
}

static int plan_all(fm_worklist *p, fm_catalog *catalog, const fm_build_spec *spec, fm_err *err)
{
    int rc = fm_catalog_hold(catalog, err);

    for (uint32_t i = 0; rc == 0 && i < p->n; i++) {
        rc = plan_one(p, catalog, spec->paranoid, i, err);
        if (rc == 0 && spec->stop && *spec->stop)
            rc = fm_fail(err, -EINTR, "stopped while planning: run again to go on");
    }
    fm_catalog_let_go(catalog);
    return rc;
}

/* How many photographs the next shard takes of those that are left. */
static uint32_t next_size(const fm_worklist *p, uint32_t from, uint32_t fixed)
{
    uint32_t left = p->n_todo - from, size = fixed, n = 0;
    size_t bytes = 0;

    if (size == 0) {
        size = left / (2 * WORKERS_GUESSED);
        size = size > SHARD_MAX ? SHARD_MAX : size < SHARD_MIN ? SHARD_MIN : size;
    }
    if (size > FM_LEASE_ITEMS_MAX)
        size = FM_LEASE_ITEMS_MAX;
    while (n < size && n < left && bytes < SHARD_PATH_BYTES)
        bytes += strlen(p->paths[p->todo[from + n++]]) + ITEM_BYTES;
    return n;
}

static int room_for_shards(fm_worklist *p, uint32_t more, fm_err *err)
{
    uint32_t room = 2 * p->room_shards + 64, *first, *end;

    if (p->n_shards + more <= p->room_shards)
        return 0;
    first = realloc(p->first, room * sizeof *first);
    p->first = first ? first : p->first;
    end = realloc(p->end, room * sizeof *end);
    p->end = end ? end : p->end;
    if (!first || !end)
        return fm_fail_nomem(err, "shards", 2 * room * sizeof *first);
    p->room_shards = room;
    return 0;
}

static void add_shard(fm_worklist *p, uint32_t from, uint32_t end)
{
    if (from == end)
        return;
    p->first[p->n_shards] = from;
    p->end[p->n_shards++] = end;
}

int fm_worklist_split(fm_worklist *p, uint32_t shard, uint32_t place, fm_err *err)
{
    int rc = room_for_shards(p, 2, err);
    uint32_t from = p->first[shard], end = p->end[shard], at = from + place;

    if (rc != 0)
        return rc;
    p->first[shard] = at;
    p->end[shard] = at + 1;
    add_shard(p, from, at);
    add_shard(p, at + 1, end);
    return 0;
}

int fm_worklist_cut(fm_worklist *p, uint32_t shard, uint32_t keep, fm_err *err)
{
    int rc = room_for_shards(p, 1, err);
    uint32_t end = p->end[shard];

    if (rc != 0)
        return rc;
    p->end[shard] = p->first[shard] + keep;
    add_shard(p, p->end[shard], end);
    return 0;
}

uint32_t fm_worklist_share(const fm_worklist *p, uint64_t out, uint32_t workers)
{
    uint64_t left = p->counts.photographs - p->counts.done, share;

    if (p->fixed)
        return UINT32_MAX;
    left = left > out ? left - out : 0;
    share = left / (SHARES * (uint64_t)(workers ? workers : 1));
    return share < SHARE_MIN ? SHARE_MIN : share > SHARD_MAX ? SHARD_MAX : (uint32_t)share;
}

uint32_t fm_worklist_place(const fm_worklist *p, uint32_t shard, uint64_t item)
{
    for (uint32_t at = p->first[shard]; at < p->end[shard]; at++)
        if (p->todo[at] == item)
            return at - p->first[shard];
    return UINT32_MAX;
}

static int cut_shards(fm_worklist *p, uint32_t fixed, fm_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; i < p->n; i++)
        p->n_todo += !p->photos[i].done;
    p->todo = malloc(((size_t)p->n_todo + 1) * sizeof *p->todo);
    if (!p->todo)
        return fm_fail_nomem(err, "worklist", p->n_todo * sizeof *p->todo);
    for (uint32_t i = 0, k = 0; i < p->n; i++)
        if (!p->photos[i].done)
            p->todo[k++] = i;
    rc = fm_archive_order(p->paths, p->todo, p->n_todo, err);
    for (uint32_t from = 0, n; rc == 0 && from < p->n_todo; from += n) {
        n = next_size(p, from, fixed);
        rc = room_for_shards(p, 1, err);
        if (rc == 0)
            add_shard(p, from, from + n);
    }
    return rc;
}

int fm_worklist_create(const fm_build_spec *spec, fm_catalog *catalog, fm_worklist **out, fm_err *err)
{
    fm_worklist *p;
    int rc;

    if (spec->n_paths >= UINT32_MAX - 1)
        return fm_fail(err, -E2BIG, "%zu photographs in one build, more than %u: split the study", spec->n_paths,
                       UINT32_MAX - 2);
    p = calloc(1, sizeof *p);
    if (!p || !(p->photos = calloc(spec->n_paths + 1, sizeof *p->photos))) {
        free(p);
        return fm_fail_nomem(err, "worklist", spec->n_paths * sizeof(fm_worklist_photo));
    }
    p->paths = spec->paths;
    p->n = (uint32_t)spec->n_paths;
    p->encoder = spec->encoder;
    p->max_bytes = spec->recipe->max_bytes;
    p->counts.photographs = p->n;
    p->fixed = spec->shard_size != 0;
    rc = fm_recipe_digest(spec->recipe, &p->recipe, err);
    if (rc == 0)
        rc = plan_all(p, catalog, spec, err);
    if (rc == 0)
        rc = cut_shards(p, spec->shard_size, err);
    if (rc == 0)
        *out = p;
    else
        fm_worklist_destroy(p);
    return rc;
}

void fm_worklist_destroy(fm_worklist *p)
{
    if (!p)
        return;
    free(p->photos);
    free(p->todo);
    free(p->first);
    free(p->end);
    free(p);
}

int fm_worklist_write_keys(const fm_worklist *p, const char *const *names, const char *store_dir, fm_err *err)
{
    fm_study_keys keys = {calloc((size_t)p->n + 1, sizeof *keys.v), p->n};
    int rc;

    if (!keys.v)
        return fm_fail_nomem(err, "study keys", p->n * sizeof *keys.v);
    for (uint32_t i = 0; i < p->n; i++) {
        const fm_worklist_photo *photo = &p->photos[i];
        fm_study_key *k = &keys.v[i];

        k->name = (char *)(names ? names : p->paths)[i];    /* borrowed: writing only reads it */
        k->path = (char *)p->paths[i];
        k->image = photo->image;
        k->reason = (fm_reason)photo->reason;
        fm_worklist_keys(p, &photo->image, k->reason, &k->photo, &k->code);
    }
    rc = fm_keys_write(store_dir, &keys, err);
    free(keys.v);
    return rc;
}

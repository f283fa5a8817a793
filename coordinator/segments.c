/* Whose segment may be adopted, and when.
 *
 * In this epoch: when its worker said BYE, or its crew has ended, or (workers that
 * came by themselves, once there is nothing left to do) when it has been silent far
 * longer than a lease lasts.  From an earlier epoch: its coordinator is dead, or we
 * could not have taken the store; its worker may not know that yet.  If it ran on
 * this host and its process is gone, at once; otherwise after the time in which
 * every worker that is owed an answer has given up (FM_SILENCE_MS), because whether
 * a process on another host lives cannot be seen from here.
 *
 * Should a worker live all the same (stopped, or cut off), its lock on the segment
 * keeps us out (-EBUSY) and the segment is given up: what it holds is made again.
 * That needs a file system with locks.  On one without, adopting under a stopped
 * worker's hands is nearly always harmless still: it owns that segment's name alone,
 * so it never meets another writer; it commits once a lease, so at most once
 * before it asks, and asking ends it (no answer, or REFUSED); its acknowledgement is
 * refused by run, by epoch and as a dismissed worker's; its own sealing finds the file
 * gone.  Only when it was stopped within that one commit can the adopted file be
 * damaged, which pages and record hashes show and verify names.
 *
 * Rejected: copying records out of a segment that may be written (LMDB's walk over
 * pages that change underneath is not safe); waiting for ever. */
#include "coordinator/segments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

static uint32_t host_number(const char *host)
{
    fm_digest d;

    fm_digest_of(host, strcspn(host, "."), &d);
    return (uint32_t)d.b[0] << 24 | (uint32_t)d.b[1] << 16 | (uint32_t)d.b[2] << 8 | d.b[3];
}

void fm_segments_name(uint64_t epoch, uint32_t count, const char *host, uint32_t pid, char out[FM_SEGMENT_NAME_MAX])
{
    snprintf(out, FM_SEGMENT_NAME_MAX, "e%" PRIu64 "-n%" PRIu32 "-h%08" PRIx32 "-p%" PRIu32, epoch, count,
             host_number(host), pid);
}

bool fm_segments_writer_gone(const char *name)
{
    char host[256] = "";
    uint32_t number, pid;

    if (sscanf(name, "e%*u-n%*u-h%8" SCNx32 "-p%" SCNu32, &number, &pid) != 2 || pid == 0 || pid > INT32_MAX ||
        gethostname(host, sizeof host - 1) != 0 || number != host_number(host))
        return false;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

int fm_segments_abandon(const fm_segments *s, uint32_t number, const char *name, fm_err *err)
{
    fm_warn("segment %s is given up: what it held is done again", name);
    return fm_catalog_segment_lost(s->catalog, number, err);
}

int fm_segments_settle(const fm_segments *s, uint32_t number, const char *name, bool *lost, fm_err *err)
{
    fm_err why = FM_ERR_INIT;
    uint64_t records;
    int rc = fm_segment_adopt(s->scratch_dir, name, s->store_dir, &records, &why);

    if (rc != 0 && rc != -EBADMSG && rc != -EEXIST)
        return fm_fail(err, rc, "segment %s of a worker that is gone: %s", name, why.text);
    if (rc != 0)
        fm_warn("segment %s cannot be used, what it held is done again: %s", name, why.text);
    *lost = rc != 0 || records == 0;
    return *lost ? fm_catalog_segment_lost(s->catalog, number, err)
                 : fm_catalog_segment_sealed(s->catalog, number, records, err);
}

typedef struct {
    const fm_segments *segments;
    fm_segments_find *finds;
    size_t n, left;
    fm_err *err;
} location;

static int tell_where(const location *l, const fm_segments_find *find, uint32_t number)
{
    fm_catalog_ack_item item = {.photo_here = find->kind == FM_RECORD_PHOTO, .code_here = find->kind == FM_RECORD_CODE};

    *(item.photo_here ? &item.photo_key : &item.code_key) = find->key;
    return fm_catalog_ack(l->segments->catalog, l->segments->epoch, number, &item, 1, l->err);
}

/* Stops with 1 when nothing is left to look for. */
static int look_in_segment(void *ctx, const fm_catalog_segment *segment)
{
    location *l = ctx;
    fm_segment *open;
    int rc = 0;

    if (segment->state != FM_SEGMENT_SEALED ||
        fm_segment_open(l->segments->store_dir, segment->name, &open, NULL) != 0)
        return 0;       /* who cannot be read cannot be where it was found */
    for (size_t i = 0; rc == 0 && i < l->n; i++) {
        fm_segments_find *find = &l->finds[i];

        if (find->sealed || fm_segment_has(open, find->kind, find->key.b, FM_DIGEST_BYTES, NULL) != 1)
            continue;
        find->sealed = true;
        l->left--;
        rc = tell_where(l, find, segment->number);
    }
    fm_segment_release(open);
    return rc == 0 && l->left == 0 ? 1 : rc;
}

int fm_segments_locate(const fm_segments *s, fm_segments_find *finds, size_t n, fm_err *err)
{
    location l = {s, finds, n, n, err};
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        finds[i].sealed = false;
    if (n > 0)
        rc = fm_catalog_each_segment(s->catalog, look_in_segment, &l, err);
    return rc < 0 ? rc : 0;
}

/* Removing a damaged segment's file is how a user has its records made again. */
static int check_sealed(const fm_segments *s, const fm_catalog_segment *segment, fm_err *err)
{
    char folder[FM_PATH_MAX], path[FM_PATH_MAX];
    int rc = fm_path_join(folder, sizeof folder, s->store_dir, "segments", err);

    if (rc == 0)
        rc = fm_path_join(path, sizeof path, folder, segment->name, err);
    if (rc != 0 || fm_path_exists(path))
        return rc;
    return fm_segments_abandon(s, segment->number, segment->name, err);
}

/* Wait until the writer must have given up. */
static int await_writer(const char *name, uint64_t end_ms, const volatile sig_atomic_t *stop, fm_err *err)
{
    static const struct timespec nap = {.tv_nsec = 100000000};
    uint64_t now_ms = fm_clock_ms();

    if (now_ms < end_ms && !fm_segments_writer_gone(name))
        fm_info("waiting up to %" PRIu64 " s for workers of an earlier run to end", (end_ms - now_ms) / 1000);
    for (; now_ms < end_ms && !fm_segments_writer_gone(name); now_ms = fm_clock_ms()) {
        if (stop && *stop)
            return fm_fail(err, -EINTR, "stopped while workers of an earlier run end: run again to go on");
        nanosleep(&nap, NULL);
    }
    return 0;
}

typedef struct {
    const fm_segments *segments;
    uint64_t end_ms;
    const volatile sig_atomic_t *stop;
    fm_err *err;
} recovery;

static int recover_one(void *ctx, const fm_catalog_segment *segment)
{
    const recovery *r = ctx;
    bool lost;
    int rc;

    if (segment->state == FM_SEGMENT_SEALED)
        return check_sealed(r->segments, segment, r->err);
    rc = await_writer(segment->name, r->end_ms, r->stop, r->err);
    if (rc == 0)
        rc = fm_segments_settle(r->segments, segment->number, segment->name, &lost, r->err);
    return rc == -EBUSY ? fm_segments_abandon(r->segments, segment->number, segment->name, r->err) : rc;
}

int fm_segments_recover(const fm_segments *s, uint64_t patience_ms, const volatile sig_atomic_t *stop, fm_err *err)
{
    recovery r = {s, fm_clock_ms() + patience_ms, stop, err};

    return fm_catalog_each_segment(s->catalog, recover_one, &r, err);
}

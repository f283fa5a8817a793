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
 * A worker that was stopped all that time, or cut off, may still wake up after its
 * segment was adopted.  That does no harm: it owns that segment's name alone, so it
 * cannot meet another writer.  It commits once a lease, so at most once before it
 * asks, and asking ends it (no answer, or REFUSED).  LMDB writes a commit to pages that the
 * last snapshot does not use and switches over with one page at the end: readers of
 * the adopted segment see it whole, without or with records that nobody asks for.
 * Its acknowledgement is refused by run, by epoch, and as a dismissed worker's; its
 * own sealing finds the file gone.
 *
 * Rejected: copying records out of a segment that may be written (LMDB's walk over
 * pages that change underneath is not safe from another host); waiting for ever. */
#include "coordinator/segments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

static int count_record(void *ctx, fm_record_kind kind, const fm_digest *key, const void *payload, size_t n,
                        const fm_digest *hash, int rc, const fm_err *why)
{
    (void)kind;
    (void)key;
    (void)payload;
    (void)n;
    (void)hash;
    (void)rc;
    (void)why;
    ++*(uint64_t *)ctx;
    return 0;
}

/* Records of a segment that is in the store already: its writer sealed it and died before it could say so. */
static int sealed_records(const char *store_dir, const char *name, uint64_t *records, fm_err *err)
{
    fm_segment *segment;
    int rc = fm_segment_open(store_dir, name, &segment, err);

    *records = 0;
    if (rc != 0)
        return rc == -ENOENT ? 0 : rc;
    rc = fm_segment_each(segment, count_record, records, err);
    fm_segment_release(segment);
    return rc;
}

int fm_segments_settle(const fm_segments *s, uint32_t number, const char *name, bool *lost, fm_err *err)
{
    fm_err why = FM_ERR_INIT;
    uint64_t records = 0;
    int rc = fm_segment_adopt(s->scratch_dir, name, s->store_dir, &records, &why);

    if (rc == -ENOENT || (rc == 0 && records == 0))
        rc = sealed_records(s->store_dir, name, &records, &why);
    if (rc == -EBADMSG) {
        fm_warn("segment %s is damaged, what it held is done again: %s", name, why.text);
        records = 0;
    } else if (rc != 0) {
        return fm_fail(err, rc, "segment %s of a worker that is gone: %s", name, why.text);
    }
    rc = records ? fm_catalog_segment_sealed(s->catalog, number, records, err)
                 : fm_catalog_segment_lost(s->catalog, number, err);
    if (rc == 0)
        *lost = records == 0;
    return rc;
}

typedef struct {
    fm_catalog_segment *v;
    size_t n, room;
} segment_list;

static int collect(void *ctx, const fm_catalog_segment *segment)
{
    segment_list *list = ctx;

    if (list->n == list->room) {
        size_t room = 2 * list->room + 64;
        fm_catalog_segment *grown = realloc(list->v, room * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        list->v = grown;
        list->room = room;
    }
    list->v[list->n++] = *segment;
    return 0;
}

/* A sealed segment that cannot be read any more is as good as none: its records are made again. */
static int check_sealed(const fm_segments *s, const fm_catalog_segment *segment, fm_err *err)
{
    fm_err why = FM_ERR_INIT;
    fm_segment *open;
    int rc = fm_segment_open(s->store_dir, segment->name, &open, &why);

    if (rc == 0) {
        fm_segment_release(open);
        return 0;
    }
    if (rc != -ENOENT && rc != -EBADMSG)
        return fm_fail(err, rc, "%s", why.text);
    fm_warn("segment %s cannot be used, what it held is done again: %s", segment->name, why.text);
    return fm_catalog_segment_lost(s->catalog, segment->number, err);
}

/* Wait until the writer must have given up. */
static int await_writer(const char *name, uint64_t end_ms, const volatile sig_atomic_t *stop, fm_err *err)
{
    static const struct timespec nap = {.tv_nsec = 100000000};
    bool told = false;

    while (!fm_segments_writer_gone(name) && fm_clock_ms() < end_ms) {
        if (stop && *stop)
            return fm_fail(err, -EINTR, "stopped while workers of an earlier run end: run again to go on");
        if (!told)
            fm_info("waiting up to %" PRIu64 " s for workers of an earlier run to end", (end_ms - fm_clock_ms()) / 1000);
        told = true;
        nanosleep(&nap, NULL);
    }
    return 0;
}

int fm_segments_recover(const fm_segments *s, uint64_t patience_ms, const volatile sig_atomic_t *stop, fm_err *err)
{
    uint64_t end_ms = fm_clock_ms() + patience_ms;
    segment_list list = {NULL, 0, 0};
    int rc = fm_catalog_each_segment(s->catalog, collect, &list, err);
    bool lost;

    if (rc == -ENOMEM)
        rc = fm_fail_nomem(err, "segments", list.n * sizeof *list.v);
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        if (list.v[i].state == FM_SEGMENT_SEALED) {
            rc = check_sealed(s, &list.v[i], err);
            continue;
        }
        rc = await_writer(list.v[i].name, end_ms, stop, err);
        if (rc == 0)
            rc = fm_segments_settle(s, list.v[i].number, list.v[i].name, &lost, err);
    }
    free(list.v);
    return rc;
}

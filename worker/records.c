/* Sealed segments are searched one after the other: a lookup takes microseconds
 * and is made once a photograph.  At most SEALED_MAX are open, the oldest giving
 * way, because each takes a file descriptor and a mapping. */
#include "worker/records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/segment.h"

#define SEALED_MAX 512

typedef struct {
    char name[FM_SEGMENT_NAME_MAX];
    fm_segment *segment;
} sealed_segment;

struct fm_records {
    char store_dir[FM_PATH_MAX], scratch_dir[FM_PATH_MAX];
    char name[FM_SEGMENT_NAME_MAX];
    fm_vault *vault;                    /* owned; NULL in a plain store */
    fm_segment_writer *writer;          /* NULL: nothing put under this name yet */
    sealed_segment *sealed;             /* [SEALED_MAX] */
    size_t n_sealed, oldest;
};

int fm_records_create(const char *store_dir, const char *scratch_dir, fm_records **out, fm_err *err)
{
    fm_records *r = calloc(1, sizeof *r);
    int rc;

    if (r)
        r->sealed = calloc(SEALED_MAX, sizeof *r->sealed);
    if (!r || !r->sealed) {
        free(r);
        return fm_fail_nomem(err, "records", SEALED_MAX * sizeof *r->sealed);
    }
    snprintf(r->store_dir, sizeof r->store_dir, "%s", store_dir);
    snprintf(r->scratch_dir, sizeof r->scratch_dir, "%s", scratch_dir);
    rc = fm_vault_open(store_dir, &r->vault, err);
    if (rc == 0)
        *out = r;
    else
        fm_records_destroy(r);
    return rc;
}

void fm_records_destroy(fm_records *r)
{
    if (!r)
        return;
    if (r->writer)
        fm_segment_close(r->writer);
    for (size_t i = 0; i < r->n_sealed; i++)
        fm_segment_release(r->sealed[i].segment);
    fm_vault_close(r->vault);
    free(r->sealed);
    free(r);
}

int fm_records_name(fm_records *r, const char *name, fm_err *err)
{
    if (!name || !name[0] || strlen(name) >= sizeof r->name)
        return fm_fail(err, -EINVAL, "the coordinator gave no usable name for a segment");
    snprintf(r->name, sizeof r->name, "%s", name);
    return 0;
}

const char *fm_records_segment(const fm_records *r)
{
    return r->name;
}

void fm_records_add_sealed(fm_records *r, const char *name)
{
    fm_err why = FM_ERR_INIT;
    fm_segment *segment;
    size_t at;

    for (size_t i = 0; i < r->n_sealed; i++)
        if (strcmp(r->sealed[i].name, name) == 0)
            return;
    if (strlen(name) >= FM_SEGMENT_NAME_MAX || fm_segment_open(r->store_dir, name, &segment, &why) != 0) {
        fm_warn("segment %.*s is passed over, what it holds is made again: %s", FM_SEGMENT_NAME_MAX, name, why.text);
        return;
    }
    if (r->n_sealed < SEALED_MAX) {
        at = r->n_sealed++;
    } else {
        at = r->oldest++ % SEALED_MAX;
        fm_segment_release(r->sealed[at].segment);
    }
    snprintf(r->sealed[at].name, sizeof r->sealed[at].name, "%s", name);
    r->sealed[at].segment = segment;
}

int fm_records_find(fm_records *r, fm_record_kind kind, const fm_digest *key, const void **payload, size_t *n,
                    fm_err *err)
{
    fm_err why = FM_ERR_INIT;
    int rc = r->writer ? fm_segment_find(r->writer, kind, key, payload, n, &why) : -ENOENT;

    if (rc != 0 && rc != -ENOENT)
        return fm_fail(err, rc, "%s", why.text);
    for (size_t i = 0; rc != 0 && i < r->n_sealed; i++) {
        rc = fm_segment_get(r->sealed[i].segment, kind, key, payload, n, NULL, &why);
        if (rc != 0 && rc != -ENOENT)
            fm_warn("segment %s: %s; made again", r->sealed[i].name, why.text);
    }
    return rc == 0 ? 0 : -ENOENT;
}

bool fm_records_forgotten(const fm_records *r, const fm_digest *image, const char *path)
{
    return fm_vault_forgotten(r->vault, image, path);
}

static int open_segment(fm_records *r, fm_err *err)
{
    int rc = fm_segment_create(r->scratch_dir, r->name, 0, &r->writer, err);

    return rc == 0 ? fm_segment_encrypt(r->writer, r->vault, err) : rc;
}

int fm_records_put(fm_records *r, const fm_key_owner *owner, fm_record_kind kind, const fm_digest *key,
                   const void *payload, size_t n, fm_err *err)
{
    int rc = r->writer ? 0 : open_segment(r, err);

    if (rc != 0)
        return rc;
    fm_segment_of(r->writer, owner);
    return fm_segment_put(r->writer, kind, key, payload, n, err);
}

int fm_records_commit(fm_records *r, fm_err *err)
{
    if (fm_fault("worker.commit"))
        return fm_fail(err, -EIO, "commit refused by a fault");
    return r->writer ? fm_segment_commit(r->writer, err) : 0;
}

uint64_t fm_records_bytes(const fm_records *r)
{
    return r->writer ? fm_segment_bytes(r->writer) : 0;
}

int fm_records_seal(fm_records *r, bool *sealed, uint64_t *records, fm_err *err)
{
    fm_segment_writer *writer = r->writer;
    int rc;

    *sealed = false;
    *records = 0;
    if (!writer)
        return 0;
    if (fm_fault("worker.seal"))
        return fm_fail(err, -EIO, "sealing refused by a fault");
    rc = fm_segment_commit(writer, err);
    if (rc != 0)
        return rc;
    *records = fm_segment_records(writer);
    r->writer = NULL;       /* seal frees it, whatever happens */
    rc = fm_segment_seal(writer, r->store_dir, err);
    if (rc != 0)
        return rc;
    *sealed = true;
    fm_records_add_sealed(r, r->name);
    return 0;
}

/* Entries of one size: tags of image and path, then the data key sealed under the
 * table key, authenticated with the store's id, segment, slot and tags, so that an
 * entry serves at no other place.  A forgotten one is filled with 0xff; one of zeros
 * was never written, or overwritten since the table was opened (storage/forget.c).
 *
 * The table is appended to and synced before the records are, so that a record that
 * is there has its key; entries without a record do no harm. */
#define _GNU_SOURCE
#include "storage/key_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "storage/key_entry.h"
#include "storage/segment.h"

struct fm_key_table {
    const fm_vault *vault;
    char segment[FM_SEGMENT_NAME_MAX], path[FM_PATH_MAX], dir[FM_PATH_MAX];
    int fd;
    uint64_t n;             /* entries added */
    bool unsynced;
};

/* What an entry is authenticated with. */
typedef struct {
    uint8_t b[FM_VAULT_ID_BYTES + FM_SEGMENT_NAME_MAX + 8 + 2 * FM_VAULT_TAG_BYTES];
} entry_about;

static void describe(const fm_vault *v, const char *segment, uint64_t slot, const fm_key_entry *e, entry_about *out)
{
    uint8_t *to = out->b;

    memset(out, 0, sizeof *out);
    memcpy(to, v->id, FM_VAULT_ID_BYTES);
    memcpy(to += FM_VAULT_ID_BYTES, segment, strlen(segment));
    to += FM_SEGMENT_NAME_MAX;
    for (int i = 0; i < 8; i++)
        *to++ = (uint8_t)(slot >> (8 * i));
    memcpy(to, &e->image, 2 * FM_VAULT_TAG_BYTES);
}

void fm_key_entry_wrap(const fm_vault *v, const char *segment, uint64_t slot, const uint8_t *key, fm_key_entry *e)
{
    entry_about about;

    describe(v, segment, slot, e, &about);
    fm_seal_bytes(v->table, &about, sizeof about, key, FM_VAULT_KEY_BYTES, e->wrapped);
}

bool fm_key_entry_unwrap(const fm_vault *v, const char *segment, uint64_t slot, const fm_key_entry *e, uint8_t *key)
{
    entry_about about;

    describe(v, segment, slot, e, &about);
    return fm_unseal_bytes(v->table, &about, sizeof about, e->wrapped, sizeof e->wrapped, key);
}

static bool all_bytes(const fm_key_entry *e, uint8_t value)
{
    const uint8_t *b = (const uint8_t *)e;
    size_t i = 0;

    while (i < sizeof *e && b[i] == value)
        i++;
    return i == sizeof *e;
}

bool fm_key_entry_is_forgotten(const fm_key_entry *e)
{
    return all_bytes(e, 0xff);
}

bool fm_key_entry_is_blank(const fm_key_entry *e)
{
    return all_bytes(e, 0);
}

static int make(const fm_vault *vault, const char *segment, int flags, fm_key_table **out, fm_err *err)
{
    fm_key_table *t = calloc(1, sizeof *t);
    int rc;

    if (!t)
        return fm_fail_nomem(err, "key table", sizeof *t);
    t->vault = vault;
    snprintf(t->segment, sizeof t->segment, "%s", segment);
    rc = fm_vault_table_dir(vault, vault->generation, t->dir, err);
    if (rc == 0)
        rc = fm_path_join(t->path, sizeof t->path, t->dir, segment, err);
    if (rc == 0)
        t->fd = open(t->path, flags | O_CLOEXEC, 0600);
    if (rc == 0 && t->fd < 0 && !(errno == ENOENT && flags == O_RDONLY))
        rc = fm_fail(err, -errno, "%s: cannot open: %s", t->path, strerror(errno));
    if (rc != 0)
        free(t);
    else
        *out = t;
    return rc;
}

int fm_key_table_create(const fm_vault *vault, const char *segment, fm_key_table **out, fm_err *err)
{
    fm_key_table *t = NULL;
    int rc = make(vault, segment, O_RDWR | O_CREAT | O_EXCL, &t, err);

    if (rc == 0)
        rc = fm_dir_sync(t->dir, err);
    if (rc != 0)
        fm_key_table_close(t);
    else
        *out = t;
    return rc;
}

int fm_key_table_open(const fm_vault *vault, const char *segment, fm_key_table **out, fm_err *err)
{
    return make(vault, segment, O_RDONLY, out, err);
}

void fm_key_table_close(fm_key_table *t)
{
    if (!t)
        return;
    if (t->fd >= 0)
        close(t->fd);
    free(t);
}

int fm_key_table_add(fm_key_table *t, const fm_key_owner *owner, uint64_t *slot, uint8_t key[FM_VAULT_KEY_BYTES],
                     fm_err *err)
{
    fm_key_entry e;
    ssize_t n;

    memset(&e, 0, sizeof e);
    if (owner->image)
        fm_vault_tag_image(t->vault, owner->image, &e.image);
    if (owner->path)
        fm_vault_tag_path(t->vault, owner->path, &e.path);
    randombytes_buf(key, FM_VAULT_KEY_BYTES);
    fm_key_entry_wrap(t->vault, t->segment, t->n, key, &e);
    n = fm_fault("key_table.write") ? -1 : pwrite(t->fd, &e, sizeof e, (off_t)(t->n * sizeof e));
    if (n != (ssize_t)sizeof e)
        return fm_fail(err, n < 0 ? -errno : -ENOSPC, "%s: cannot write: %s", t->path, strerror(n < 0 ? errno : ENOSPC));
    t->unsynced = true;
    *slot = t->n++;
    return 0;
}

int fm_key_table_sync(fm_key_table *t, fm_err *err)
{
    if (!t->unsynced)
        return 0;
    if (fm_fault("key_table.sync") || fsync(t->fd) != 0)
        return fm_fail(err, -errno, "%s: cannot sync: %s", t->path, strerror(errno));
    t->unsynced = false;
    return 0;
}

int fm_key_table_get(fm_key_table *t, uint64_t slot, uint8_t key[FM_VAULT_KEY_BYTES], fm_err *err)
{
    fm_key_entry e;

    if (t->fd < 0)
        return fm_fail(err, -EBADMSG, "%s: the keys of this segment are gone", t->path);
    if (slot > INT64_MAX / sizeof e || pread(t->fd, &e, sizeof e, (off_t)(slot * sizeof e)) != (ssize_t)sizeof e)
        return fm_fail(err, -EBADMSG, "%s: has no key %llu", t->path, (unsigned long long)slot);
    if (fm_key_entry_is_forgotten(&e))
        return fm_fail(err, -EKEYREVOKED, "its photograph was forgotten");
    if (fm_key_entry_is_blank(&e))
        return fm_fail(err, -EBADMSG, "%s: key %llu was overwritten; if the store was rekeyed just now, try again", t->path,
                       (unsigned long long)slot);
    if (!fm_key_entry_unwrap(t->vault, t->segment, slot, &e, key))
        return fm_fail(err, -EBADMSG, "%s: key %llu is damaged", t->path, (unsigned long long)slot);
    return 0;
}

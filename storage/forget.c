/* The key table of the next generation is written beside this one, without the keys
 * that go and under a new table key; then the vault that names it is renamed into
 * place; then the old table is overwritten and removed.  The rename is the moment
 * when it happens: killed before, nothing has happened and the new table is a leftover;
 * killed after, it has happened and the old table is one.  Segments are never touched,
 * so this takes as long as reading and writing a hundred bytes a record.
 *
 * Rejected: blanking entries in place, which leaves them to whoever copied the table
 * before and holds the same table key. */
#define _GNU_SOURCE
#include "storage/forget.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "storage/key_entry.h"
#include "storage/segment.h"

#define TABLE_MAX ((size_t)4 << 30)

typedef struct {
    fm_vault *old, *next;           /* owned */
    char old_dir[FM_PATH_MAX], next_dir[FM_PATH_MAX];
    fm_vault_tag *tags;             /* [n_tags], sorted: what is forgotten now */
    size_t n_tags;
    uint64_t forgotten;             /* entries */
} turn;

static bool goes(const turn *t, const fm_vault_tag *tag)
{
    return t->n_tags && bsearch(tag, t->tags, t->n_tags, sizeof *tag, fm_vault_tag_compare);
}

/* One entry into the next table.  One that cannot be unwrapped is damaged and stays so. */
static void turn_entry(turn *t, const char *segment, uint64_t slot, const fm_key_entry *from, fm_key_entry *to)
{
    uint8_t key[FM_VAULT_KEY_BYTES];

    if (fm_key_entry_is_forgotten(from) || fm_key_entry_is_blank(from)) {
        *to = *from;
    } else if (goes(t, &from->image) || goes(t, &from->path)) {
        memset(to, 0xff, sizeof *to);
        t->forgotten++;
    } else if (fm_key_entry_unwrap(t->old, segment, slot, from, key)) {
        to->image = from->image;
        to->path = from->path;
        fm_key_entry_wrap(t->next, segment, slot, key, to);
    } else {
        memset(to, 0, sizeof *to);
    }
    sodium_memzero(key, sizeof key);
}

static int turn_file(turn *t, const char *segment, fm_err *err)
{
    fm_buf from = FM_BUF_INIT, to = FM_BUF_INIT;
    char path[FM_PATH_MAX], next[FM_PATH_MAX];
    size_t n;
    int rc = fm_path_join(path, sizeof path, t->old_dir, segment, err);

    if (rc == 0)
        rc = fm_path_join(next, sizeof next, t->next_dir, segment, err);
    if (rc == 0)
        rc = fm_file_read(path, TABLE_MAX, &from, err);
    if (rc != 0)
        goto done;
    n = from.size / sizeof(fm_key_entry);       /* what is cut off has no record */
    if (n && !fm_buf_add(&to, n * sizeof(fm_key_entry))) {
        rc = fm_fail_nomem(err, "key table", from.size);
        goto done;
    }
    for (size_t i = 0; i < n; i++)
        turn_entry(t, segment, i, (const fm_key_entry *)(const void *)from.data + i,
                   (fm_key_entry *)(void *)to.data + i);
    rc = fm_fault("forget.table") ? fm_fail(err, -EIO, "%s: cannot write", next) : fm_file_write(next, to.data, to.size, err);
done:
    fm_buf_fini(&from);
    fm_buf_fini(&to);
    return rc;
}

/* fn for each file of a folder; a folder that is not there has none. */
static int each_file(const char *dir, int (*fn)(void *ctx, const char *name, fm_err *err), void *ctx, fm_err *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int rc = 0;

    if (!d)
        return errno == ENOENT ? 0 : fm_fail(err, -errno, "%s: cannot open folder: %s", dir, strerror(errno));
    while (rc == 0 && (e = readdir(d)))
        if (e->d_name[0] != '.')
            rc = fn(ctx, e->d_name, err);
    closedir(d);
    return rc;
}

static int turn_named(void *ctx, const char *name, fm_err *err)
{
    return fm_segment_name_valid(name) ? turn_file(ctx, name, err) : 0;
}

static int shred_named(void *ctx, const char *name, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = fm_path_join(path, sizeof path, ctx, name, err);

    if (rc == 0 && fm_fault("forget.shred"))
        rc = fm_fail(err, -EIO, "%s: cannot overwrite", path);
    return rc == 0 ? fm_file_shred(path, err) : rc;
}

static int shred_dir(char *dir, fm_err *err)
{
    int rc = each_file(dir, shred_named, dir, err);

    if (rc == 0 && rmdir(dir) != 0 && errno != ENOENT)
        rc = fm_fail(err, -errno, "%s: cannot remove: %s", dir, strerror(errno));
    return rc;
}

/* The vault before this one; killed before the new one was renamed, it is the same file. */
static int end_old_vault(const char *store, const char *old, fm_err *err)
{
    char path[FM_PATH_MAX];
    struct stat a, b;
    int rc = fm_path_join(path, sizeof path, store, "vault", err);

    if (rc != 0)
        return rc;
    if (stat(path, &a) != 0 || stat(old, &b) != 0)
        return fm_fail(err, -errno, "%s: cannot stat: %s", path, strerror(errno));
    if (a.st_ino != b.st_ino || a.st_dev != b.st_dev)
        return fm_file_shred(old, err);
    return unlink(old) == 0 ? 0 : fm_fail(err, -errno, "%s: cannot remove: %s", old, strerror(errno));
}

static int shred_other(void *ctx, const char *name, fm_err *err)
{
    const fm_vault *v = ctx;
    char path[FM_PATH_MAX], ours[32];
    bool old = strcmp(name, "vault" FM_VAULT_OLD) == 0;
    int rc;

    snprintf(ours, sizeof ours, "keys.%u", v->generation);
    if (!old && (strncmp(name, "keys.", 5) != 0 || strcmp(name, ours) == 0))
        return 0;
    rc = fm_path_join(path, sizeof path, v->store, name, err);
    if (rc != 0)
        return rc;
    return old ? end_old_vault(v->store, path, err) : shred_dir(path, err);
}

int fm_forget_leftovers(const fm_vault *v, fm_err *err)
{
    return v ? each_file(v->store, shred_other, (void *)(uintptr_t)v, err) : 0;
}

/* The forgotten of both, sorted, into the next vault. */
static int join_forgotten(turn *t, fm_err *err)
{
    size_t n = t->old->n_forgotten + t->n_tags, kept = 0;
    fm_vault_tag *all = malloc(n * sizeof *all + 1);

    if (!all)
        return fm_fail_nomem(err, "forgotten photographs", n * sizeof *all);
    memcpy(all, t->old->forgotten, t->old->n_forgotten * sizeof *all);
    if (t->n_tags)
        memcpy(all + t->old->n_forgotten, t->tags, t->n_tags * sizeof *all);
    qsort(all, n, sizeof *all, fm_vault_tag_compare);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || fm_vault_tag_compare(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    free(t->next->forgotten);
    t->next->forgotten = all;
    t->next->n_forgotten = kept;
    return 0;
}

/* old and next are open: write the next table and vault, and put an end to the old table. */
static int turn_over(turn *t, const uint8_t *master, const char *hint, fm_err *err)
{
    int rc = fm_forget_leftovers(t->old, err);

    if (rc == 0)
        rc = join_forgotten(t, err);
    t->next->generation = t->old->generation + 1;
    randombytes_buf(t->next->table, sizeof t->next->table);
    if (rc == 0)
        rc = fm_vault_table_dir(t->old, t->old->generation, t->old_dir, err);
    if (rc == 0)
        rc = fm_vault_table_dir(t->next, t->next->generation, t->next_dir, err);
    if (rc == 0)
        rc = fm_dir_make(t->next_dir, err);
    if (rc == 0)
        rc = each_file(t->old_dir, turn_named, t, err);
    if (rc == 0)
        rc = fm_dir_sync(t->next_dir, err);
    if (rc == 0)
        rc = fm_dir_sync(t->next->store, err);
    if (rc == 0)
        rc = fm_vault_write(t->next, master, hint, err);
    return rc == 0 ? fm_forget_leftovers(t->next, err) : rc;
}

static int begin(turn *t, const char *store_dir, fm_err *err)
{
    int rc = fm_vault_open(store_dir, &t->old, err);

    if (rc == 0)
        rc = fm_vault_open(store_dir, &t->next, err);
    if (rc == 0 && !t->old)
        rc = fm_fail(err, -ENOKEY, "%s: not encrypted", store_dir);
    return rc;
}

static void end(turn *t)
{
    fm_vault_close(t->old);
    fm_vault_close(t->next);
    free(t->tags);
}

int fm_forget(const char *store_dir, const fm_forget_item *items, size_t n, uint64_t *records, fm_err *err)
{
    turn t = {.tags = malloc(2 * n * sizeof *t.tags + 1)};
    int rc = t.tags ? begin(&t, store_dir, err) : fm_fail_nomem(err, "photographs", 2 * n * sizeof *t.tags);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        if (!fm_digest_is_zero(&items[i].image))
            fm_vault_tag_image(t.old, &items[i].image, &t.tags[t.n_tags++]);
        fm_vault_tag_path(t.old, items[i].path, &t.tags[t.n_tags++]);
    }
    if (rc == 0) {
        qsort(t.tags, t.n_tags, sizeof *t.tags, fm_vault_tag_compare);
        rc = turn_over(&t, NULL, "", err);
    }
    if (rc == 0)
        *records = t.forgotten;
    end(&t);
    return rc;
}

int fm_rekey(const char *store_dir, const uint8_t *master, const char *hint, fm_err *err)
{
    turn t = {.tags = NULL};
    int rc = begin(&t, store_dir, err);

    if (rc == 0)
        rc = turn_over(&t, master, hint, err);
    end(&t);
    return rc;
}

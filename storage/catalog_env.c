/* The catalog's environment: STORE/catalog is an LMDB folder of one tree, whose
 * keys begin with a letter for what they are (storage/catalog_env.h).
 *
 * Who holds the lock on STORE/coordinator.lock writes; everybody else opens
 * read-only.  The lock is one of the open file (F_OFD_SETLK): the kernel drops it
 * with its holder however that dies, and it works over NFS.  Where it does not
 * reach another host the epoch does: every write checks in its own transaction
 * that the epoch is still ours.
 *
 * Rejected: a second environment for the index; opening read-write everywhere,
 * which asks observers for permissions that they do not need. */
#define _GNU_SOURCE
#include "storage/catalog_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "storage/forget.h"
#include "storage/pages.h"

#define VERSION 1           /* a plain store's; an encrypted one is refused by older versions */
#define VERSION_ENCRYPTED 2
#define MAP_FIRST ((size_t)16 << 20)
#define READERS_BYTES 8192  /* of LMDB's lock file, with the number of readers that it has by default */
#define CHECK_TRIES 100     /* commits that may come between a snapshot and finding its meta page */

static int lmdb_failed(const fm_catalog *c, int rc, const char *doing, fm_err *err)
{
    return fm_lmdb_fail(err, rc, c->dir, doing);
}

static void close_env(fm_catalog *c)
{
    mdb_txn_abort(c->read);
    mdb_env_close(c->env);
    c->read = NULL;
    c->env = NULL;
}

int fm_catalog_read(fm_catalog *c, MDB_txn **txn, fm_err *err)
{
    int rc;

    if (!c->env)
        return fm_fail(err, -EIO, "%s: not open after an earlier failure", c->dir);
    if (c->held) {
        *txn = c->read;
        return 0;
    }
    for (int tries = 0; tries < 2; tries++) {
        rc = c->read ? mdb_txn_renew(c->read) : mdb_txn_begin(c->env, NULL, MDB_RDONLY, &c->read);
        if (rc != MDB_MAP_RESIZED)
            break;
        rc = mdb_env_set_mapsize(c->env, 0);    /* a coordinator has grown it: take its size */
        if (rc != 0)
            break;
    }
    if (rc != 0)
        return lmdb_failed(c, rc, "read", err);
    *txn = c->read;
    return 0;
}

void fm_catalog_read_end(fm_catalog *c)
{
    if (!c->held)
        mdb_txn_reset(c->read);
}

int fm_catalog_hold(fm_catalog *c, fm_err *err)
{
    MDB_txn *txn;
    int rc = fm_catalog_read(c, &txn, err);

    c->held = rc == 0;
    c->there = 0;
    return rc;
}

void fm_catalog_let_go(fm_catalog *c)
{
    if (!c->held)
        return;
    c->held = false;
    fm_catalog_read_end(c);
}

int fm_catalog_get(fm_catalog *c, MDB_txn *txn, const void *key, size_t key_size, size_t size, MDB_val *out,
                   fm_err *err)
{
    MDB_val at = {key_size, (void *)(uintptr_t)key};
    int rc = mdb_get(txn, c->all, &at, out);

    if (rc == MDB_NOTFOUND)
        return -ENOENT;
    if (rc == 0 && size != 0 && out->mv_size != size)
        return fm_fail(err, -EBADMSG, "%s: entry '%c' of %zu bytes where %zu are expected: damaged", c->dir,
                       *(const char *)key, out->mv_size, size);
    return rc != 0 ? lmdb_failed(c, rc, "read", err) : 0;
}

int fm_catalog_put(fm_catalog *c, MDB_txn *txn, const void *key, size_t key_size, const void *value, size_t size,
                   fm_err *err)
{
    MDB_val at = {key_size, (void *)(uintptr_t)key}, v = {size, (void *)(uintptr_t)value};
    int rc = fm_fault("catalog.put") ? errno : mdb_put(txn, c->all, &at, &v, 0);

    return rc == 0 || rc == MDB_MAP_FULL ? rc : lmdb_failed(c, rc, "write", err);
}

int fm_catalog_get_number(fm_catalog *c, MDB_txn *txn, uint8_t key, size_t bytes, uint64_t *out, fm_err *err)
{
    MDB_val v;
    fm_reader r;
    int rc = fm_catalog_get(c, txn, &key, 1, bytes, &v, err);

    if (rc == -ENOENT)
        return fm_fail(err, -EBADMSG, "%s: entry '%c' is missing: damaged, or not a catalog of facemill's", c->dir,
                       key);
    if (rc != 0)
        return rc;
    r = fm_reader_init(v.mv_data, v.mv_size);
    *out = bytes == 4 ? fm_reader_u32(&r) : fm_reader_u64(&r);
    return 0;
}

void fm_catalog_le(uint8_t *to, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

int fm_catalog_put_number(fm_catalog *c, MDB_txn *txn, uint8_t key, size_t bytes, uint64_t v, fm_err *err)
{
    uint8_t b[8];

    fm_catalog_le(b, v, bytes);
    return fm_catalog_put(c, txn, &key, 1, b, bytes, err);
}

static int check_epoch(fm_catalog *c, MDB_txn *txn, uint64_t epoch, fm_err *err)
{
    uint64_t now = 0;
    int rc = fm_catalog_get_number(c, txn, FM_CATALOG_EPOCH, 8, &now, err);

    if (rc == 0 && now != epoch)
        rc = fm_fail(err, -ESTALE, "%s: another coordinator took over (epoch %llu, ours is %llu); this one must stop",
                     c->dir, (unsigned long long)now, (unsigned long long)epoch);
    return rc;
}

int fm_catalog_check_ours(fm_catalog *c, fm_err *err)
{
    MDB_txn *txn = NULL;
    int rc = fm_catalog_read(c, &txn, err);

    if (rc != 0)
        return rc;
    rc = check_epoch(c, txn, c->epoch, err);
    fm_catalog_read_end(c);
    return rc;
}

/* One attempt; MDB_MAP_FULL when it has to be done again. */
static int write_once(fm_catalog *c, uint64_t epoch, fm_catalog_write_fn fn, void *ctx, fm_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(c->env, NULL, 0, &txn);

    if (rc != 0)
        return lmdb_failed(c, rc, "begin a transaction", err);
    rc = epoch ? check_epoch(c, txn, epoch, err) : 0;
    if (rc == 0)
        rc = fn(c, txn, ctx, err);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    if (fm_fault("catalog.commit")) {
        rc = errno;
        mdb_txn_abort(txn);
    } else {
        rc = mdb_txn_commit(txn);
    }
    if (rc == 0 || rc == MDB_MAP_FULL)
        return rc;
    c->broken = rc == EIO || rc == MDB_PANIC;
    return lmdb_failed(c, rc, "commit", err);
}

/* Readers that were killed would keep old pages from being used again. */
static int grow(fm_catalog *c, fm_err *err)
{
    MDB_envinfo info;
    int dead, rc;

    mdb_reader_check(c->env, &dead);
    mdb_env_info(c->env, &info);
    rc = mdb_env_set_mapsize(c->env, 2 * info.me_mapsize);
    return rc != 0 ? lmdb_failed(c, rc, "grow the memory map", err) : 0;
}

static int write_growing(fm_catalog *c, uint64_t epoch, fm_catalog_write_fn fn, void *ctx, fm_err *err)
{
    int rc;

    while ((rc = write_once(c, epoch, fn, ctx, err)) == MDB_MAP_FULL)
        if ((rc = grow(c, err)) != 0)
            break;
    return rc;
}

int fm_catalog_write(fm_catalog *c, fm_catalog_write_fn fn, void *ctx, fm_err *err)
{
    if (c->epoch == 0)
        return fm_fail(err, -EPERM, "%s: opened to read; only the store's coordinator writes", c->dir);
    if (!c->env || c->broken)
        return fm_fail(err, -EIO, "%s: a write failed before; check the disk and start again", c->dir);
    fm_assert(!c->held);    /* the map may have to grow, under the reader's feet */
    return write_growing(c, c->epoch, fn, ctx, err);
}

/* The tree as a snapshot of LMDB's shows it, walked without LMDB.  Its meta page may be overwritten by a busy
 * coordinator before it is found: then with a newer snapshot. */
static int check_structure(fm_catalog *c, fm_err *err)
{
    fm_pages pages;
    MDB_txn *txn = NULL;
    int fd = -1, rc = mdb_env_get_fd(c->env, &fd);

    for (int tries = 0; tries < CHECK_TRIES && rc == 0; tries++) {
        if ((rc = fm_catalog_read(c, &txn, err)) != 0)
            return rc;
        rc = fm_pages_check(fd, c->dir, mdb_txn_id(txn), false, &pages, err);
        fm_catalog_read_end(c);
        if (rc != -EAGAIN)
            return rc;
        rc = 0;
    }
    return fm_fail(err, -EAGAIN, "%s: changes too fast to be checked; try again", c->dir);
}

static int check_version(fm_catalog *c, fm_err *err)
{
    uint64_t version = 0;
    MDB_txn *txn;
    int rc = fm_catalog_read(c, &txn, err);

    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &c->all);
    if (rc != 0)
        rc = lmdb_failed(c, rc, "read", err);
    else
        rc = fm_catalog_get_number(c, txn, FM_CATALOG_VERSION, 4, &version, err);
    fm_catalog_read_end(c);
    if (rc == 0 && version == VERSION && c->vault)
        return fm_fail(err, -EPROTO, "%s: not encrypted, but there is a vault beside it; it was put there later: remove it",
                       c->store);
    if (rc == 0 && version == VERSION_ENCRYPTED && !c->vault)
        return fm_fail(err, -EBADMSG, "%s: encrypted, and its vault is gone; put its copy back (STORE/vault)", c->store);
    if (rc == 0 && version != VERSION && version != VERSION_ENCRYPTED)
        rc = fm_fail(err, -EPROTO, "%s: format version %llu where %d is expected; use the facemill that made the store",
                     c->dir, (unsigned long long)version, VERSION);
    return rc;
}

/* LMDB maps its table of readers to write: on a full disk the first touch of a page that has no block yet would be a
 * SIGBUS.  So the blocks are there before, where the file system can do that.  Whoever may not write has a coordinator
 * to thank for them, or reads without a table. */
static int reserve_readers(const char *dir, fm_err *err)
{
    char path[FM_PATH_MAX];
    int fd, rc = fm_path_join(path, sizeof path, dir, "lock.mdb", err);

    if (rc != 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EACCES || errno == EROFS ? 0 : fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    if (fm_fault("catalog.reserve") || fallocate(fd, 0, 0, READERS_BYTES) != 0) {
        int code = errno;

        if (code != EOPNOTSUPP && code != ENOSYS)
            rc = fm_fail(err, -code, "%s: cannot reserve %d bytes: %s; free some and run again", path, READERS_BYTES,
                         strerror(code));
    }
    close(fd);
    return rc;
}

/* Before LMDB reads them. */
static int check_first_pages(const fm_catalog *c, fm_err *err)
{
    char path[FM_PATH_MAX];
    int fd, rc = fm_path_join(path, sizeof path, c->dir, "data.mdb", err);

    if (rc != 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fm_fail(err, errno == ENOENT ? -EBADMSG : -errno, "%s: cannot open: %s", path, strerror(errno));
    rc = fm_pages_check_first(fd, path, err);
    close(fd);
    return rc;
}

static int open_env(fm_catalog *c, bool writable, fm_err *err)
{
    int rc = check_first_pages(c, err);

    if (rc != 0)
        return rc;
    rc = reserve_readers(c->dir, err);
    if (rc == 0)
        rc = fm_lmdb_open(c->dir, writable ? 0 : MDB_RDONLY, 0, &c->env, err);
    if ((rc == -EACCES || rc == -EPERM || rc == -EROFS || rc == -ENOSPC) && !writable)
        rc = fm_lmdb_open(c->dir, MDB_RDONLY | MDB_NOLOCK, 0, &c->env, err);
    if (rc == 0)
        rc = check_structure(c, err);
    if (rc == 0)
        rc = check_version(c, err);
    if (rc != 0)
        close_env(c);
    return rc;
}

static int write_first(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    int rc = mdb_dbi_open(txn, NULL, 0, &c->all);

    (void)ctx;
    if (rc != 0)
        return lmdb_failed(c, rc, "create", err);
    if ((rc = fm_catalog_put_number(c, txn, FM_CATALOG_VERSION, 4, c->vault ? VERSION_ENCRYPTED : VERSION, err)) != 0 ||
        (rc = fm_catalog_put_number(c, txn, FM_CATALOG_EPOCH, 8, 0, err)) != 0)
        return rc;
    return fm_catalog_put_number(c, txn, FM_CATALOG_NEXT, 4, 1, err);
}

/* An empty catalog in a folder of its own name, then renamed: one that is there is whole.  Under the lock. */
static int create_renamed(fm_catalog *c, fm_err *err)
{
    char dir[FM_PATH_MAX], segments[FM_PATH_MAX];
    int rc = fm_path_join(dir, sizeof dir, c->store, "catalog.tmp", err);

    if (rc != 0 || (rc = fm_path_join(segments, sizeof segments, c->store, "segments", err)) != 0 ||
        (rc = fm_dir_make(segments, err)) != 0 || (rc = fm_dir_remove(dir, err)) != 0 ||
        (rc = fm_dir_make(dir, err)) != 0 || (rc = reserve_readers(dir, err)) != 0 ||
        (rc = fm_lmdb_open(dir, 0, MAP_FIRST, &c->env, err)) != 0)
        return rc;
    rc = write_growing(c, 0, write_first, NULL, err);
    close_env(c);
    c->broken = false;
    if (rc == 0)
        rc = fm_dir_sync(dir, err);
    if (rc == 0 && (fm_fault("catalog.rename") || rename(dir, c->dir) != 0))
        rc = fm_fail(err, -errno, "%s: cannot rename to %s: %s", dir, c->dir, strerror(errno));
    return rc != 0 ? rc : fm_dir_sync(c->store, err);
}

/* "pid 12 on host", as the holder wrote it. */
static void read_holder(int fd, char *out, size_t size)
{
    ssize_t n = pread(fd, out, size - 1, 0);

    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (!out[0])
        snprintf(out, size, "another process");
}

static int lock_store(const fm_catalog *c, int *out, fm_err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[FM_PATH_MAX], who[256];
    int code, fd, rc = fm_path_join(path, sizeof path, c->store, "coordinator.lock", err);

    if (rc != 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    if (!fm_fault("catalog.lock") && fcntl(fd, F_OFD_SETLK, &whole) == 0) {
        *out = fd;
        return 0;
    }
    code = errno;
    read_holder(fd, who, sizeof who);
    close(fd);
    if (code == EAGAIN || code == EACCES)
        return fm_fail(err, -EAGAIN, "%s: held by %s; wait for it, or stop it and try again", c->store, who);
    return fm_fail(err, -code, "%s: cannot lock: %s; put the store on a file system with locks", path, strerror(code));
}

static int create_store(fm_catalog *c, fm_err *err)
{
    char parent[FM_PATH_MAX];
    int lock, rc = fm_dir_make(c->store, err);

    if (rc != 0 || (rc = fm_path_join(parent, sizeof parent, c->store, "..", err)) != 0 ||
        (rc = fm_dir_sync(parent, err)) != 0 || (rc = lock_store(c, &lock, err)) != 0)
        return rc;
    if (!fm_path_exists(c->dir))
        rc = create_renamed(c, err);
    close(lock);
    return rc;
}

int fm_catalog_open(const char *store_dir, bool create, fm_catalog **out, fm_err *err)
{
    fm_catalog *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return fm_fail_nomem(err, "catalog", sizeof *c);
    c->lock = -1;
    rc = fm_path_join(c->store, sizeof c->store, "", store_dir, err);
    if (rc == 0)
        rc = fm_path_join(c->dir, sizeof c->dir, store_dir, "catalog", err);
    if (rc == 0)
        rc = fm_vault_open(store_dir, &c->vault, err);
    if (rc == 0 && !fm_path_exists(c->dir))
        rc = create ? create_store(c, err)
                    : fm_fail(err, -ENOENT, "%s: no store here; a build makes one (facemill run)", store_dir);
    if (rc == 0)
        rc = open_env(c, false, err);
    if (rc != 0) {
        fm_catalog_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void fm_catalog_close(fm_catalog *c)
{
    if (!c)
        return;
    close_env(c);
    if (c->lock >= 0)
        close(c->lock);
    fm_vault_close(c->vault);
    free(c);
}

static int grow_epoch(fm_catalog *c, MDB_txn *txn, void *ctx, fm_err *err)
{
    uint64_t *epoch = ctx;
    int rc = fm_catalog_get_number(c, txn, FM_CATALOG_EPOCH, 8, epoch, err);

    return rc != 0 ? rc : fm_catalog_put_number(c, txn, FM_CATALOG_EPOCH, 8, ++*epoch, err);
}

/* For whoever is refused. */
static void write_holder(int fd)
{
    char host[128] = "", who[256];
    int n;

    gethostname(host, sizeof host - 1);
    n = snprintf(who, sizeof who, "pid %ld on %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, who, (size_t)n, 0) != n)
        return;     /* the lock holds without */
}

int fm_catalog_take(fm_catalog *c, uint64_t *epoch, fm_err *err)
{
    uint64_t grown = 0;
    int dead, lock, rc;

    if (c->lock >= 0)
        return fm_fail(err, -EALREADY, "%s: taken by this process already", c->store);
    if ((rc = lock_store(c, &lock, err)) != 0)
        return rc;
    write_holder(lock);
    close_env(c);
    rc = open_env(c, true, err);
    if (rc == 0) {
        mdb_reader_check(c->env, &dead);
        rc = write_growing(c, 0, grow_epoch, &grown, err);
    }
    if (rc == 0)
        rc = fm_forget_leftovers(c->vault, err);
    if (rc != 0) {
        close(lock);
        return rc;
    }
    c->lock = lock;
    c->epoch = *epoch = grown;
    return 0;
}

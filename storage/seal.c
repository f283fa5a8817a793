/* From an open segment to a sealed one: check, trim, sync, rename, sync the folder.
 *
 * Each step can be the last before a kill.  Before the rename the file is still
 * open to adoption; after it the file is sealed, and adopting only finds it so.
 * Across file systems a copy is renamed, and the original goes last; both are
 * then there for a moment, and are told from two segments of one name by their
 * first pages, which name roots and transaction. */
#define _GNU_SOURCE
#include "storage/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "storage/pages.h"
#include "storage/segment.h"

#define COPY_BYTES ((size_t)1 << 20)
#define SAME_BYTES 8192     /* two of the smallest pages there are */
#define EMPTY_BYTES 8192    /* two such pages hold no record */

static int system_failed(fm_err *err, const char *path, const char *doing)
{
    int code = errno ? errno : EIO;

    return fm_fail(err, -code, "%s: cannot %s: %s", path, doing, strerror(code));
}

static int segments_dir(char *out, const char *store_dir, fm_err *err)
{
    return fm_path_join(out, FM_PATH_MAX, store_dir, "segments", err);
}

int fm_segment_store_path(char *out, const char *store_dir, const char *name, fm_err *err)
{
    char dir[FM_PATH_MAX];
    int rc = segments_dir(dir, store_dir, err);

    if (!fm_segment_name_valid(name))
        return fm_fail(err, -EINVAL, "\"%.80s\" is not a segment's name", name);
    return rc != 0 ? rc : fm_path_join(out, FM_PATH_MAX, dir, name, err);
}

/* What a killed writer wrote past its last commit goes; free pages that LMDB never wrote are filled in. */
static int trim_and_sync(const char *path, fm_err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    fm_pages pages;
    int rc;

    if (fd < 0)
        return system_failed(err, path, "open");
    rc = fm_pages_check(fd, path, 0, true, &pages, err);
    if (rc == 0 && pages.used_bytes != pages.file_bytes && ftruncate(fd, (off_t)pages.used_bytes) != 0)
        rc = system_failed(err, path, "set its length");
    if (rc == 0 && (fm_fault("segment.sync") || fsync(fd) != 0))
        rc = system_failed(err, path, "sync");
    close(fd);
    return rc;
}

static int copy_bytes(int from, int to, uint8_t *block)
{
    for (;;) {
        ssize_t got = read(from, block, COPY_BYTES);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        for (ssize_t done = 0, n; done < got; done += n) {
            n = fm_fault("segment.copy") ? -1 : write(to, block + done, (size_t)(got - done));
            if (n < 0 && errno != EINTR)
                return -1;
            n = n < 0 ? 0 : n;
        }
    }
}

static int copy_file(const char *path, const char *copy, fm_err *err)
{
    uint8_t *block = malloc(COPY_BYTES);
    int from = open(path, O_RDONLY | O_CLOEXEC), to = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = 0;

    if (!block)
        rc = fm_fail_nomem(err, "copying a segment", COPY_BYTES);
    else if (from < 0 || to < 0)
        rc = system_failed(err, from < 0 ? path : copy, "open");
    else if (copy_bytes(from, to, block) != 0 || fsync(to) != 0)
        rc = system_failed(err, copy, "write");
    if (from >= 0)
        close(from);
    if (to >= 0 && close(to) != 0 && rc == 0)
        rc = system_failed(err, copy, "close");
    free(block);
    return rc;
}

/* The original goes once the copy is durable under its name. */
static int move_across(const char *path, const char *dir, const char *target, fm_err *err)
{
    char copy[FM_PATH_MAX];
    int rc;

    if (snprintf(copy, sizeof copy, "%s.tmp", target) >= (int)sizeof copy)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", target);
    rc = copy_file(path, copy, err);
    if (rc == 0 && rename(copy, target) != 0)
        rc = system_failed(err, copy, "rename");
    if (rc != 0) {
        unlink(copy);
        return rc;
    }
    rc = fm_dir_sync(dir, err);
    if (rc == 0 && unlink(path) != 0)
        rc = system_failed(err, path, "remove");
    return rc;
}

int fm_segment_move(const char *path, const char *name, const char *store_dir, fm_err *err)
{
    char dir[FM_PATH_MAX], target[FM_PATH_MAX];
    int rc = fm_segment_store_path(target, store_dir, name, err);

    if (rc != 0 || (rc = segments_dir(dir, store_dir, err)) != 0 || (rc = fm_dir_make(dir, err)) != 0 ||
        (rc = trim_and_sync(path, err)) != 0)
        return rc;
    if (fm_path_exists(target))
        return fm_fail(err, -EEXIST, "%s: another segment of this name is there already", target);
    if (fm_fault("segment.rename"))
        return system_failed(err, path, "rename");
    if (rename(path, target) == 0)
        return fm_dir_sync(dir, err);
    return errno == EXDEV ? move_across(path, dir, target, err) : system_failed(err, path, "rename");
}

/* One segment at two places, or two segments?  Its first pages tell. */
static bool same_start(const char *a, const char *b)
{
    uint8_t start[2][SAME_BYTES];
    bool whole = true;

    for (int i = 0; i < 2; i++) {
        int fd = open(i ? b : a, O_RDONLY | O_CLOEXEC);

        whole = whole && fd >= 0 && pread(fd, start[i], SAME_BYTES, 0) == SAME_BYTES;
        if (fd >= 0)
            close(fd);
    }
    return whole && memcmp(start[0], start[1], SAME_BYTES) == 0;
}

static int adopt_sealed(const char *path, const char *target, const char *name, const char *store_dir,
                        uint64_t *records, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_segment *s;
    int rc;

    if (fm_path_exists(path) && !same_start(path, target))
        return fm_fail(err, -EEXIST, "%s: another segment of this name is in the store", path);
    if ((rc = segments_dir(dir, store_dir, err)) != 0 || (rc = fm_dir_sync(dir, err)) != 0 ||
        (rc = fm_segment_open(store_dir, name, &s, err)) != 0)
        return rc;
    *records = fm_segment_count(s);
    fm_segment_release(s);
    if (unlink(path) != 0 && errno != ENOENT)
        return system_failed(err, path, "remove");
    return 0;
}

/* How many committed records there are.  A writer killed at its very start leaves a file that is empty, or (when
 * the power was cut too) of two blank pages. */
static int count_committed(int fd, const char *path, uint64_t *records, fm_err *err)
{
    struct stat st;
    fm_pages pages;
    int rc;

    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return fm_fail(err, -EBUSY, "%s: its writer is still alive; wait for it or end it", path);
    if (fstat(fd, &st) != 0)
        return system_failed(err, path, "stat");
    if (st.st_size <= EMPTY_BYTES) {
        *records = 0;
        return 0;
    }
    rc = fm_pages_check(fd, path, 0, true, &pages, err);
    if (rc == 0)
        *records = pages.entries;
    return rc;
}

int fm_segment_adopt(const char *scratch, const char *name, const char *store_dir, uint64_t *records, fm_err *err)
{
    char path[FM_PATH_MAX], target[FM_PATH_MAX];
    uint64_t found = 0;
    int fd, rc;

    *records = 0;
    if ((rc = fm_segment_open_path(path, scratch, name, err)) != 0 ||
        (rc = fm_segment_store_path(target, store_dir, name, err)) != 0)
        return rc;
    if (fm_path_exists(target))
        return adopt_sealed(path, target, name, store_dir, records, err);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : system_failed(err, path, "open");
    rc = count_committed(fd, path, &found, err);
    if (rc == 0 && found == 0 && unlink(path) != 0)
        rc = system_failed(err, path, "remove");
    if (rc == 0 && found > 0)
        rc = fm_segment_move(path, name, store_dir, err);
    close(fd);      /* last: it holds the lock */
    if (rc == 0)
        *records = found;
    return rc;
}

#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/fault.h"

static int read_all(int fd, const char *path, size_t max_bytes, fm_buf *out, fm_err *err)
{
    size_t start = out->size;

    for (;;) {
        uint8_t block[65536];
        ssize_t n = read(fd, block, sizeof block);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fm_fail(err, -errno, "%s: cannot read: %s", path, strerror(errno));
        if (n == 0)
            return 0;
        if (out->size - start + (size_t)n > max_bytes)
            return fm_fail(err, -EFBIG, "%s: larger than the limit of %zu bytes", path, max_bytes);
        fm_buf_put(out, block, (size_t)n);
        if (out->failed)
            return fm_fail_nomem(err, path, out->size + (size_t)n);
    }
}

int fm_file_read(const char *path, size_t max_bytes, fm_buf *out, fm_err *err)
{
    struct stat st;
    int rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* NONBLOCK: a FIFO must not hold us */

    if (fd < 0 && errno == ENOTDIR)
        return fm_archive_read(path, max_bytes, out, err);
    if (fd < 0)
        return fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0)
        rc = fm_fail(err, -errno, "%s: cannot stat: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = fm_fail(err, -EINVAL, "%s: not a regular file", path);
    else if (st.st_size > 0 && (uint64_t)st.st_size > max_bytes)
        rc = fm_fail(err, -EFBIG, "%s: %lld bytes, larger than the limit of %zu", path, (long long)st.st_size,
                     max_bytes);
    else
        rc = read_all(fd, path, max_bytes, out, err);
    close(fd);
    return rc;
}

static int write_all(int fd, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done;

        if (fm_fault("file.write"))
            return -(errno = ENOSPC);
        done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bytes += done;
        n -= (size_t)done;
    }
    return 0;
}

static int parent_of(const char *path, char out[FM_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;

    if (n >= FM_PATH_MAX)
        return -ENAMETOOLONG;
    if (slash == path)
        snprintf(out, FM_PATH_MAX, "/");
    else
        snprintf(out, FM_PATH_MAX, "%.*s", (int)n, slash ? path : ".");
    return 0;
}

int fm_file_write(const char *path, const void *bytes, size_t n, fm_err *err)
{
    char temporary[FM_PATH_MAX], parent[FM_PATH_MAX];
    int fd, rc;

    if (snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof temporary ||
        parent_of(path, parent) != 0)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", path);
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return fm_fail(err, -errno, "%s: cannot create: %s", temporary, strerror(errno));
    rc = write_all(fd, bytes, n);
    if (rc == 0 && (fm_fault("file.fsync") || fsync(fd) != 0))
        rc = errno ? -errno : -EIO;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && (fm_fault("file.rename") || rename(temporary, path) != 0))
        rc = errno ? -errno : -EIO;
    if (rc != 0) {
        unlink(temporary);
        return fm_fail(err, rc, "%s: cannot write %zu bytes: %s", path, n, strerror(-rc));
    }
    return fm_dir_sync(parent, err);
}

int fm_dir_sync(const char *path, fm_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return fm_fail(err, -errno, "%s: cannot open folder: %s", path, strerror(errno));
    if (fm_fault("dir.sync"))
        rc = fm_fail(err, -EIO, "%s: sync of a folder refused by a fault", path);
    else if (fsync(fd) != 0 && errno != EINVAL) /* EINVAL: the file system has no folder fsync */
        rc = fm_fail(err, -errno, "%s: cannot sync folder: %s", path, strerror(errno));
    close(fd);
    return rc;
}

int fm_dir_make(const char *path, fm_err *err)
{
    char part[FM_PATH_MAX];
    struct stat st;

    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return fm_fail(err, -errno, "%s: cannot create folder: %s", part, strerror(errno));
        *p = '/';
    }
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
        return fm_fail(err, -errno, "%s: cannot create folder: %s", part, strerror(errno));
    if (stat(part, &st) != 0 || !S_ISDIR(st.st_mode))
        return fm_fail(err, -ENOTDIR, "%s: is in the way and is not a folder", part);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

int fm_dir_remove(const char *path, fm_err *err)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return fm_fail(err, -errno, "%s: cannot remove: %s", path, strerror(errno));
    return 0;
}

int fm_file_shred(const char *path, fm_err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    uint8_t zeros[4096] = {0};
    off_t size;

    if (fd < 0)
        return errno == ENOENT ? 0 : fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    size = lseek(fd, 0, SEEK_END);
    for (off_t at = 0, n; rc == 0 && at < size; at += n) {
        n = size - at < (off_t)sizeof zeros ? size - at : (off_t)sizeof zeros;
        rc = pwrite(fd, zeros, (size_t)n, at) == n ? 0 : -EIO;
    }
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    close(fd);
    if (rc == 0 && unlink(path) != 0)
        rc = -errno;
    return rc != 0 ? fm_fail(err, rc, "%s: cannot overwrite and remove: %s", path, strerror(-rc)) : 0;
}

int fm_path_stat(const char *path, struct stat *out)
{
    if (stat(path, out) == 0 || (errno == ENOTDIR && fm_archive_stat(path, out, NULL) == 0))
        return 0;
    return -1;
}

bool fm_path_exists(const char *path)
{
    struct stat st;

    return fm_path_stat(path, &st) == 0;
}

bool fm_path_readable(const char *path)
{
    struct stat st;

    return access(path, R_OK) == 0 || (errno == ENOTDIR && fm_archive_stat(path, &st, NULL) == 0);
}

void fm_file_ahead(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && errno == ENOTDIR)
        fm_archive_ahead(path);
    if (fd < 0)
        return;
    posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    close(fd);
}

int fm_path_join(char *out, size_t out_size, const char *dir, const char *name, fm_err *err)
{
    size_t n = strlen(dir);
    bool alone = name[0] == '/' || n == 0;
    int used = alone ? snprintf(out, out_size, "%s", name)
                     : snprintf(out, out_size, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);

    if (used < 0 || (size_t)used >= out_size)
        return fm_fail(err, -ENAMETOOLONG, "%s/%s: path too long", dir, name);
    return 0;
}

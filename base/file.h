/* Files: whole reads with a bound, atomic writes, folders.  Everything the
 * program creates is private to its user (umask 077 is set at start).
 * A path that leads through a tar or zip file names its member (base/archive.h), for reading. */
#ifndef FM_BASE_FILE_H
#define FM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

/* Append a regular file's bytes to out.  Errors: -ENOENT, -EACCES, ..., -EFBIG
 * (more than max_bytes), -EINVAL (a folder, device, FIFO or socket; never blocks on one). */
int fm_file_read(const char *path, size_t max_bytes, fm_buf *out, fm_err *err);

/* Replace path by these bytes: temporary file beside it, fsync, rename, fsync of
 * the folder.  A reader sees the old file or the new one, never a part. */
int fm_file_write(const char *path, const void *bytes, size_t n, fm_err *err);

/* mkdir -p.  0 when it is there already. */
int fm_dir_make(const char *path, fm_err *err);
int fm_dir_sync(const char *path, fm_err *err);
/* rm -r, without following links; 0 when there is nothing. */
int fm_dir_remove(const char *path, fm_err *err);
/* Overwrite a file's bytes with zeros, sync and remove it; 0 when it is not there.  Best effort: a file system that
 * writes elsewhere (copy on write, flash, snapshots) keeps what it keeps. */
int fm_file_shred(const char *path, fm_err *err);
bool fm_path_exists(const char *path);
/* As stat(2), also of a member of an archive; -1 when there is nothing. */
int fm_path_stat(const char *path, struct stat *out);
/* May its bytes be read?  A member may when its archive's list was read. */
bool fm_path_readable(const char *path);
/* Let the system start reading a file that will be wanted soon; whether it can be read is seen then. */
void fm_file_ahead(const char *path);
/* "dir/name" into out; -ENAMETOOLONG.  name alone when it is absolute or dir is "". */
int fm_path_join(char *out, size_t out_size, const char *dir, const char *name, fm_err *err);

#define FM_PATH_MAX 4096

#endif

/* Tar and zip files as folders: ARCHIVE.tar/member/path.jpg names a member's bytes, nothing is unpacked.
 *
 * tar: ustar, the names and sizes of GNU and of pax; not compressed.  zip: stored and deflated members, zip64.
 * An archive's list of members is read once a process and kept while the archive's size and mtime stay; the last few
 * archives are kept open.  Members are read where they lie.  Of two members of one name the later counts, as when
 * unpacking.  Refused as a whole: archives that are cut or damaged, members outside (..), more than 16 Mi members.
 * Refused one by one when read: links, sparse and encrypted members, other compressions.
 * Threads: any.  base/file.h's calls lead here by themselves. */
#ifndef FM_BASE_ARCHIVE_H
#define FM_BASE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"

/* Is path a regular file whose name ends in .tar or .zip? */
bool fm_archive_is(const char *path);
/* Append a member's bytes to out.  Errors: -ENOTDIR (no part of path is an archive), -ENOENT (no such member), -EISDIR,
 * -EFBIG (more than max_bytes), -EINVAL (.. in path), -EBADMSG (archive or member damaged, cut or
 * refused as a whole), -ENOTSUP (a member of a kind that is
 * refused), what opening and reading give. */
int fm_archive_read(const char *path, size_t max_bytes, fm_buf *out, fm_err *err);
/* What stat says of a file, said of a member: st_mode is S_IFREG or S_IFDIR, st_size the member's bytes.  st_mtim is no
 * time: it is made of all that the list says of the member (zip: CRC, size, time; tar, which has no sum of the bytes:
 * place, size, time, and the archive's own size and mtime), and differs where the bytes may.  Errors: as
 * fm_archive_read. */
int fm_archive_stat(const char *path, struct stat *out, fm_err *err);
/* Call visit with each name that lies directly in dir (the archive itself or a folder in it), in the order of the
 * names' bytes, each once.  Ends with visit's first error.  Errors: also -ENOENT. */
int fm_archive_list(const char *dir, int (*visit)(void *ctx, const char *name, size_t n, fm_err *err), void *ctx,
                    fm_err *err);
/* Where a member's bytes begin in its archive, whose path is path's first *stem bytes.  False: it names no member. */
bool fm_archive_place(const char *path, size_t *stem, uint64_t *at);
/* Put which[0 .. n-1], numbers of paths, into the order in which to read them: the members of an archive as they lie in
 * it, where the first of them stood; what is in no archive stays between its neighbours.  Errors: -ENOMEM. */
int fm_archive_order(const char *const *paths, uint32_t *which, uint32_t n, fm_err *err);
/* Let the system start reading a member that will be wanted soon. */
void fm_archive_ahead(const char *path);

#endif

/* The structure of an LMDB file, checked before LMDB maps it.
 *
 * LMDB trusts what it maps: an offset that has changed, or a file that is cut
 * short, ends in a SIGBUS or worse.  Here the trees are walked with pread, so
 * that whatever is wrong is an error. */
#ifndef FM_STORAGE_PAGES_H
#define FM_STORAGE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
    uint64_t txnid;         /* of the state that was checked; 0 when nothing was ever committed */
    uint64_t entries;       /* in the main tree */
    uint64_t used_bytes;    /* pages in use; a file may be a few free pages shorter while it is written */
    uint64_t file_bytes;
} fm_pages;

/* Check everything that reading that state can reach.
 * fd     open for reading; its offset is not used.
 * txnid  the state to check; 0: the newest.
 * only_grown  no entry was ever removed: then each key of a branch has to be the one that it was copied from.
 * Errors: -EBADMSG (path and page are named), -EAGAIN (that state is not there), -ENOMEM, what pread gives. */
int fm_pages_check(int fd, const char *path, uint64_t txnid, bool only_grown, fm_pages *out, fm_err *err);
/* The meta pages only. */
int fm_pages_check_first(int fd, const char *path, fm_err *err);

#endif

/* Who runs out of disk is often not who can say so: LMDB reports a short write as an
 * input/output error, a worker's log may lie on the same disk.  So the coordinator
 * looks at the disk itself when a build has failed. */
#include "coordinator/space.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/statvfs.h>

#define RECORD_BYTES 4096       /* geometry, code, keys; and what rounding to pages adds */
#define STORE_BYTES (1u << 20)  /* catalog, keys, status, logs */

uint64_t fm_space_needed(const fm_recipe *recipe, uint64_t photographs)
{
    uint64_t chip = (uint64_t)recipe->chip_size * recipe->chip_size * 3;

    return photographs ? STORE_BYTES + photographs * (chip + 2 * RECORD_BYTES) : 0;
}

int fm_space_free(const char *path, uint64_t *bytes)
{
    struct statvfs fs;

    if (statvfs(path, &fs) != 0)
        return -errno;
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

int fm_space_explain(const char *store_dir, const fm_recipe *recipe, uint64_t photographs, fm_err *err)
{
    uint64_t needed = fm_space_needed(recipe, photographs), left = 0;
    bool full = err->code == -ENOSPC || err->code == -EDQUOT;
    char cause[sizeof err->text];

    if ((!full && err->code != -EIO) || fm_space_free(store_dir, &left) != 0 || (!full && left >= needed))
        return err->code;
    memcpy(cause, err->text, sizeof cause);
    return fm_fail(err, full ? err->code : -ENOSPC, "%.300s: the disk is full: %" PRIu64 " photographs need about %" PRIu64
                   " bytes more and %" PRIu64 " are free for %.300s; free some and run again", cause, photographs, needed,
                   left, store_dir);
}

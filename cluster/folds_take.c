/* Whoever gathers believes the files by plan and digest, and trains everything itself
 * when one fold is missing: an array that half failed costs time, never a result. */
#include "cluster/folds_take.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cluster/gather.h"

#define PARTS_BYTES_MAX ((size_t)16 << 30)

/* Append a file with its length before it; what cannot be read is not there. */
static void add_file(const char *dir, const char *name, fm_buf *all)
{
    char path[FM_PATH_MAX];
    fm_buf one = FM_BUF_INIT;

    if (fm_path_join(path, sizeof path, dir, name, NULL) == 0 &&
        fm_file_read(path, PARTS_BYTES_MAX - all->size, &one, NULL) == 0 && !one.failed) {
        fm_buf_u64(all, one.size);
        fm_buf_put(all, one.data, one.size);
    }
    fm_buf_fini(&one);
}

static int read_files(const char *dir, fm_buf *all, fm_err *err)
{
    DIR *d = opendir(dir);

    for (struct dirent *at; d && (at = readdir(d)) != NULL;)
        if (strncmp(at->d_name, "part-", 5) == 0 && all->size < PARTS_BYTES_MAX)
            add_file(dir, at->d_name, all);
    if (d)
        closedir(d);
    return all->failed ? fm_fail_nomem(err, "folds of a job array", all->size) : 0;
}

/* Rank 0's bytes to all. */
static int spread(const fm_ranks *on, fm_buf *bytes, fm_err *err)
{
    uint64_t size = bytes->size;
    int rc = fm_bcast_bytes(on->comm, &size, sizeof size, err);

    if (rc == 0 && on->rank != 0 && size && !fm_buf_add(bytes, size))
        rc = fm_fail_nomem(err, "folds of a job array", size);
    rc = fm_agree(on->comm, rc, err);
    return rc == 0 ? fm_bcast_bytes(on->comm, bytes->data, size, err) : rc;
}

static int place(const fm_buf *bytes, fm_evaluation *e, size_t *missing, fm_err *err)
{
    size_t folds = (size_t)e->repeats * e->folds;
    uint8_t *placed = calloc(folds + 1, 1);
    fm_reader in = fm_reader_init(bytes->data, bytes->size);
    int rc = 0;

    if (!placed)
        return fm_fail_nomem(err, "folds", folds);
    while (rc == 0 && fm_reader_left(&in) > 0) {
        uint64_t n = fm_reader_u64(&in);
        const uint8_t *file = fm_reader_get(&in, n);

        rc = file ? fm_evaluation_part_place(file, n, e, placed, err) : 0;
        rc = rc == -EBADMSG ? 0 : rc;
    }
    *missing = 0;
    for (size_t i = 0; i < folds; i++)
        *missing += !placed[i];
    free(placed);
    return rc;
}

int fm_folds_take(const fm_ranks *on, const char *dir, fm_evaluation *e, bool *all, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    size_t missing = 0;
    int rc = fm_agree(on->comm, on->rank == 0 ? read_files(dir, &bytes, err) : 0, err);

    if (rc == 0)
        rc = spread(on, &bytes, err);
    if (rc == 0)
        rc = fm_agree(on->comm, place(&bytes, e, &missing, err), err);
    if (rc == 0 && on->rank == 0 && missing == 0)
        fm_info("folds: all are there, as a job array left them");
    *all = rc == 0 && missing == 0;
    fm_buf_fini(&bytes);
    return rc;
}

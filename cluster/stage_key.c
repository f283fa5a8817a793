/* Neither an argument nor the environment: both are shown to others by the system.
 * Rejected: standard input, which srun is told not to forward.  The file is not synced,
 * and is there for as long as an MPI job takes to start. */
#define _GNU_SOURCE
#include "cluster/stage_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cluster/gather.h"
#include "storage/vault.h"

static int key_path(const char *plan, char out[FM_PATH_MAX], fm_err *err)
{
    if (snprintf(out, FM_PATH_MAX, "%s.key", plan) >= FM_PATH_MAX)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", plan);
    return 0;
}

int fm_stage_key_leave(const char *plan, fm_err *err)
{
    uint8_t keys[FM_VAULT_HELD_MAX];
    size_t n = fm_vault_keys_give(keys);
    char path[FM_PATH_MAX];
    int fd, rc = n ? key_path(plan, path, err) : 0;

    if (n && rc == 0) {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, keys, n) != (ssize_t)n)
            rc = fm_fail(err, errno ? -errno : -EIO, "%s: cannot write: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    sodium_memzero(keys, sizeof keys);
    return rc;
}

void fm_stage_key_remove(const char *plan)
{
    char path[FM_PATH_MAX];

    if (key_path(plan, path, NULL) == 0)
        fm_file_shred(path, NULL);
}

/* On rank 0: *n is 0 when nothing was left. */
static int read_keys(const char *plan, uint8_t keys[FM_VAULT_HELD_MAX], uint64_t *n, fm_err *err)
{
    char path[FM_PATH_MAX];
    int fd, rc = key_path(plan, path, err);
    ssize_t got;

    if (rc != 0)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : fm_fail(err, -errno, "%s: cannot open: %s", path, strerror(errno));
    got = read(fd, keys, FM_VAULT_HELD_MAX);
    close(fd);
    fm_stage_key_remove(plan);
    if (got < 0)
        return fm_fail(err, -EIO, "%s: cannot read", path);
    *n = (uint64_t)got;
    return 0;
}

int fm_stage_key_take(MPI_Comm comm, const char *plan, fm_err *err)
{
    uint8_t keys[FM_VAULT_HELD_MAX];
    uint64_t n = 0;
    int rank, rc = 0;

    MPI_Comm_rank(comm, &rank);
    if (rank == 0)
        rc = read_keys(plan, keys, &n, err);
    rc = fm_agree(comm, rc, err);
    if (rc == 0)
        rc = fm_bcast_bytes(comm, &n, sizeof n, err);
    if (rc == 0 && n > 0)
        rc = fm_bcast_bytes(comm, keys, n, err);
    if (rc == 0 && n > 0)
        rc = fm_agree(comm, fm_vault_keys_take(keys, n, err), err);
    sodium_memzero(keys, sizeof keys);
    return rc;
}

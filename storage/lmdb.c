#include "storage/lmdb.h"

#include <errno.h>

int fm_lmdb_fail(fm_err *err, int rc, const char *path, const char *doing)
{
    switch (rc) {
    case MDB_NOTFOUND:
        return fm_fail(err, -ENOENT, "%s: cannot %s: not there", path, doing);
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
        return fm_fail(err, -EBADMSG, "%s: cannot %s: the file is damaged (%s)", path, doing, mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return fm_fail(err, -EPROTO, "%s: cannot %s: written by another version of LMDB", path, doing);
    case MDB_READERS_FULL:
        return fm_fail(err, -EAGAIN, "%s: cannot %s: too many processes read it; close some", path, doing);
    case ENOSPC:
    case EDQUOT:
        return fm_fail(err, -rc, "%s: cannot %s: the disk is full; free space and run again", path, doing);
    default:
        return fm_fail(err, rc > 0 ? -rc : -EIO, "%s: cannot %s: %s", path, doing, mdb_strerror(rc));
    }
}

int fm_lmdb_open(const char *path, unsigned flags, size_t map_bytes, MDB_env **out, fm_err *err)
{
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);

    *out = NULL;
    if (rc == 0 && map_bytes)
        rc = mdb_env_set_mapsize(env, map_bytes);
    if (rc == 0)
        rc = mdb_env_open(env, path, flags | MDB_NOTLS, 0600);
    if (rc != 0) {
        mdb_env_close(env);
        return fm_lmdb_fail(err, rc, path, "open");
    }
    *out = env;
    return 0;
}

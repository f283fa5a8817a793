/* Moving matrices between ranks, and memory that a node's ranks share.
 *
 * Counts of MPI 3 are ints, so transfers go in chunks.  A shared window lies in
 * /dev/shm, whose pages come into being when they are touched: one that is too
 * small would end a rank with SIGBUS long after the window was "allocated".  So a
 * node's free space is looked at first, and where it does not suffice each rank
 * of that node has memory of its own.  Rejected: to let MPI find out (its first
 * rank then fails alone and the others wait for it for ever).  Always: whatever
 * fails on one rank before a collective call is agreed on, so that none is left
 * waiting. */
#include "cluster/gather.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"

#define CHUNK_BYTES ((size_t)16 << 20)
#define TAG_GATHER 71
#define TAG_WHY 72
#define ALIGNMENT 64
#define SHM_DIR "/dev/shm"
#define SHM_SLACK ((size_t)16 << 20)    /* left for MPI's own queues */

struct fm_shared {
    MPI_Comm node;          /* ranks of this node */
    MPI_Comm copies;        /* one rank for each copy of the memory; MPI_COMM_NULL elsewhere */
    MPI_Win window;         /* MPI_WIN_NULL: private memory */
    void *base;             /* window's or malloc's */
    uint8_t *bytes;         /* base, aligned */
    size_t n_bytes;
};

static int fail_mpi(fm_err *err, int mpi_code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;

    MPI_Error_string(mpi_code, text, &n);
    return fm_fail(err, -EIO, "MPI: %s: %s", what, text);
}

void fm_share_of(size_t n, int rank, int size, size_t *first, size_t *count)
{
    size_t each = n / (size_t)size, more = n % (size_t)size, r = (size_t)rank;

    *first = r * each + (r < more ? r : more);
    *count = each + (r < more);
}

int fm_agree(MPI_Comm comm, int rc, fm_err *err)
{
    int rank, size, mpi, first, code = rc;
    char text[sizeof err->text] = "";

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    first = rc != 0 ? rank : size;
    mpi = MPI_Allreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, comm);
    if (mpi != MPI_SUCCESS)
        return fail_mpi(err, mpi, "agreeing on success");
    if (first == size)
        return 0;
    mpi = MPI_Bcast(&code, 1, MPI_INT, first, comm);
    if (mpi == MPI_SUCCESS && first != 0 && rank == first) {
        if (err)
            memcpy(text, err->text, sizeof text);
        mpi = MPI_Send(text, sizeof text, MPI_CHAR, 0, TAG_WHY, comm);
    } else if (mpi == MPI_SUCCESS && first != 0 && rank == 0) {
        mpi = MPI_Recv(text, sizeof text, MPI_CHAR, first, TAG_WHY, comm, MPI_STATUS_IGNORE);
        text[sizeof text - 1] = '\0';
    }
    if (mpi != MPI_SUCCESS)
        return fail_mpi(err, mpi, "telling why it failed");
    if (rank == 0 && first != 0)
        return fm_fail(err, code, "rank %d: %s", first, text);
    if (rc == 0)
        fm_fail(err, code, "rank %d failed", first);
    return code;
}

/* Send n bytes to another rank, or receive them. */
static int move_bytes(MPI_Comm comm, uint8_t *bytes, size_t n, int peer, bool send)
{
    int mpi = MPI_SUCCESS;

    for (size_t at = 0; mpi == MPI_SUCCESS && at < n; at += CHUNK_BYTES) {
        int count = (int)(n - at < CHUNK_BYTES ? n - at : CHUNK_BYTES);

        mpi = send ? MPI_Send(bytes + at, count, MPI_BYTE, peer, TAG_GATHER, comm)
                   : MPI_Recv(bytes + at, count, MPI_BYTE, peer, TAG_GATHER, comm, MPI_STATUS_IGNORE);
    }
    return mpi;
}

/* Everybody's size to root, which says whether they fill its room. */
static int gather_sizes(MPI_Comm comm, int root, uint64_t mine, uint64_t *sizes, int size, size_t total_bytes, fm_err *err)
{
    int rank, rc = 0, mpi = MPI_Gather(&mine, 1, MPI_UINT64_T, sizes, 1, MPI_UINT64_T, root, comm);
    uint64_t sum = 0;

    MPI_Comm_rank(comm, &rank);
    if (mpi != MPI_SUCCESS)
        rc = fail_mpi(err, mpi, "gathering sizes");
    for (int i = 0; rc == 0 && rank == root && i < size; i++)
        sum += sizes[i];
    if (rc == 0 && rank == root && sum != total_bytes)
        rc = fm_fail(err, -EINVAL, "ranks have %llu bytes to gather where %zu are expected", (unsigned long long)sum,
                     total_bytes);
    return fm_agree(comm, rc, err);
}

int fm_gather_bytes(MPI_Comm comm, int root, const void *mine, size_t n_mine, void *all, size_t total_bytes, fm_err *err)
{
    int rank, size, rc = 0, mpi = MPI_SUCCESS;
    uint64_t *sizes = NULL;
    uint8_t *to = all;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    if (rank == root && !(sizes = calloc((size_t)size, sizeof *sizes)))
        rc = fm_fail_nomem(err, "sizes of ranks", (size_t)size * sizeof *sizes);
    rc = fm_agree(comm, rc, err);
    if (rc == 0)
        rc = gather_sizes(comm, root, n_mine, sizes, size, total_bytes, err);
    if (rc != 0)
        goto done;
    if (rank != root)
        mpi = move_bytes(comm, (uint8_t *)(uintptr_t)mine, n_mine, root, true);
    for (int i = 0; rank == root && mpi == MPI_SUCCESS && i < size; i++) {
        if (i != root)
            mpi = move_bytes(comm, to, sizes[i], i, false);
        else if (n_mine)
            memcpy(to, mine, n_mine);
        if (sizes[i])       /* where nobody has any, all may be NULL */
            to += sizes[i];
    }
    rc = fm_agree(comm, mpi == MPI_SUCCESS ? 0 : fail_mpi(err, mpi, "gathering"), err);
done:
    free(sizes);
    return rc;
}

int fm_bcast_bytes(MPI_Comm comm, void *bytes, size_t n, fm_err *err)
{
    uint8_t *at = bytes;

    while (n > 0) {
        int count = (int)(n < CHUNK_BYTES ? n : CHUNK_BYTES);
        int mpi = MPI_Bcast(at, count, MPI_BYTE, 0, comm);

        if (mpi != MPI_SUCCESS)
            return fail_mpi(err, mpi, "broadcasting");
        at += count;
        n -= (size_t)count;
    }
    return 0;
}

/* Can this node hold a window of n bytes?  Its first rank looks, all hear. */
static bool node_has_room(MPI_Comm node, size_t n)
{
    struct statvfs fs;
    int rank, yes = 1;

    MPI_Comm_rank(node, &rank);
    if (rank == 0 && statvfs(SHM_DIR, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < n + SHM_SLACK) {
        fm_warn("%s has %llu MiB free, too little to share %zu MiB: every rank of this host keeps a copy (mount it larger)",
                SHM_DIR, (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20), n >> 20);
        yes = 0;
    }
    return MPI_Bcast(&yes, 1, MPI_INT, 0, node) == MPI_SUCCESS && yes;
}

static int open_window(fm_shared *s, int node_rank, fm_err *err)
{
    MPI_Aint size;
    int unit, mpi;

    mpi = MPI_Win_allocate_shared(node_rank == 0 ? (MPI_Aint)(s->n_bytes + ALIGNMENT) : 0, 1, MPI_INFO_NULL, s->node,
                                  &s->base, &s->window);
    if (mpi == MPI_SUCCESS)
        mpi = MPI_Win_shared_query(s->window, 0, &size, &unit, &s->base);
    if (mpi == MPI_SUCCESS)
        mpi = MPI_Win_lock_all(MPI_MODE_NOCHECK, s->window);
    return mpi == MPI_SUCCESS ? 0 : fail_mpi(err, mpi, "shared memory window (is " SHM_DIR " writable and large enough?)");
}

static int get_memory(fm_shared *s, int node_rank, fm_err *err)
{
    if (node_has_room(s->node, s->n_bytes + ALIGNMENT))
        return open_window(s, node_rank, err);
    s->base = malloc(s->n_bytes + ALIGNMENT);
    return s->base ? 0 : fm_fail_nomem(err, "matrix that could not be shared", s->n_bytes);
}

int fm_shared_create(MPI_Comm comm, size_t n_bytes, fm_shared **out, void **bytes, fm_err *err)
{
    fm_shared *s = calloc(1, sizeof *s);
    int rank, node_rank = 0, mpi, rc = s ? 0 : fm_fail_nomem(err, "shared memory", sizeof *s);

    MPI_Comm_rank(comm, &rank);
    if (s) {
        s->node = s->copies = MPI_COMM_NULL;
        s->window = MPI_WIN_NULL;
        s->n_bytes = n_bytes;
    }
    rc = fm_agree(comm, rc, err);
    if (rc != 0)
        goto done;
    mpi = MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &s->node);
    if (mpi == MPI_SUCCESS) {
        MPI_Comm_rank(s->node, &node_rank);
        rc = get_memory(s, node_rank, err);
    } else {
        rc = fail_mpi(err, mpi, "ranks of a node");
    }
    rc = fm_agree(comm, rc, err);
    if (rc != 0)
        goto done;
    /* rank 0 of comm is rank 0 of its node and so of copies */
    mpi = MPI_Comm_split(comm, node_rank == 0 || s->window == MPI_WIN_NULL ? 0 : MPI_UNDEFINED, rank, &s->copies);
    rc = fm_agree(comm, mpi == MPI_SUCCESS ? 0 : fail_mpi(err, mpi, "first ranks of nodes"), err);
    if (rc != 0)
        goto done;
    s->bytes = (uint8_t *)s->base + (ALIGNMENT - (uintptr_t)s->base % ALIGNMENT) % ALIGNMENT;
    *out = s;
    *bytes = s->bytes;
    s = NULL;
done:
    fm_shared_destroy(s);
    return rc;
}

int fm_shared_spread(fm_shared *s, fm_err *err)
{
    int mpi, rc = 0;

    if (s->copies != MPI_COMM_NULL)
        rc = fm_bcast_bytes(s->copies, s->bytes, s->n_bytes, err);
    if (s->window != MPI_WIN_NULL)
        MPI_Win_sync(s->window);
    mpi = MPI_Barrier(s->node);
    if (s->window != MPI_WIN_NULL)
        MPI_Win_sync(s->window);
    if (rc == 0 && mpi != MPI_SUCCESS)
        rc = fail_mpi(err, mpi, "waiting for the ranks of a node");
    return rc;
}

void fm_shared_destroy(fm_shared *s)
{
    if (!s)
        return;
    if (s->window != MPI_WIN_NULL) {
        MPI_Win_unlock_all(s->window);
        MPI_Win_free(&s->window);
    } else {
        free(s->base);
    }
    if (s->copies != MPI_COMM_NULL)
        MPI_Comm_free(&s->copies);
    if (s->node != MPI_COMM_NULL)
        MPI_Comm_free(&s->node);
    free(s);
}

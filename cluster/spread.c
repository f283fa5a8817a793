/* Files travel as they are and not packed, because nodes may differ: each packs
 * for its own instruction set.  How large the packed block becomes is known only
 * when it is packed, so a node's first rank packs into memory of its own and copies
 * it into the window; for that moment it holds the models twice. */
#include "cluster/spread.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cluster/gather.h"

#define MODELS 4
#define MODEL_BYTES_MAX ((size_t)1 << 30)

struct fm_spread {
    MPI_Comm node, leaders;     /* leaders: MPI_COMM_NULL but on each node's first rank */
    fm_buf files[MODELS];       /* on leaders, until they are packed */
    fm_shared *shared;
    fm_models *models;
};

static fm_join_model *model_of(fm_join *join, int i)
{
    fm_join_model *all[MODELS] = {&join->detector, &join->landmarks, &join->encoder, &join->mask};

    return all[i];
}

static int read_model(fm_join_model *model, fm_buf *file, fm_err *err)
{
    char want[FM_DIGEST_HEX], got[FM_DIGEST_HEX];
    fm_digest sha;
    int rc = fm_file_read(model->path, MODEL_BYTES_MAX, file, err);

    if (rc != 0)
        return fm_fail_in(err, rc, "model file (run ./setup to get it)");
    fm_sha256_of(file->data, file->size, &sha);
    if (!fm_digest_is_zero(&model->sha256) && !fm_digest_equal(&sha, &model->sha256)) {
        fm_digest_hex(&model->sha256, want);
        fm_digest_hex(&sha, got);
        return fm_fail(err, -EBADMSG, "%s: SHA-256 is %s where the run has %s: get the right file with ./setup",
                       model->path, got, want);
    }
    model->sha256 = sha;
    return 0;
}

static int read_models(fm_spread *s, fm_join *join, fm_err *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < MODELS; i++)
        if (i < 2 || model_of(join, i)->path[0])
            rc = read_model(model_of(join, i), &s->files[i], err);
    return rc;
}

static int make_comms(fm_spread *s, MPI_Comm comm, fm_err *err)
{
    int rank, node_rank = 0, mpi;

    MPI_Comm_rank(comm, &rank);
    mpi = MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &s->node);
    if (mpi == MPI_SUCCESS) {
        MPI_Comm_rank(s->node, &node_rank);
        mpi = MPI_Comm_split(comm, node_rank == 0 ? 0 : MPI_UNDEFINED, rank, &s->leaders);
    }
    return mpi == MPI_SUCCESS ? 0 : fm_fail(err, -EIO, "MPI cannot tell which ranks share a node");
}

/* Rank 0's digests to all, its files to every leader. */
static int send_files(fm_spread *s, MPI_Comm comm, fm_join *join, fm_err *err)
{
    int rc = 0, rank = 0;

    if (s->leaders != MPI_COMM_NULL)
        MPI_Comm_rank(s->leaders, &rank);
    for (int i = 0; i < MODELS; i++) {
        uint64_t size = s->files[i].size;
        int mine = 0;

        rc = fm_bcast_bytes(comm, model_of(join, i)->sha256.b, FM_DIGEST_BYTES, err);
        if (rc == 0)
            rc = fm_bcast_bytes(comm, &size, sizeof size, err);
        if (rc == 0 && s->leaders != MPI_COMM_NULL && rank != 0 && size && !fm_buf_add(&s->files[i], size))
            mine = fm_fail_nomem(err, "model file", size);
        if (rc == 0)
            rc = fm_agree(comm, mine, err);
        if (rc == 0 && s->leaders != MPI_COMM_NULL)
            rc = fm_bcast_bytes(s->leaders, s->files[i].data, size, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int pack(fm_spread *s, fm_buf *packed, fm_err *err)
{
    fm_model_files files = {s->files[0].data, s->files[1].data, s->files[2].data, s->files[3].data,
                            s->files[0].size, s->files[1].size, s->files[2].size, s->files[3].size};
    int rc = fm_models_pack(&files, fm_cpu_isa(), packed, err);

    for (int i = 0; i < MODELS; i++)
        fm_buf_fini(&s->files[i]);
    return rc == -EBADMSG ? fm_fail_in(err, rc, "model file") : rc;
}

/* A node's packed block into its shared memory; every rank views it. */
static int share(fm_spread *s, MPI_Comm comm, const fm_buf *packed, fm_err *err)
{
    uint64_t size = packed->size;
    void *block = NULL;
    int rc = fm_bcast_bytes(s->node, &size, sizeof size, err);

    if (rc == 0)
        rc = fm_shared_create(s->node, size, &s->shared, &block, err);
    rc = fm_agree(comm, rc, err);
    if (rc != 0)
        return rc;
    if (packed->size)
        memcpy(block, packed->data, packed->size);
    rc = fm_shared_spread(s->shared, err);
    if (rc == 0)
        rc = fm_models_open(block, size, &s->models, err);
    return fm_agree(comm, rc, err);
}

int fm_spread_models(MPI_Comm comm, fm_join *join, fm_spread **out, const fm_models **models, fm_err *err)
{
    fm_spread *s = calloc(1, sizeof *s);
    fm_buf packed = FM_BUF_INIT;
    int rank, rc = s ? 0 : fm_fail_nomem(err, "models", sizeof *s);

    MPI_Comm_rank(comm, &rank);
    if (s)
        s->node = s->leaders = MPI_COMM_NULL;
    if (rc == 0 && rank == 0)
        rc = read_models(s, join, err);
    rc = fm_agree(comm, rc, err);
    if (rc == 0)
        rc = fm_agree(comm, make_comms(s, comm, err), err);
    if (rc == 0)
        rc = send_files(s, comm, join, err);
    if (rc == 0)
        rc = fm_agree(comm, s->leaders != MPI_COMM_NULL ? pack(s, &packed, err) : 0, err);
    if (rc == 0)
        rc = share(s, comm, &packed, err);
    fm_buf_fini(&packed);
    if (rc != 0) {
        fm_spread_destroy(s);
        return rc;
    }
    *out = s;
    *models = s->models;
    return 0;
}

void fm_spread_destroy(fm_spread *s)
{
    if (!s)
        return;
    fm_models_close(s->models);
    fm_shared_destroy(s->shared);
    for (int i = 0; i < MODELS; i++)
        fm_buf_fini(&s->files[i]);
    if (s->leaders != MPI_COMM_NULL)
        MPI_Comm_free(&s->leaders);
    if (s->node != MPI_COMM_NULL)
        MPI_Comm_free(&s->node);
    free(s);
}

/* Always: whatever fails on one rank is agreed on before the next collective call. */
#include "cluster/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cluster/stage_key.h"
#include "storage/store.h"

int fm_rows_file(MPI_Comm comm, const char *path, size_t max_bytes, fm_buf *bytes, fm_err *err)
{
    uint64_t size = 0;
    int rank, rc = 0;

    MPI_Comm_rank(comm, &rank);
    if (rank == 0 && (rc = fm_file_read(path, max_bytes, bytes, err)) == 0)
        size = bytes->size;
    rc = fm_agree(comm, rc, err);
    if (rc == 0)
        rc = fm_bcast_bytes(comm, &size, sizeof size, err);
    if (rc == 0 && rank != 0 && !fm_buf_add(bytes, size))
        rc = fm_fail_nomem(err, "what rank 0 sends", size);
    rc = fm_agree(comm, rc, err);
    if (rc == 0)
        rc = fm_bcast_bytes(comm, bytes->data, size, err);
    return rc == 0 ? fm_stage_key_take(comm, path, err) : rc;
}

int fm_rows_share(MPI_Comm comm, const void *mine, size_t n, size_t row_bytes, fm_shared **shared, void **matrix,
                  fm_err *err)
{
    size_t first, count;
    int rank, size, rc;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    fm_share_of(n, rank, size, &first, &count);
    rc = fm_shared_create(comm, n * row_bytes, shared, matrix, err);
    if (rc == 0)
        rc = fm_gather_bytes(comm, 0, mine, count * row_bytes, *matrix, n * row_bytes, err);
    if (rc == 0)
        rc = fm_agree(comm, fm_shared_spread(*shared, err), err);
    return rc;
}

/* One row's columns from its CODE record.  codes: room for a whole record, grown here. */
static int read_row(const fm_plan *plan, fm_store *store, size_t i, fm_buf *codes, float *to, fm_err *err)
{
    const fm_plan_row *row = &plan->rows[i];
    uint32_t faces = 0, width = 0;
    const void *payload;
    const float *face;
    size_t n;
    int rc = fm_store_get(store, FM_RECORD_CODE, &row->code, &payload, &n, NULL, err);

    if (rc != 0)
        return fm_fail_in(err, rc, "code of sample %u (build the study again)", row->sample);
    codes->size = 0;
    if (!fm_buf_add(codes, n))
        return fm_fail_nomem(err, "codes of a photograph", n);
    rc = fm_code_shape(payload, n, &faces, &width, err);
    if (rc == 0 && (uint64_t)plan->code_offset + plan->code_width > width)
        rc = fm_fail(err, -EINVAL, "the plan asks for columns %u to %u of codes that have %u", plan->code_offset,
                     plan->code_offset + plan->code_width - 1, width);
    if (rc == 0)
        rc = fm_code_decode(payload, n, width, faces, (float *)(void *)codes->data, &faces, err);
    if (rc == 0 && row->face >= faces)
        rc = fm_fail(err, -EBADMSG, "sample %u has codes of %u faces, face %u is asked for", row->sample, faces, row->face);
    if (rc != 0)
        return rc;
    face = (const float *)(const void *)codes->data + (size_t)row->face * width;
    memcpy(to, face + plan->code_offset, plan->code_width * sizeof *to);
    return 0;
}

static int read_rows(const fm_plan *plan, size_t first, size_t count, float *mine, fm_err *err)
{
    fm_buf codes = FM_BUF_INIT;
    fm_store *store = NULL;
    int rc = 0;

    if (count > 0)
        rc = fm_store_open(plan->store_dir, &store, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_row(plan, store, first + i, &codes, mine + i * plan->code_width, err);
    fm_store_close(store);
    fm_buf_fini(&codes);
    return rc;
}

int fm_rows_codes(MPI_Comm comm, const fm_plan *plan, fm_shared **shared, float **codes, fm_err *err)
{
    size_t row_bytes = plan->code_width * sizeof(float), first, count;
    void *matrix = NULL;
    float *mine;
    int rank, size, rc;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    fm_share_of(plan->n, rank, size, &first, &count);
    mine = malloc(count * row_bytes + 1);
    rc = mine ? read_rows(plan, first, count, mine, err) : fm_fail_nomem(err, "codes", count * row_bytes);
    rc = fm_agree(comm, rc, err);
    if (rc == 0)
        rc = fm_rows_share(comm, mine, plan->n, row_bytes, shared, &matrix, err);
    *codes = matrix;
    free(mine);
    return rc;
}

int fm_rows_photo(fm_store *store, const fm_digest *key, uint32_t sample, fm_photo *out, fm_err *err)
{
    const void *payload;
    size_t n;
    int rc = fm_store_get(store, FM_RECORD_PHOTO, key, &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_photo_decode(payload, n, out, err);
    return rc == 0 ? 0 : fm_fail_in(err, rc, "photo record of sample %u (build the study again)", sample);
}

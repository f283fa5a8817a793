/* Tasks stand costliest first, so that round-robin keeps ranks about even.  Rejected:
 * handing tasks out on demand, which needs a rank that only hands out.  Always: a
 * rank that fails says so at the next fm_agree(), where all the others are. */
#include "cluster/stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cluster/gather.h"
#include "cluster/job.h"

enum { EXIT_DONE = 0, EXIT_INPUT = 3, EXIT_FAILED = 4 };

int fm_stage_run(const fm_stage_course *course, fm_ranks *on, void *ctx)
{
    fm_err err = FM_ERR_INIT;
    int rc = fm_job_begin(course->name, &on->rank, &err), status;

    if (rc != 0) {
        fm_error("%s", err.text);
        return EXIT_FAILED;
    }
    on->comm = MPI_COMM_WORLD;
    MPI_Comm_size(on->comm, &on->size);
    rc = course->get(ctx, &err);
    status = rc == 0 || rc == -ENOMEM || rc == -EIO ? EXIT_FAILED : EXIT_INPUT;
    if (rc == 0)
        rc = course->work(ctx, &err);
    if (rc != 0 && on->rank == 0)
        fm_error("%s", err.text);
    course->fini(ctx);
    fm_job_end();
    return rc == 0 ? EXIT_DONE : status;
}

static size_t tasks_of(size_t n, int rank, int size)
{
    return (size_t)rank < n ? (n - (size_t)rank + (size_t)size - 1) / (size_t)size : 0;
}

/* From the order of ranks into that of tasks. */
static void place(const fm_ranks *on, size_t n, size_t bytes, const char *gathered, char *all)
{
    for (int rank = 0; rank < on->size; rank++)
        for (size_t i = (size_t)rank; i < n; i += (size_t)on->size) {
            memcpy(all + i * bytes, gathered, bytes);
            gathered += bytes;
        }
}

int fm_stage_deal(const fm_ranks *on, size_t n, size_t bytes,
                  int (*run)(void *ctx, size_t task, void *out, fm_err *err), void *ctx, void *all, fm_err *err)
{
    size_t n_mine = tasks_of(n, on->rank, on->size), room = on->rank == 0 ? n : 0;
    char *mine = calloc(n_mine + 1, bytes), *gathered = calloc(room + 1, bytes);
    int rc = mine && gathered ? 0 : fm_fail_nomem(err, "results of tasks", (n_mine + room) * bytes);

    for (size_t i = 0; rc == 0 && i < n_mine; i++)
        rc = run(ctx, (size_t)on->rank + i * (size_t)on->size, mine + i * bytes, err);
    rc = fm_agree(on->comm, rc, err);
    if (rc == 0)
        rc = fm_gather_bytes(on->comm, 0, mine, n_mine * bytes, gathered, n * bytes, err);
    if (rc == 0 && on->rank == 0)
        place(on, n, bytes, gathered, all);
    free(mine);
    free(gathered);
    return rc;
}

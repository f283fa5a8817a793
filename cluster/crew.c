/* A rank's life in a crew.
 *
 * A rank whose worker fails ends the whole crew (fm_job_abort): alone it could only
 * wait in MPI_Finalize until the others are done, while its core stands idle and
 * nobody knows; a crew that dies is seen by the coordinator, which starts it again.
 * What that costs is the others' unacknowledged photographs.  Signals that ask for
 * an end set a flag: each worker then gives its lease back, seals and leaves.
 *
 * Rank numbers before MPI starts come from the launcher's own variables.
 * SLURM_PROCID is none of them: a batch script and an interactive shell have it
 * (0) though no MPI job was started; a task that srun started through PMIx has
 * PMIX_RANK beside it. */
#define _GNU_SOURCE
#include "cluster/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "cluster/gather.h"
#include "cluster/job.h"
#include "cluster/spread.h"
#include "proto/join.h"
#include "worker/image/isolate.h"
#include "worker/worker.h"

#define JOIN_WAIT_MS 60000
#define JOIN_NAP_MS 50

enum { EXIT_DONE = 0, EXIT_INPUT = 3, EXIT_FAILED = 4, EXIT_STOPPED = 5 };

static volatile sig_atomic_t stop;

/* The first of these variables that holds a number; -1: none. */
static int number_in(const char *const *names)
{
    int64_t v;

    for (; *names; names++) {
        const char *text = getenv(*names);

        if (text && fm_parse_int(text, 0, INT32_MAX, &v))
            return (int)v;
    }
    return -1;
}

int fm_crew_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", NULL};

    return number_in(names);
}

int fm_crew_size(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", NULL};
    int size = fm_crew_rank() < 0 ? 1 : number_in(names);

    return size < 1 ? 1 : size;
}

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

/* The join file, which may be on its way still. */
static int wait_for_join(const char *path, fm_join *join, fm_err *err)
{
    uint64_t end = fm_clock_ms() + JOIN_WAIT_MS;
    int rc;

    while ((rc = fm_join_read(path, join, err)) == -ENOENT && !stop && fm_clock_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = JOIN_NAP_MS * 1000000}, NULL);
    if (rc == 0 && join->crew)
        unlink(path);       /* nobody else needs the key in it */
    return rc;
}

/* Rank 0 reads, all get the same bytes.  They hold keys: no copy outlives this call but the decoded one. */
static int get_join(const char *path, int rank, fm_join *join, fm_err *err)
{
    fm_buf bytes = FM_BUF_INIT;
    uint64_t size = 0;
    int rc = 0;

    if (rank == 0 && !path)
        rc = -ECANCELED;
    else if (rank == 0 && (rc = wait_for_join(path, join, err)) == 0) {
        fm_join_encode(join, &bytes);
        size = bytes.size;
        if (bytes.failed)
            rc = fm_fail_nomem(err, "join file", size);
    }
    rc = fm_agree(MPI_COMM_WORLD, rc, err);
    if (rc == 0)
        rc = fm_bcast_bytes(MPI_COMM_WORLD, &size, sizeof size, err);
    if (rc == 0 && rank != 0 && !fm_buf_add(&bytes, size))
        rc = fm_fail_nomem(err, "join file", size);
    rc = fm_agree(MPI_COMM_WORLD, rc, err);
    if (rc == 0)
        rc = fm_bcast_bytes(MPI_COMM_WORLD, bytes.data, size, err);
    if (rc == 0 && rank != 0)
        rc = fm_join_decode(bytes.data, bytes.size, join, err);
    rc = fm_agree(MPI_COMM_WORLD, rc, err);
    if (bytes.data)
        sodium_memzero(bytes.data, bytes.size);
    fm_buf_fini(&bytes);
    return rc;
}

static int run_worker(const fm_join *join, const fm_models *models, fm_isolate *isolate, uint32_t crew, int rank,
                      fm_err *err)
{
    fm_worker_spec spec = {.join = join, .models = models, .isolate = isolate, .crew = crew, .rank = (uint32_t)rank, .stop = &stop};

    return fm_worker_run(&spec, err);
}

int fm_crew_main(const char *join_file, uint32_t crew)
{
    static fm_join join;    /* several paths long */
    const fm_models *models = NULL;
    fm_spread *spread = NULL;
    fm_isolate *isolate = NULL;
    fm_err err = FM_ERR_INIT;
    char what[32];
    int rank = 0, rc;

    catch_signals();
    snprintf(what, sizeof what, "crew %u", crew);
    rc = fm_isolate_start(&isolate, &err);
    if (rc == 0)
        rc = fm_job_begin(what, &rank, &err);
    if (rc != 0) {
        fm_error("%s", err.text);
        return EXIT_FAILED;
    }
    rc = get_join(join_file, rank, &join, &err);
    if (rc == 0)
        rc = fm_spread_models(MPI_COMM_WORLD, &join, &spread, &models, &err);
    if (rc != 0 && rc != -ECANCELED && rank == 0 && !stop)
        fm_error("%s", err.text);
    if (rc == 0 && (rc = run_worker(&join, models, isolate, crew, rank, &err)) != 0) {
        fm_error("%s", err.text);
        fm_job_abort(EXIT_FAILED);
    }
    sodium_memzero(&join, sizeof join);
    fm_spread_destroy(spread);
    fm_isolate_end(isolate);
    fm_job_end();
    if (stop)
        return EXIT_STOPPED;
    return rc == 0 || rc == -ECANCELED ? EXIT_DONE : rc == -ENOMEM || rc == -EIO ? EXIT_FAILED : EXIT_INPUT;
}

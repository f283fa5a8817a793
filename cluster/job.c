/* Errors return instead of ending the job, because whoever gets one knows what it
 * was doing and can say so.  The price is that a rank that fails alone must tell
 * the others: fm_agree(), or fm_job_abort().
 *
 * A rank dies with the mpirun (or its daemon) that started it, even when that was
 * killed and the rank is stopped: the kernel sees to it.  Under srun SLURM does. */
#define _GNU_SOURCE
#include "cluster/job.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"

/* For thousands of ranks to find each other.  Rarely a step of srun's whose PMIx lost a message never does: such a
 * rank then ends, srun ends the others, and whoever started the job tries again. */
#define START_SECONDS 120

/* Ranks that cannot be traced (jobs/main.c) cannot be read by their neighbours either: Open MPI and UCX copy large
 * messages through shared memory instead.  Whoever sets these differently is left alone. */
static void do_without_reading_neighbours(void)
{
    if (prctl(PR_GET_DUMPABLE) == 1)
        return;
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);     /* Open MPI 4 */
    setenv("OMPI_MCA_btl_sm_single_copy_mechanism", "none", 0);        /* Open MPI 5 */
    setenv("OMPI_MCA_smsc", "^cma", 0);
    setenv("UCX_TLS", "^cma", 0);
}

int fm_job_begin(const char *what, int *rank, fm_err *err)
{
    char who[64];
    int provided;

    if (getenv("OMPI_COMM_WORLD_RANK") || getenv("HYDI_CONTROL_FD"))
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    do_without_reading_neighbours();
    alarm(fm_fault("mpi.patience") ? 1 : START_SECONDS);
    fm_fault("mpi.start");
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
        return fm_fail(err, -EIO, "MPI does not start: see what it printed, and facemill doctor");
    alarm(0);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    snprintf(who, sizeof who, "%s rank %d", what, *rank);
    fm_log_set_who(who);
    return 0;
}

void fm_job_end(void)
{
    MPI_Finalize();
}

void fm_job_abort(int status)
{
    fflush(NULL);
    MPI_Abort(MPI_COMM_WORLD, status);
    _Exit(status);
}

/* mpirun and srun tell a process what it is through variables; a process that
 * starts another job with them in place makes that job believe it is the outer one
 * (Open MPI then waits for the outer daemon, or srun takes the outer step's
 * layout).  What describes the allocation stays: it is how both find their nodes. */
#include "cluster/environment.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static const char *const ours[] = {
    /* Open MPI 4 and 5 (PRRTE) */
    "OMPI_COMM_", "OMPI_UNIVERSE_", "OMPI_FILE_", "OMPI_APP_", "OMPI_ARGV", "OMPI_COMMAND", "OMPI_NUM_", "OMPI_FIRST_",
    "PMIX_", "PMI_", "PMI2_",
    /* Hydra of MPICH */
    "HYDI_", "MPI_LOCALNRANKS", "MPI_LOCALRANKID", "MPIR_CVAR_CH3_INTERFACE_HOSTNAME",
    /* SLURM's job step */
    "SLURM_STEP", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_GTIDS", "SLURM_TASK_PID", "SLURM_SRUN_", "SLURM_LAUNCH_NODE",
    "SLURM_CPU_BIND", "SLURM_MEM_BIND", "SLURM_DISTRIBUTION", "SLURM_MPI_TYPE", "SLURM_PMIX", "SLURM_NTASKS",
    "SLURM_NPROCS", "SLURM_CPUS_PER_TASK", "SLURM_UMASK", "SLURM_TRES_PER_TASK", "SLURM_EXACT", "SLURM_OVERCOMMIT",
    "SRUN_",
};

static const char *const ours_in_mpirun[] = {
    "OMPI_MCA_ess", "OMPI_MCA_orte_", "OMPI_MCA_pmix", "OMPI_MCA_shmem_RUNTIME_", "OMPI_MCA_initial_wdir", "ORTE_", "PRTE_",
};

static const struct { const char *name, *value; } always[] = {
    {"OPENBLAS_NUM_THREADS", "1"},
    {"OMP_NUM_THREADS", "1"},
    {"OMPI_MCA_mpi_yield_when_idle", "1"},
    {"OMPI_MCA_hwloc_base_binding_policy", "none"},
};

static bool begins_with_one(const char *name, const char *const *stems, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(name, stems[i], strlen(stems[i])) == 0)
            return true;
    return false;
}

bool fm_environment_is_ours(const char *name, bool in_mpirun)
{
    return begins_with_one(name, ours, sizeof ours / sizeof *ours) ||
           (in_mpirun && begins_with_one(name, ours_in_mpirun, sizeof ours_in_mpirun / sizeof *ours_in_mpirun));
}

void fm_environment_copy(fm_words *out)
{
    bool in_mpirun = getenv("OMPI_COMM_WORLD_RANK") != NULL;

    for (char **e = environ; e && *e; e++)
        if (!fm_environment_is_ours(*e, in_mpirun))
            fm_words_add(out, *e);
}

void fm_environment_for_job(fm_words *out)
{
    fm_environment_copy(out);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        fm_words_set(out, always[i].name, always[i].value);
    if (geteuid() == 0) {       /* mpirun refuses root otherwise; nobody else needs it */
        fm_words_set(out, "OMPI_ALLOW_RUN_AS_ROOT", "1");
        fm_words_set(out, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
}

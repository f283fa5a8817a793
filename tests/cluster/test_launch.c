/* Starting, watching and ending MPI jobs: real mpirun, this program as the ranks. */
#define _GNU_SOURCE
#include "tests/cluster/ranks.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "cluster/cores.h"
#include "cluster/crew.h"
#include "cluster/environment.h"
#include "cluster/job.h"
#include "cluster/launch.h"
#include "cluster/memory.h"
#include "cluster/process.h"
#include "cluster/slurm.h"

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

/* --- ranks of the jobs below: `crew DIR N` and `stage WHAT DIR` --- */

/* Leave a file DIR/rank.PID, then do what is named. */
static int be_rank(const char *what, const char *dir)
{
    char path[FM_PATH_MAX], text[32];
    int rank, before = fm_crew_rank(), size = fm_crew_size(), n;

    if (fm_job_begin("test", &rank, NULL) != 0)
        return 9;
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    snprintf(path, sizeof path, "%s/rank.%ld", dir, (long)getpid());
    snprintf(text, sizeof text, "%d %d", rank == before, n == size);
    if (fm_file_write(path, text, strlen(text), NULL) != 0)
        return 8;
    MPI_Barrier(MPI_COMM_WORLD);
    if (strcmp(what, "hang") == 0)
        for (;;)
            nap();
    if (strcmp(what, "abort") == 0 && rank == 1) {
        fm_error("rank 1 cannot go on");
        fm_job_abort(4);
    }
    if (strcmp(what, "kill") == 0 && rank == 1)
        raise(SIGKILL);
    if (strcmp(what, "fail") == 0 && rank == 0)
        fm_error("there is no plan");
    fm_job_end();
    return strcmp(what, "fail") == 0 ? 3 : 0;
}

static int count_ranks(const char *dir, bool alive)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d)))
        if (strncmp(e->d_name, "rank.", 5) == 0 && !strstr(e->d_name, "tmp"))
            n += !alive || kill((pid_t)atol(e->d_name + 5), 0) == 0;
    if (d)
        closedir(d);
    return n;
}

/* Until there are so many rank files, or so few ranks alive; false after 20 s. */
static bool await(const char *dir, bool alive, int n)
{
    for (uint64_t end = fm_clock_ms() + 20000; fm_clock_ms() < end; nap())
        if (count_ranks(dir, alive) == n)
            return true;
    return false;
}

static fm_launcher *launcher(uint32_t ranks, const char *log_dir)
{
    static char self[FM_PATH_MAX];
    fm_launch_spec spec = {.program = self, .log_dir = log_dir, .nodes = 1, .ranks = ranks};
    fm_err err = FM_ERR_INIT;
    fm_launcher *l = NULL;

    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    unsetenv("SLURM_JOB_ID");
    if (fm_launcher_create(&spec, &l, &err) != 0)
        check_failed(__FILE__, __LINE__, "%s", err.text);
    return l;
}

static const char *sub(const char *name)
{
    static char path[4][FM_PATH_MAX];
    static int next;
    char *p = path[next++ % 4];

    snprintf(p, FM_PATH_MAX, "%s/%s", check_tmpdir(), name);
    CHECK(fm_dir_make(p, NULL) == 0);
    return p;
}

/* Start crew 0 to do that; its ranks have left their files when this returns. */
static bool start(const fm_crew_ops *ops, const char *dir, int ranks)
{
    fm_err err = FM_ERR_INIT;

    if (ops->start(ops->ctx, 0, dir, &err) != 0) {
        check_failed(__FILE__, __LINE__, "%s", err.text);
        return false;
    }
    return CHECK(await(dir, false, ranks));
}

static bool await_end(const fm_crew_ops *ops, int *status)
{
    bool ended = false;

    for (uint64_t end = fm_clock_ms() + 20000; !ended && fm_clock_ms() < end; nap())
        CHECK(ops->poll(ops->ctx, 0, &ended, status, NULL) == 0);
    return ended;
}

static void crews_start_end_and_start_again(void)
{
    const char *dir = sub("quick");
    fm_launcher *l = launcher(3, sub("log"));
    fm_crew_ops ops;
    int status = -1;

    REQUIRE(l);
    CHECK_INT(fm_launcher_ranks(l), 3);
    CHECK_STR(fm_launcher_words(l), "mpirun, 1 crew of 3 ranks");
    fm_launcher_crew_ops(l, &ops);
    CHECK_INT(ops.crews, 1);
    CHECK(!ops.remote);
    for (int i = 1; i <= 2; i++) {
        REQUIRE(start(&ops, dir, 3 * i));
        CHECK(await_end(&ops, &status));
        CHECK_INT(status, 0);
    }
    CHECK_INT(count_ranks(dir, true), 0);
    fm_launcher_destroy(l);
}

/* Ranks know who they are before MPI starts. */
static void ranks_know_their_number(void)
{
    const char *dir = sub("quick");
    fm_launcher *l = launcher(2, NULL);
    fm_crew_ops ops;
    struct dirent *e;
    DIR *d;
    int status, n = 0;

    REQUIRE(l);
    fm_launcher_crew_ops(l, &ops);
    REQUIRE(start(&ops, dir, 2) && await_end(&ops, &status));
    d = opendir(dir);
    while (d && (e = readdir(d))) {
        char path[FM_PATH_MAX];
        fm_buf text = FM_BUF_INIT;

        snprintf(path, sizeof path, "%.2000s/%s", dir, e->d_name);
        if (strncmp(e->d_name, "rank.", 5) == 0 && CHECK(fm_file_read(path, 100, &text, NULL) == 0))
            n += text.size == 3 && memcmp(text.data, "1 1", 3) == 0;
        fm_buf_fini(&text);
    }
    closedir(d);
    CHECK_INT(n, 2);
    fm_launcher_destroy(l);
    CHECK_INT(fm_crew_rank(), -1);      /* this process was started by hand */
    CHECK_INT(fm_crew_size(), 1);
    setenv("SLURM_PROCID", "0", 1);     /* as in a batch script */
    CHECK_INT(fm_crew_rank(), -1);
    setenv("PMIX_RANK", "3", 1);        /* as in a task of srun --mpi=pmix */
    setenv("SLURM_STEP_NUM_TASKS", "7", 1);
    CHECK_INT(fm_crew_rank(), 3);
    CHECK_INT(fm_crew_size(), 7);
    unsetenv("PMIX_RANK");
    unsetenv("SLURM_PROCID");
    unsetenv("SLURM_STEP_NUM_TASKS");
}

static void a_dead_rank_ends_its_crew(void)
{
    static const char *const how[] = {"kill", "abort"};

    for (size_t i = 0; i < 2; i++) {
        const char *dir = sub(how[i]);
        fm_launcher *l = launcher(3, sub("log"));
        fm_crew_ops ops;
        int status = 0;

        REQUIRE(l);
        fm_launcher_crew_ops(l, &ops);
        REQUIRE(start(&ops, dir, 3));
        CHECK(await_end(&ops, &status));
        CHECK(status != 0);
        CHECK(await(dir, true, 0));
        fm_launcher_destroy(l);
    }
}

static void a_stopped_crew_is_gone(void)
{
    const char *dir = sub("hang");
    fm_launcher *l = launcher(2, sub("log"));
    fm_crew_ops ops;
    bool ended = false;
    int status;

    REQUIRE(l);
    fm_launcher_crew_ops(l, &ops);
    REQUIRE(start(&ops, dir, 2));
    CHECK(ops.start(ops.ctx, 0, dir, NULL) == -EINVAL);     /* it runs already */
    CHECK_INT(count_ranks(dir, true), 2);
    ops.stop(ops.ctx, 0);
    CHECK_INT(ops.poll(ops.ctx, 0, &ended, &status, NULL), 0);
    CHECK(ended && status != 0);
    CHECK(await(dir, true, 0));
    fm_launcher_destroy(l);
}

/* A coordinator killed with SIGKILL, or its mpirun: the ranks do not outlive it, not even a stopped one. */
static void ranks_do_not_outlive_who_started_them(void)
{
    const char *dir = sub("hang");
    pid_t child = fork();
    fm_launcher *l;
    fm_crew_ops ops;

    if (child == 0) {
        l = launcher(2, sub("log"));
        fm_launcher_crew_ops(l, &ops);
        start(&ops, dir, 2);
        for (;;)
            nap();
    }
    CHECK(await(dir, false, 2));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(await(dir, true, 0));
}

static pid_t parent_of(pid_t pid)
{
    char path[64], name[64];
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    f = fopen(path, "re");
    if (!f || fscanf(f, "%*d %63s %*c %d", name, &parent) != 2)
        parent = 0;
    if (f)
        fclose(f);
    return (pid_t)parent;
}

static void ranks_die_with_a_killed_mpirun(void)
{
    const char *dir = sub("hang");
    fm_launcher *l = launcher(2, sub("log"));
    fm_crew_ops ops;
    struct dirent *e;
    int status = 0;
    pid_t mpirun = 0;
    DIR *d;

    REQUIRE(l);
    fm_launcher_crew_ops(l, &ops);
    REQUIRE(start(&ops, dir, 2));
    d = opendir(dir);
    while (d && (e = readdir(d)))
        if (strncmp(e->d_name, "rank.", 5) == 0) {
            mpirun = parent_of((pid_t)atol(e->d_name + 5));
            kill((pid_t)atol(e->d_name + 5), SIGSTOP);      /* cannot notice anything by itself */
        }
    closedir(d);
    REQUIRE(mpirun > 1);
    kill(mpirun, SIGKILL);
    CHECK(await_end(&ops, &status));
    CHECK(status == 128 + SIGKILL || status == 255);    /* Open MPI's mpirun is the ranks' parent; Hydra's outlives its proxy */
    CHECK(await(dir, true, 0));
    fm_launcher_destroy(l);
}

static volatile sig_atomic_t stop_stage;

static void on_alarm(int number)
{
    (void)number;
    stop_stage = 1;
}

static void stages_are_waited_for(void)
{
    const char *log = sub("log"), *dir = sub("stage");
    const char *good[] = {"good", dir}, *bad[] = {"fail", dir}, *hang[] = {"hang", dir};
    fm_launcher *l = launcher(2, log);
    fm_err err = FM_ERR_INIT;

    REQUIRE(l);
    CHECK_INT(fm_launcher_stage(l, good, 2, NULL, &err), 0);
    CHECK_INT(fm_launcher_stage(l, bad, 2, NULL, &err), -EIO);
    if (!strstr(err.text, "there is no plan"))
        check_failed(__FILE__, __LINE__, "%s", err.text);
    CHECK_INT(count_ranks(dir, false), 4);
    signal(SIGALRM, on_alarm);
    stop_stage = 0;
    alarm(2);
    CHECK_INT(fm_launcher_stage(l, hang, 2, &stop_stage, &err), -EINTR);
    CHECK(await(dir, true, 0));
    fm_launcher_destroy(l);
}

/* Ranks that wait for ever to find each other end by themselves, and the next try is another one. */
static void a_start_that_hangs_ends(void)
{
    const char *dir = sub("patience");
    const char *good[] = {"good", dir};
    fm_launcher *l = launcher(2, sub("log"));

    REQUIRE(l);
    setenv("FACEMILL_FAULT", "mpi.patience,mpi.start:1:hang", 1);
    CHECK_INT(fm_launcher_stage(l, good, 2, NULL, NULL), -EIO);
    CHECK_INT(count_ranks(dir, false), 0);
    unsetenv("FACEMILL_FAULT");
    CHECK_INT(fm_launcher_stage(l, good, 2, NULL, NULL), 0);
    fm_launcher_destroy(l);
}

static void missing_launchers_are_named(void)
{
    const char *path = getenv("PATH");
    char *kept = strdup(path ? path : "");
    fm_launch_spec spec = {.program = "/bin/true", .ranks = 1};
    fm_err err = FM_ERR_INIT;
    fm_launcher *l;

    setenv("PATH", sub("empty"), 1);
    CHECK_INT(fm_launcher_create(&spec, &l, &err), -ENOENT);
    CHECK(strstr(err.text, "mpirun") != NULL);
    setenv("PATH", kept, 1);
    free(kept);
}

static void programs_that_do_not_start_are_errors(void)
{
    fm_words argv = FM_WORDS_INIT, env = FM_WORDS_INIT;
    fm_err err = FM_ERR_INIT;
    fm_buf out = FM_BUF_INIT;
    pid_t pid;

    fm_environment_copy(&env);
    fm_words_add(&argv, "/nowhere/program");
    CHECK_INT(fm_process_start(&argv, &env, NULL, &pid, &err), -ENOENT);
    CHECK(strstr(err.text, "/nowhere/program") != NULL);
    fm_words_fini(&argv);
    fm_words_add(&argv, "/bin/echo");
    fm_words_add(&argv, "a b'; $x");        /* no shell sees it */
    CHECK_INT(fm_process_capture(&argv, &env, 5000, &out, &err), 0);
    CHECK(out.size == 9 && memcmp(out.data, "a b'; $x\n", 9) == 0);
    fm_words_fini(&argv);
    fm_words_add(&argv, "/bin/sleep");
    fm_words_add(&argv, "60");
    CHECK_INT(fm_process_capture(&argv, &env, 100, &out, &err), -ETIMEDOUT);
    fm_words_fini(&argv);
    fm_words_fini(&env);
    fm_buf_fini(&out);
}

static void outer_jobs_leave_no_trace(void)
{
    static const struct { const char *name; bool ours, in_mpirun; } cases[] = {
        {"PMIX_RANK=1", true, true},          {"OMPI_COMM_WORLD_RANK=1", true, true}, {"SLURM_STEP_ID=0", true, true},
        {"SLURM_PROCID=0", true, true},       {"SLURM_NTASKS=4", true, true},         {"SLURM_JOB_ID=4", false, false},
        {"SLURM_JOB_NODELIST=n", false, false}, {"SLURM_CONF=/etc", false, false},    {"PATH=/bin", false, false},
        {"OMPI_MCA_btl=self", false, false},  {"OMPI_MCA_orte_tmpdir_base=/x", false, true},
        {"OMPI_MCA_ess=env", false, true},    {"HYDI_CONTROL_FD=7", true, true},
        {"MPI_LOCALRANKID=0", true, true},    {"OMPI_ALLOW_RUN_AS_ROOT=1", false, false},
    };
    fm_words env = FM_WORDS_INIT;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(fm_environment_is_ours(cases[i].name, false), cases[i].ours);
        CHECK_INT(fm_environment_is_ours(cases[i].name, true), cases[i].in_mpirun);
    }
    setenv("OPENBLAS_NUM_THREADS", "8", 1);
    fm_environment_for_job(&env);
    for (size_t i = 0, n = 0; i < env.n; i++)
        if (strncmp(env.v[i], "OPENBLAS_NUM_THREADS=", 21) == 0) {
            CHECK_STR(env.v[i] + 21, "1");
            CHECK_INT(++n, 1);
        }
    CHECK(!env.failed && env.v[env.n] == NULL);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    fm_words_fini(&env);
}

static void slurm_speaks(void)
{
    CHECK_INT(fm_slurm_cpus_of("4", 0), 4);
    CHECK_INT(fm_slurm_cpus_of("4(x2),2", 1), 4);
    CHECK_INT(fm_slurm_cpus_of("4(x2),2", 2), 2);
    CHECK_INT(fm_slurm_cpus_of("4(x2),2", 3), 0);
    CHECK_INT(fm_slurm_cpus_of("nonsense", 0), 0);
    CHECK_INT(fm_slurm_cpus_of("4(x", 0), 0);
    CHECK_INT(fm_slurm_cpus_of(NULL, 0), 0);
    CHECK(fm_slurm_names_pmix("MPI plugin types are...\n\tnone\n\tpmi2\n\tpmix\nspecific pmix plugin versions available: pmix_v4\n"));
    CHECK(fm_slurm_names_pmix("srun: none cray_shasta pmi2 pmix_v3"));
    CHECK(!fm_slurm_names_pmix("MPI plugin types are...\n\tnone\n\tpmi2\n"));
    CHECK(!fm_slurm_names_pmix("pmixer"));
}

static void put(const char *root, const char *path, const char *text)
{
    char full[FM_PATH_MAX], *slash;

    snprintf(full, sizeof full, "%.1000s/%s", root, path);
    slash = strrchr(full, '/');
    *slash = '\0';
    CHECK(fm_dir_make(full, NULL) == 0);
    *slash = '/';
    CHECK(fm_file_write(full, text, strlen(text), NULL) == 0);
}

static void quotas_bound_the_cores(void)
{
    static const struct { const char *cgroup, *path, *text, *path2, *text2; int cores; } cases[] = {
        {"0::/\n", "sys/fs/cgroup/cpu.max", "200000 100000\n", NULL, NULL, 2},
        {"0::/\n", "sys/fs/cgroup/cpu.max", "max 100000\n", NULL, NULL, 8},
        {"0::/\n", "sys/fs/cgroup/cpu.max", "150000 100000\n", NULL, NULL, 2},
        {"0::/\n", "sys/fs/cgroup/cpu.max", "10000 100000\n", NULL, NULL, 1},
        {"0::/\n", "sys/fs/cgroup/cpu.max", "9900000 100000\n", NULL, NULL, 8},
        {"0::/a/b\n", "sys/fs/cgroup/a/cpu.max", "300000 100000\n", "sys/fs/cgroup/a/b/cpu.max", "max 100000\n", 3},
        {"0::/a/b\n", "sys/fs/cgroup/a/cpu.max", "700000 100000\n", "sys/fs/cgroup/a/b/cpu.max", "400000 100000\n", 4},
        {"4:cpu,cpuacct:/a\n3:memory:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "200000\n",
         "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n", 2},
        {"4:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1\n",
         "sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n", 8},
        {"nonsense\n", "x", "", NULL, NULL, 8},
    };
    char name[16];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *root;

        snprintf(name, sizeof name, "root%zu", i);
        root = sub(name);
        put(root, "proc/self/cgroup", cases[i].cgroup);
        put(root, cases[i].path, cases[i].text);
        if (cases[i].path2)
            put(root, cases[i].path2, cases[i].text2);
        if (fm_cores_granted_under(root, 8) != cases[i].cores)
            check_failed(__FILE__, __LINE__, "case %zu: %d cores", i, fm_cores_granted_under(root, 8));
    }
    CHECK_INT(fm_cores_granted_under("/nowhere", 5), 5);
    CHECK(fm_cores_granted() >= 1);
}

static void grants_bound_the_memory(void)
{
    static const struct { const char *cgroup, *path, *text, *path2, *text2; uint64_t bytes; } cases[] = {
        {"0::/\n", "sys/fs/cgroup/memory.max", "1073741824\n", NULL, NULL, 1ull << 30},
        {"0::/\n", "sys/fs/cgroup/memory.max", "max\n", NULL, NULL, UINT64_MAX},
        {"0::/slurm/job/step\n", "sys/fs/cgroup/slurm/job/memory.max", "4294967296\n",
         "sys/fs/cgroup/slurm/job/step/memory.max", "max\n", 4ull << 30},
        {"0::/a/b\n", "sys/fs/cgroup/a/memory.max", "4294967296\n", "sys/fs/cgroup/a/b/memory.max", "2147483648\n", 2ull << 30},
        {"4:cpu,cpuacct:/a\n3:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3221225472\n",
         "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n", 3ull << 30},
        {"3:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n", NULL, NULL, UINT64_MAX},
        {"3:memory:/of/the/host\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n", NULL, NULL, 2ull << 30},
        {"nonsense\n", "x", "", NULL, NULL, UINT64_MAX},
    };
    char name[16];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *root;

        snprintf(name, sizeof name, "memory%zu", i);
        root = sub(name);
        put(root, "proc/self/cgroup", cases[i].cgroup);
        put(root, cases[i].path, cases[i].text);
        if (cases[i].path2)
            put(root, cases[i].path2, cases[i].text2);
        if (fm_memory_granted_under(root) != cases[i].bytes)
            check_failed(__FILE__, __LINE__, "case %zu: %llu bytes", i, (unsigned long long)fm_memory_granted_under(root));
    }
    CHECK(fm_memory_granted_under("/nowhere") == UINT64_MAX);
    CHECK_INT(fm_memory_ranks(0), 1);
    CHECK_INT(fm_memory_ranks(767ull << 20), 1);
    CHECK_INT(fm_memory_ranks(768ull << 20), 2);
    CHECK_INT(fm_memory_ranks(16ull << 30), 63);
    CHECK(fm_memory_ranks(UINT64_MAX) == UINT32_MAX);
}

static void slurm_grants_memory(void)
{
    CHECK(fm_slurm_memory_of("4000", NULL, 2) == 4000ull << 20);
    CHECK(fm_slurm_memory_of("4000", "100", 2) == 4000ull << 20);
    CHECK(fm_slurm_memory_of(NULL, "500", 4) == 2000ull << 20);
    CHECK(fm_slurm_memory_of("0", NULL, 4) == UINT64_MAX);          /* --mem=0: all of the node */
    CHECK(fm_slurm_memory_of("0", "500", 2) == 1000ull << 20);
    CHECK(fm_slurm_memory_of("lots", "", 2) == UINT64_MAX);
    CHECK(fm_slurm_memory_of(NULL, NULL, 2) == UINT64_MAX);
    CHECK(fm_slurm_memory_of("99999999999999999999", NULL, 2) == UINT64_MAX);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        CHECK_CASE(quotas_bound_the_cores), CHECK_CASE(grants_bound_the_memory), CHECK_CASE(slurm_grants_memory),
        CHECK_CASE(slurm_speaks), CHECK_CASE(outer_jobs_leave_no_trace),
        CHECK_CASE(programs_that_do_not_start_are_errors), CHECK_CASE(missing_launchers_are_named),
        CHECK_CASE(crews_start_end_and_start_again), CHECK_CASE(ranks_know_their_number),
        CHECK_CASE(a_dead_rank_ends_its_crew), CHECK_CASE(a_stopped_crew_is_gone),
        CHECK_CASE(ranks_do_not_outlive_who_started_them), CHECK_CASE(ranks_die_with_a_killed_mpirun),
        CHECK_CASE(stages_are_waited_for), CHECK_CASE(a_start_that_hangs_ends),
    };
    const char *slash = argc == 4 ? strrchr(argv[2], '/') : NULL;

    if (slash && strcmp(argv[1], "crew") == 0)      /* crew DIR/WHAT N */
        return be_rank(slash + 1, argv[2]);
    if (argc == 4 && strcmp(argv[1], "stage") == 0)
        return be_rank(argv[2], argv[3]);
    return check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}

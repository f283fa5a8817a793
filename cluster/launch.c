/* Crews and stages as child processes: mpirun, or srun, one for each.
 *
 * How they end.  Asked to stop, a child is sent SIGUSR1 first, which mpirun and srun
 * hand to their ranks: workers seal and leave.  Only then SIGTERM, after which mpirun
 * gives its ranks one second.  When we die, even by SIGKILL, the kernel sends our
 * children SIGTERM (PR_SET_PDEATHSIG); ranks of an mpirun that was itself killed die
 * with it (cluster/job.c).  srun hands SIGTERM to its tasks, and SLURM ends a step
 * whose srun is gone.  Whatever gets past all this leaves by itself after
 * FM_SILENCE_MS.
 *
 * Rejected: a shell in between (quoting, one more process to signal); starting
 * ranks without mpirun (that is mpirun's job). */
#define _GNU_SOURCE
#include "cluster/launch.h"

#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "cluster/cores.h"
#include "cluster/environment.h"
#include "cluster/memory.h"
#include "cluster/process.h"
#include "cluster/slurm.h"
#include "cluster/stage_key.h"

#define STOP_SOFT_MS 20000      /* to seal a segment of a gigabyte */
#define STOP_HARD_MS 5000
#define NAP_MS 20
#define TAIL_BYTES 16384

/* mpirun is of the MPI that mpicc linked us to: Open MPI's, or Hydra of MPICH and of what is made from it.  Of these few
 * speak PMIx, and who does not is alone after `srun --mpi=pmix`: Hydra starts ranks in an allocation, too. */
#ifdef OPEN_MPI
#define OPEN_MPI_HERE true
#else
#define OPEN_MPI_HERE false
#endif

typedef struct {
    pid_t pid;                  /* 0: none runs */
    int status;                 /* of the last one */
} crew;

struct fm_launcher {
    char program[FM_PATH_MAX], log_dir[FM_PATH_MAX];
    char mpirun[FM_PATH_MAX], srun[FM_PATH_MAX];
    bool in_slurm;
    fm_slurm slurm;             /* in_slurm */
    uint32_t crews;
    uint32_t *ranks;            /* [crews] */
    crew *crew;                 /* [crews] */
    bool fewer;                 /* ranks than cores: memory for more was not granted */
    char words[160];
};

static uint32_t total_ranks(const fm_launcher *l)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < l->crews; i++)
        sum += l->ranks[i];
    return sum;
}

/* Bytes that crew i may use.  What the batch step's own cgroup grants is known of the node we are on. */
static uint64_t memory_of(const fm_launcher *l, uint32_t i)
{
    uint64_t told = l->in_slurm ? l->slurm.nodes[i].memory : UINT64_MAX;
    uint64_t here = !l->in_slurm || (i == 0 && l->slurm.here) ? fm_memory_granted() : UINT64_MAX;

    return told < here ? told : here;
}

/* Ranks of crew i: those asked for spread evenly, or one for each core granted there that the memory granted there holds. */
static uint32_t ranks_of(fm_launcher *l, uint32_t asked, uint32_t i)
{
    uint32_t cores = l->in_slurm ? l->slurm.nodes[i].cpus : (uint32_t)fm_cores_granted();
    uint32_t held = fm_memory_ranks(memory_of(l, i));

    if (asked)
        return asked / l->crews + (i < asked % l->crews);
    l->fewer = l->fewer || held < cores;
    return held < cores ? held : cores;
}

static int plan_crews(fm_launcher *l, const fm_launch_spec *spec, fm_err *err)
{
    uint32_t nodes = l->in_slurm ? l->slurm.n : 1;

    l->crews = spec->nodes && spec->nodes < nodes ? spec->nodes : nodes;
    if (spec->ranks && spec->ranks < l->crews)
        l->crews = spec->ranks;
    l->ranks = calloc(l->crews, sizeof *l->ranks);
    l->crew = calloc(l->crews, sizeof *l->crew);
    if (!l->ranks || !l->crew)
        return fm_fail_nomem(err, "crews", l->crews * (sizeof *l->ranks + sizeof *l->crew));
    for (uint32_t i = 0; i < l->crews; i++)
        l->ranks[i] = ranks_of(l, spec->ranks, i);
    return 0;
}

/* Where we are and which program starts ranks here. */
static int look_around(fm_launcher *l, fm_err *err)
{
    int rc = fm_slurm_find(&l->slurm, err);

    if (rc != 0 && rc != -ENOENT)
        return rc;
    l->in_slurm = rc == 0;
    if (OPEN_MPI_HERE && l->in_slurm && l->slurm.pmix && fm_program_find("srun", l->srun, sizeof l->srun))
        return 0;
    l->srun[0] = '\0';
    if (fm_program_find("mpirun", l->mpirun, sizeof l->mpirun))
        return 0;
    return fm_fail(err, -ENOENT, "mpirun is not in $PATH%s: install Open MPI (./setup does) or load its module",
                   l->in_slurm ? " and this SLURM has no PMIx" : "");
}

static void describe(fm_launcher *l)
{
    uint32_t most = 0, least = UINT32_MAX;

    for (uint32_t i = 0; i < l->crews; i++) {
        most = l->ranks[i] > most ? l->ranks[i] : most;
        least = l->ranks[i] < least ? l->ranks[i] : least;
    }
    snprintf(l->words, sizeof l->words, "%s, %u crew%s of %s%u rank%s%s%s", l->srun[0] ? "srun with PMIx" : "mpirun",
             l->crews, l->crews == 1 ? "" : "s", most > least ? "up to " : "", most, most == 1 ? "" : "s",
             l->fewer ? " (memory for one a core was not granted)" : "", l->in_slurm ? ", in a SLURM allocation" : "");
}

int fm_launcher_create(const fm_launch_spec *spec, fm_launcher **out, fm_err *err)
{
    fm_launcher *l = calloc(1, sizeof *l);
    int rc = 0;

    if (!l)
        return fm_fail_nomem(err, "launcher", sizeof *l);
    if (strlen(spec->program) >= sizeof l->program || (spec->log_dir && strlen(spec->log_dir) >= sizeof l->log_dir))
        rc = fm_fail(err, -ENAMETOOLONG, "%s: path too long", spec->program);
    if (rc == 0) {
        snprintf(l->program, sizeof l->program, "%s", spec->program);
        snprintf(l->log_dir, sizeof l->log_dir, "%s", spec->log_dir ? spec->log_dir : "");
        rc = look_around(l, err);
    }
    if (rc == 0)
        rc = plan_crews(l, spec, err);
    if (rc != 0) {
        fm_launcher_destroy(l);
        return rc;
    }
    describe(l);
    *out = l;
    return 0;
}

static void stop_crew(void *ctx, uint32_t i)
{
    fm_launcher *l = ctx;
    crew *c = &l->crew[i];

    if (i >= l->crews || c->pid == 0)
        return;
    fm_process_stop(c->pid, STOP_SOFT_MS, STOP_HARD_MS, &c->status);
    c->pid = 0;
}

void fm_launcher_destroy(fm_launcher *l)
{
    if (!l)
        return;
    for (uint32_t i = 0; l->crew && i < l->crews; i++)
        if (l->crew[i].pid)
            kill(l->crew[i].pid, SIGUSR1);      /* all at once, then wait for each */
    for (uint32_t i = 0; l->crew && i < l->crews; i++)
        stop_crew(l, i);
    fm_slurm_fini(&l->slurm);
    free(l->ranks);
    free(l->crew);
    free(l);
}

uint32_t fm_launcher_ranks(const fm_launcher *l)
{
    return total_ranks(l);
}

const char *fm_launcher_words(const fm_launcher *l)
{
    return l->words;
}

/* Whether a job of these crews' ranks takes in crew i: whose node is gone has none. */
static bool takes_part(const fm_launcher *l, uint32_t i, uint32_t n)
{
    return n == 1 || !l->in_slurm || !l->slurm.nodes[i].gone;
}

/* srun's words before the program: crews first .. first + n - 1, each on its node. */
static void srun_words(const fm_launcher *l, uint32_t first, uint32_t n, fm_words *argv)
{
    uint32_t most = 0, ranks = 0, on = 0;
    fm_buf nodes = FM_BUF_INIT;
    bool crowded = false;

    for (uint32_t i = first; i < first + n; i++) {
        const char *name = l->slurm.nodes[i].name;

        if (!takes_part(l, i, n))
            continue;
        on++;
        fm_buf_put(&nodes, name, strlen(name));
        fm_buf_put(&nodes, ",", 1);
        most = l->ranks[i] > most ? l->ranks[i] : most;
        ranks += l->ranks[i];
        crowded = crowded || l->ranks[i] > l->slurm.nodes[i].cpus;
    }
    if (nodes.failed || on == 0)
        argv->failed = true;
    else
        nodes.data[nodes.size - 1] = '\0';
    fm_words_add(argv, l->srun);
    fm_words_add(argv, "--mpi=pmix");
    fm_words_add(argv, "--overlap");            /* the step we may run in ourselves holds the same cores */
    fm_words_add(argv, "--input=none");
    fm_words_add(argv, "--cpu-bind=none");
    fm_words_add(argv, "--kill-on-bad-exit=1");
    fm_words_add(argv, "--distribution=block");
    if (crowded)
        fm_words_add(argv, "--overcommit");
    fm_words_printf(argv, "--nodes=%u", on);
    fm_words_printf(argv, "--ntasks=%u", ranks);
    fm_words_printf(argv, "--ntasks-per-node=%u", most);
    fm_words_add(argv, "--cpus-per-task=1");
    fm_words_printf(argv, "--nodelist=%s", argv->failed ? "" : (const char *)nodes.data);
    fm_buf_fini(&nodes);
}

static void mpirun_words(const fm_launcher *l, uint32_t first, uint32_t n, fm_words *argv)
{
    fm_buf hosts = FM_BUF_INIT;
    uint32_t ranks = 0;

    for (uint32_t i = first; i < first + n; i++)
        ranks += takes_part(l, i, n) ? l->ranks[i] : 0;
    fm_words_add(argv, l->mpirun);
    fm_words_add(argv, "-np");
    fm_words_printf(argv, "%u", ranks);
    if (OPEN_MPI_HERE)
        fm_words_add(argv, "--oversubscribe");  /* its count of slots is not ours: it counts cores, and no quota */
    fm_words_add(argv, "--bind-to");
    fm_words_add(argv, "none");
    if (!l->in_slurm)
        return;
    for (uint32_t i = first; i < first + n; i++) {
        char host[FM_NODE_NAME_MAX + 16];

        if (!takes_part(l, i, n))
            continue;
        fm_buf_put(&hosts, host, (size_t)snprintf(host, sizeof host, "%s%s:%u", hosts.size ? "," : "",
                                                  l->slurm.nodes[i].name, l->ranks[i]));
    }
    fm_buf_u8(&hosts, 0);
    fm_words_add(argv, OPEN_MPI_HERE ? "--host" : "-hosts");
    fm_words_add(argv, hosts.failed ? "" : (const char *)hosts.data);
    argv->failed = argv->failed || hosts.failed;
    fm_buf_fini(&hosts);
}

/* Where a job's output goes; "" for ours. */
static int log_path(const fm_launcher *l, const char *name, char *out, fm_err *err)
{
    int rc = 0;

    out[0] = '\0';
    if (l->log_dir[0])
        rc = fm_dir_make(l->log_dir, err);
    if (rc == 0 && l->log_dir[0])
        rc = fm_path_join(out, FM_PATH_MAX, l->log_dir, name, err);
    return rc;
}

/* Start `program WORD...` as one MPI job of these crews' ranks. */
static int start_job(fm_launcher *l, uint32_t first, uint32_t n, const fm_words *words, const char *log, pid_t *pid,
                     fm_err *err)
{
    fm_words argv = FM_WORDS_INIT, env = FM_WORDS_INIT;
    int rc;

    if (l->srun[0])
        srun_words(l, first, n, &argv);
    else
        mpirun_words(l, first, n, &argv);
    fm_words_add(&argv, l->program);
    for (size_t i = 0; i < words->n; i++)
        fm_words_add(&argv, words->v[i]);
    fm_environment_for_job(&env);
    argv.failed = argv.failed || words->failed;
    rc = fm_process_start(&argv, &env, log[0] ? log : NULL, pid, err);
    fm_words_fini(&argv);
    fm_words_fini(&env);
    return rc;
}

int fm_launcher_start(fm_launcher *l, uint32_t i, uint32_t number, const char *join_file, fm_err *err)
{
    fm_words words = FM_WORDS_INIT;
    char log[FM_PATH_MAX], name[32];
    int rc;

    if (i >= l->crews || l->crew[i].pid != 0)
        return fm_fail(err, -EINVAL, "crew %u is not one of %u, or runs already", i, l->crews);
    snprintf(name, sizeof name, "crew-%u.log", number);
    rc = log_path(l, name, log, err);
    if (rc != 0)
        return rc;
    fm_words_add(&words, "crew");
    fm_words_add(&words, join_file);
    fm_words_printf(&words, "%u", number);
    rc = start_job(l, i, 1, &words, log, &l->crew[i].pid, err);
    fm_words_fini(&words);
    return rc;
}

static int start_crew(void *ctx, uint32_t i, const char *join_file, fm_err *err)
{
    return fm_launcher_start(ctx, i, i, join_file, err);
}

static int poll_crew(void *ctx, uint32_t i, bool *ended, int *status, fm_err *err)
{
    fm_launcher *l = ctx;
    crew *c = &l->crew[i];

    if (i >= l->crews)
        return fm_fail(err, -EINVAL, "crew %u is not one of %u", i, l->crews);
    if (c->pid != 0 && fm_process_ended(c->pid, &c->status))
        c->pid = 0;
    *ended = c->pid == 0;
    *status = c->status;
    return 0;
}

void fm_launcher_crew_ops(fm_launcher *l, fm_crew_ops *out)
{
    bool here = !l->in_slurm || (l->crews == 1 && l->slurm.here);

    *out = (fm_crew_ops){.start = start_crew, .poll = poll_crew, .stop = stop_crew, .ctx = l, .crews = l->crews,
                         .remote = !here};
}

/* The last error line of facemill's in a log since `from`, or else the last line that says anything. */
static void last_words(const char *log, size_t from, char *out, size_t out_size)
{
    fm_buf text = FM_BUF_INIT;
    bool error = false;
    char *save = NULL;

    snprintf(out, out_size, "it printed nothing");
    if (log[0] && fm_file_read(log, 64u << 20, &text, NULL) == 0 && text.size > from) {
        size_t skip = text.size - from > TAIL_BYTES ? text.size - TAIL_BYTES : from;

        fm_buf_u8(&text, 0);
        for (char *line = text.failed ? NULL : strtok_r((char *)text.data + skip, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save)) {
            bool is_error = (line[0] >= '0' && line[0] <= '9' && strstr(line, " error: ")) ||   /* srun has errors too */
                            strstr(line, "\"level\":\"error\"");

            if (strspn(line, "- \t") == strlen(line) || (error && !is_error))
                continue;
            error = is_error;
            snprintf(out, out_size, "%s", line);
        }
    }
    fm_buf_fini(&text);
}

static int await_stage(pid_t pid, const char *name, const volatile sig_atomic_t *stop, int *status, fm_err *err)
{
    while (!fm_process_ended(pid, status)) {
        if (stop && *stop) {
            fm_process_stop(pid, STOP_SOFT_MS, STOP_HARD_MS, status);
            return fm_fail(err, -EINTR, "stage %s was stopped", name);
        }
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
    }
    return 0;
}

/* A stage needs all its ranks to the end, so it is not started on nodes that the job has lost meanwhile. */
static void leave_out_lost_nodes(fm_launcher *l)
{
    fm_err err = FM_ERR_INIT;
    uint32_t gone = 0;

    if (!l->in_slurm || l->crews < 2)
        return;
    if (fm_slurm_look(&l->slurm, &err) != 0) {
        fm_warn("nodes that died cannot be told: %s", err.text);
        return;
    }
    for (uint32_t i = 0; i < l->crews; i++)
        gone += l->slurm.nodes[i].gone;
    if (gone)
        fm_warn("%u of %u nodes are gone: going on with the others", gone, l->crews);
}

int fm_launcher_stage(fm_launcher *l, const char *const *args, size_t n, const volatile sig_atomic_t *stop, fm_err *err)
{
    fm_words words = FM_WORDS_INIT;
    char log[FM_PATH_MAX], name[80], why[400];
    struct stat st = {0};
    int status = 0, rc;
    pid_t pid;

    snprintf(name, sizeof name, "stage-%.64s.log", n ? args[0] : "none");
    rc = log_path(l, name, log, err);
    if (rc != 0)
        return rc;
    if (log[0])
        stat(log, &st);     /* an earlier run's lines are not this one's */
    fm_words_add(&words, "stage");
    for (size_t i = 0; i < n; i++)
        fm_words_add(&words, args[i]);
    rc = n > 1 ? fm_stage_key_leave(args[1], err) : 0;
    leave_out_lost_nodes(l);
    if (rc == 0)
        rc = start_job(l, 0, l->crews, &words, log, &pid, err);
    fm_words_fini(&words);
    if (rc == 0)
        rc = await_stage(pid, args[0], stop, &status, err);
    if (n > 1)
        fm_stage_key_remove(args[1]);
    if (rc != 0 || status == 0)
        return rc;
    last_words(log, (size_t)st.st_size, why, sizeof why);
    return fm_fail(err, -EIO, "stage %s ended with status %d: %s", args[0], status, why);
}

/* doctor: tries what a study needs, for real, and gives each failure a remedy.
 *
 * MPI is tried by starting ranks, locks by two processes that want one store:
 * what configuration promises and what a machine does are two things. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cpu.h"
#include "base/options.h"
#include "base/text.h"
#include "cluster/launch.h"
#include "cluster/memory.h"
#include "jobs/json_text.h"
#include "jobs/model_list.h"
#include "jobs/stop.h"
#include "jobs/study.h"
#include "jobs/verbs.h"
#include "storage/catalog.h"

#define SPACE_WANTED (1ull << 30)
#define SHARED_WANTED (512ull << 20)    /* the models as workers share them, with room to spare */

typedef struct {
    bool json, bad;
    json_t *all;
    char dir[FM_PATH_MAX];      /* where a store would be; exists */
    int64_t ranks;              /* asked for; 0: as many as granted */
    int64_t nodes;
} patient;

/* One finding: ok, or what is wrong and its remedy (NULL: nothing wrong). */
static void find(patient *p, const char *what, bool ok, const char *remedy, const char *fmt, ...) FM_PRINTF(5, 6);
static void find(patient *p, const char *what, bool ok, const char *remedy, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->bad = p->bad || !ok;
    if (p->json)
        json_array_append_new(p->all, json_pack("{s:s, s:b, s:o, s:s?}", "check", what, "ok", ok, "found",
                                                fm_json_text(text), "remedy", ok ? NULL : remedy));
    else
        printf("%-4s %-10s %s%s%s\n", ok ? "ok" : "BAD", what, text, ok ? "" : "\n                remedy: ",
               ok ? "" : remedy);
}

static void check_models(patient *p)
{
    fm_model_list *models = malloc(sizeof *models);
    fm_err err = FM_ERR_INIT;
    size_t bad = 0;

    if (!models || fm_model_list_read(models, &err) != 0) {
        find(p, "models", false, "run make install, or set FACEMILL_MODELS", "%s", models ? err.text : "no memory");
        free(models);
        return;
    }
    for (size_t i = 0; i < models->n; i++)
        if (fm_model_check(&models->v[i], &err) != 0) {
            find(p, "models", false, models->v[i].path[0] ? "delete that file and run ./setup" : "run ./setup", "%s",
                 err.text);
            bad++;
        }
    if (bad == 0)
        find(p, "models", true, NULL, "%zu files, each with the SHA-256 it should have", models->n);
    free(models);
}

static void check_cpu(patient *p)
{
    int cores = fm_cpu_count();
    bool ok = p->ranks <= (int64_t)cores * p->nodes;

    find(p, "processor", true, NULL, "%s; kernels for %s", fm_cpu_model(), fm_isa_name(fm_cpu_isa()));
    if (ok)
        find(p, "cores", true, NULL, "%d granted to this process", cores);
    else
        find(p, "cores", false, "leave cluster.ranks at 0, or ask the scheduler for more cores",
             "%lld ranks asked for, %d cores granted: ranks would take turns", (long long)p->ranks, cores);
}

/* Start a collective stage and read how many ranks came up. */
static int say_hello(const patient *p, fm_launcher *l, int *ranks, int *hosts, fm_err *err)
{
    char path[FM_PATH_MAX];
    const char *args[] = {"hello", path};
    fm_buf text = FM_BUF_INIT;
    int rc = fm_path_join(path, sizeof path, p->dir, "hello", err);

    if (rc == 0)
        rc = fm_launcher_stage(l, args, 2, fm_stop_flag(), err);
    if (rc == 0)
        rc = fm_file_read(path, 4096, &text, err);
    fm_buf_u8(&text, '\0');
    if (rc == 0 && (text.failed || sscanf((char *)text.data, "ranks %d hosts %d", ranks, hosts) != 2))
        rc = fm_fail(err, -EIO, "ranks started but did not find each other");
    fm_buf_fini(&text);
    return rc;
}

static void check_mpi(patient *p)
{
    static const char remedy[] = "install Open MPI (./setup), or load the module that has it; mpirun -n 2 hostname must "
                                 "work in this shell";
    char exe[FM_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    fm_launch_spec spec = {.program = exe, .nodes = (uint32_t)p->nodes, .ranks = (uint32_t)p->ranks};
    fm_launcher *l = NULL;
    fm_err err = FM_ERR_INIT;
    int ranks = 0, hosts = 0;

    exe[n > 0 ? n : 0] = '\0';
    if (spec.ranks == 0 && fm_cpu_count() < 2)
        spec.ranks = 2;     /* one rank alone proves little */
    if (fm_launcher_create(&spec, &l, &err) != 0 || say_hello(p, l, &ranks, &hosts, &err) != 0)
        find(p, "mpi", false, remedy, "%s", err.text);
    else if ((uint32_t)ranks != fm_launcher_ranks(l))
        find(p, "mpi", false, "mpirun belongs to another MPI than facemill was built with: build it again with the mpicc of "
             "this mpirun", "%u ranks were started and %d found each other", fm_launcher_ranks(l), ranks);
    else
        find(p, "mpi", true, NULL, "%s: %d ranks on %d host%s came up", fm_launcher_words(l), ranks, hosts,
             hosts == 1 ? "" : "s");
    fm_launcher_destroy(l);
}

/* In a process of its own: hold the store until to_end closes; one byte on ready says how it went. */
static void hold_store(const char *dir, int ready, int to_end)
{
    fm_catalog *c = NULL;
    uint64_t epoch;
    char word;
    bool held = fm_catalog_open(dir, true, &c, NULL) == 0 && fm_catalog_take(c, &epoch, NULL) == 0;

    word = held ? 'y' : 'n';
    if (write(ready, &word, 1) == 1)
        while (read(to_end, &word, 1) < 0 && errno == EINTR)
            ;
    _exit(0);
}

/* A second taker of a held store must be told so. 1: it was; 0: it was not; negative: no store can be made. */
static int try_lock(const char *dir, fm_err *err)
{
    int ready[2], end[2], rc;
    char word = 'n';
    pid_t holder;
    fm_catalog *c = NULL;
    uint64_t epoch;

    if (pipe(ready) != 0 || pipe(end) != 0 || (holder = fork()) < 0)
        return fm_fail(err, -errno, "cannot start a process: %s", strerror(errno));
    if (holder == 0) {
        close(end[1]);
        hold_store(dir, ready[1], end[0]);
    }
    close(ready[1]);
    close(end[0]);
    if (read(ready[0], &word, 1) != 1 || word != 'y')
        rc = fm_fail(err, -EIO, "a store cannot be made in %s", dir);
    else if ((rc = fm_catalog_open(dir, false, &c, err)) == 0)
        rc = fm_catalog_take(c, &epoch, err) == -EAGAIN;
    fm_catalog_close(c);
    close(end[1]);
    close(ready[0]);
    waitpid(holder, NULL, 0);
    return rc;
}

static void check_store(patient *p)
{
    static const char remedy[] = "put the study's out on a file system with working locks (a local disk, or the cluster's "
                                 "parallel file system mounted with flock)";
    char dir[FM_PATH_MAX];
    struct statvfs fs;
    fm_err err = FM_ERR_INIT;
    int rc = fm_path_join(dir, sizeof dir, p->dir, "store", &err);

    if (rc == 0)
        rc = try_lock(dir, &err);
    if (rc == 1)
        find(p, "locks", true, NULL, "LMDB's work where results go");
    else
        find(p, "locks", false, remedy, "%s", rc == 0 ? "two coordinators could hold one store where results go" : err.text);
    if (statvfs(p->dir, &fs) == 0) {
        uint64_t bytes = (uint64_t)fs.f_bavail * fs.f_frsize;

        find(p, "disk", bytes >= SPACE_WANTED, "free some space, or set out to another disk", "%.1f GB free where results go",
             (double)bytes / 1e9);
    }
}

/* No remedy: fewer ranks are started where there is less. */
static void check_granted_memory(patient *p)
{
    uint64_t bytes = fm_memory_granted();
    uint32_t ranks = fm_memory_ranks(bytes);

    if (bytes == UINT64_MAX)
        find(p, "granted", true, NULL, "no cgroup bounds the memory of this process");
    else
        find(p, "granted", true, NULL, "%.1f GB of memory granted to this process, enough for %u rank%s", (double)bytes / 1e9,
             ranks, ranks == 1 ? "" : "s");
}

static void check_shared_memory(patient *p)
{
    struct statvfs fs;
    uint64_t bytes;

    if (statvfs("/dev/shm", &fs) != 0)
        return;
    bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    find(p, "memory", bytes >= SHARED_WANTED, "mount /dev/shm larger (containers: --shm-size=1g); until then every rank has "
         "its own copy of the models", "%.1f GB of shared memory for the models", (double)bytes / 1e9);
}

/* A private folder where results would go: the nearest that exists above it. */
static int make_room(patient *p, const char *out, fm_err *err)
{
    char base[FM_PATH_MAX];
    size_t n;

    snprintf(base, sizeof base, "%s", out);
    while (!fm_path_exists(base) && strrchr(base, '/') && strrchr(base, '/') != base)
        *strrchr(base, '/') = '\0';
    n = strlen(base);
    if (n + 40 > sizeof p->dir)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", base);
    strcpy(p->dir, base);
    strcat(p->dir, "/.facemill-doctor-XXXXXX");
    if (!mkdtemp(p->dir))
        return fm_fail(err, -errno, "%s: cannot create a folder there: %s", base, strerror(errno));
    return 0;
}

static int examine(patient *p, const char *study_file, const char *dir, fm_err *err)
{
    fm_study *study = calloc(1, sizeof *study);
    int rc = study ? 0 : fm_fail_nomem(err, "study", sizeof *study);

    if (rc == 0 && study_file && (rc = fm_study_load(study_file, study, err)) == 0) {
        p->ranks = p->ranks ? p->ranks : study->ranks;
        p->nodes = study->nodes;
        dir = dir ? dir : study->out;
    }
    if (rc == 0)
        rc = make_room(p, dir ? dir : ".", err);
    free(study);
    if (rc != 0)
        return rc;
    check_models(p);
    check_cpu(p);
    check_mpi(p);
    check_store(p);
    check_shared_memory(p);
    check_granted_memory(p);
    return fm_dir_remove(p->dir, err);
}

int fm_verb_doctor(int argc, char **argv)
{
    patient p = {.nodes = 1};
    const char *dir = NULL, *args[1];
    const fm_option options[] = {
        {"dir", FM_OPT_STRING, &dir, 0, 0, "DIR", "where results would go (default: the study's out, else here)"},
        {"ranks", FM_OPT_INT, &p.ranks, 1, 1000000, "N", "how many ranks would be asked for"},
        {"json", FM_OPT_FLAG, &p.json, 0, 0, NULL, "print the findings as JSON"},
    };
    const fm_command command = {"doctor [STUDY.yaml] [options]",
                                "Tries what a study needs on this machine: model files, MPI ranks, store locks, cores, disk,\n"
                                "shared memory.  Each failure comes with a remedy; exit status 1 when there is one.",
                                options, sizeof options / sizeof *options, 0, 1};
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);
    char *text;

    if (rc != 0)
        return fm_command_exit(rc, &err);
    fm_stop_install();
    p.all = json_array();
    rc = examine(&p, args[0], dir, &err);
    if (p.json && (text = json_dumps(p.all, JSON_INDENT(2)))) {
        puts(text);
        free(text);
    }
    json_decref(p.all);
    if (rc != 0)
        fprintf(stderr, "facemill doctor: %s\n", err.text);
    return rc != 0 ? FM_EXIT_USAGE : p.bad ? FM_EXIT_NOT_HELD : FM_EXIT_DONE;
}

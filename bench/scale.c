/* How far one coordinator goes, with real sockets and workers that only talk:
 *   bench/scale coordinator PHOTOGRAPHS WORKERS SHARD DIR   leases, acknowledgements, memory, restart
 *   mpirun -n 2 bench/scale gather ROWS                     codes gathered, beside MPI_Gatherv of the same bytes
 *
 * The coordinator is a build as it runs in a study, in a process of its own on one
 * core.  Workers are a few processes of many clients each; what they acknowledge is
 * made up, so that nothing but the coordinator takes time.  All photographs are one
 * file under as many paths, through links that lead where they lie: a million files
 * would measure the file system. */
#define _GNU_SOURCE
#include <errno.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "cluster/gather.h"
#include "cluster/job.h"
#include "coordinator/build.h"
#include "proto/join.h"
#include "proto/socket.h"
#include "storage/segment.h"

#define PROCESSES 4
#define CODE 256
#define ROUNDS 5

typedef struct {
    uint32_t photographs, workers, shard;
    char dir[256];
} wish;

/* What the processes tell each other. */
typedef struct {
    _Atomic uint64_t acks, first_us, last_us;
    double cpu_s, restart_s, restart_cpu_s;
    uint64_t bytes;
} shared;

static void die(const char *what, const fm_err *err)
{
    fprintf(stderr, "scale: %s: %s\n", what, err ? err->text : strerror(errno));
    exit(1);
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Memory of this process that is no file's; the catalog's map is one. */
static uint64_t private_bytes(void)
{
    unsigned long kilobytes = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %lu", &kilobytes) == 1)
            break;
    if (f)
        fclose(f);
    return (uint64_t)kilobytes * 1024;
}

static void run_on(int core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

/* One file and a thousand links to the folder that it lies in. */
static void make_photographs(const wish *w)
{
    char path[512];

    fm_dir_remove(w->dir, NULL);
    if (fm_dir_make(w->dir, NULL) != 0)
        die(w->dir, NULL);
    snprintf(path, sizeof path, "%s/p.jpg", w->dir);
    if (fm_file_write(path, "x", 1, NULL) != 0)
        die(path, NULL);
    for (int i = 0; i < 1000; i++) {
        snprintf(path, sizeof path, "%s/%03d", w->dir, i);
        if (symlink(".", path) != 0)
            die(path, NULL);
    }
}

static const char **name_photographs(const wish *w)
{
    size_t room = strlen(w->dir) + 24;
    const char **paths = malloc(w->photographs * sizeof *paths);
    char *text = malloc(w->photographs * room), *at = text;

    if (!paths || !text)
        die("paths", NULL);
    for (uint32_t i = 0; i < w->photographs; i++) {
        paths[i] = at;
        at += sprintf(at, "%s/%03u/%03u/%03u/p.jpg", w->dir, i / 1000000, i / 1000 % 1000, i % 1000) + 1;
    }
    return paths;
}

static void note_memory(void *ctx, const fm_build_counts *now)
{
    shared *s = ctx;
    uint64_t bytes = private_bytes();

    (void)now;
    s->bytes = bytes > s->bytes ? bytes : s->bytes;
}

static void coordinate(const wish *w, shared *s)
{
    char store[512], run[512];
    const char **paths = name_photographs(w);
    fm_recipe recipe;
    fm_build_counts counts;
    fm_err err = FM_ERR_INIT;
    fm_build_spec spec = {.recipe = &recipe, .paths = paths, .n_paths = w->photographs, .shard_size = w->shard,
                          .progress = note_memory, .progress_ctx = s};
    double start;

    run_on(0);
    snprintf(store, sizeof store, "%s/store", w->dir);
    snprintf(run, sizeof run, "%s/run", w->dir);
    fm_recipe_default(&recipe);
    fm_digest_of("encoder", 7, &spec.encoder);
    spec.store_dir = store;
    spec.run_dir = run;
    if (fm_build_run(&spec, &counts, &err) != 0)
        die("build", &err);
    s->cpu_s = cpu_seconds();
    start = (double)fm_clock_us();
    if (fm_build_run(&spec, &counts, &err) != 0 || counts.done != w->photographs)
        die("restart", &err);
    s->restart_cpu_s = cpu_seconds() - s->cpu_s;
    s->restart_s = ((double)fm_clock_us() - start) / 1e6;
}

typedef struct {
    fm_client *client;
    char name[FM_SEGMENT_NAME_MAX];
    bool gone, sealing;
} talker;

static void send(talker *t, fm_message *m)
{
    fm_client_send(t->client, m, NULL);
    fm_message_fini(m);
}

static void ask(talker *t, fm_message_type type)
{
    fm_message m;

    fm_message_init(&m, type);
    if (type == FM_MSG_SEALED) {
        m.records = 1;
        fm_message_set_text(&m, t->name, NULL);
    }
    send(t, &m);
}

static void acknowledge(talker *t, const fm_message *lease, const struct stat *st)
{
    fm_message m;

    fm_message_init(&m, FM_MSG_ACK);
    m.lease = lease->lease;
    fm_message_set_text(&m, t->name, NULL);
    fm_message_room(&m, lease->n_items, NULL);
    for (uint32_t i = 0; i < lease->n_items; i++) {
        fm_ack_item *a = &m.acks[i];

        *a = (fm_ack_item){.item = lease->items[i].item, .size_bytes = 1, .reason = FM_USED, .photo_made = true,
                           .code_made = true,
                           .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
        fm_digest_of(&a->item, sizeof a->item, &a->image);
    }
    send(t, &m);
}

/* A segment that is there when the catalog is asked for what it holds. */
static void leave_segment(const char *name, const fm_join *join)
{
    fm_segment_writer *writer = NULL;
    fm_err err = FM_ERR_INIT;
    fm_digest key;

    fm_digest_of(name, strlen(name), &key);
    if (fm_segment_create(join->scratch_dir, name, 0, &writer, &err) != 0 ||
        fm_segment_put(writer, FM_RECORD_PHOTO, &key, "x", 1, &err) != 0 || fm_segment_commit(writer, &err) != 0 ||
        fm_segment_seal(writer, join->store_dir, &err) != 0)
        die("segment", &err);
}

/* What follows from an answer.  False: this one is done. */
static bool obey(talker *t, const fm_message *m, const struct stat *st, const fm_join *join, shared *s)
{
    if (m->type == FM_MSG_LEASE) {
        if (!s->first_us)
            s->first_us = fm_clock_us();
        acknowledge(t, m, st);
    } else if (m->type == FM_MSG_FINISH) {
        t->sealing = true;
        leave_segment(t->name, join);
        ask(t, FM_MSG_SEALED);
    } else if (m->type == FM_MSG_ACKED && t->sealing) {
        ask(t, FM_MSG_BYE);
        return false;
    } else {
        if (m->type == FM_MSG_WELCOME)
            snprintf(t->name, sizeof t->name, "%.60s", m->text);
        if (m->type == FM_MSG_ACKED) {
            s->acks++;
            s->last_us = fm_clock_us();
        }
        ask(t, FM_MSG_WANT);
    }
    return true;
}

static void begin(talker *t, const fm_join *join, uint32_t number)
{
    fm_message m;

    if (fm_client_open(join, &t->client, NULL) != 0)
        die("client", NULL);
    fm_message_init(&m, FM_MSG_HELLO);
    m.crew = number / 100;
    m.rank = number % 100;
    m.pid = (uint32_t)getpid();
    fm_message_set_text(&m, "bench", NULL);
    send(t, &m);
}

static void work(const wish *w, int process, shared *s)
{
    uint32_t n = w->workers / PROCESSES, left = n;
    talker *t = calloc(n, sizeof *t);
    fm_join *join = calloc(1, sizeof *join);
    char path[512], join_path[512];
    struct stat st;

    run_on(1);
    snprintf(join_path, sizeof join_path, "%s/run/" FM_RUN_CREW_JOIN, w->dir);
    while (fm_join_read(join_path, join, NULL) != 0)
        usleep(10000);
    snprintf(path, sizeof path, "%s/p.jpg", w->dir);
    if (!t || stat(path, &st) != 0)
        die(path, NULL);
    for (uint32_t i = 0; i < n; i++)
        begin(&t[i], join, (uint32_t)process * n + i);
    for (bool idle = true; left; idle = true) {
        for (uint32_t i = 0; i < n; i++) {
            fm_message m;

            if (t[i].gone || fm_client_receive(t[i].client, 0, &m, NULL) != 1)
                continue;
            idle = false;
            if (!obey(&t[i], &m, &st, join, s)) {
                fm_client_close(t[i].client, 1000);
                t[i].gone = true;
                left--;
            }
            fm_message_fini(&m);
        }
        if (idle && !fm_path_exists(join_path))
            break;              /* over before all were let in */
        if (idle)
            usleep(500);        /* the other core may be the coordinator's threads' */
    }
}

static int coordinator(const wish *w)
{
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double seconds;
    int status, failed = 0;

    if (s == MAP_FAILED)
        die("memory", NULL);
    make_photographs(w);
    for (int i = 0; i <= PROCESSES; i++)
        if (fork() == 0) {
            if (i == PROCESSES)
                coordinate(w, s);
            else
                work(w, i, s);
            exit(0);
        }
    while (wait(&status) > 0)
        failed |= status;
    if (failed)
        return 1;
    seconds = (double)(s->last_us - s->first_us) / 1e6;
    printf("%u photographs, %u workers, shards of %u: %llu acknowledgements in %.1f s, %.0f a second (%.0f photographs); "
           "coordinator %.2f s of processor, %.0f acknowledgements a second of it; %.0f bytes a photograph; restart %.2f s, "
           "%.2f s of processor\n", w->photographs, w->workers,
           w->shard, (unsigned long long)s->acks, seconds, (double)s->acks / seconds, w->photographs / seconds, s->cpu_s,
           (double)s->acks / s->cpu_s, (double)s->bytes / w->photographs, s->restart_s, s->restart_cpu_s);
    fm_dir_remove(w->dir, NULL);
    return 0;
}

/* Seconds of the fastest round; plain: MPI's own. */
static double gather_seconds(const float *mine, size_t n_mine, float *all, size_t n_all, const int *counts,
                             const int *places, bool plain)
{
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start;

        MPI_Barrier(MPI_COMM_WORLD);
        start = MPI_Wtime();
        if (plain)
            MPI_Gatherv(mine, (int)n_mine, MPI_FLOAT, all, counts, places, MPI_FLOAT, 0, MPI_COMM_WORLD);
        else
            fm_gather_bytes(MPI_COMM_WORLD, 0, mine, n_mine * sizeof *mine, all, n_all * sizeof *mine, NULL);
        MPI_Barrier(MPI_COMM_WORLD);
        best = MPI_Wtime() - start < best ? MPI_Wtime() - start : best;
    }
    return best;
}

static int gather(size_t rows)
{
    int rank, size, counts[64], places[64];
    size_t first, n;
    float *mine, *all = NULL;
    double plain, ours;

    if (fm_job_begin("scale", &rank, NULL) != 0)
        return 1;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int i = 0; i < size && i < 64; i++) {
        fm_share_of(rows, i, size, &first, &n);
        counts[i] = (int)(n * CODE);
        places[i] = (int)(first * CODE);
    }
    fm_share_of(rows, rank, size, &first, &n);
    mine = malloc(n * CODE * sizeof *mine);
    if (rank == 0)
        all = malloc(rows * CODE * sizeof *all);
    if (!mine || (rank == 0 && !all))
        die("codes", NULL);
    memset(mine, 1, n * CODE * sizeof *mine);
    if (all)
        memset(all, 2, rows * CODE * sizeof *all);
    plain = gather_seconds(mine, n * CODE, all, rows * CODE, counts, places, true);
    ours = gather_seconds(mine, n * CODE, all, rows * CODE, counts, places, false);
    if (rank == 0)
        printf("%zu x %d codes over %d ranks: %.2f GB/s, MPI_Gatherv %.2f GB/s: %.0f %%\n", rows, CODE, size,
               (double)rows * CODE * 4 / ours / 1e9, (double)rows * CODE * 4 / plain / 1e9, 100 * plain / ours);
    free(mine);
    free(all);
    fm_job_end();
    return 0;
}

int main(int argc, char **argv)
{
    wish w = {0};

    fm_log_set_level(FM_LOG_WARN);
    if (argc == 3 && strcmp(argv[1], "gather") == 0)
        return gather(strtoull(argv[2], NULL, 10));
    if (argc != 6 || strcmp(argv[1], "coordinator") != 0) {
        fprintf(stderr, "usage: scale coordinator PHOTOGRAPHS WORKERS SHARD DIR | scale gather ROWS\n");
        return 2;
    }
    w.photographs = (uint32_t)strtoul(argv[2], NULL, 10);
    w.workers = (uint32_t)strtoul(argv[3], NULL, 10);
    w.shard = (uint32_t)strtoul(argv[4], NULL, 10);
    snprintf(w.dir, sizeof w.dir, "%s", argv[5]);
    return coordinator(&w);
}

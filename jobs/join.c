/* join: crews of this machine or allocation for a build that runs elsewhere.
 *
 * Each crew asks for a key of its own.  One that ends before its work is done is
 * started again with another key, as the coordinator does with its own crews; that
 * it is over is said first, so that what it held is not waited for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "cluster/crew.h"
#include "cluster/launch.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"
#include "proto/ask.h"
#include "proto/join.h"

#define TRIES 3                 /* of one crew */
#define NAP_MS 100

typedef struct {
    char exe[FM_PATH_MAX], run_dir[FM_PATH_MAX], log_dir[FM_PATH_MAX];
    fm_launcher *launcher;
    fm_crew_ops ops;
    uint32_t *number;           /* [ops.crews] in the build; 0: does not run */
    uint32_t *tries;            /* [ops.crews] */
} guest;

static int find_places(guest *g, const char *out, fm_err *err)
{
    char host[FM_HOST_MAX] = "", log[FM_HOST_MAX + 40];
    char *real = realpath(out, NULL);
    ssize_t n = readlink("/proc/self/exe", g->exe, sizeof g->exe - 1);
    int rc = 0;

    gethostname(host, sizeof host - 1);
    snprintf(log, sizeof log, "log/joined-%s-%ld", host, (long)getpid());
    if (!real)
        rc = fm_fail(err, -errno, "%s: %s", out, strerror(errno));
    else if (n <= 0)
        rc = fm_fail(err, -EIO, "/proc/self/exe: cannot read; is /proc mounted?");
    if (rc == 0)
        rc = fm_path_join(g->run_dir, sizeof g->run_dir, real, "run", err);
    if (rc == 0)
        rc = fm_path_join(g->log_dir, sizeof g->log_dir, real, log, err);
    free(real);
    return rc;
}

/* Ask for a key and start crew i with it. */
static int let_in(guest *g, uint32_t i, fm_err *err)
{
    fm_join *join = calloc(1, sizeof *join);
    char name[FM_ASK_NAME_MAX], path[FM_PATH_MAX];
    int rc = join ? fm_ask_post(g->run_dir, FM_ASK_CREW, name, err) : fm_fail_nomem(err, "join file", sizeof *join);

    if (rc == 0)
        rc = fm_ask_await(g->run_dir, name, fm_stop_flag(), path, err);
    if (rc == 0)
        rc = fm_join_read(path, join, err);
    if (rc == 0)
        rc = fm_launcher_start(g->launcher, i, join->crew, path, err);
    if (rc == 0)
        g->number[i] = join->crew;
    if (join)
        sodium_memzero(join, sizeof *join);
    free(join);
    return rc;
}

/* A build that has ended meanwhile needs no crew: that is no failure. */
static int start_again(guest *g, uint32_t i, int status, fm_err *err)
{
    int rc;

    fm_warn("crew %u ended before its work was done (status %d)", g->number[i], status);
    g->number[i] = 0;
    if (++g->tries[i] == TRIES)
        return fm_fail(err, -EIO, "a crew ended %d times before its work was done (last with status %d); %s has what it "
                       "said", TRIES, status, g->log_dir);
    rc = let_in(g, i, err);
    return rc == -ENOENT || rc == -EINTR ? 0 : rc;
}

static int look_after(guest *g, uint32_t i, fm_err *err)
{
    bool ended;
    int status = 0, rc = g->ops.poll(g->ops.ctx, i, &ended, &status, err);

    if (rc != 0 || !ended)
        return rc;
    fm_ask_over(g->run_dir, g->number[i], NULL);
    if (status != 0 && !*fm_stop_flag())
        return start_again(g, i, status, err);
    g->number[i] = 0;
    return 0;
}

static int work(guest *g, fm_err *err)
{
    uint32_t running = 0;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < g->ops.crews; i++)
        rc = let_in(g, i, err);
    do {
        running = 0;
        for (uint32_t i = 0; rc == 0 && i < g->ops.crews; i++) {
            if (g->number[i])
                rc = look_after(g, i, err);
            running += g->number[i] != 0;
        }
        if (running)
            nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
    } while (rc == 0 && running && !*fm_stop_flag());
    return rc;
}

static int join_build(const char *out, int64_t ranks, fm_err *err)
{
    guest *g = calloc(1, sizeof *g);
    fm_launch_spec spec = {.ranks = (uint32_t)ranks};
    int rc = g ? find_places(g, out, err) : fm_fail_nomem(err, "join", sizeof *g);

    if (rc == 0) {
        spec.program = g->exe;
        spec.log_dir = g->log_dir;
        rc = fm_launcher_create(&spec, &g->launcher, err);
    }
    if (rc == 0) {
        fm_launcher_crew_ops(g->launcher, &g->ops);
        g->number = calloc(2 * (size_t)g->ops.crews, sizeof *g->number);
        g->tries = g->number + g->ops.crews;
        rc = g->number ? work(g, err) : fm_fail_nomem(err, "join", g->ops.crews * sizeof *g->number);
    }
    if (g) {
        fm_launcher_destroy(g->launcher);       /* asked to stop, its workers seal and leave */
        for (uint32_t i = 0; g->number && i < g->ops.crews; i++)
            if (g->number[i])
                fm_ask_over(g->run_dir, g->number[i], NULL);
        free(g->number);
    }
    free(g);
    return rc;
}

int fm_verb_join(int argc, char **argv)
{
    int64_t ranks = 0;
    const char *args[1];
    const fm_option options[] = {
        {"ranks", FM_OPT_INT, &ranks, 1, 1000000, "N", "MPI ranks in all (default: what is granted here)"},
    };
    const fm_command command = {"join OUT [options]",
                                "Adds a crew to a running build, one a node of the allocation it is started in; ends when the\n"
                                "build does.  It may leave before: SIGTERM (or ^C) lets its workers seal and go.",
                                options, 1, 1, 1};
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc != 0)
        return fm_command_exit(rc, &err);
    if (fm_crew_rank() >= 0) {
        fprintf(stderr, "facemill join starts its own ranks: run it without mpirun\n");
        return FM_EXIT_USAGE;
    }
    fm_stop_install();
    rc = join_build(args[0], ranks, &err);
    if (*fm_stop_flag())
        return FM_EXIT_STOPPED;
    if (rc != 0)
        fprintf(stderr, "facemill join: %s\n", err.text);
    return rc == 0 ? FM_EXIT_DONE : rc == -EIO || rc == -ENOMEM ? FM_EXIT_FAILED : FM_EXIT_INPUT;
}

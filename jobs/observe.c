/* Whoever looks from another host needs an endpoint that can be reached from
 * there; a build that runs on one host has none until somebody asks for it. */
#define _GNU_SOURCE
#include "jobs/observe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "coordinator/build.h"
#include "proto/ask.h"
#include "proto/join.h"

#define NAP_MS 100

static bool out_of_reach(const fm_join *join)
{
    char host[FM_HOST_MAX] = "";

    gethostname(host, sizeof host - 1);
    return strncmp(join->endpoint, "tcp://127.0.0.1:", 16) == 0 && strcmp(join->host, host) != 0;
}

static int read_join(const char *run_dir, fm_join *join, fm_err *err)
{
    char path[FM_PATH_MAX];
    int rc = fm_path_join(path, sizeof path, run_dir, FM_RUN_OBSERVER_JOIN, err);

    if (rc == 0)
        rc = fm_join_read(path, join, err);
    if (rc == -ENOENT)
        rc = fm_fail(err, rc, "%s: no build runs there (facemill status says how the last one ended)", run_dir);
    return rc;
}

/* Have the build listen for us too. */
static int widen(const char *run_dir, const volatile sig_atomic_t *stop, fm_join *join, fm_err *err)
{
    uint64_t end = fm_clock_ms() + FM_ASK_WAIT_MS;
    char name[FM_ASK_NAME_MAX];
    int rc = fm_ask_post(run_dir, FM_ASK_LISTEN, name, err);

    while (rc == 0 && out_of_reach(join)) {
        if (stop && *stop)
            return fm_fail(err, -EINTR, "stopped before the build had answered");
        if (fm_clock_ms() >= end)
            return fm_fail(err, -ETIMEDOUT, "%s: the build does not answer: was it killed?", run_dir);
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
        rc = read_join(run_dir, join, err);
    }
    return rc;
}

int fm_observe_open(const char *out_dir, const volatile sig_atomic_t *stop, fm_client **out, fm_err *err)
{
    fm_join *join = calloc(1, sizeof *join);
    char run_dir[FM_PATH_MAX];
    int rc = join ? fm_path_join(run_dir, sizeof run_dir, out_dir, "run", err)
                  : fm_fail_nomem(err, "join file", sizeof *join);

    if (rc == 0)
        rc = read_join(run_dir, join, err);
    if (rc == 0 && out_of_reach(join))
        rc = widen(run_dir, stop, join, err);
    if (rc == 0)
        rc = fm_client_open(join, out, err);
    if (join)
        sodium_memzero(join, sizeof *join);
    free(join);
    return rc;
}

int fm_observe_ask(fm_client *client, fm_message_type question, const char *text, int timeout_ms, fm_message *answer,
                   fm_err *err)
{
    fm_message m;
    int rc = 0;

    fm_message_init(&m, question);
    if (text)
        rc = fm_message_set_text(&m, text, err);
    if (rc == 0)
        rc = fm_client_send(client, &m, err);
    fm_message_fini(&m);
    if (rc != 0)
        return rc;
    rc = fm_client_receive(client, timeout_ms, answer, err);
    if (rc == 0)
        return fm_fail(err, -ETIMEDOUT, "the build does not answer: it has ended, or was killed");
    return rc < 0 ? rc : 0;
}

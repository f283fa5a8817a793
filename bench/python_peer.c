#define _GNU_SOURCE
#include "bench/python_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "bench/inputs.h"

enum { TASKS_MAX = 16, LINE_MAX_BYTES = 256 };

static struct { bool there; char name[32], peer[160]; } tasks[TASKS_MAX];
static int n_tasks;
static FILE *to, *from;

static void child(const char *python, const char *script, const char *folder, const int in[2], const int out[2])
{
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
    execl(python, python, script, folder, (char *)NULL);
    _exit(127);
}

/* What it offers, up to "ready". */
static void read_offer(void)
{
    char line[LINE_MAX_BYTES], word[16];

    while (fgets(line, sizeof line, from) && strcmp(line, "ready\n") != 0)
        if (n_tasks < TASKS_MAX &&
            sscanf(line, "%15s %31s %159[^\n]", word, tasks[n_tasks].name, tasks[n_tasks].peer) == 3)
            tasks[n_tasks++].there = strcmp(word, "task") == 0;
}

void python_peer_start(const char *python, const char *script, const char *folder)
{
    int in[2], out[2];

    if (access(python, X_OK) != 0)
        return;
    if (pipe(in) != 0 || pipe(out) != 0)
        bench_stop("no pipe to the peers", NULL);
    fflush(NULL);
    if (fork() == 0)
        child(python, script, folder, in, out);
    close(in[0]);
    close(out[1]);
    to = fdopen(in[1], "w");
    from = fdopen(out[0], "r");
    if (!to || !from)
        bench_stop("no pipe to the peers", NULL);
    read_offer();
}

bool python_peer_has(const char *task, char *peer, size_t size)
{
    for (int i = 0; i < n_tasks; i++)
        if (strcmp(tasks[i].name, task) == 0) {
            snprintf(peer, size, "%s", tasks[i].peer);
            return tasks[i].there;
        }
    snprintf(peer, size, "its Python environment is not there");
    return false;
}

double python_peer_run(const char *task, int times)
{
    char line[LINE_MAX_BYTES];

    fprintf(to, "%s %d\n", task, times);
    fflush(to);
    if (!fgets(line, sizeof line, from))
        bench_stop("a peer is gone", NULL);
    return atof(line) / 1e3;
}

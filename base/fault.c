#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 16
#define SLOW_NS 100000000

typedef struct {
    char name[80];
    unsigned long at;
    char action[8];
    _Atomic unsigned long passes;
} fault;

static fault faults[FAULTS_MAX];
static _Atomic int n_faults = -1;     /* set when faults are; -1: nobody has asked */

void fm_fault_set(const char *list)
{
    const char *at = list;
    int n = 0;

    memset(faults, 0, sizeof faults);
    while (at && *at && n < FAULTS_MAX) {
        fault *f = &faults[n];

        f->at = 1;
        snprintf(f->action, sizeof f->action, "fail");
        if (sscanf(at, "%79[^:,]:%lu:%7[a-z]", f->name, &f->at, f->action) >= 1)
            n++;
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    n_faults = n;
}

static void read_environment(void)
{
    if (n_faults < 0)
        fm_fault_set(getenv("FACEMILL_FAULT"));
}

static bool is_meant(const fault *f, const char *name, const char *of)
{
    size_t n = strlen(name);

    if (strncmp(f->name, name, n) != 0)
        return false;
    return f->name[n] == '\0' || (of && f->name[n] == '@' && strcmp(f->name + n + 1, of) == 0);
}

bool fm_fault_of(const char *name, const char *of)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *slash = of ? strrchr(of, '/') : NULL;
    bool hit = false;

    if (n_faults == 0)
        return false;
    pthread_once(&once, read_environment);
    for (int i = 0; i < n_faults; i++) {
        fault *f = &faults[i];
        bool slow = strcmp(f->action, "slow") == 0, always = slow || strcmp(f->action, "fails") == 0;
        unsigned long pass;

        if (!is_meant(f, name, slash ? slash + 1 : of))
            continue;
        pass = ++f->passes;
        if (pass != f->at && !(always && pass > f->at))
            continue;
        if (strcmp(f->action, "kill") == 0)
            raise(SIGKILL);
        else if (strcmp(f->action, "stop") == 0)
            raise(SIGSTOP);
        else if (strcmp(f->action, "hang") == 0)
            for (;;)
                pause();
        else if (slow)
            nanosleep(&(struct timespec){.tv_nsec = SLOW_NS}, NULL);
        else
            hit = true;
    }
    if (hit)
        errno = EIO;
    return hit;
}

bool fm_fault(const char *name)
{
    return fm_fault_of(name, NULL);
}

#include "jobs/stop.h"

#include <unistd.h>

#include "jobs/verbs.h"

static volatile sig_atomic_t flag, interrupts;

static void on_signal(int signal)
{
    flag = 1;
    if (signal == SIGINT && ++interrupts > 1)
        _exit(FM_EXIT_STOPPED);     /* crews end with us: cluster/launch.h */
}

void fm_stop_install(void)
{
    struct sigaction act = {.sa_handler = on_signal};

    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
}

const volatile sig_atomic_t *fm_stop_flag(void)
{
    return &flag;
}

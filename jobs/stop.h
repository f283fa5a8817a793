/* Being asked to stop: SIGTERM, SIGINT and SIGUSR1 (what SLURM sends before a
 * time limit) set a flag that long stages look at; a second SIGINT ends at once. */
#ifndef FM_JOBS_STOP_H
#define FM_JOBS_STOP_H

#include <signal.h>

/* From now on.  *fm_stop_flag() is 0 until then. */
void fm_stop_install(void);
const volatile sig_atomic_t *fm_stop_flag(void);

#endif

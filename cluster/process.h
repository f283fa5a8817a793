/* Programs that this one starts: without a shell, without its standard input, in
 * a process group of their own, and dying with it. */
#ifndef FM_CLUSTER_PROCESS_H
#define FM_CLUSTER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Words of a command line or an environment, closed by NULL.  All owned. */
typedef struct {
    char **v;
    size_t n;
    bool failed;        /* an allocation failed; later adds do nothing */
} fm_words;

#define FM_WORDS_INIT {NULL, 0, false}

void fm_words_fini(fm_words *w);
void fm_words_add(fm_words *w, const char *word);
void fm_words_printf(fm_words *w, const char *fmt, ...) FM_PRINTF(2, 3);
/* Environments ("NAME=value"): replace or add one. */
void fm_words_set(fm_words *w, const char *name, const char *value);

/* Where a command is: its absolute path in out, searched for in $PATH.  False when nowhere. */
bool fm_program_find(const char *name, char *out, size_t out_size);

/* Start argv[0] (a path).  Its output is appended to log (NULL: goes where ours goes).  It gets SIGTERM when
 * the thread that calls this ends, however it ends; start it from one that lives as long as the program.
 * Errors: -ENOENT and what else exec gives, -EAGAIN, what opening log gives. */
int fm_process_start(const fm_words *argv, const fm_words *env, const char *log, pid_t *out, fm_err *err);
/* Has it ended?  status: its exit status, or 128 and the signal. */
bool fm_process_ended(pid_t pid, int *status);
/* End it and wait: SIGUSR1, which mpirun and srun hand to their ranks; after soft_ms SIGTERM to its group; after
 * hard_ms more SIGKILL to its group. */
void fm_process_stop(pid_t pid, int soft_ms, int hard_ms, int *status);

/* Run a command to its end and take what it prints, at most 64 KiB, within timeout_ms.
 * Errors: as fm_process_start; -EIO (it failed), -ETIMEDOUT. */
int fm_process_capture(const fm_words *argv, const fm_words *env, int timeout_ms, fm_buf *out, fm_err *err);

#endif

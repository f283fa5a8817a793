/* Batch jobs for SLURM: the script that a person can read and keep, and handing
 * it to sbatch. */
#ifndef FM_CLUSTER_BATCH_H
#define FM_CLUSTER_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Strings are borrowed.  NULL where something is not asked for: sbatch's own default then holds. */
typedef struct {
    const char *name;               /* of the job */
    const char *about;              /* a line for who reads the script */
    uint32_t nodes;
    uint32_t ranks_per_node;        /* cores asked for on each node; 0: whole nodes */
    const char *partition, *account, *time, *memory;    /* as sbatch takes them; memory is of a node */
    const char *log;                /* what the job prints goes there; sbatch's % patterns hold */
    const char *models;             /* $FACEMILL_MODELS of the job */
    uint32_t array;                 /* elements of a job array; 0: none */
    const char *const *command;     /* [n_command] words; one that begins with $SLURM_ is that variable of the job */
    size_t n_command;
} fm_batch_spec;

/* Append the script's text.  It drains and requeues itself when its time is nearly up.
 * Errors: -EINVAL (time: what is wrong with it; a line break where none can be), -ENOMEM. */
int fm_batch_script(const fm_batch_spec *spec, fm_buf *out, fm_err *err);

/* What sbatch takes as a time, in seconds: "90", "90:00", "2:30:00", "1-12", "1-12:30", "1-12:30:00".  0 for
 * "UNLIMITED".  False for anything else.  Pure. */
bool fm_batch_seconds(const char *text, uint64_t *out);

/* Ask sbatch whether it would take this script (`sbatch --test-only`); submits nothing.
 * Errors: -ENOENT (no sbatch), -EINVAL (it would not, in its own words), -ETIMEDOUT. */
int fm_batch_check(const char *script, fm_err *err);

/* Submit it.  after  number of a job that must have ended well before; 0: none.
 * Errors: as above; -EBADMSG (it names no job). */
int fm_batch_submit(const char *script, uint64_t after, uint64_t *job, fm_err *err);

#endif

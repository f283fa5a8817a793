/* A worker's journal: which photograph it is at, in a file that outlives it, so
 * that the coordinator knows whom to suspect when it dies.
 *
 * The file is STORE/journals/NAME, NAME being that of the worker's first segment; seventeen
 * bytes are overwritten with each photograph. */
#ifndef FM_PROTO_JOURNAL_H
#define FM_PROTO_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FM_JOURNALS "journals"      /* in the store */

typedef struct fm_journal fm_journal;

typedef struct {
    uint64_t lease, item;   /* as in LEASE */
    bool busy;              /* it is at that photograph; false: at none */
    bool timed_out;         /* and took longer for it than it may, which ended it */
} fm_journal_entry;

/* limit_ms  a photograph that takes longer ends the process (SIGKILL) after it was taken down as timed out; 0: none
 *           does.  SIGALRM and the process's real-time timer are then the journal's, and there is one a process.
 * Errors: what open gives, naming the file; -ENOMEM. */
int fm_journal_open(const char *store_dir, const char *name, uint32_t limit_ms, fm_journal **out, fm_err *err);
/* The file stays, for the coordinator to read and remove. */
void fm_journal_close(fm_journal *j);

/* The next photograph begins; the last one is over.  Two system calls a photograph.
 * Errors: -EIO and what write gives. */
int fm_journal_begin(fm_journal *j, uint64_t lease, uint64_t item, fm_err *err);
int fm_journal_idle(fm_journal *j, fm_err *err);

/* What a journal says; the file stays.  A damaged one says that its worker was at none.
 * Errors: -ENOENT (there is none), what fm_file_read gives. */
int fm_journal_read(const char *store_dir, const char *name, fm_journal_entry *out, fm_err *err);
void fm_journal_remove(const char *store_dir, const char *name);

#endif

/* Named places where a test can make something fail or stop.
 *
 * $FACEMILL_FAULT holds a comma-separated list of NAME[:N[:ACTION]]: the N-th
 * pass (1 by default) through fm_fault(NAME) acts.  ACTION is fail (default:
 * that pass only), fails (that pass and all later ones), kill (SIGKILL to
 * oneself) or stop (SIGSTOP).  Without the variable a pass costs one load. */
#ifndef FM_BASE_FAULT_H
#define FM_BASE_FAULT_H

#include <stdbool.h>

/* True when the caller must fail here; errno is then EIO. */
bool fm_fault(const char *name);

/* Replace what $FACEMILL_FAULT said; NULL or "" for no faults.  For tests inside one process. */
void fm_fault_set(const char *list);

#endif

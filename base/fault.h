/* Named places where a test can make something fail or stop.
 *
 * $FACEMILL_FAULT holds a comma-separated list of NAME[:N[:ACTION]]: the N-th
 * pass (1 by default) through fm_fault(NAME) acts.  ACTION is fail (default:
 * that pass only), fails (that pass and all later ones), kill (SIGKILL to
 * oneself), stop (SIGSTOP), hang (wait for ever) or slow (that pass and all later
 * ones wait a tenth of a second).  NAME@OF acts only where
 * fm_fault_of() names that thing.  Without the variable a pass costs one load.
 * Threads: any; what they pass is counted together. */
#ifndef FM_BASE_FAULT_H
#define FM_BASE_FAULT_H

#include <stdbool.h>

/* True when the caller must fail here; errno is then EIO. */
bool fm_fault(const char *name);
/* The same at a place that deals with one thing after another: what this one is called, a path's folders left out.
 * A name with a colon or a comma cannot be given in the list. */
bool fm_fault_of(const char *name, const char *of);

/* Replace what $FACEMILL_FAULT said; NULL or "" for no faults.  For tests inside one process, while no
 * other thread passes. */
void fm_fault_set(const char *list);

#endif

/* Peers that are Python packages: a process of bench/peers.py, which works only when it is asked to. */
#ifndef FM_BENCH_PYTHON_PEER_H
#define FM_BENCH_PYTHON_PEER_H

#include <stdbool.h>
#include <stddef.h>

/* python  the interpreter; when it cannot be started, every task is absent. */
void python_peer_start(const char *python, const char *script, const char *folder);
/* Whether a task can be done.  peer: who does it, or why nobody does. */
bool python_peer_has(const char *task, char *peer, size_t size);
/* Seconds of processor time for one, of so many; ends the program when the peer is gone. */
double python_peer_run(const char *task, int times);

#endif

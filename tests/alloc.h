/* Makes allocations fail and counts them, in every library of the process.
 *
 * Only a program that is linked with alloc.o has it (see the Makefile): malloc and its
 * kin are then defined here and hand over to glibc's.  For one thread. */
#ifndef FM_TESTS_ALLOC_H
#define FM_TESTS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* False under sanitizers, which bring their own allocator, and without glibc: skip then. */
bool alloc_counted(void);

/* The n-th allocation from now on gives NULL; 0: none does. */
void alloc_fail_at(size_t n);
/* Did one fail since alloc_fail_at? */
bool alloc_failed(void);

long alloc_live(void);              /* allocations not freed yet */
/* The most that was asked for in one allocation since the last call. */
size_t alloc_largest(void);

#endif

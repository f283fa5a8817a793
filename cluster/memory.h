/* How much memory this process may really use, and how many ranks that holds. */
#ifndef FM_CLUSTER_MEMORY_H
#define FM_CLUSTER_MEMORY_H

#include <stdint.h>

/* Bytes that the least cgroup (v1 or v2, of this process or one above it) grants; UINT64_MAX when none bounds it.  What
 * the machine has is never the answer: it is shared with others. */
uint64_t fm_memory_granted(void);
/* The same, reading /proc and /sys below root; for tests. */
uint64_t fm_memory_granted_under(const char *root);

/* How many ranks of a crew `bytes` hold on one node, at least 1: 256 MiB for the models once, and as much a rank: an
 * estimate, for photographs of up to 24 megapixels.  Pure. */
uint32_t fm_memory_ranks(uint64_t bytes);

#endif

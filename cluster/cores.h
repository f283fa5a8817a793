/* How many cores this process may really use. */
#ifndef FM_CLUSTER_CORES_H
#define FM_CLUSTER_CORES_H

/* The affinity mask's cores, or fewer when a cgroup's quota (v1 or v2, of this process or one above it) grants
 * less; a part of a core counts as one.  At least 1. */
int fm_cores_granted(void);

/* The same, reading /proc and /sys below root; for tests. */
int fm_cores_granted_under(const char *root, int cores);

#endif

/* What control groups grant to this process. */
#ifndef FM_CLUSTER_CGROUP_H
#define FM_CLUSTER_CGROUP_H

#include <stdbool.h>

typedef struct {
    const char *controller;     /* of v1: "cpu", "memory" */
    /* The limit that a group's folder states, of v2 and of v1.  False: it states none. */
    bool (*v2)(const char *folder, double *limit), (*v1)(const char *folder, double *limit);
} fm_cgroup_resource;

/* The least of `most` and the limits of this process's group and of those above it, up to the mount.
 * root  /proc and /sys are read below it; "" but for tests. */
double fm_cgroup_least(const char *root, const fm_cgroup_resource *resource, double most);

/* The number in folder/name; -1 when there is none ("max", no such file). */
long long fm_cgroup_number(const char *folder, const char *name);

#endif

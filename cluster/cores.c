/* A container or a batch system may show all of a machine's cores and let a
 * process use the time of two.  Ranks beyond that only wait for each other. */
#include "cluster/cores.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"

/* Two numbers from a file: "quota period", or one from each of two files.  False: no limit there. */
static bool read_v2(const char *folder, double *cores)
{
    char path[FM_PATH_MAX + 16];
    long long quota, period;
    FILE *f;
    int n;

    snprintf(path, sizeof path, "%s/cpu.max", folder);
    f = fopen(path, "re");
    if (!f)
        return false;
    n = fscanf(f, "%lld %lld", &quota, &period);
    fclose(f);
    if (n != 2 || quota <= 0 || period <= 0)    /* "max 100000" */
        return false;
    *cores = (double)quota / (double)period;
    return true;
}

static long long read_number(const char *folder, const char *name)
{
    char path[FM_PATH_MAX + 32];
    long long v = -1;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    if (!f)
        return -1;
    if (fscanf(f, "%lld", &v) != 1)
        v = -1;
    fclose(f);
    return v;
}

static bool read_v1(const char *folder, double *cores)
{
    long long quota = read_number(folder, "cpu.cfs_quota_us"), period = read_number(folder, "cpu.cfs_period_us");

    if (quota <= 0 || period <= 0)
        return false;
    *cores = (double)quota / (double)period;
    return true;
}

/* The smallest limit of this group and those above it, up to the mount. */
static int limit_from(const char *mount, const char *group, bool (*read)(const char *, double *), int cores)
{
    char folder[FM_PATH_MAX];
    size_t stem = strlen(mount);

    if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder)
        return cores;
    for (;;) {
        double granted;
        char *slash;

        if (read(folder, &granted) && granted < cores)
            cores = granted <= 1 ? 1 : (int)granted + (granted > (int)granted);
        slash = strrchr(folder, '/');
        if (strlen(folder) <= stem || !slash || (size_t)(slash - folder) < stem)
            return cores;
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup, "0::/path" or "4:cpu,cpuacct:/path". */
static int limit_of_line(const char *root, char *line, int cores)
{
    char mount[FM_PATH_MAX], *controllers = strchr(line, ':'), *group;

    line[strcspn(line, "\n")] = '\0';
    group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return cores;
    *group++ = '\0';
    controllers++;
    if (controllers[0] == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return limit_from(mount, group, read_v2, cores);
    }
    for (char *save = NULL, *c = strtok_r(controllers, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
        if (strcmp(c, "cpu") != 0)
            continue;
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
        return limit_from(mount, group, read_v1, cores);
    }
    return cores;
}

int fm_cores_granted_under(const char *root, int cores)
{
    char path[FM_PATH_MAX], line[FM_PATH_MAX];
    FILE *f;

    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
        return cores;
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        cores = limit_of_line(root, line, cores);
    if (f)
        fclose(f);
    return cores;
}

int fm_cores_granted(void)
{
    return fm_cores_granted_under("", fm_cpu_count());
}

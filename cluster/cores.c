/* A container or a batch system may show all of a machine's cores and let a
 * process use the time of two.  Ranks beyond that only wait for each other. */
#include "cluster/cores.h"

#include <stdio.h>

#include "base/cpu.h"
#include "base/file.h"
#include "cluster/cgroup.h"

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

static bool read_v1(const char *folder, double *cores)
{
    long long quota = fm_cgroup_number(folder, "cpu.cfs_quota_us"), period = fm_cgroup_number(folder, "cpu.cfs_period_us");

    if (quota <= 0 || period <= 0)
        return false;
    *cores = (double)quota / (double)period;
    return true;
}

int fm_cores_granted_under(const char *root, int cores)
{
    static const fm_cgroup_resource cpu = {"cpu", read_v2, read_v1};
    double granted = fm_cgroup_least(root, &cpu, cores);

    return granted <= 1 ? 1 : (int)granted + (granted > (int)granted);
}

int fm_cores_granted(void)
{
    return fm_cores_granted_under("", fm_cpu_count());
}

/* A group's limit holds for all below it, so the least on the way up counts.  In a container /proc/self/cgroup may
 * name a path that the mount does not show; the way up then ends at the mount, which is the container's own group. */
#include "cluster/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

long long fm_cgroup_number(const char *folder, const char *name)
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

static double least_from(const char *mount, const char *group, bool (*read)(const char *, double *), double most)
{
    char folder[FM_PATH_MAX];
    size_t stem = strlen(mount);

    if (snprintf(folder, sizeof folder, "%s%s", mount, group) >= (int)sizeof folder)
        return most;
    for (;;) {
        double limit;
        char *slash;

        if (read(folder, &limit) && limit < most)
            most = limit;
        slash = strrchr(folder, '/');
        if (strlen(folder) <= stem || !slash || (size_t)(slash - folder) < stem)
            return most;
        *slash = '\0';
    }
}

/* One line of /proc/self/cgroup, "0::/path" or "4:cpu,cpuacct:/path". */
static double least_of_line(const char *root, char *line, const fm_cgroup_resource *resource, double most)
{
    char mount[FM_PATH_MAX], *controllers = strchr(line, ':'), *group;

    line[strcspn(line, "\n")] = '\0';
    group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
        return most;
    *group++ = '\0';
    controllers++;
    if (controllers[0] == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return least_from(mount, group, resource->v2, most);
    }
    for (char *save = NULL, *c = strtok_r(controllers, ",", &save); c; c = strtok_r(NULL, ",", &save)) {
        if (strcmp(c, resource->controller) != 0)
            continue;
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, resource->controller);
        return least_from(mount, group, resource->v1, most);
    }
    return most;
}

double fm_cgroup_least(const char *root, const fm_cgroup_resource *resource, double most)
{
    char path[FM_PATH_MAX], line[FM_PATH_MAX];
    FILE *f;

    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
        return most;
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        most = least_of_line(root, line, resource, most);
    if (f)
        fclose(f);
    return most;
}

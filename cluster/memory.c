/* A rank more than the memory holds does not cost time but the whole crew: the system ends one of its processes.
 *
 * Measured, of predict with one thread, which decodes by itself and holds models of its own: 397 MB on small photographs, 432 MB
 * at 24 megapixels, 1,239 MB at 96.  How that divides into a node's share and a rank's is estimated, on the safe side for small
 * photographs.  Rejected: to bound what a photograph may take instead; which are used must not depend on where. */
#include "cluster/memory.h"

#include "cluster/cgroup.h"

#define NODE_BYTES ((uint64_t)256 << 20)
#define RANK_BYTES ((uint64_t)256 << 20)
#define NO_BOUND 1e18           /* v1 writes about 2^63 where there is none */

static bool read_named(const char *folder, const char *name, double *bytes)
{
    long long v = fm_cgroup_number(folder, name);

    *bytes = (double)v;
    return v > 0;
}

static bool read_v2(const char *folder, double *bytes)
{
    return read_named(folder, "memory.max", bytes);
}

static bool read_v1(const char *folder, double *bytes)
{
    return read_named(folder, "memory.limit_in_bytes", bytes);
}

uint64_t fm_memory_granted_under(const char *root)
{
    static const fm_cgroup_resource memory = {"memory", read_v2, read_v1};
    double least = fm_cgroup_least(root, &memory, NO_BOUND);

    return least < NO_BOUND ? (uint64_t)least : UINT64_MAX;
}

uint64_t fm_memory_granted(void)
{
    return fm_memory_granted_under("");
}

uint32_t fm_memory_ranks(uint64_t bytes)
{
    uint64_t ranks = bytes > NODE_BYTES ? (bytes - NODE_BYTES) / RANK_BYTES : 0;

    return ranks < 1 ? 1 : ranks > UINT32_MAX ? UINT32_MAX : (uint32_t)ranks;
}

/* Archives are one file each, and a disk, a file system's server and their read-ahead all serve best who reads a file from
 * its beginning to its end.  Manifests list names in an order of their own, and tar writes what it finds in the order
 * of the folder's hash.
 *
 * Each path gets the place of a group and its place in it; a group is one archive, which stands where its first path
 * stood, or one file in none.  16 bytes a path, while it is sorted, and none where nothing lies in an archive.
 * Always: the order follows from the paths and the archives alone. */
#include <stdlib.h>
#include <string.h>

#include "base/archive.h"

typedef struct {
    const char *path;       /* borrowed, of a member */
    size_t stem;            /* its part that is the archive's path */
    uint32_t first;         /* where its first member stood */
} group;

typedef struct {
    group *v;               /* [n], by the archives' paths; owned */
    size_t n, room;
} groups;

typedef struct {
    uint64_t at;
    uint32_t group, which;
} turn;

static int compare_stems(const group *a, const group *b)
{
    int order = memcmp(a->path, b->path, a->stem < b->stem ? a->stem : b->stem);

    return order ? order : (a->stem > b->stem) - (a->stem < b->stem);
}

/* Where the archive of g stands; g->first when it is new. */
static int find_group(groups *all, const group *g, uint32_t *out, fm_err *err)
{
    size_t low = 0, high = all->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_stems(&all->v[middle], g) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == all->n || compare_stems(&all->v[low], g) != 0) {
        if (all->n == all->room) {
            size_t room = 2 * all->room + 16;
            group *more = realloc(all->v, room * sizeof *more);

            if (!more)
                return fm_fail_nomem(err, "archives", room * sizeof *more);
            all->v = more;
            all->room = room;
        }
        memmove(&all->v[low + 1], &all->v[low], (all->n++ - low) * sizeof *all->v);
        all->v[low] = *g;
    }
    *out = all->v[low].first;
    return 0;
}

static int by_place(const void *x, const void *y)
{
    const turn *a = x, *b = y;

    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return (a->which > b->which) - (a->which < b->which);
}

int fm_archive_order(const char *const *paths, uint32_t *which, uint32_t n, fm_err *err)
{
    groups all = {NULL, 0, 0};
    group g = {NULL, 0, 0};
    uint64_t at;
    turn *turns;
    uint32_t i = 0;
    int rc = 0;

    while (i < n && !fm_archive_place(paths[which[i]], &g.stem, &at))
        i++;
    if (i == n)
        return 0;
    if (!(turns = malloc(n * sizeof *turns)))
        return fm_fail_nomem(err, "order of photographs", n * sizeof *turns);
    for (i = 0; rc == 0 && i < n; i++) {
        turns[i] = (turn){0, i, which[i]};
        g = (group){paths[which[i]], 0, i};
        if (fm_archive_place(g.path, &g.stem, &turns[i].at))
            rc = find_group(&all, &g, &turns[i].group, err);
    }
    if (rc == 0)
        qsort(turns, n, sizeof *turns, by_place);
    for (i = 0; rc == 0 && i < n; i++)
        which[i] = turns[i].which;
    free(turns);
    free(all.v);
    return rc;
}

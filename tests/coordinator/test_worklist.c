/* In which order photographs are handed out. */
#include "tests/check.h"

#include <stdlib.h>

#include "base/file.h"
#include "coordinator/worklist.h"

enum { MEMBERS = 40 };

/* A tar whose members lie in another order than their names: leases follow the tar, and what is cut out of them, too. */
static void leases_follow_the_archive(void)
{
    char dir[FM_PATH_MAX], command[3 * FM_PATH_MAX], path[MEMBERS][FM_PATH_MAX];
    const char *paths[MEMBERS];
    fm_recipe recipe;
    fm_build_spec spec = {.recipe = &recipe, .paths = paths, .n_paths = MEMBERS, .shard_size = 16};
    fm_catalog *catalog = NULL;
    fm_worklist *p = NULL;

    snprintf(dir, sizeof dir, "%s/w", check_tmpdir());
    snprintf(command, sizeof command, "mkdir -p '%s' && cd '%s' && for i in $(seq 10 %d); do echo $i >$i.jpg; done && "
             "tar -cf p.tar $(ls | sort -r)", dir, dir, 10 + MEMBERS - 1);
    REQUIRE(system(command) == 0);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(path[i], sizeof path[i], "%.1000s/p.tar/%d.jpg", dir, 10 + i);
        paths[i] = path[i];
    }
    fm_recipe_default(&recipe);
    snprintf(command, sizeof command, "%s/store", dir);
    REQUIRE(fm_catalog_open(command, true, &catalog, NULL) == 0);
    REQUIRE(fm_worklist_create(&spec, catalog, &p, NULL) == 0);
    CHECK_INT(p->n_todo, MEMBERS);
    CHECK_INT(p->n_shards, 3);
    for (uint32_t i = 0; i < MEMBERS; i++)
        CHECK_INT(p->todo[i], MEMBERS - 1 - i);
    CHECK_INT(fm_worklist_place(p, 1, MEMBERS - 1 - 20), 4);
    CHECK_INT(fm_worklist_place(p, 0, MEMBERS - 1 - 20), UINT32_MAX);
    CHECK(fm_worklist_split(p, 1, 4, NULL) == 0);
    CHECK_INT(fm_worklist_place(p, 1, MEMBERS - 1 - 20), 0);
    CHECK_INT(fm_worklist_place(p, 3, MEMBERS - 1 - 16), 0);
    CHECK_INT(fm_worklist_place(p, 4, MEMBERS - 1 - 21), 0);
    fm_worklist_destroy(p);
    fm_catalog_close(catalog);
}

CHECK_MAIN(CHECK_CASE(leases_follow_the_archive))

/* The folder is read twice a second; it is empty nearly always.
 *
 * Rejected: spare join files that lie ready (a key that nobody needs is a key that
 * can be stolen), and keys handed out over the network to whoever shows the
 * observer's key (watching would then be enough to write into a store).  Always: a
 * key that was never used is shut out after a while, and so is one whose crew is
 * over. */
#define _GNU_SOURCE
#include "coordinator/joiners.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "proto/ask.h"

#define ASK_BYTES_MAX 1024
#define ASKS_MAX 64             /* looked at in one go */

typedef struct {
    uint8_t key[FM_KEY_BYTES];
    uint64_t since_ms;
    char join[FM_PATH_MAX];     /* "" once its worker has come */
    bool open;                  /* its key is let in */
} joined_crew;

struct fm_joiners {
    fm_joiners_spec spec;
    char dir[FM_PATH_MAX], host[256];
    joined_crew *crew;          /* [n]; crew i has the number first_crew + i */
    uint32_t n;
};

int fm_joiners_create(const fm_joiners_spec *spec, fm_joiners **out, fm_err *err)
{
    fm_joiners *j = calloc(1, sizeof *j);
    int rc = j ? fm_path_join(j->dir, sizeof j->dir, spec->run_dir, FM_RUN_ASK, err)
               : fm_fail_nomem(err, "joiners", sizeof *j);

    if (rc == 0)
        rc = fm_dir_remove(j->dir, err);        /* asks of a build that was killed */
    if (rc == 0)
        rc = fm_dir_make(j->dir, err);
    if (rc != 0) {
        free(j);
        return rc;
    }
    j->spec = *spec;
    gethostname(j->host, sizeof j->host - 1);
    *out = j;
    return 0;
}

void fm_joiners_destroy(fm_joiners *j)
{
    if (!j)
        return;
    fm_dir_remove(j->dir, NULL);
    free(j->crew);
    free(j);
}

/* A file in the folder, which no other user can write to but a link may lead out of. */
static int read_ask(const char *path, fm_ask *ask, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    struct stat st;
    int rc;

    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
        return fm_fail(err, -EACCES, "not a file of this user");
    rc = fm_file_read(path, ASK_BYTES_MAX, &b, err);
    if (rc == 0)
        rc = fm_ask_decode(b.data, b.size, ask, err);
    fm_buf_fini(&b);
    return rc;
}

/* What was asked came from another host: our own loopback is no use to it. */
static int widen(fm_joiners *j, fm_err *err)
{
    char before[FM_ENDPOINT_MAX];
    int rc;

    memcpy(before, j->spec.observer->endpoint, sizeof before);
    rc = fm_server_widen(j->spec.server, j->spec.observer, err);
    if (rc != 0 || strcmp(before, j->spec.observer->endpoint) == 0)
        return rc;
    fm_info("listening on all interfaces from now on, because another host asked");
    return fm_join_write(j->spec.observer, j->spec.observer_path, err);
}

static int admit(fm_joiners *j, const char *join_path, uint64_t now_ms, fm_err *err)
{
    joined_crew *grown = realloc(j->crew, (j->n + 1) * sizeof *grown), *crew;
    fm_join join = *j->spec.worker;
    int rc;

    if (!grown)
        return fm_fail_nomem(err, "joiners", (j->n + 1) * sizeof *grown);
    j->crew = grown;
    crew = &grown[j->n];
    memset(crew, 0, sizeof *crew);
    join.crew = j->spec.first_crew + j->n;
    rc = fm_server_admit(j->spec.server, FM_PEER_WORKER, &join, err);
    if (rc != 0)
        return rc;
    memcpy(crew->key, join.public_key, FM_KEY_BYTES);
    snprintf(crew->join, sizeof crew->join, "%s", join_path);
    crew->since_ms = now_ms;
    crew->open = true;
    j->n++;
    rc = fm_join_write(&join, join_path, err);
    sodium_memzero(&join, sizeof join);
    return rc;
}

static int answer(fm_joiners *j, const char *ask_path, uint64_t now_ms, fm_err *err)
{
    char join_path[FM_PATH_MAX + 8];
    fm_ask ask;
    int rc = read_ask(ask_path, &ask, err);

    if (rc == 0 && (ask.kind == FM_ASK_LISTEN || strcmp(ask.host, j->host) != 0))
        rc = widen(j, err);
    if (rc != 0 || ask.kind == FM_ASK_LISTEN)
        return rc;
    if (j->n == FM_JOINERS_MAX)
        return fm_fail(err, -EBUSY, "%u crews have joined this build already", FM_JOINERS_MAX);
    snprintf(join_path, sizeof join_path, "%.*s.join", (int)(strlen(ask_path) - strlen(".ask")), ask_path);
    if (strlen(join_path) >= FM_PATH_MAX)
        return fm_fail(err, -ENAMETOOLONG, "%s: path too long", ask_path);
    rc = admit(j, join_path, now_ms, err);
    if (rc == 0)
        fm_info("crew %u of %s may join", j->spec.first_crew + j->n - 1, ask.host);
    return rc;
}

static void shut_out(fm_joiners *j, joined_crew *crew)
{
    if (crew->open)
        fm_server_shut_out(j->spec.server, crew->key);
    if (crew->join[0])
        unlink(crew->join);
    crew->join[0] = '\0';
    crew->open = false;
}

/* The number in "17.over". */
static int part_with(fm_joiners *j, fm_conversation *c, const char *name, uint64_t now_ms, fm_build_counts *counts,
                     fm_err *err)
{
    uint64_t number = strtoull(name, NULL, 10);
    uint32_t i = (uint32_t)(number - j->spec.first_crew);
    bool clean, known;
    int rc;

    if (number < j->spec.first_crew || number - j->spec.first_crew >= j->n || !j->crew[i].open)
        return 0;
    shut_out(j, &j->crew[i]);
    fm_conversation_crew_size(c, (uint32_t)number, &known);
    rc = fm_conversation_crew_ended(c, (uint32_t)number, now_ms, &clean, err);
    if (rc == 0 && known && !clean) {
        counts->crews_lost++;
        fm_warn("crew %u, which had joined, ended before its work was done", (uint32_t)number);
    }
    return rc;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);

    return n > m && strcmp(name + n - m, ending) == 0;
}

static int look_at(fm_joiners *j, fm_conversation *c, const char *name, uint64_t now_ms, fm_build_counts *counts,
                   fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_err why = FM_ERR_INIT;
    bool over = ends_with(name, ".over");
    int rc = 0;

    if ((!over && !ends_with(name, ".ask")) || fm_path_join(path, sizeof path, j->dir, name, NULL) != 0)
        return 0;
    if (over)
        rc = part_with(j, c, name, now_ms, counts, err);
    else if (answer(j, path, now_ms, &why) != 0)
        fm_warn("somebody who asked to join is not let in: %s", why.text);
    unlink(path);
    return rc;
}

/* Keys nobody came with. */
static void expire(fm_joiners *j, const fm_conversation *c, uint64_t now_ms)
{
    bool known;

    for (uint32_t i = 0; i < j->n; i++) {
        joined_crew *crew = &j->crew[i];

        if (!crew->open || !crew->join[0])
            continue;
        fm_conversation_crew_size(c, j->spec.first_crew + i, &known);
        if (known)
            crew->join[0] = '\0';
        else if (now_ms - crew->since_ms > FM_JOINER_PATIENCE_MS)
            shut_out(j, crew);
    }
}

int fm_joiners_tick(fm_joiners *j, fm_conversation *c, uint64_t now_ms, fm_build_counts *counts, fm_err *err)
{
    DIR *dir = opendir(j->dir);
    struct dirent *e;
    int rc = 0, n = 0;

    while (dir && rc == 0 && n < ASKS_MAX && (e = readdir(dir)))
        if (e->d_name[0] != '.') {
            rc = look_at(j, c, e->d_name, now_ms, counts, err);
            n++;
        }
    if (dir)
        closedir(dir);
    expire(j, c, now_ms);
    return rc;
}

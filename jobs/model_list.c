/* A model is named by what its bytes are: the list says which SHA-256 a name
 * stands for.  Looking for a file compares its size only; crews compare the hash
 * of the very bytes they load, so that a hash is computed once a crew. */
#include "jobs/model_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define LIST_NAME "models.tsv"
#define PLACES_MAX 4

typedef struct {
    char dir[PLACES_MAX][FM_PATH_MAX];
    int n;
} places;

static void add_place(places *p, const char *dir, const char *below)
{
    if (fm_path_join(p->dir[p->n], FM_PATH_MAX, dir, below, NULL) == 0 && fm_path_exists(p->dir[p->n]))
        p->n++;
}

static void find_places(places *p)
{
    char exe[FM_PATH_MAX];
    const char *own = getenv("FACEMILL_MODELS");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *slash;

    p->n = 0;
    if (own && *own)
        add_place(p, own, ".");
    if (n <= 0)
        return;
    exe[n] = '\0';
    if ((slash = strrchr(exe, '/')))
        *slash = '\0';
    add_place(p, exe, "../share/facemill/models");      /* PREFIX/bin */
    add_place(p, exe, "../../models");                  /* build/VARIANT */
    add_place(p, exe, "../../models/cache");
}

static bool has_size(const char *path, uint64_t bytes)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
}

static void locate(const places *p, fm_model_entry *m)
{
    char path[FM_PATH_MAX];

    m->path[0] = '\0';
    for (int i = 0; i < p->n && !m->path[0]; i++)
        if (fm_path_join(path, sizeof path, p->dir[i], m->file, NULL) == 0 && has_size(path, m->bytes)) {
            char *real = realpath(path, NULL);

            if (real && strlen(real) < sizeof m->path)
                strcpy(m->path, real);
            free(real);
        }
}

static bool parse_digest(const char *hex, fm_digest *out)
{
    size_t n = 0;

    return sodium_hex2bin(out->b, sizeof out->b, hex, strlen(hex), NULL, &n, NULL) == 0 && n == sizeof out->b;
}

/* name, file, sha256, bytes, licence, source, purpose; cuts line in place. */
static bool parse_line(char *line, fm_model_entry *m)
{
    char *field[7], *save = NULL;
    int n = 0;
    int64_t bytes;

    for (char *f = strtok_r(line, "\t", &save); f && n < 7; f = strtok_r(NULL, "\t", &save))
        field[n++] = f;
    if (n != 7 || strchr(field[1], '/') || !parse_digest(field[2], &m->sha256) ||
        !fm_parse_int(field[3], 1, INT64_MAX, &bytes))
        return false;
    m->bytes = (uint64_t)bytes;
    snprintf(m->name, sizeof m->name, "%s", field[0]);
    snprintf(m->file, sizeof m->file, "%s", field[1]);
    snprintf(m->licence, sizeof m->licence, "%s", field[4]);
    snprintf(m->source, sizeof m->source, "%s", field[5]);
    snprintf(m->purpose, sizeof m->purpose, "%s", field[6]);
    return true;
}

static int parse_list(char *text, const char *path, const places *p, fm_model_list *out, fm_err *err)
{
    char *save = NULL;
    int line = 1;

    strtok_r(text, "\n", &save);        /* the header */
    out->n = 0;
    for (char *l = strtok_r(NULL, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        line++;
        if (out->n == FM_MODEL_LIST_MAX || !parse_line(l, &out->v[out->n]))
            return fm_fail(err, -EINVAL, "%s:%d: not a model's line; get the file from the release again", path, line);
        locate(p, &out->v[out->n++]);
    }
    return 0;
}

int fm_model_list_read(fm_model_list *out, fm_err *err)
{
    places *p = malloc(sizeof *p);
    char path[FM_PATH_MAX] = "";
    fm_buf text = FM_BUF_INIT;
    int rc;

    if (!p)
        return fm_fail_nomem(err, "model list", sizeof *p);
    find_places(p);
    for (int i = 0; i < p->n; i++)
        if (fm_path_join(path, sizeof path, p->dir[i], LIST_NAME, NULL) == 0 && fm_path_exists(path))
            break;
        else
            path[0] = '\0';
    if (!path[0])
        rc = fm_fail(err, -ENOENT, LIST_NAME " is not found beside the program; install facemill with make install, or set "
                     "FACEMILL_MODELS to the folder that holds it");
    else
        rc = fm_file_read(path, 1 << 20, &text, err);
    if (rc == 0) {
        fm_buf_u8(&text, '\0');
        rc = text.failed ? fm_fail_nomem(err, path, text.size) : parse_list((char *)text.data, path, p, out, err);
    }
    fm_buf_fini(&text);
    free(p);
    return rc;
}

const fm_model_entry *fm_model_find(const fm_model_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i].name, name) == 0)
            return &list->v[i];
    return NULL;
}

int fm_model_need(const fm_model_list *list, const char *name, const fm_model_entry **out, fm_err *err)
{
    const fm_model_entry *m = fm_model_find(list, name);

    if (!m)
        return fm_fail(err, -ENOENT, "model %s is not in " LIST_NAME "; facemill models lists what there is", name);
    if (!m->path[0])
        return fm_fail(err, -ENOENT, "model %s: no file %s of %llu bytes; run ./setup, or set FACEMILL_MODELS to the "
                       "folder that holds it", name, m->file, (unsigned long long)m->bytes);
    *out = m;
    return 0;
}

int fm_model_check(const fm_model_entry *m, fm_err *err)
{
    char want[FM_DIGEST_HEX], got[FM_DIGEST_HEX];
    fm_digest sha;
    int rc;

    if (!m->path[0])
        return fm_fail(err, -ENOENT, "model %s: no file %s of %llu bytes; run ./setup", m->name, m->file,
                       (unsigned long long)m->bytes);
    if ((rc = fm_sha256_file(m->path, &sha, err)) != 0)
        return rc;
    if (fm_digest_equal(&sha, &m->sha256))
        return 0;
    fm_digest_hex(&m->sha256, want);
    fm_digest_hex(&sha, got);
    return fm_fail(err, -EBADMSG, "model %s: %s has SHA-256 %s, expected %s; delete it and run ./setup", m->name, m->path,
                   got, want);
}

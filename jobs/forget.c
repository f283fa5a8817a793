/* forget and rekey: verbs on the keys of an encrypted store.
 *
 * Both hold the store as its coordinator does, so that nothing is built meanwhile, and
 * refuse one with open segments: their workers may be alive.  Forgetting destroys keys
 * first and tidies the results afterwards; killed in between and run again it finds the
 * subject in the ledger still, and goes on. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/options.h"
#include "jobs/forgotten.h"
#include "jobs/key.h"
#include "jobs/verbs.h"
#include "storage/catalog.h"
#include "storage/forget.h"

/* The photographs that go. */
typedef struct {
    fm_forget_item *v;      /* [n] */
    char **path;            /* [n], owned */
    size_t n;
} goners;

static void goners_fini(goners *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->path[i]);
    free(g->v);
    free(g->path);
}

static int add_goner(goners *g, const char *path, const fm_digest *image, fm_err *err)
{
    fm_forget_item *v = realloc(g->v, (g->n + 1) * sizeof *v);
    char **paths, *copy;

    g->v = v ? v : g->v;
    paths = realloc(g->path, (g->n + 1) * sizeof *paths);
    g->path = paths ? paths : g->path;
    copy = strdup(path);
    if (!v || !paths || !copy) {
        free(copy);
        return fm_fail_nomem(err, "photographs", (g->n + 1) * sizeof *v);
    }
    g->path[g->n] = copy;
    g->v[g->n++] = (fm_forget_item){image ? *image : (fm_digest){{0}}, copy};
    return 0;
}

typedef struct {
    const char *subject;
    bool is_study;
    fm_study *study;        /* owned; NULL when OUT was named */
    char out[FM_PATH_MAX], store[FM_PATH_MAX];
    fm_catalog *catalog;    /* taken */
    goners goners;
    size_t rows;            /* of the ledger */
    uint64_t records;
} job;

static int refuse_open(void *ctx, const fm_catalog_segment *segment)
{
    if (segment->state == FM_SEGMENT_SEALED)
        return 0;
    return fm_fail(ctx, -EBUSY, "a run was ended before its segments were sealed: run the study again first (facemill run)");
}

/* Hold the unlocked store at job->store. */
static int hold(const char *store, fm_catalog **catalog, fm_err *err)
{
    uint64_t epoch;
    int rc;

    if (fm_path_exists(store) && !fm_vault_exists(store))
        return fm_fail(err, -EINVAL, "%s is not encrypted: there are no keys to destroy or change; remove the folder, and "
                       "everything is made again without what the study does not list any more", store);
    rc = fm_catalog_open(store, false, catalog, err);
    if (rc == 0)
        rc = fm_catalog_take(*catalog, &epoch, err);
    return rc == 0 ? fm_catalog_each_segment(*catalog, refuse_open, err, err) : rc;
}

static int locate(job *j, const char *named, fm_err *err)
{
    struct stat st;
    int rc = 0;

    if (stat(named, &st) != 0)
        return fm_fail(err, -ENOENT, "%s: %s", named, strerror(errno));
    j->is_study = !S_ISDIR(st.st_mode);
    if (j->is_study) {
        j->study = calloc(1, sizeof *j->study);
        rc = j->study ? fm_study_load(named, j->study, err) : fm_fail_nomem(err, "study", sizeof *j->study);
    }
    if (rc == 0)
        rc = fm_path_join(j->out, sizeof j->out, "", j->is_study ? j->study->out : named, err);
    if (rc == 0)
        rc = fm_path_join(j->store, sizeof j->store, j->out, "store", err);
    if (rc == 0 && !fm_path_exists(j->store))
        rc = fm_fail(err, -ENOENT, "%s: no store here, so nothing is known of anybody", j->store);
    if (rc == 0)
        rc = j->is_study ? fm_key_for_study(j->study, j->store, err) : fm_key_for_store(j->store, err);
    return rc;
}

/* What the manifests list of the subject, in the study or left out of it. */
static int find_in_study(job *j, fm_err *err)
{
    fm_samples s = {.n = 0};
    int rc = fm_samples_import(j->study, &s, err);

    for (size_t i = 0; rc == 0 && i < s.n; i++) {
        fm_catalog_file file = {0};

        if (!fm_subject_is(s.v[i].subject, j->subject))
            continue;
        rc = fm_catalog_find_file(j->catalog, s.v[i].path, &file, err);
        if (rc == 0 || rc == -ENOENT)
            rc = add_goner(&j->goners, s.v[i].path, &file.image, err);
    }
    fm_samples_fini(&s);
    return rc;
}

static bool is_named(const fm_buf *names, const char *name)
{
    for (size_t at = 0; at < names->size; at += strlen((const char *)names->data + at) + 1)
        if (strcmp((const char *)names->data + at, name) == 0)
            return true;
    return false;
}

/* What the ledger says is of the subject, and the last build had. */
static int find_in_ledger(job *j, fm_err *err)
{
    fm_study_keys keys = {NULL, 0};
    fm_buf names = FM_BUF_INIT;
    int rc = fm_forgotten_ledger(j->out, j->subject, false, &names, &j->rows, err);

    if (rc == 0)
        rc = fm_keys_read(j->store, &keys, err);
    for (size_t i = 0; rc == 0 && i < keys.n; i++)
        if (is_named(&names, keys.v[i].name))
            rc = add_goner(&j->goners, keys.v[i].path, &keys.v[i].image, err);
    fm_keys_fini(&keys);
    fm_buf_fini(&names);
    return rc;
}

static int tidy(job *j, fm_err *err)
{
    fm_buf names = FM_BUF_INIT;
    int rc = fm_forgotten_keys(j->store, err);

    if (rc == 0)
        rc = fm_forgotten_results(j->out, err);
    if (rc == 0 && (rc = fm_forgotten_ledger(j->out, j->subject, true, &names, &j->rows, err)) == -ENOENT)
        rc = 0;     /* no results yet */
    fm_buf_fini(&names);
    return rc;
}

static int forget(job *j, const char *named, bool dry_run, fm_err *err)
{
    int rc = locate(j, named, err);

    if (rc == 0)
        rc = hold(j->store, &j->catalog, err);
    if (rc == 0)
        rc = j->is_study ? find_in_study(j, err) : find_in_ledger(j, err);
    if (rc == 0 && j->goners.n == 0 && j->rows == 0)
        rc = fm_fail(err, -ENOENT, "no photograph of that subject is in %s (write it as the manifest does, or as "
                     "cohort/subject)", j->is_study ? "the study's manifests" : "the ledger");
    if (rc != 0 || dry_run)
        return rc;
    rc = fm_forget(j->store, j->goners.v, j->goners.n, &j->records, err);
    return rc == 0 ? tidy(j, err) : rc;
}

static int exit_of(int rc)
{
    switch (rc) {
    case 0: return FM_EXIT_DONE;
    case -EAGAIN: case -EBUSY: return FM_EXIT_BUSY;
    case -EINVAL: return FM_EXIT_USAGE;
    case -ENOENT: case -ENOKEY: case -EKEYREJECTED: case -EACCES: case -EBADMSG: return FM_EXIT_INPUT;
    default: return FM_EXIT_FAILED;
    }
}

/* A name on the command line is seen by whoever lists processes: "-" reads it from standard input. */
static int read_subject(char *text, size_t size, const char **subject, fm_err *err)
{
    if (!*subject)
        return fm_fail(err, -EINVAL, "forget: --subject S is needed (-: a line of standard input)");
    if (strcmp(*subject, "-") != 0)
        return 0;
    if (!fgets(text, (int)size, stdin))
        return fm_fail(err, -EINVAL, "forget: no subject on standard input");
    text[strcspn(text, "\r\n")] = '\0';
    *subject = text;
    return 0;
}

int fm_verb_forget(int argc, char **argv)
{
    job j = {.subject = NULL};
    bool dry_run = false;
    const fm_option options[] = {
        {"subject", FM_OPT_STRING, &j.subject, 0, 0, "S", "subject as the manifest names it; -: read it from standard input"},
        {"dry-run", FM_OPT_FLAG, &dry_run, 0, 0, NULL, "say how many photographs it would be; change nothing"},
    };
    const fm_command command = {"forget STUDY.yaml|OUT --subject S [options]",
                                "Destroys the keys of every record of a subject in an encrypted store: they are unreadable\n"
                                "then, in the store and in copies of its segments.  Their photographs stay left out, as\n"
                                "forgotten, also where a manifest lists them still.  Results are removed: run the study\n"
                                "again to make them without the subject.  facemill rekey afterwards ends what copies of\n"
                                "the key table could open.",
                                options, 2, 1, 1};
    const char *args[1];
    char text[1024];
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0)
        rc = read_subject(text, sizeof text, &j.subject, &err);
    if (rc != 0)
        return fm_command_exit(rc, &err);
    rc = forget(&j, args[0], dry_run, &err);
    if (rc == 0 && dry_run)
        printf("%zu photographs would be forgotten\n", j.goners.n);
    else if (rc == 0)
        printf("%zu photographs forgotten, %llu records made unreadable; results removed: run the study again\n",
               j.goners.n, (unsigned long long)j.records);
    else
        fprintf(stderr, "facemill forget: %s\n", err.text);
    fm_catalog_close(j.catalog);
    goners_fini(&j.goners);
    free(j.study);
    return exit_of(rc);
}

static int rekey(const char *out, const char *file, const char *from_command, fm_err *err)
{
    char store[FM_PATH_MAX], from[FM_PATH_MAX];
    fm_catalog *catalog = NULL;
    uint8_t *key = NULL;
    int rc = fm_path_join(store, sizeof store, out, "store", err);

    if (rc == 0)
        rc = fm_key_for_store(store, err);
    if (rc == 0)
        rc = hold(store, &catalog, err);
    if (rc == 0)
        rc = fm_key_read(file, from_command, &key, from, err);
    if (rc == 0)
        rc = fm_rekey(store, key, from, err);
    sodium_free(key);
    fm_catalog_close(catalog);
    return rc;
}

int fm_verb_rekey(int argc, char **argv)
{
    const char *file = "", *from_command = "", *args[1];
    const fm_option options[] = {
        {"key-file", FM_OPT_STRING, &file, 0, 0, "FILE", "file with the new key"},
        {"key-command", FM_OPT_STRING, &from_command, 0, 0, "COMMAND", "or a command whose output is the new key"},
    };
    const fm_command command = {"rekey OUT --key-file FILE | --key-command COMMAND",
                                "Gives an encrypted store a new master key.  The old one is found as always\n"
                                "($FACEMILL_KEY_FILE, or the file that the store was made with) and opens nothing\n"
                                "afterwards.  Records are not rewritten: seconds, whatever the size of the store.",
                                options, 2, 1, 1};
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0 && !*file == !*from_command)
        rc = fm_fail(&err, -EINVAL, "rekey: name the new key by --key-file or by --key-command");
    if (rc != 0)
        return fm_command_exit(rc, &err);
    rc = rekey(args[0], file, from_command, &err);
    if (rc == 0)
        printf("the store has a new master key%s\n", *file ? "; name its file in the study" : "");
    else
        fprintf(stderr, "facemill rekey: %s\n", err.text);
    return exit_of(rc);
}

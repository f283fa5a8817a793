/* verify and digest: what can be said of OUT from its files alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/options.h"
#include "coordinator/learn/evaluation.h"
#include "jobs/json_text.h"
#include "jobs/verbs.h"
#include "storage/keys.h"
#include "storage/store.h"

static int digest_of(const char *out, fm_digest *digest, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_study_keys keys = {NULL, 0};
    fm_digest *photo = NULL, *code = NULL;
    fm_store *store = NULL;
    int rc = fm_path_join(dir, sizeof dir, out, "store", err);

    if (rc != 0 || (rc = fm_store_open(dir, &store, err)) != 0 || (rc = fm_keys_read(dir, &keys, err)) != 0)
        goto done;
    photo = malloc((keys.n + 1) * sizeof *photo);
    code = malloc((keys.n + 1) * sizeof *code);
    if (!photo || !code) {
        rc = fm_fail_nomem(err, "keys", 2 * keys.n * sizeof *photo);
        goto done;
    }
    for (size_t i = 0; i < keys.n; i++) {
        photo[i] = keys.v[i].photo;
        code[i] = keys.v[i].code;
    }
    rc = fm_store_digest(store, photo, code, keys.n, digest, err);
done:
    free(photo);
    free(code);
    fm_keys_fini(&keys);
    fm_store_close(store);
    return rc;
}

static int exit_of(int rc)
{
    return rc == 0 ? FM_EXIT_DONE : rc == -EBADMSG ? FM_EXIT_NOT_HELD : rc == -ENOMEM ? FM_EXIT_FAILED : FM_EXIT_INPUT;
}

int fm_verb_digest(int argc, char **argv)
{
    bool json = false;
    const fm_option options[] = {{"json", FM_OPT_FLAG, &json, 0, 0, NULL, "print it as JSON"}};
    const fm_command command = {"digest OUT [options]",
                                "Prints one digest of all chips and codes of the study in OUT: equal for equal photographs,\n"
                                "recipe and models, whatever the number of ranks and however often a build was killed.",
                                options, 1, 1, 1};
    const char *args[1];
    char hex[FM_DIGEST_HEX];
    fm_digest digest;
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc != 0)
        return fm_command_exit(rc, &err);
    if ((rc = digest_of(args[0], &digest, &err)) != 0) {
        fprintf(stderr, "facemill digest: %s\n", err.text);
        return exit_of(rc);
    }
    fm_digest_hex(&digest, hex);
    printf(json ? "{\"digest\": \"%s\"}\n" : "%s\n", hex);
    return FM_EXIT_DONE;
}

/* What verify found; every wrong thing is said at once or kept for the JSON. */
typedef struct {
    json_t *wrong;
    bool json;
    uint64_t records, damaged;
} findings;

static void wrong(void *ctx, const char *what)
{
    findings *f = ctx;

    json_array_append_new(f->wrong, fm_json_text(what));
    if (!f->json)
        printf("%s\n", what);
}

/* The digest that results.json speaks of is the store's. */
static void check_results(const char *out, findings *f)
{
    char path[FM_PATH_MAX], hex[FM_DIGEST_HEX];
    fm_err err = FM_ERR_INIT;
    fm_digest digest;
    json_error_t where;
    json_t *results;
    const char *said;

    if (fm_path_join(path, sizeof path, out, "results.json", NULL) != 0 || !fm_path_exists(path))
        return;     /* a build that was not evaluated */
    results = json_load_file(path, 0, &where);
    said = json_string_value(json_object_get(results, "digest"));
    if (!said) {
        wrong(f, "results.json is damaged; run facemill report again");
    } else if (digest_of(out, &digest, &err) != 0) {
        wrong(f, err.text);
    } else {
        fm_digest_hex(&digest, hex);
        if (strcmp(hex, said) != 0)
            wrong(f, "results.json belongs to other chips and codes than the store holds; run facemill report again");
    }
    json_decref(results);
}

static void check_evaluation(const char *out, findings *f)
{
    char path[FM_PATH_MAX];
    fm_evaluation e;
    fm_err err = FM_ERR_INIT;

    if (fm_path_join(path, sizeof path, out, "run/evaluation.bin", NULL) != 0 || !fm_path_exists(path))
        return;
    if (fm_evaluation_read(path, &e, &err) != 0)
        wrong(f, err.text);
    else
        fm_evaluation_fini(&e);
}

static int verify(const char *out, findings *f, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_store *store = NULL;
    int rc = fm_path_join(dir, sizeof dir, out, "store", err);

    if (rc == 0)
        rc = fm_store_open(dir, &store, err);
    if (rc == 0)
        rc = fm_store_verify(store, wrong, f, &f->records, &f->damaged, err);
    fm_store_close(store);
    if (rc != 0)
        return rc;
    check_results(out, f);
    check_evaluation(out, f);
    return 0;
}

static void print_findings(const findings *f)
{
    json_t *all;
    char *text;

    if (!f->json) {
        printf("%llu records checked, %llu damaged; %zu findings\n", (unsigned long long)f->records,
               (unsigned long long)f->damaged, json_array_size(f->wrong));
        return;
    }
    all = json_pack("{s:I, s:I, s:O}", "records", (json_int_t)f->records, "damaged", (json_int_t)f->damaged,
                            "findings", f->wrong);
    text = json_dumps(all, JSON_INDENT(2));
    if (text)
        puts(text);
    free(text);
    json_decref(all);
}

int fm_verb_verify(int argc, char **argv)
{
    findings f = {.json = false};
    const fm_option options[] = {{"json", FM_OPT_FLAG, &f.json, 0, 0, NULL, "print the findings as JSON"}};
    const fm_command command = {"verify OUT [options]",
                                "Checks every record of the store by its hash, that the catalog's records are there, and that\n"
                                "the results belong to them.  Names everything that is wrong; exit status 1 when something is.",
                                options, 1, 1, 1};
    const char *args[1];
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err), status;

    if (rc != 0)
        return fm_command_exit(rc, &err);
    f.wrong = json_array();
    if ((rc = verify(args[0], &f, &err)) == 0) {
        print_findings(&f);
        status = json_array_size(f.wrong) || f.damaged ? FM_EXIT_NOT_HELD : FM_EXIT_DONE;
    } else {
        fprintf(stderr, "facemill verify: %s\n", err.text);
        status = exit_of(rc);
    }
    json_decref(f.wrong);
    return status;
}

/* verify and digest: what can be said of OUT from its files alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/options.h"
#include "coordinator/learn/evaluation.h"
#include "coordinator/repair.h"
#include "jobs/export_log.h"
#include "jobs/json_text.h"
#include "jobs/key.h"
#include "jobs/road.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"
#include "jobs/verify_store.h"
#include "storage/keys.h"
#include "storage/store.h"

static int digest_of(const char *out, fm_digest *digest, fm_err *err)
{
    char dir[FM_PATH_MAX];
    fm_study_keys keys = {NULL, 0};
    fm_digest *photo = NULL, *code = NULL;
    fm_store *store = NULL;
    int rc = fm_path_join(dir, sizeof dir, out, "store", err);

    if (rc != 0 || (rc = fm_key_for_store(dir, err)) != 0 || (rc = fm_store_open(dir, &store, err)) != 0 || (rc = fm_keys_read(dir, &keys, err)) != 0)
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
    json_t *segments;           /* names of damaged ones: keys of an object */
    bool json;
    uint64_t records, damaged;
} findings;

static void wrong_in(void *ctx, const char *segment, const char *what)
{
    findings *f = ctx;

    if (!what)
        return;
    if (segment)
        json_object_set_new(f->segments, segment, json_true());
    json_array_append_new(f->wrong, fm_json_text(what));
    if (!f->json)
        printf("%s\n", what);
}

static void wrong(findings *f, const char *what)
{
    wrong_in(f, NULL, what);
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

static void begin_findings(findings *f)
{
    json_decref(f->wrong);
    json_decref(f->segments);
    f->wrong = json_array();
    f->segments = json_object();
    f->records = f->damaged = 0;
}

static void wrong_in_log(void *ctx, const char *what)
{
    wrong(ctx, what);
}

static int verify(const char *out, findings *f, fm_err *err)
{
    char dir[FM_PATH_MAX];
    uint64_t lines;
    int rc = fm_path_join(dir, sizeof dir, out, "store", err);

    begin_findings(f);
    if (rc == 0)
        rc = fm_key_for_store(dir, err);
    if (rc == 0)
        rc = fm_verify_store(dir, wrong_in, f, &f->records, &f->damaged, err);
    if (rc != 0)
        return rc;
    check_results(out, f);
    check_evaluation(out, f);
    return fm_export_log_check(out, wrong_in_log, f, &lines, err);
}

static bool is_whole(const findings *f)
{
    return json_array_size(f->wrong) == 0 && f->damaged == 0;
}

/* Take what is damaged out of the store. */
static int take_out(const fm_road *road, const findings *f, fm_err *err)
{
    size_t n = 0, room = json_object_size(f->segments);
    const char *scratch = road->study.scratch[0] ? road->study.scratch : NULL, **names, *name;
    fm_repair_counts counts;
    json_t *value;
    int rc;

    names = malloc((room + 1) * sizeof *names);
    if (!names)
        return fm_fail_nomem(err, "names of segments", room * sizeof *names);
    json_object_foreach(f->segments, name, value)
        names[n++] = name;
    rc = fm_repair_run(road->store_dir, scratch, names, n, &counts, err);
    free(names);
    if (rc == 0)
        fprintf(stderr, "repair: of %zu damaged segments %llu records were kept, %llu left out; %llu segments could not "
                "be read\n", n, (unsigned long long)counts.kept, (unsigned long long)counts.gone,
                (unsigned long long)counts.unreadable);
    return rc;
}

/* Out with what is damaged, then the road to the end of the build.  An exit status. */
static int repair(const char *study, const char *out, const findings *f, fm_err *err)
{
    const fm_road_options options = {.out = out};
    fm_road *road;
    int status, rc = fm_road_open(study, &options, &road, &status, err);

    if (rc != 0)
        return status;
    fm_stop_install();
    rc = take_out(road, f, err);
    if (rc == 0)
        status = fm_road_go(road, FM_STAGE_BUILD, err);
    else
        status = rc == -EAGAIN ? FM_EXIT_BUSY : FM_EXIT_FAILED;
    fm_road_close(road);
    return status;
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

/* Verify, repair if that was asked for, verify again.  An exit status. */
static int verify_and_repair(const char *out, const char *study, findings *f, fm_err *err)
{
    int status, rc = verify(out, f, err);

    if (rc != 0)
        return exit_of(rc);
    if (study && !is_whole(f)) {
        status = repair(study, out, f, err);
        if (status != FM_EXIT_DONE)
            return status;
        if ((rc = verify(out, f, err)) != 0)
            return exit_of(rc);
    }
    return is_whole(f) ? FM_EXIT_DONE : FM_EXIT_NOT_HELD;
}

int fm_verb_verify(int argc, char **argv)
{
    findings f = {.json = false};
    const char *study = NULL;
    const fm_option options[] = {{"json", FM_OPT_FLAG, &f.json, 0, 0, NULL, "print the findings as JSON"},
                                 {"repair", FM_OPT_STRING, &study, 0, 0, "STUDY.yaml",
                                  "make again from its photographs what is damaged, then verify again"}};
    const fm_command command = {"verify OUT [options]",
                                "Checks every record of the store by its hash, that the catalog's records are there, that the\n"
                                "results belong to them, and that no line of export.log was changed or removed.  Names\n"
                                "everything that is wrong; exit status 1 when something is.",
                                options, sizeof options / sizeof *options, 1, 1};
    const char *args[1];
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err), status;

    if (rc != 0)
        return fm_command_exit(rc, &err);
    status = verify_and_repair(args[0], study, &f, &err);
    if (status == FM_EXIT_DONE || (status == FM_EXIT_NOT_HELD && !err.text[0]))
        print_findings(&f);
    else
        fprintf(stderr, "facemill verify: %s\n", err.text);
    json_decref(f.wrong);
    json_decref(f.segments);
    return status;
}

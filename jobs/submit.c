/* submit: a study, or one verb of it, as a SLURM job.  The script stays in OUT/run, so
 * that what runs can be read, and changed and submitted again by hand. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/options.h"
#include "cluster/batch.h"
#include "jobs/json_text.h"
#include "jobs/road.h"
#include "jobs/verbs.h"

#define SCRIPT_NAME "submit.sh"
#define COMMAND_MAX 16
#define STEPS_MAX 3
#define ARRAY_MAX 1000          /* SLURM's usual MaxArraySize, less one */
#define ARRAY_UNKNOWN 16

typedef struct {
    fm_road_options road;
    fm_batch_spec batch;        /* what the command line says of it */
    const char *verb;
    int64_t nodes, ranks_per_node;
    bool array_folds, dry_run, json;
} choices;

static int check_verb(const char *verb, fm_err *err)
{
    static const char *const verbs[] = {"run", "import", "match", "build", "train", "evaluate", "explain", "report"};

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i], verb) == 0)
            return 0;
    return fm_fail(err, -EINVAL, "submit: --verb %s: it is one of run, import, match, build, train, evaluate, explain, report", verb);
}

/* Absolute, since the job's shell stands elsewhere; the job must not need what only this shell has set. */
static const char *models_folder(char out[PATH_MAX])
{
    const char *own = getenv("FACEMILL_MODELS");

    return own && *own ? realpath(own, out) : NULL;
}

/* The study's ranks are spread over its nodes. */
static int64_t ranks_per_node(const fm_road *r, const choices *c)
{
    return c->ranks_per_node ? c->ranks_per_node : (r->study.ranks + c->nodes - 1) / c->nodes;
}

/* One job: its script's name in OUT/run, and what it does. */
typedef struct {
    const char *script, *verb;
    uint32_t array;             /* as in fm_batch_spec; such a job has one core an element */
} step;

/* How many jobs there are folds for; where the samples decide, which nobody has read yet, enough. */
static uint32_t array_size(const fm_road *r)
{
    const fm_study_evaluate *e = &r->study.evaluate;
    int64_t folds = e->split == FM_SPLIT_KFOLD ? e->folds * e->repeats : e->split == FM_SPLIT_HOLDOUT ? e->repeats
                                                                                                      : ARRAY_UNKNOWN;

    return (uint32_t)(folds > ARRAY_MAX ? ARRAY_MAX : folds);
}

/* The words after the program's name; room for them is the caller's. */
static size_t command_words(const fm_road *r, const choices *c, const step *at, char ranks[24], char parts[24],
                            const char **words)
{
    size_t n = 0;

    words[n++] = r->exe;
    words[n++] = at->verb;
    words[n++] = r->study.file;
    words[n++] = "--out";
    words[n++] = r->study.out;
    words[n++] = "--nodes";
    words[n++] = "$SLURM_JOB_NUM_NODES";
    snprintf(ranks, 24, "%lld", at->array ? 1 : (long long)(c->nodes * c->ranks_per_node));
    if (at->array || (c->ranks_per_node && r->study.ranks)) {       /* else the study's figure would hold */
        words[n++] = "--ranks";
        words[n++] = ranks;
    }
    if (at->array) {
        snprintf(parts, 24, "%u", at->array);
        words[n++] = "--part";
        words[n++] = "$SLURM_ARRAY_TASK_ID";
        words[n++] = "--parts";
        words[n++] = parts;
        return n;
    }
    if (c->road.paranoid)
        words[n++] = "--paranoid";
    if (c->road.identifiable && strcmp(at->verb, "folds") != 0)
        words[n++] = "--identifiable";
    return n;
}

static int write_text(const fm_road *r, const choices *c, const step *at, fm_buf *text, fm_err *err)
{
    char about[256], log[FM_PATH_MAX], models[PATH_MAX], ranks[24], parts[24];
    const char *command[COMMAND_MAX];
    fm_batch_spec spec = c->batch;
    int rc = fm_path_join(log, sizeof log, r->log_dir, at->array ? "job-%A-%a.log" : "job-%j.log", err);

    if (rc != 0)
        return rc;
    snprintf(about, sizeof about, "facemill %s of the study \"%.128s\", as facemill submit wrote it.", at->verb,
             r->study.name);
    spec.name = r->study.name;
    spec.about = about;
    spec.nodes = at->array ? 1 : (uint32_t)c->nodes;
    spec.ranks_per_node = at->array ? 1 : (uint32_t)ranks_per_node(r, c);
    spec.array = at->array;
    spec.log = log;
    spec.models = models_folder(models);
    spec.command = command;
    spec.n_command = command_words(r, c, at, ranks, parts, command);
    return fm_batch_script(&spec, text, err);
}

/* Into OUT/run, and checked by sbatch. */
static int write_script(const fm_road *r, const step *at, const fm_buf *text, char script[FM_PATH_MAX], fm_err *err)
{
    int rc = fm_dir_make(r->run_dir, err);

    if (rc == 0)
        rc = fm_dir_make(r->log_dir, err);
    if (rc == 0)
        rc = fm_path_join(script, FM_PATH_MAX, r->run_dir, at->script, err);
    if (rc == 0)
        rc = fm_file_write(script, text->data, text->size, err);
    return rc == 0 ? fm_batch_check(script, err) : rc;
}

/* Every script is there and sound before the first is submitted; each job waits for the one before it. */
static int hand_over(const fm_road *r, const step *steps, size_t n, const fm_buf *texts, uint64_t *jobs, fm_err *err)
{
    char script[FM_PATH_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_script(r, &steps[i], &texts[i], script, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = fm_path_join(script, sizeof script, r->run_dir, steps[i].script, err);
        if (rc == 0)
            rc = fm_batch_submit(script, i ? jobs[i - 1] : 0, &jobs[i], err);
        if (rc != 0 && i > 0)
            fm_fail_in(err, rc, "job %llu was submitted and is of no use alone (scancel it)",
                       (unsigned long long)jobs[i - 1]);
    }
    return rc;
}

static void say(const fm_road *r, const choices *c, const step *steps, size_t n, const uint64_t *jobs)
{
    json_t *all, *list;
    char *text;

    if (!c->json) {
        for (size_t i = 0; i < n; i++)
            printf("job %llu: %s of %s, by %s/%s\n", (unsigned long long)jobs[i], steps[i].verb, r->study.name, r->run_dir,
                   steps[i].script);
        printf("follow it with: facemill status %s\n", r->study.out);
        return;
    }
    list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer((json_int_t)jobs[i]));
    all = json_pack("{s:I, s:o, s:o, s:o}", "job", (json_int_t)jobs[n - 1], "jobs", list, "scripts",
                    fm_json_text(r->run_dir), "out", fm_json_text(r->study.out));
    text = json_dumps(all, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text)
        puts(text);
    free(text);
    json_decref(all);
}

static int submit_steps(const fm_road *r, const choices *c, const step *steps, size_t n, fm_err *err)
{
    fm_buf texts[STEPS_MAX] = {FM_BUF_INIT, FM_BUF_INIT, FM_BUF_INIT};
    uint64_t jobs[STEPS_MAX];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_text(r, c, &steps[i], &texts[i], err);
    for (size_t i = 0; rc == 0 && c->dry_run && i < n; i++)
        fwrite(texts[i].data, 1, texts[i].size, stdout);
    if (rc == 0 && !c->dry_run && (rc = hand_over(r, steps, n, texts, jobs, err)) == 0)
        say(r, c, steps, n, jobs);
    for (size_t i = 0; i < n; i++)
        fm_buf_fini(&texts[i]);
    return rc;
}

static int submit(const char *study, choices *c, fm_err *err)
{
    fm_road *r = NULL;
    int status, rc = fm_road_open(study, &c->road, &r, &status, err);

    if (rc != 0)
        return status;
    c->nodes = c->nodes ? c->nodes : r->study.nodes;
    if (c->array_folds) {
        const step steps[STEPS_MAX] = {{"submit-build.sh", "folds", 0}, {"submit-folds.sh", "folds", array_size(r)},
                                       {"submit-run.sh", "run", 0}};

        rc = submit_steps(r, c, steps, STEPS_MAX, err);
    } else {
        const step whole = {SCRIPT_NAME, c->verb, 0};

        rc = submit_steps(r, c, &whole, 1, err);
    }
    fm_road_close(r);
    return rc == 0 ? FM_EXIT_DONE : rc == -EINVAL ? FM_EXIT_USAGE : FM_EXIT_FAILED;
}

int fm_verb_submit(int argc, char **argv)
{
    choices c = {.verb = "run"};
    const fm_option options[] = {
        {"nodes", FM_OPT_INT, &c.nodes, 1, 65536, "N", "nodes, one crew on each (default: the study's cluster.nodes)"},
        {"ranks-per-node", FM_OPT_INT, &c.ranks_per_node, 1, 65536, "N", "cores asked for on each node (default: whole nodes)"},
        {"memory", FM_OPT_STRING, &c.batch.memory, 0, 0, "SIZE", "memory of a node, as sbatch's --mem (default: SLURM's)"},
        {"partition", FM_OPT_STRING, &c.batch.partition, 0, 0, "P", "partition to run in"},
        {"account", FM_OPT_STRING, &c.batch.account, 0, 0, "A", "account to charge"},
        {"time", FM_OPT_STRING, &c.batch.time, 0, 0, "T", "time limit; a job that reaches it goes on by itself later"},
        {"verb", FM_OPT_STRING, &c.verb, 0, 0, "VERB", "what to do (default run); build: make what is missing in the store"},
        {"array-folds", FM_OPT_FLAG, &c.array_folds, 0, 0, NULL, "folds as a job array, between a job that builds and one that gathers"},
        {"out", FM_OPT_STRING, &c.road.out, 0, 0, "DIR", "results go here instead of the study's out"},
        {"paranoid", FM_OPT_FLAG, &c.road.paranoid, 0, 0, NULL, "hash every file instead of trusting size and time"},
        {"identifiable", FM_OPT_FLAG, &c.road.identifiable, 0, 0, NULL, "let the report show faces of persons"},
        {"dry-run", FM_OPT_FLAG, &c.dry_run, 0, 0, NULL, "print the batch script; write and submit nothing"},
        {"json", FM_OPT_FLAG, &c.json, 0, 0, NULL, "print the facts as JSON"},
    };
    const fm_command command = {"submit STUDY.yaml [options]",
                                "Runs the study as a SLURM job: writes a short batch script to OUT/run/" SCRIPT_NAME ", has sbatch\n"
                                "check it, submits it and prints the job's number.",
                                options, sizeof options / sizeof *options, 1, 1};
    const char *args[1];
    fm_err err = FM_ERR_INIT;
    int status, rc = fm_command_parse(&command, argc, argv, args, &err);

    if (rc == 0)
        rc = check_verb(c.verb, &err);
    if (rc == 0 && c.array_folds && strcmp(c.verb, "run") != 0)
        rc = fm_fail(&err, -EINVAL, "submit: --array-folds is of the whole study: leave --verb out");
    if (rc != 0)
        return fm_command_exit(rc, &err);
    status = submit(args[0], &c, &err);
    if (status != FM_EXIT_DONE)
        fprintf(stderr, "facemill submit: %s\n", err.text);
    return status;
}

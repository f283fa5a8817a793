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

typedef struct {
    fm_road_options road;
    fm_batch_spec batch;        /* what the command line says of it */
    const char *verb;
    int64_t nodes, ranks_per_node;
    bool dry_run, json;
} choices;

static int check_verb(const char *verb, fm_err *err)
{
    static const char *const verbs[] = {"run", "import", "match", "build", "train", "evaluate", "report"};

    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i], verb) == 0)
            return 0;
    return fm_fail(err, -EINVAL, "submit: --verb %s: it is one of run, import, match, build, train, evaluate, report", verb);
}

/* Absolute, since the job's shell stands elsewhere; the job must not need what only this shell has set. */
static const char *models_folder(char out[PATH_MAX])
{
    const char *own = getenv("FACEMILL_MODELS");

    return own && *own ? realpath(own, out) : NULL;
}

/* The study's ranks are spread over its nodes. */
static int64_t ranks_per_node(const fm_road *r, const choices *c, int64_t nodes)
{
    return c->ranks_per_node ? c->ranks_per_node : (r->study.ranks + nodes - 1) / nodes;
}

static int write_text(const fm_road *r, const choices *c, fm_buf *text, fm_err *err)
{
    char about[256], log[FM_PATH_MAX], models[PATH_MAX], ranks[24];
    const char *command[COMMAND_MAX] = {r->exe, c->verb, r->study.file, "--out", r->study.out, "--nodes",
                                        "$SLURM_JOB_NUM_NODES"};
    int64_t nodes = c->nodes ? c->nodes : r->study.nodes;
    fm_batch_spec spec = c->batch;
    size_t n = 7;
    int rc = fm_path_join(log, sizeof log, r->log_dir, "job-%j.log", err);

    if (rc != 0)
        return rc;
    if (c->ranks_per_node && r->study.ranks) {      /* else the study's figure would hold */
        snprintf(ranks, sizeof ranks, "%lld", (long long)(nodes * c->ranks_per_node));
        command[n++] = "--ranks";
        command[n++] = ranks;
    }
    if (c->road.paranoid)
        command[n++] = "--paranoid";
    if (c->road.identifiable)
        command[n++] = "--identifiable";
    snprintf(about, sizeof about, "facemill %s of the study \"%.128s\", as facemill submit wrote it.", c->verb, r->study.name);
    spec.name = r->study.name;
    spec.about = about;
    spec.nodes = (uint32_t)nodes;
    spec.ranks_per_node = (uint32_t)ranks_per_node(r, c, nodes);
    spec.log = log;
    spec.models = models_folder(models);
    spec.command = command;
    spec.n_command = n;
    return fm_batch_script(&spec, text, err);
}

static int hand_over(const fm_road *r, const fm_buf *text, char script[FM_PATH_MAX], uint64_t *job, fm_err *err)
{
    int rc = fm_dir_make(r->run_dir, err);

    if (rc == 0)
        rc = fm_dir_make(r->log_dir, err);
    if (rc == 0)
        rc = fm_path_join(script, FM_PATH_MAX, r->run_dir, SCRIPT_NAME, err);
    if (rc == 0)
        rc = fm_file_write(script, text->data, text->size, err);
    if (rc == 0)
        rc = fm_batch_check(script, err);
    return rc == 0 ? fm_batch_submit(script, 0, job, err) : rc;
}

static void say(const fm_road *r, const choices *c, const char *script, uint64_t job)
{
    json_t *all;
    char *text;

    if (!c->json) {
        printf("job %llu: %s\nscript: %s\nfollow it with: facemill status %s\n", (unsigned long long)job, r->study.name,
               script, r->study.out);
        return;
    }
    all = json_pack("{s:I, s:o, s:o}", "job", (json_int_t)job, "script", fm_json_text(script), "out",
                    fm_json_text(r->study.out));
    text = json_dumps(all, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text)
        puts(text);
    free(text);
    json_decref(all);
}

static int submit(const char *study, const choices *c, fm_err *err)
{
    char script[FM_PATH_MAX];
    fm_buf text = FM_BUF_INIT;
    fm_road *r = NULL;
    uint64_t job;
    int status, rc = fm_road_open(study, &c->road, &r, &status, err);

    if (rc != 0)
        return status;
    rc = write_text(r, c, &text, err);
    if (rc == 0 && c->dry_run)
        fwrite(text.data, 1, text.size, stdout);
    else if (rc == 0 && (rc = hand_over(r, &text, script, &job, err)) == 0)
        say(r, c, script, job);
    fm_buf_fini(&text);
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
    if (rc != 0)
        return fm_command_exit(rc, &err);
    status = submit(args[0], &c, &err);
    if (status != FM_EXIT_DONE)
        fprintf(stderr, "facemill submit: %s\n", err.text);
    return status;
}

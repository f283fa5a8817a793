/* run, import, match, build, train, evaluate, explain, report: one command line, one road,
 * of different length. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/log.h"
#include "base/options.h"
#include "base/text.h"
#include "cluster/crew.h"
#include "jobs/json_text.h"
#include "jobs/road.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"

typedef struct {
    const char *verb;
    fm_stage last;
    const char *usage, *about;
} road_verb;

static const road_verb verbs[] = {
    {"run", FM_STAGE_REPORT, "run STUDY.yaml [options]",
     "Runs the whole study: import, match, build, train, evaluate, explain (where it says explain),\nreport.  Run again, it does only what is missing."},
    {"import", FM_STAGE_IMPORT, "import STUDY.yaml [options]",
     "Reads the cohorts, selects and labels, and says what is there.  Writes nothing."},
    {"match", FM_STAGE_MATCH, "match STUDY.yaml [options]", "Chooses controls for the cases and writes matched.tsv and balance.tsv."},
    {"build", FM_STAGE_BUILD, "build STUDY.yaml [options]",
     "Makes chips and codes of every photograph, on all ranks.  Also started by hand:\n"
     "mpirun -n 4 facemill build STUDY.yaml"},
    {"train", FM_STAGE_TRAIN, "train STUDY.yaml [options]", "Trains the head on all codes and writes head.bin."},
    {"evaluate", FM_STAGE_EVALUATE, "evaluate STUDY.yaml [options]", "Trains and tests the head over the folds."},
    {"explain", FM_STAGE_EXPLAIN, "explain STUDY.yaml [options]",
     "Hides parts of the faces in turn and says where that lowers the score of the right class:\nwhat the classifier looked at."},
    {"report", FM_STAGE_REPORT, "report STUDY.yaml [options]",
     "Writes results.json, predictions.tsv, ledger.tsv and report.html."},
};

typedef struct {
    fm_road_options road;
    bool json, dry_run;
} choices;

static json_t *counts_of(const fm_road *r)
{
    json_t *left = json_object(), *all = json_object();
    size_t of[FM_REASON_COUNT] = {0};

    for (size_t i = 0; i < r->samples.n; i++)
        of[r->samples.v[i].reason]++;
    for (int i = FM_USED + 1; i < FM_REASON_COUNT; i++)
        if (of[i])
            json_object_set_new(left, fm_reason_name((fm_reason)i), json_integer((json_int_t)of[i]));
    json_object_set_new(all, "photographs", json_integer((json_int_t)r->samples.n));
    json_object_set_new(all, "used", json_integer((json_int_t)of[FM_USED]));
    json_object_set_new(all, "left_out", left);
    json_object_set_new(all, "pairs", json_integer((json_int_t)r->pairs.n));
    return all;
}

static json_t *build_counts(const fm_build_counts *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "photographs", (json_int_t)c->photographs, "photos_made",
                     (json_int_t)c->photos_made, "photos_reused", (json_int_t)c->photos_reused, "codes_made",
                     (json_int_t)c->codes_made, "codes_reused", (json_int_t)c->codes_reused, "leases_lost",
                     (json_int_t)c->leases_lost, "crews_lost", (json_int_t)c->crews_lost);
}

static json_t *number(double v)
{
    return isnan(v) ? json_null() : json_real(v);
}

static json_t *metrics_of(const fm_evaluation *e)
{
    fm_predictions p = fm_evaluation_predictions(e);
    json_t *all = json_object();

    for (int i = 0; i < FM_METRIC_COUNT; i++)
        if (fm_metric_applies(&p, i))
            json_object_set_new(all, fm_metric_name(i),
                                json_pack("{s:o, s:o, s:o}", "value", number(e->metrics[i].value), "low",
                                          number(e->metrics[i].low), "high", number(e->metrics[i].high)));
    return all;
}

static void print_json(const fm_road *r, fm_stage last)
{
    json_t *all = json_pack("{s:o, s:o, s:o}", "study", fm_json_text(r->study.name), "out",
                            fm_json_text(r->study.out), "counts", counts_of(r));
    char *text;

    if (last >= FM_STAGE_BUILD)
        json_object_set_new(all, "build", build_counts(&r->counts));
    if (r->evaluated)
        json_object_set_new(all, "metrics", metrics_of(&r->evaluation));
    if (r->explanation.classes)
        json_object_set_new(all, "explain", fm_explain_json(&r->explanation, &r->samples));
    text = json_dumps(all, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
    if (text)
        puts(text);
    free(text);
    json_decref(all);
}

static void print_counts(const fm_road *r)
{
    const char *before = " (";
    size_t used = fm_samples_used(&r->samples), of[FM_REASON_COUNT] = {0};

    for (size_t i = 0; i < r->samples.n; i++)
        of[r->samples.v[i].reason]++;
    printf("%s: %zu photographs, %zu used, %zu left out", r->study.name, r->samples.n, used, r->samples.n - used);
    for (int i = FM_USED + 1; i < FM_REASON_COUNT; i++)
        if (of[i]) {
            printf("%s%s %zu", before, fm_reason_name((fm_reason)i), of[i]);
            before = ", ";
        }
    printf("%s\n", *before == ',' ? ")" : "");
    if (r->pairs.n)
        printf("%zu pairs of case and control\n", r->pairs.n);
}

static void print_metric(const fm_evaluation *e, fm_metric_id id, const char *name)
{
    const fm_metric *m = &e->metrics[id];

    printf("%s %.3f", name, m->value);
    if (!isnan(m->low))
        printf(" (95 %% interval %.3f to %.3f)", m->low, m->high);
    printf("\n");
}

static void print_explanation(const fm_explanation *x)
{
    fm_buf b = FM_BUF_INIT;

    fm_explain_print(x, &b);
    if (!b.failed)
        fwrite(b.data, 1, b.size, stdout);
    fm_buf_fini(&b);
}

static void print_words(const fm_road *r, fm_stage last)
{
    print_counts(r);
    if (last >= FM_STAGE_BUILD)
        printf("chips made %llu, reused %llu; codes made %llu, reused %llu\n",
               (unsigned long long)r->counts.photos_made, (unsigned long long)r->counts.photos_reused,
               (unsigned long long)r->counts.codes_made, (unsigned long long)r->counts.codes_reused);
    if (r->evaluated) {
        print_metric(&r->evaluation, FM_METRIC_ACCURACY, "accuracy");
        print_metric(&r->evaluation, FM_METRIC_AUC, "AUC");
    }
    if (last == FM_STAGE_EXPLAIN)
        print_explanation(&r->explanation);
    if (last == FM_STAGE_REPORT)
        printf("report: %s/report.html\n", r->study.out);
}

/* What would be done; writes nothing. */
static int dry_run(fm_road *r, fm_stage last, fm_err *err)
{
    int status = fm_road_go(r, FM_STAGE_IMPORT, err);

    if (status != FM_EXIT_DONE)
        return status;
    if (last >= FM_STAGE_MATCH && fm_match(&r->study, &r->samples, &r->pairs, err) != 0)
        return FM_EXIT_INPUT;
    print_counts(r);
    if (last < FM_STAGE_BUILD)
        return FM_EXIT_DONE;
    if (fm_road_launcher(r, err) != 0)
        return FM_EXIT_FAILED;
    printf("would be done with %s\nresults would go to %s\n", fm_launcher_words(r->launcher), r->study.out);
    return FM_EXIT_DONE;
}

static int travel(const char *study, const choices *c, fm_stage last, fm_err *err)
{
    fm_road *r = NULL;
    int status;

    if (fm_road_open(study, &c->road, &r, &status, err) != 0)
        return status;
    status = c->dry_run ? dry_run(r, last, err) : fm_road_go(r, last, err);
    if (status == FM_EXIT_DONE && !c->dry_run) {
        if (c->json)
            print_json(r, last);
        else
            print_words(r, last);
    }
    fm_road_close(r);
    return status;
}

static int say(int status, const fm_err *err)
{
    if (status != FM_EXIT_DONE)
        fprintf(stderr, "facemill: %s\n", err->text);
    return status;
}

/* Where crews started by hand find the coordinator. */
static int join_path(const char *study, const choices *c, char out[FM_PATH_MAX], fm_err *err)
{
    fm_road *r = NULL;
    int status = FM_EXIT_DONE;

    if (fm_road_open(study, &c->road, &r, &status, err) != 0)
        return status;
    if (fm_path_join(out, FM_PATH_MAX, r->run_dir, FM_RUN_CREW_JOIN, err) != 0)
        status = FM_EXIT_FAILED;
    fm_road_close(r);
    return status;
}

/* Wait until the coordinator listens, or has ended. True: it has ended, with *status. */
static bool ended_early(pid_t coordinator, const char *join, int *status)
{
    const struct timespec a_moment = {.tv_nsec = 10000000};

    while (!fm_path_exists(join)) {
        if (waitpid(coordinator, status, WNOHANG) == coordinator)
            return true;
        nanosleep(&a_moment, NULL);
    }
    return false;
}

/* The coordinator beside rank 0, in a process of its own that MPI knows nothing of: it must outlive a rank. */
static int coordinate(const char *study, const choices *c)
{
    fm_err err = FM_ERR_INIT;
    choices own = *c;

    own.road.workers_come = true;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    fm_stop_install();
    return say(travel(study, &own, FM_STAGE_BUILD, &err), &err);
}

/* `mpirun -n 4 facemill build STUDY.yaml`: every rank is a worker of crew 0. */
static int by_hand(const char *study, const choices *c)
{
    char join[FM_PATH_MAX];
    fm_err err = FM_ERR_INIT;
    int status = join_path(study, c, join, &err), crew_status, waited = 0;
    pid_t coordinator;

    if (status != FM_EXIT_DONE)
        return fm_crew_rank() == 0 ? say(status, &err) : status;
    if (fm_crew_rank() != 0)
        return fm_crew_main(join, 0);
    unlink(join);       /* of a run that was killed */
    fflush(NULL);
    coordinator = fork();
    if (coordinator == 0) {
        status = coordinate(study, c);
        fflush(NULL);
        _exit(status);
    }
    if (coordinator < 0) {
        fprintf(stderr, "facemill: cannot start the coordinator: %s\n", strerror(errno));
        return FM_EXIT_FAILED;
    }
    if (ended_early(coordinator, join, &waited)) {
        fm_crew_main(NULL, 0);      /* the other ranks are told in MPI_Init's company only */
        return WIFEXITED(waited) ? WEXITSTATUS(waited) : FM_EXIT_FAILED;
    }
    crew_status = fm_crew_main(join, 0);
    if (waitpid(coordinator, &waited, 0) != coordinator || !WIFEXITED(waited))
        return FM_EXIT_FAILED;
    return WEXITSTATUS(waited) != FM_EXIT_DONE ? WEXITSTATUS(waited) : crew_status;
}

int fm_verb_road(int argc, char **argv)
{
    choices c = {.json = false};
    const fm_option options[] = {
        {"nodes", FM_OPT_INT, &c.road.nodes, 1, 65536, "N", "crews, one a node of the allocation (default: the study's)"},
        {"ranks", FM_OPT_INT, &c.road.ranks, 1, 1000000, "N", "MPI ranks in all (default: the study's, else what is granted)"},
        {"out", FM_OPT_STRING, &c.road.out, 0, 0, "DIR", "results go here instead of the study's out"},
        {"dry-run", FM_OPT_FLAG, &c.dry_run, 0, 0, NULL, "say what would be done; write nothing"},
        {"paranoid", FM_OPT_FLAG, &c.road.paranoid, 0, 0, NULL, "hash every file instead of trusting size and time"},
        {"identifiable", FM_OPT_FLAG, &c.road.identifiable, 0, 0, NULL,
         "let the report show faces of persons (those of facemill synth are shown anyway)"},
        {"json", FM_OPT_FLAG, &c.json, 0, 0, NULL, "print the facts as JSON"},
    };
    const road_verb *v = verbs;
    const char *args[1];
    fm_err err = FM_ERR_INIT;
    fm_command command;
    int rc;

    while (strcmp(v->verb, argv[0]) != 0)
        v++;
    command = (fm_command){v->usage, v->about, options, sizeof options / sizeof *options, 1, 1};
    if ((rc = fm_command_parse(&command, argc, argv, args, &err)) != 0)
        return fm_command_exit(rc, &err);
    if (fm_crew_rank() >= 0 && !c.dry_run) {
        if (v->last == FM_STAGE_BUILD)
            return by_hand(args[0], &c);
        if (fm_crew_rank() == 0)
            fprintf(stderr, "facemill %s starts its own ranks: run it without mpirun (mpirun facemill build is the verb "
                    "to start by hand)\n", v->verb);
        return FM_EXIT_USAGE;
    }
    c.road.explain = v->last == FM_STAGE_EXPLAIN;
    fm_stop_install();
    return say(travel(args[0], &c, v->last, &err), &err);
}

/* Stages are functions in a table; each leaves an exit status that says what kind
 * of failure it was, since only it knows whether the study, the photographs or
 * the machine is to blame. */
#include "jobs/road.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "jobs/head_file.h"
#include "jobs/forgotten.h"
#include "jobs/key.h"
#include "jobs/plan.h"
#include "jobs/progress.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"

#define STAGE_TRIES 3
#define PLAN_MAX (4ull << 30)
#define PLAN_NAME "plan.bin"
#define FOLDS_NAME "folds"

int fm_road_path(const fm_road *r, const char *name, char out[FM_PATH_MAX], fm_err *err)
{
    return fm_path_join(out, FM_PATH_MAX, r->study.out, name, err);
}

static int find_exe(fm_road *r, fm_err *err)
{
    ssize_t n = readlink("/proc/self/exe", r->exe, sizeof r->exe - 1);

    if (n <= 0)
        return fm_fail(err, -errno, "/proc/self/exe: cannot read: %s; is /proc mounted?", strerror(errno));
    r->exe[n] = '\0';
    return 0;
}

static int set_out(fm_road *r, const char *out, fm_err *err)
{
    char cwd[FM_PATH_MAX];
    int rc = 0;

    if (out && !getcwd(cwd, sizeof cwd))
        rc = fm_fail(err, -errno, "cannot tell the current folder: %s", strerror(errno));
    else if (out)
        rc = fm_path_join(r->study.out, sizeof r->study.out, cwd, out, err);
    if (rc == 0)
        rc = fm_road_path(r, "store", r->store_dir, err);
    if (rc == 0)
        rc = fm_road_path(r, "run", r->run_dir, err);
    if (rc == 0)
        rc = fm_road_path(r, "log", r->log_dir, err);
    return rc;
}

/* The study's own ONNX file: what it is and how it is used. */
static int read_encoder(fm_road *r, fm_err *err)
{
    fm_study *s = &r->study;
    fm_model_entry *m = &r->own_encoder;
    fm_buf file = FM_BUF_INIT;
    int rc = fm_file_read(s->encoder_file, FM_MODEL_BYTES_MAX, &file, err);

    if (rc != 0)
        return fm_fail_in(err, rc, "encoder");
    strcpy(m->name, s->encoder);
    strcpy(m->file, s->encoder);
    strcpy(m->path, s->encoder_file);
    m->bytes = file.size;
    fm_sha256_of(file.data, file.size, &m->sha256);
    r->model[FM_ROAD_ENCODER] = m;
    rc = fm_face_network_describe(m->name, file.data, file.size, &s->wish, &s->encoding, err);
    fm_buf_fini(&file);
    return rc == 0 ? 0 : fm_fail_in(err, rc, "encoder");
}

/* The mask's model, which tells what earlier builds left even where this study has none. */
static int find_mask(fm_road *r, fm_err *err)
{
    const fm_model_entry *m = fm_model_find(&r->models, "portrait");
    int rc = r->study.recipe.mask ? fm_model_need(&r->models, "portrait", &r->model[FM_ROAD_MASK], err) : 0;

    if (m)
        r->study.recipe.mask_model = m->sha256;
    return rc;
}

static int find_models(fm_road *r, fm_err *err)
{
    const char *names[FM_ROAD_MODELS] = {
        [FM_ROAD_DETECTOR] = "dlib-hog",
        [FM_ROAD_LANDMARKS] = r->study.recipe.landmarks == 5 ? "dlib-landmarks-5" : "dlib-landmarks-68",
        [FM_ROAD_ENCODER] = r->study.encoder,
    };
    int rc = fm_model_list_read(&r->models, err);

    for (int i = 0; rc == 0 && i < FM_ROAD_MASK; i++)
        if (i != FM_ROAD_ENCODER || !r->study.encoder_file[0])
            rc = fm_model_need(&r->models, names[i], &r->model[i], err);
    if (rc == 0 && r->study.encoder_file[0])
        rc = read_encoder(r, err);
    if (rc == 0)
        rc = find_mask(r, err);
    if (rc != 0)
        return rc;
    r->study.encoding.model = r->model[FM_ROAD_ENCODER]->sha256;
    r->study.recipe.detector_model = r->model[FM_ROAD_DETECTOR]->sha256;
    r->study.recipe.landmarks_model = r->model[FM_ROAD_LANDMARKS]->sha256;
    return fm_encoding_digest(&r->study.encoding, &r->encoding, err);
}

int fm_road_open(const char *study_file, const fm_road_options *options, fm_road **out, int *exit_status, fm_err *err)
{
    fm_road *r = calloc(1, sizeof *r);
    int rc;

    *exit_status = FM_EXIT_FAILED;
    if (!r)
        return fm_fail_nomem(err, "study", sizeof *r);
    r->options = *options;
    r->started_ms = fm_clock_ms();
    r->trace = fm_trace_create();
    fm_trace_track(r->trace, 0, 0, "study", "stages");
    if ((rc = find_exe(r, err)) != 0)
        goto done;
    *exit_status = FM_EXIT_USAGE;
    if ((rc = fm_study_load(study_file, &r->study, err)) != 0 || (rc = set_out(r, options->out, err)) != 0)
        goto done;
    if (options->nodes)
        r->study.nodes = options->nodes;
    if (options->ranks)
        r->study.ranks = options->ranks;
    *exit_status = FM_EXIT_INPUT;
    if ((rc = find_models(r, err)) != 0)
        goto done;
    *exit_status = FM_EXIT_DONE;
    *out = r;
    r = NULL;
done:
    fm_road_close(r);
    return rc;
}

void fm_road_close(fm_road *r)
{
    if (!r)
        return;
    fm_launcher_destroy(r->launcher);
    fm_trace_destroy(r->trace);
    fm_ledger_facts_destroy(r->facts, r->samples.n);
    fm_samples_fini(&r->samples);
    fm_pairs_fini(&r->pairs);
    free(r->photo);
    free(r->code);
    free(r->faces);
    fm_nears_fini(&r->nears);
    fm_audits_fini(&r->audits);
    fm_explanation_fini(&r->explanation);
    if (r->evaluated)
        fm_evaluation_fini(&r->evaluation);
    free(r);
}

int fm_road_launcher(fm_road *r, fm_err *err)
{
    const fm_launch_spec spec = {.program = r->exe, .log_dir = r->log_dir, .nodes = (uint32_t)r->study.nodes,
                                 .ranks = (uint32_t)r->study.ranks};

    return r->launcher ? 0 : fm_launcher_create(&spec, &r->launcher, err);
}

static int by_path(const void *a, const void *b)
{
    const fm_sample *const *x = a, *const *y = b;
    int order = strcmp((*x)->path, (*y)->path);

    return order ? order : (*x > *y) - (*x < *y);
}

/* One file in two cohorts, or under two names, is one photograph. */
static int leave_out_same_files(fm_samples *s, fm_err *err)
{
    fm_sample **v = malloc((s->n + 1) * sizeof *v);
    size_t n = 0;

    if (!v)
        return fm_fail_nomem(err, "paths", s->n * sizeof *v);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].reason == FM_USED)
            v[n++] = &s->v[i];
    qsort(v, n, sizeof *v, by_path);
    for (size_t i = 1, first = 0; i < n; i++) {
        if (strcmp(v[i]->path, v[first]->path) == 0)
            fm_sample_leave_out(v[i], FM_DUPLICATE, "the same file as %s", v[first]->name);
        else
            first = i;
    }
    free(v);
    return 0;
}

static int stage_import(fm_road *r, fm_err *err)
{
    if (fm_samples_import(&r->study, &r->samples, err) != 0 || fm_samples_select(&r->study, &r->samples, err) != 0 ||
        fm_samples_label(&r->study, &r->samples, err) != 0 || leave_out_same_files(&r->samples, err) != 0)
        return FM_EXIT_INPUT;
    return FM_EXIT_DONE;
}

static int stage_match(fm_road *r, fm_err *err)
{
    char path[FM_PATH_MAX];

    if (fm_key_for_study(&r->study, r->store_dir, err) != 0 ||
        fm_forgotten_samples(r->store_dir, &r->samples, err) != 0 ||
        fm_match(&r->study, &r->samples, &r->pairs, err) != 0)
        return FM_EXIT_INPUT;
    if (!r->study.match.on)
        return FM_EXIT_DONE;
    if (fm_dir_make(r->study.out, err) != 0 || fm_road_path(r, "matched.tsv", path, err) != 0 ||
        fm_pairs_write(&r->study, &r->samples, &r->pairs, path, err) != 0 ||
        fm_balance_make(&r->study, &r->samples, &r->pairs, &r->balance, err) != 0 ||
        fm_road_path(r, "balance.tsv", path, err) != 0 || fm_balance_write(&r->balance, path, err) != 0)
        return FM_EXIT_FAILED;
    return FM_EXIT_DONE;
}

/* The paths of the samples still used, then their names; borrowed from them. */
static int list_photographs(const fm_samples *s, const char ***out, size_t *n, fm_err *err)
{
    size_t used = fm_samples_used(s), at = 0;
    const char **list = malloc((2 * used + 1) * sizeof *list);

    if (!list)
        return fm_fail_nomem(err, "paths", 2 * used * sizeof *list);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].reason == FM_USED) {
            list[at] = s->v[i].path;
            list[used + at++] = s->v[i].name;
        }
    *out = list;
    *n = used;
    return 0;
}

static int build(fm_road *r, const char *const *paths, const char *const *names, size_t n, fm_err *err)
{
    fm_progress progress;
    fm_build_spec spec = {
        .store_dir = r->store_dir,
        .run_dir = r->run_dir,
        .scratch_dir = r->study.scratch[0] ? r->study.scratch : NULL,
        .recipe = &r->study.recipe,
        .encoder = r->encoding,
        .encoding = &r->study.encoding,
        .detector_path = r->model[FM_ROAD_DETECTOR]->path,
        .landmarks_path = r->model[FM_ROAD_LANDMARKS]->path,
        .encoder_path = r->model[FM_ROAD_ENCODER]->path,
        .mask_path = r->model[FM_ROAD_MASK] ? r->model[FM_ROAD_MASK]->path : NULL,
        .mask_model = r->study.recipe.mask_model,
        .paths = paths,
        .names = names,
        .n_paths = n,
        .shard_size = (uint32_t)r->study.shard,
        .metrics_path = r->study.metrics[0] ? r->study.metrics : NULL,
        .trace = r->trace,
        .limit_ms = r->study.max_seconds * 1000,
        .paranoid = r->options.paranoid,
        .progress = fm_progress_show,
        .progress_ctx = &progress,
        .stop = fm_stop_flag(),
    };
    int rc;

    if (!r->options.workers_come) {
        fm_launcher_crew_ops(r->launcher, &spec.crews);
        fm_info("build: %zu photographs; %s", n, fm_launcher_words(r->launcher));
    }
    fm_progress_init(&progress, stderr);
    rc = fm_build_run(&spec, &r->counts, err);
    fm_progress_end(&progress, &r->counts);
    return rc;
}

static int stage_build(fm_road *r, fm_err *err)
{
    const char **list = NULL;
    size_t n = 0;
    int rc;

    if (fm_dir_make(r->log_dir, err) != 0 || fm_dir_make(r->run_dir, err) != 0 ||
        (!r->options.workers_come && fm_road_launcher(r, err) != 0) || list_photographs(&r->samples, &list, &n, err) != 0)
        return FM_EXIT_FAILED;
    rc = build(r, list, list + n, n, err);
    free(list);
    if (rc == 0)
        rc = fm_road_collect(r, err);
    return rc == 0 ? FM_EXIT_DONE : rc == -EAGAIN ? FM_EXIT_BUSY : rc == -EINTR ? FM_EXIT_STOPPED : FM_EXIT_FAILED;
}

/* An evaluation of this very plan that is there already. */
static bool read_evaluation(fm_road *r, const char *path, const fm_digest *plan)
{
    fm_evaluation e;

    if (!fm_path_exists(path) || fm_evaluation_read(path, &e, NULL) != 0)
        return false;
    if (!fm_digest_equal(&e.plan, plan)) {
        fm_evaluation_fini(&e);
        return false;
    }
    r->evaluation = e;
    r->evaluated = true;
    return true;
}

static int write_plan(const fm_plan *plan, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_plan_encode(plan, &b);
    rc = b.failed ? fm_fail_nomem(err, "plan", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

/* Folds that cannot be made are the study's fault, and known without any rank. */
static int check_plan(const fm_plan *plan, fm_err *err)
{
    fm_evaluation e;
    int rc = fm_evaluation_begin(plan, &e, err);

    if (rc == 0)
        fm_evaluation_fini(&e);
    return rc;
}

/* Run the collective stage until it has written what belongs to this plan. */
static int run_evaluate(fm_road *r, const fm_plan *plan, const char *plan_path, const char *result, fm_err *err)
{
    char folds[FM_PATH_MAX];
    const char *args[] = {"evaluate", plan_path, result, folds};
    fm_digest digest;
    int rc = fm_plan_digest(plan, &digest, err);

    if (rc != 0 || read_evaluation(r, result, &digest))
        return rc;
    if ((rc = check_plan(plan, err)) != 0 || (rc = write_plan(plan, plan_path, err)) != 0 ||
        (rc = fm_road_launcher(r, err)) != 0)
        return rc;
    if ((rc = fm_path_join(folds, sizeof folds, r->run_dir, FOLDS_NAME, err)) != 0)
        return rc;
    for (int i = 1; i <= STAGE_TRIES; i++) {
        rc = fm_launcher_stage(r->launcher, args, fm_path_exists(folds) ? 4 : 3, fm_stop_flag(), err);
        if (rc == -EINTR)
            return rc;
        if (read_evaluation(r, result, &digest))
            return 0;
        fm_warn("evaluate: try %d of %d failed%s%s", i, STAGE_TRIES, rc ? ": " : "", rc ? err->text : "");
    }
    return rc ? rc : fm_fail(err, -EIO, "evaluate: ended without writing %s; the log folder says more", result);
}

/* The final head with what it was trained on. */
static int write_head(const fm_road *r, const fm_plan *plan, const char *path, fm_err *err)
{
    fm_head_file f = {.study_digest = r->study.digest, .recipe = r->study.recipe,
                      .encoding = r->study.encoding, .code_offset = plan->code_offset,
                      .code_width = plan->code_width, .threshold = r->evaluation.threshold,
                      .n_classes = plan->classes, .classes = r->samples.classes};
    int rc = fm_head_decode(r->evaluation.head, r->evaluation.head_size, &f.head, err);

    if (rc != 0)
        return rc;
    memcpy(f.study, r->study.name, sizeof f.study);
    memcpy(f.encoder, r->study.encoder, sizeof f.encoder);
    rc = fm_head_file_write(&f, path, err);
    fm_head_destroy(f.head);
    return rc;
}

static int stage_train(fm_road *r, fm_err *err)
{
    char plan_path[FM_PATH_MAX], result[FM_PATH_MAX], head[FM_PATH_MAX];
    fm_plan plan;
    int rc;

    if (fm_path_join(plan_path, FM_PATH_MAX, r->run_dir, PLAN_NAME, err) != 0 ||
        fm_path_join(result, FM_PATH_MAX, r->run_dir, "evaluation.bin", err) != 0 ||
        fm_road_path(r, "head.bin", head, err) != 0)
        return FM_EXIT_FAILED;
    if (fm_nears_find(&r->study, &r->samples, r->store_dir, r->code, r->faces, &r->nears, err) != 0)
        return FM_EXIT_FAILED;
    rc = fm_plan_make(&r->study, &r->samples, r->store_dir, r->code, r->faces, &plan, err);
    if (rc != 0)
        return rc == -EINVAL ? FM_EXIT_INPUT : FM_EXIT_FAILED;
    fm_info("evaluate: %zu faces, %d classes", plan.n, r->samples.n_classes);
    rc = run_evaluate(r, &plan, plan_path, result, err);
    if (rc == 0)
        rc = write_head(r, &plan, head, err);
    fm_plan_fini(&plan);
    return rc == 0 ? FM_EXIT_DONE : rc == -EINTR ? FM_EXIT_STOPPED : rc == -EINVAL ? FM_EXIT_INPUT : FM_EXIT_FAILED;
}

/* Folds and the final head came out of one MPI job, which train ran; what is left to say is whether to believe them. */
static int stage_evaluate(fm_road *r, fm_err *err)
{
    int rc = fm_road_audit(r, err);

    return rc == 0 ? FM_EXIT_DONE : rc == -EINTR ? FM_EXIT_STOPPED : FM_EXIT_FAILED;
}

static int stage_explain(fm_road *r, fm_err *err)
{
    int rc = fm_road_explain(r, err);

    return rc == 0 ? FM_EXIT_DONE : rc == -EINTR ? FM_EXIT_STOPPED : FM_EXIT_FAILED;
}

static int stage_report(fm_road *r, fm_err *err)
{
    return fm_road_publish(r, err) == 0 ? FM_EXIT_DONE : FM_EXIT_FAILED;
}

int fm_road_go(fm_road *r, fm_stage last, fm_err *err)
{
    static const struct { const char *name; int (*run)(fm_road *, fm_err *); } stages[] = {
        [FM_STAGE_IMPORT] = {"import", stage_import}, [FM_STAGE_MATCH] = {"match", stage_match},
        [FM_STAGE_BUILD] = {"build", stage_build},    [FM_STAGE_TRAIN] = {"train", stage_train},
        [FM_STAGE_EVALUATE] = {"audit", stage_evaluate}, [FM_STAGE_EXPLAIN] = {"explain", stage_explain},
        [FM_STAGE_REPORT] = {"report", stage_report},
    };
    int status = FM_EXIT_DONE;
    uint64_t start_us;

    for (int i = 0; i <= (int)last && status == FM_EXIT_DONE; i++) {
        if (*fm_stop_flag()) {
            fm_fail(err, -EINTR, "stopped; run again to go on");
            return FM_EXIT_STOPPED;
        }
        start_us = fm_clock_us();
        status = stages[i].run(r, err);
        fm_trace_span(r->trace, 0, 0, stages[i].name, start_us, fm_clock_us() - start_us, r->samples.n);
    }
    return status;
}

int fm_road_folds_plan(fm_road *r, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_plan plan;
    int rc, status = fm_road_go(r, FM_STAGE_BUILD, err);

    if (status != FM_EXIT_DONE)
        return status;
    rc = fm_plan_make(&r->study, &r->samples, r->store_dir, r->code, r->faces, &plan, err);
    if (rc != 0)
        return rc == -EINVAL ? FM_EXIT_INPUT : FM_EXIT_FAILED;
    rc = check_plan(&plan, err);
    if (rc == 0)
        rc = fm_path_join(path, sizeof path, r->run_dir, PLAN_NAME, err);
    if (rc == 0)
        rc = write_plan(&plan, path, err);
    fm_plan_fini(&plan);
    return rc == 0 ? FM_EXIT_DONE : rc == -EINVAL ? FM_EXIT_INPUT : FM_EXIT_FAILED;
}

/* The plan under a name of this part's own: a store's keys lie beside a stage's plan, and parts run at the same time. */
static int link_plan(const char *folds, int64_t part, char out[FM_PATH_MAX], fm_err *err)
{
    char name[64];
    int rc = fm_dir_make(folds, err);

    snprintf(name, sizeof name, "plan-%lld", (long long)part);
    if (rc == 0)
        rc = fm_path_join(out, FM_PATH_MAX, folds, name, err);
    if (rc != 0)
        return rc;
    unlink(out);        /* of a run that was killed */
    return symlink("../" PLAN_NAME, out) == 0 ? 0 : fm_fail(err, -errno, "%s: cannot link: %s", out, strerror(errno));
}

static int run_part(fm_road *r, const char *const *args, fm_err *err)
{
    int rc = 0;

    for (int i = 1; i <= STAGE_TRIES; i++) {
        rc = fm_launcher_stage(r->launcher, args, 5, fm_stop_flag(), err);
        if (rc == 0 || rc == -EINTR)
            return rc;
        fm_warn("folds: try %d of %d failed: %s", i, STAGE_TRIES, err->text);
    }
    return rc;
}

int fm_road_folds_part(fm_road *r, int64_t part, int64_t parts, fm_err *err)
{
    char plan[FM_PATH_MAX], folds[FM_PATH_MAX], own[FM_PATH_MAX], number[24], of[24];
    const char *args[] = {"folds", own, folds, number, of};
    int rc = fm_path_join(plan, sizeof plan, r->run_dir, PLAN_NAME, err);

    snprintf(number, sizeof number, "%lld", (long long)part);
    snprintf(of, sizeof of, "%lld", (long long)parts);
    if (rc == 0)
        rc = fm_path_join(folds, sizeof folds, r->run_dir, FOLDS_NAME, err);
    if (rc == 0 && !fm_path_exists(plan)) {
        fm_fail(err, -ENOENT, "%s: not there: facemill folds without --part makes it", plan);
        return FM_EXIT_INPUT;
    }
    if (rc == 0 && fm_key_for_study(&r->study, r->store_dir, err) != 0)
        return FM_EXIT_INPUT;
    if (rc == 0)
        rc = link_plan(folds, part, own, err);
    if (rc == 0 && (rc = fm_road_launcher(r, err)) == 0)
        rc = run_part(r, args, err);
    if (rc != -ENAMETOOLONG)
        unlink(own);
    return rc == 0 ? FM_EXIT_DONE : rc == -EINTR ? FM_EXIT_STOPPED : FM_EXIT_FAILED;
}

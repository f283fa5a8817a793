/* power: what size of a planted effect a study would find.  Its controls alone are
 * split at random, so that nothing but the planted effect tells the halves apart. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/log.h"
#include "base/options.h"
#include "base/text.h"
#include "cluster/power.h"
#include "jobs/audits.h"
#include "jobs/plan.h"
#include "jobs/road.h"
#include "jobs/stop.h"
#include "jobs/verbs.h"
#include "worker/plant.h"

#define FOUND_SHARE 0.8     /* of drawings, from which on a size counts as found */

static const double sizes[FM_PLANT_COUNT][FM_POWER_SIZES] = {
    [FM_PLANT_WARP] = {0, 0.5, 1, 2, 3, 4}, [FM_PLANT_TINT] = {0, 2, 4, 8, 16, 32},
};

typedef struct {
    fm_road_options road;
    const char *effect;
    int64_t seeds;
    bool json;
} choices;

typedef struct {
    double size, auc, found;    /* AUC: mean over drawings; found: part of them */
} power_row;

typedef struct {
    int effect;
    uint32_t seeds;
    size_t faces;
    double subjects;            /* of each half */
    power_row row[FM_POWER_SIZES];
    double smallest;            /* size that is found; NaN: none of them */
} power;

static int effect_of(const char *word, int *out, fm_err *err)
{
    for (int i = 0; i < FM_PLANT_COUNT; i++)
        if (strcmp(fm_plant_name(i), word) == 0) {
            *out = i;
            return 0;
        }
    return fm_fail(err, -EINVAL, "power: --effect %s: expected warp or tint", word);
}

static void set_model(const fm_model_entry *m, fm_join_model *out)
{
    snprintf(out->path, sizeof out->path, "%s", m->path);
    out->sha256 = m->sha256;
}

/* Rows of class 0 only. */
static void keep_controls(fm_plan *plan)
{
    size_t n = 0;

    for (size_t i = 0; i < plan->n; i++)
        if (plan->rows[i].label == 0)
            plan->rows[n++] = plan->rows[i];
    plan->n = n;
}

/* Effects are planted in chips of dlib-resnet's size, and stand in the way of a mask. */
static int check_encoder(const fm_study *s, fm_err *err)
{
    if (s->encoding.kind == FM_ENCODER_DLIB && !s->encoding.mask)
        return 0;
    return fm_fail(err, -EINVAL, "%s: power is measured with encoder dlib-resnet and mask none: write a study of the same "
                   "cohorts with these", s->file);
}

static int make_plan(fm_road *r, int effect, int64_t seeds, fm_power_plan *p, fm_err *err)
{
    uint64_t *no_sizes = calloc(r->samples.n + 1, sizeof *no_sizes);     /* files are not looked at */
    fm_plan plan;
    int rc = no_sizes ? fm_nears_find(&r->study, &r->samples, r->store_dir, r->code, r->faces, &r->nears, err)
                      : fm_fail_nomem(err, "samples", r->samples.n * sizeof *no_sizes);

    if (rc == 0)
        rc = fm_plan_make(&r->study, &r->samples, r->store_dir, r->code, r->faces, &plan, err);
    if (rc == 0) {
        keep_controls(&plan);
        rc = fm_audits_plan(&r->study, &r->samples, &r->pairs, &plan, r->photo, no_sizes, &p->rows, err);
    }
    free(no_sizes);
    if (rc == 0 && p->rows.plan.bootstrap == 0)
        rc = fm_fail(err, -EINVAL, "%s: evaluate: bootstrap is 0: without intervals nothing can be found", r->study.file);
    p->effect = (uint8_t)effect;
    p->seeds = (uint32_t)seeds;
    memcpy(p->size, sizes[effect], sizeof p->size);
    set_model(r->model[FM_ROAD_DETECTOR], &p->detector);
    set_model(r->model[FM_ROAD_LANDMARKS], &p->landmarks);
    set_model(r->model[FM_ROAD_ENCODER], &p->encoder);
    return rc;
}

static int write_plan(const fm_power_plan *p, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_power_plan_encode(p, &b);
    rc = b.failed ? fm_fail_nomem(err, "power plan", b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

static int read_result(const char *path, const fm_power_plan *p, power *out, fm_err *err)
{
    size_t want = (size_t)FM_POWER_SIZES * p->seeds * 4 * sizeof(double);
    fm_buf bytes = FM_BUF_INIT;
    fm_reader in;
    int rc = fm_file_read(path, want, &bytes, err);

    if (rc == 0 && bytes.size != want)
        rc = fm_fail(err, -EBADMSG, "%s: cut short", path);
    in = fm_reader_init(bytes.data, rc == 0 ? bytes.size : 0);
    *out = (power){.effect = p->effect, .seeds = p->seeds, .faces = p->rows.plan.n, .smallest = NAN};
    for (int i = 0; rc == 0 && i < FM_POWER_SIZES; i++) {
        power_row *row = &out->row[i];

        row->size = p->size[i];
        for (uint32_t k = 0; k < p->seeds; k++) {
            double low;

            row->auc += fm_reader_f64(&in) / p->seeds;
            low = fm_reader_f64(&in);
            fm_reader_f64(&in);
            out->subjects = fm_reader_f64(&in);
            row->found += (low > 0.5) / (double)p->seeds;
        }
        if (i > 0 && isnan(out->smallest) && row->found >= FOUND_SHARE - 1e-9)
            out->smallest = row->size;
    }
    fm_buf_fini(&bytes);
    return rc;
}

static int run_stage(fm_road *r, const fm_power_plan *p, power *out, fm_err *err)
{
    char plan_path[FM_PATH_MAX], result[FM_PATH_MAX];
    const char *args[] = {"power", plan_path, result};
    int rc = fm_path_join(plan_path, FM_PATH_MAX, r->run_dir, "power-plan.bin", err);

    if (rc == 0)
        rc = fm_path_join(result, FM_PATH_MAX, r->run_dir, "power.bin", err);
    if (rc == 0)
        rc = write_plan(p, plan_path, err);
    if (rc == 0)
        rc = fm_road_launcher(r, err);
    if (rc != 0)
        return rc;
    fm_info("power: %zu faces encoded at %d sizes, %u drawings each", p->rows.plan.n, FM_POWER_SIZES, p->seeds);
    remove(result);
    rc = fm_launcher_stage(r->launcher, args, 3, fm_stop_flag(), err);
    return rc == 0 ? read_result(result, p, out, err) : rc;
}

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void print_json(const fm_road *r, const power *p)
{
    json_t *rows = json_array(), *all;
    char *text;

    for (int i = 0; i < FM_POWER_SIZES; i++)
        json_array_append_new(rows, json_pack("{s:f, s:o, s:f}", "size", p->row[i].size, "auc", real(p->row[i].auc),
                                              "found", p->row[i].found));
    all = json_pack("{s:s, s:s, s:s, s:I, s:f, s:i, s:o, s:o}", "study", r->study.name, "effect", fm_plant_name(p->effect),
                    "unit", fm_plant_unit(p->effect), "faces", (json_int_t)p->faces, "subjects_a_half", p->subjects,
                    "drawings", (int)p->seeds, "sizes", rows, "smallest_found", real(p->smallest));
    text = json_dumps(all, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
    if (text)
        puts(text);
    free(text);
    json_decref(all);
}

static void print_words(const fm_road *r, const power *p)
{
    printf("%s: %zu faces of class %s, %.0f subjects a half, %u drawings a size\n", r->study.name, p->faces,
           r->samples.classes[0], p->subjects, p->seeds);
    printf("%8s  %6s  %s\n", fm_plant_name(p->effect), "AUC", "found");
    for (int i = 0; i < FM_POWER_SIZES; i++)
        printf("%8g  %6.3f  %3.0f %%\n", p->row[i].size, p->row[i].auc, 100 * p->row[i].found);
    if (isnan(p->smallest))
        printf("no %s of these sizes would be found in 80 %% of drawings\n", fm_plant_name(p->effect));
    else
        printf("a %s of %g %s would be found\n", fm_plant_name(p->effect), p->smallest, fm_plant_unit(p->effect));
}

static int measure(fm_road *r, const choices *c, int effect, fm_err *err)
{
    static fm_power_plan plan;      /* several paths long */
    int status, rc = check_encoder(&r->study, err);
    power result;

    if (rc != 0)
        return FM_EXIT_INPUT;
    if ((status = fm_road_go(r, FM_STAGE_BUILD, err)) != FM_EXIT_DONE)
        return status;
    rc = make_plan(r, effect, c->seeds, &plan, err);
    if (rc == 0)
        rc = run_stage(r, &plan, &result, err);
    fm_audit_plan_fini(&plan.rows);
    if (rc != 0)
        return rc == -EINTR ? FM_EXIT_STOPPED : rc == -EINVAL ? FM_EXIT_INPUT : FM_EXIT_FAILED;
    if (c->json)
        print_json(r, &result);
    else
        print_words(r, &result);
    return FM_EXIT_DONE;
}

int fm_verb_power(int argc, char **argv)
{
    choices c = {.effect = "warp", .seeds = 10};
    const fm_option options[] = {
        {"effect", FM_OPT_STRING, &c.effect, 0, 0, "warp|tint",
         "eyes further apart, in pixels, or redder skin, in levels (default: warp)"},
        {"seeds", FM_OPT_INT, &c.seeds, 1, FM_POWER_SEEDS_MAX, "N", "random halves a size (default: 10)"},
        {"ranks", FM_OPT_INT, &c.road.ranks, 1, 1000000, "N",
         "MPI ranks in all (default: the study's, else what is granted)"},
        {"out", FM_OPT_STRING, &c.road.out, 0, 0, "DIR", "results of the study are here instead of its out"},
        {"json", FM_OPT_FLAG, &c.json, 0, 0, NULL, "print the facts as JSON"},
    };
    const fm_command command = {"power STUDY.yaml [options]",
                                "Plants an effect of rising size in the chips of a random half of the controls and\n"
                                "says from which size on the study would find it.", options,
                                sizeof options / sizeof *options, 1, 1};
    const char *args[1];
    fm_err err = FM_ERR_INIT;
    int effect = 0, status, rc = fm_command_parse(&command, argc, argv, args, &err);
    fm_road *r = NULL;

    if (rc == 0)
        rc = effect_of(c.effect, &effect, &err);
    if (rc != 0)
        return fm_command_exit(rc, &err);
    fm_stop_install();
    if (fm_road_open(args[0], &c.road, &r, &status, &err) == 0)
        status = measure(r, &c, effect, &err);
    fm_road_close(r);
    if (status != FM_EXIT_DONE)
        fprintf(stderr, "facemill: %s\n", err.text);
    return status;
}

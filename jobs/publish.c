/* What a run leaves in OUT: results.json, predictions.tsv, ledger.tsv and
 * report.html, each whole or not at all. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "jobs/report.h"
#include "jobs/results.h"
#include "jobs/road.h"
#include "storage/photo.h"
#include "storage/store.h"

/* Beside a cohort's photographs when facemill synth drew them. */
#define GENERATED_MARK "GENERATED"

static void fill_models(const fm_road *r, fm_results_model model[FM_ROAD_MODELS])
{
    static const char *const roles[FM_ROAD_MODELS] = {"detector", "landmarks", "encoder"};

    for (int i = 0; i < FM_ROAD_MODELS; i++)
        model[i] = (fm_results_model){.role = roles[i], .name = r->model[i]->file, .licence = r->model[i]->licence,
                                      .sha256 = r->model[i]->sha256};
}

/* Every cohort lies in a folder that says its faces are drawn. */
static bool all_generated(const fm_study *study)
{
    for (int c = 0; c < study->n_cohorts; c++) {
        char dir[FM_PATH_MAX], mark[FM_PATH_MAX], *slash;

        strcpy(dir, study->cohorts[c].path);
        slash = strrchr(dir, '/');
        if (slash && study->cohorts[c].format <= FM_FORMAT_TSV)
            *slash = '\0';
        if (fm_path_join(mark, sizeof mark, dir, GENERATED_MARK, NULL) != 0 || !fm_path_exists(mark))
            return false;
    }
    return true;
}

/* The chip of an evaluated row; *rgb is the caller's. */
static int read_chip(fm_road *r, fm_store *store, size_t row, uint32_t face, uint8_t **rgb, uint32_t *size, fm_err *err)
{
    fm_photo photo;
    const void *payload;
    size_t n;
    int rc = fm_store_get(store, FM_RECORD_PHOTO, &r->photo[r->evaluation.sample[row]], &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_photo_decode(payload, n, &photo, err);
    if (rc != 0)
        return rc;
    if (face < photo.n_faces) {
        *rgb = photo.faces[face].chip;
        photo.faces[face].chip = NULL;
        *size = photo.chip_size;
    }
    fm_photo_fini(&photo);
    return 0;
}

/* Faces of one photograph stand in consecutive rows. */
static uint32_t face_of(const fm_evaluation *e, size_t row)
{
    uint32_t face = 0;

    while (face < row && e->sample[row - face - 1] == e->sample[row])
        face++;
    return face;
}

static int write_report(fm_road *r, fm_store *store, const fm_results *results, fm_err *err)
{
    size_t rows[FM_REPORT_CHIPS_MAX], n = fm_report_choose(&r->evaluation, FM_REPORT_CHIPS_MAX, rows);
    fm_report_chip chips[FM_REPORT_CHIPS_MAX];
    uint8_t *rgb[FM_REPORT_CHIPS_MAX] = {NULL};
    fm_report report = {.results = results, .generated_faces = all_generated(&r->study), .chips = chips};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        fm_report_chip *chip = &chips[report.n_chips];

        rc = read_chip(r, store, rows[i], face_of(&r->evaluation, rows[i]), &rgb[i], &chip->size, err);
        chip->rgb = rgb[i];
        chip->row = rows[i];
        report.n_chips += rgb[i] != NULL;
    }
    if (rc == 0)
        rc = fm_report_write(&report, r->study.out, err);
    for (size_t i = 0; i < n; i++)
        free(rgb[i]);
    return rc;
}

int fm_road_publish(fm_road *r, fm_err *err)
{
    fm_results_model models[FM_ROAD_MODELS];
    fm_results results = {.study = &r->study, .samples = &r->samples, .evaluation = &r->evaluation, .models = models,
                          .n_models = FM_ROAD_MODELS, .pairs = r->pairs.n, .balance = &r->balance,
                          .audits = &r->audits, .nears = &r->nears, .build = &r->counts,
                          .ranks = r->launcher ? fm_launcher_ranks(r->launcher) : 0,
                          .seconds = (double)(fm_clock_ms() - r->started_ms) / 1000, .finished = time(NULL)};
    char ledger[FM_PATH_MAX];
    fm_subgroup *groups = NULL;
    fm_store *store = NULL;
    int rc = fm_store_open(r->store_dir, &store, err);

    fill_models(r, models);
    if (rc == 0)
        rc = fm_store_digest(store, r->photo, r->code, r->samples.n, &results.store, err);
    if (rc == 0)
        rc = fm_road_path(r, "ledger.tsv", ledger, err);
    if (rc == 0)
        rc = fm_ledger_write(&r->study, &r->samples, r->facts, ledger, err);
    if (rc == 0 && (rc = fm_results_subgroups(&results, &groups, &results.n_groups, err)) == 0)
        results.groups = groups;
    if (rc == 0)
        rc = fm_results_write(&results, r->study.out, err);
    if (rc == 0)
        rc = write_report(r, store, &results, err);
    free(groups);
    fm_store_close(store);
    return rc;
}

/* What the report needs from the store: chips of the faces it may show, and codes.
 *
 * A face leaves the store for the page only when a person asked for that
 * (--identifiable), or when no person is shown because all faces were generated. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "coordinator/learn/pca.h"
#include "jobs/report.h"
#include "jobs/road.h"
#include "storage/photo.h"
#include "storage/record.h"

/* Beside a cohort's photographs when facemill synth drew them. */
#define GENERATED_MARK "GENERATED"

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

/* Chips of the rows, for as long as `to` lasts; a row without one is left out. */
typedef struct {
    fm_report_chip chip[FM_REPORT_CHIPS_MAX];
    uint8_t *rgb[FM_REPORT_CHIPS_MAX];
    size_t n;
} chips;

static int read_chips(fm_road *r, fm_store *store, const size_t *rows, size_t n, chips *to, fm_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        fm_report_chip *chip = &to->chip[to->n];

        rc = read_chip(r, store, rows[i], face_of(&r->evaluation, rows[i]), &to->rgb[to->n], &chip->size, err);
        chip->rgb = to->rgb[to->n];
        chip->row = rows[i];
        to->n += chip->rgb != NULL;
    }
    return rc;
}

static void free_chips(chips *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->rgb[i]);
}

/* --- codes --- */

typedef struct {
    size_t rows[FM_REPORT_CODES_MAX], n;
    double xy[2 * FM_REPORT_CODES_MAX];
    fm_buf record;          /* codes of a photograph */
} codes;

/* The part of a row's code that heads see, into x. */
static int read_code(fm_road *r, fm_store *store, codes *c, size_t row, float *x, size_t offset, size_t width, fm_err *err)
{
    const void *payload;
    size_t n;
    uint32_t faces = 0, wide = 0, face = face_of(&r->evaluation, row);
    const float *all;
    int rc = fm_store_get(store, FM_RECORD_CODE, &r->code[r->evaluation.sample[row]], &payload, &n, NULL, err);

    if (rc == 0)
        rc = fm_code_shape(payload, n, &faces, &wide, err);
    if (rc == 0 && (faces == 0 || offset + width > wide))
        rc = fm_fail(err, -EBADMSG, "a code record has %u codes of %u columns; build the study again", faces, wide);
    c->record.size = 0;
    if (rc == 0 && !fm_buf_add(&c->record, n))
        rc = fm_fail_nomem(err, "codes of a photograph", n);
    if (rc == 0)
        rc = fm_code_decode(payload, n, wide, faces, (float *)(void *)c->record.data, &faces, err);
    if (rc != 0)
        return rc;
    all = (const float *)(const void *)c->record.data;
    memcpy(x, all + (size_t)(face < faces ? face : 0) * wide + offset, width * sizeof *x);
    return 0;
}

/* The report does without the figure where there is none to draw: too few codes, or all equal. */
static int place_codes(fm_road *r, fm_store *store, codes *c, fm_report_codes *out, fm_err *err)
{
    uint32_t offset, width;
    float *x;
    fm_err why = FM_ERR_INIT;
    int rc = 0;

    fm_study_code(&r->study, &offset, &width);
    c->n = fm_report_choose(&r->evaluation, FM_REPORT_CODES_MAX, c->rows);
    x = malloc((c->n + 1) * width * sizeof *x);
    if (!x)
        return fm_fail_nomem(err, "codes", c->n * width * sizeof *x);
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = read_code(r, store, c, c->rows[i], x + i * width, offset, width, err);
    if (rc == 0 && fm_pca(x, c->n, width, c->xy, out->explained, &why) == 0) {
        out->n = c->n;
        out->row = c->rows;
        out->xy = c->xy;
    } else if (rc == 0) {
        fm_info("report: no figure of codes: %s", why.text);
    }
    free(x);
    fm_buf_fini(&c->record);
    return rc;
}

/* --- the report --- */

typedef struct {
    chips sheet, misses;
    codes codes;
} pieces;

static int show_faces(fm_road *r, fm_store *store, pieces *p, fm_report *report, fm_err *err)
{
    size_t rows[FM_REPORT_CHIPS_MAX];
    size_t n = fm_report_choose(&r->evaluation, FM_REPORT_CHIPS_MAX, rows);
    int rc = read_chips(r, store, rows, n, &p->sheet, err);

    if (rc == 0) {
        n = fm_report_misses(&r->evaluation, FM_REPORT_MISSES_MAX, rows);
        rc = read_chips(r, store, rows, n, &p->misses, err);
    }
    report->chips = p->sheet.chip;
    report->n_chips = p->sheet.n;
    report->misses = p->misses.chip;
    report->n_misses = p->misses.n;
    return rc;
}

int fm_road_report(fm_road *r, fm_store *store, const fm_results *results, fm_err *err)
{
    fm_report report = {.results = results, .facts = r->facts, .generated_faces = all_generated(&r->study)};
    pieces *p = calloc(1, sizeof *p);
    int rc = p ? 0 : fm_fail_nomem(err, "report", sizeof *p);

    if (rc == 0 && (report.generated_faces || r->options.identifiable))
        rc = show_faces(r, store, p, &report, err);
    if (rc == 0)
        rc = place_codes(r, store, &p->codes, &report.codes, err);
    if (rc == 0)
        rc = fm_usage_read(r->run_dir, &report.usage, err);
    if (rc == 0)
        rc = fm_report_write(&report, r->study.out, err);
    if (p) {
        free_chips(&p->sheet);
        free_chips(&p->misses);
    }
    free(p);
    return rc;
}

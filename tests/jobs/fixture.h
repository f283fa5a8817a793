/* A small study with everything that a page or table must survive: names that are
 * markup, names that are not UTF-8, photographs left out, a face that is not tested.
 * Ten faces of twelve photographs; 4 of 5 controls and 3 of 4 tested cases are called rightly. */
#ifndef FM_TESTS_JOBS_FIXTURE_H
#define FM_TESTS_JOBS_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/report.h"
#include "jobs/results.h"
#include "proto/recipe.h"

#define FIXTURE_PHOTOS 12
#define FIXTURE_FACES 10

typedef struct {
    fm_study study;
    fm_samples samples;
    fm_evaluation evaluation;
    fm_build_counts build;
    fm_results_model models[2];
    fm_results results;
} fixture;

static inline void fixture_study(fm_study *s)
{
    memset(s, 0, sizeof *s);
    strcpy(s->name, "faces & <traits>");
    s->seed = 7;
    fm_digest_of("study", 5, &s->digest);
    s->n_cohorts = 2;
    strcpy(s->cohorts[0].name, "clinic");
    strcpy(s->cohorts[1].name, "town");
    s->cohorts[0].role = FM_ROLE_CASE;
    s->cohorts[1].role = FM_ROLE_CONTROL;
    fm_recipe_default(&s->recipe);
    strcpy(s->encoder, "dlib-resnet");
    s->head = (fm_study_head){.kind = FM_STUDY_FC, .hidden = 64, .batch = 10, .epochs = 5, .dropout = 0.25,
                              .l2 = 1e-3, .learning_rate = 1e-3, .C = 1};
    s->evaluate = (fm_study_evaluate){.split = FM_SPLIT_KFOLD, .folds = 2, .repeats = 1, .bootstrap = 100,
                                      .group = "subject", .test_fraction = 0.5};
}

/* Photographs 0 to 5 are cases, 6 to 11 controls; 5 has no face, 11 was not selected. */
static inline void fixture_samples(fm_samples *s)
{
    static const char *const files[FIXTURE_PHOTOS] = {
        "a/1.jpg", "tab\there.jpg", "line\nbreak.jpg", "back\\slash.jpg", "<script>alert(1)</script>.jpg",
        "\xff\xfe.jpg",
        "\" onerror=\"x.jpg", "b/2.jpg", "b/3.jpg", "b/4.jpg", "b/5.jpg", "b/6.jpg"};

    memset(s, 0, sizeof *s);
    for (int i = 0; i < FIXTURE_PHOTOS; i++) {
        int cohort = i / 6;
        fm_sample *x = fm_samples_add(s, cohort, cohort ? "town" : "clinic", files[i], "/nowhere", NULL, NULL);

        if (!x)
            abort();
        x->sex = i % 2 ? FM_SEX_FEMALE : FM_SEX_MALE;
        x->age = 18 + 4 * i;
        x->label = 1 - cohort;
    }
    s->v[1].age = NAN;
    fm_sample_leave_out(&s->v[5], FM_NO_FACE, "no face is over the threshold");
    fm_sample_leave_out(&s->v[11], FM_NOT_SELECTED, "age is 62");
    s->n_classes = 2;
    s->classes = calloc(2, sizeof *s->classes);
    s->classes[0] = strdup("con\"trol<b>");
    s->classes[1] = strdup("case\xff");
}

static inline void fixture_evaluation(fm_evaluation *e)
{
    static const double positive[FIXTURE_FACES] = {0.9, 1.0 / 3, 0.8, 0.7000000000000001, 0, 0.1, 0.6, 0.2, 0.05, 0.3};
    static const uint32_t photo[FIXTURE_FACES] = {0, 1, 2, 3, 4, 6, 7, 8, 9, 10};

    memset(e, 0, sizeof *e);
    e->n = FIXTURE_FACES;
    e->classes = 2;
    e->repeats = 1;
    e->folds = 2;
    e->bootstrap = 100;
    e->label = calloc(e->n, sizeof *e->label);
    e->sample = calloc(e->n, sizeof *e->sample);
    e->subject = calloc(e->n, sizeof *e->subject);
    e->test_fold = calloc(e->n, sizeof *e->test_fold);
    e->prob = calloc(2 * e->n, sizeof *e->prob);
    e->fold = calloc(2, sizeof *e->fold);
    e->confusion = calloc(4, sizeof *e->confusion);
    for (size_t i = 0; i < e->n; i++) {
        e->sample[i] = e->subject[i] = photo[i];
        e->label[i] = i < 5;
        e->test_fold[i] = i == 4 ? -1 : (int)i % 2;     /* row 4 only trains */
        e->prob[2 * i] = i == 4 ? NAN : 1 - positive[i];
        e->prob[2 * i + 1] = i == 4 ? NAN : positive[i];
    }
    memcpy(e->confusion, (uint64_t[]){4, 1, 1, 3}, 4 * sizeof *e->confusion);
    for (int i = 0; i < FM_METRIC_COUNT; i++)
        e->metrics[i] = (fm_metric){0.7 + 0.01 * i, 0.6, 0.9};
    e->metrics[FM_METRIC_ACCURACY] = (fm_metric){7.0 / 9, 0.5, 1};
    for (uint32_t f = 0; f < 2; f++) {
        e->fold[f] = (fm_fold_result){.fold = f, .n_train = 5 + f, .n_test = 5 - f, .chosen = f ? 0.01 : NAN, .threshold = f ? NAN : 0.25};
        for (int i = 0; i < FM_METRIC_COUNT; i++)
            e->fold[f].metrics.v[i] = 0.5;
    }
    e->fold[1].metrics.v[FM_METRIC_PPV] = NAN;
}

/* Large; one a program. */
static inline fixture *fixture_make(void)
{
    static fixture x;

    fixture_study(&x.study);
    fixture_samples(&x.samples);
    fixture_evaluation(&x.evaluation);
    x.build = (fm_build_counts){.photographs = 11, .photos_made = 11, .codes_made = 10, .workers = 2, .seconds = 1.5};
    x.models[0] = (fm_results_model){.role = "detector", .name = "frontal_hog.f32", .licence = "BSL-1.0"};
    x.models[1] = (fm_results_model){.role = "landmarks", .name = "points.dat", .licence = "research <only>"};
    fm_digest_of("a", 1, &x.models[0].sha256);
    fm_digest_of("b", 1, &x.models[1].sha256);
    x.results = (fm_results){.study = &x.study, .samples = &x.samples, .evaluation = &x.evaluation,
                             .models = x.models, .n_models = 2, .build = &x.build, .ranks = 2, .seconds = 12.5,
                             .finished = 86400};
    fm_digest_of("store", 5, &x.results.store);
    return &x;
}

static inline void fixture_fini(fixture *x)
{
    fm_samples_fini(&x->samples);
    fm_evaluation_fini(&x->evaluation);
}

/* All that a page can have: balance, facts of the ledger, codes. */
typedef struct {
    fm_balance balance;
    fm_ledger_fact facts[FIXTURE_PHOTOS];
    size_t rows[FIXTURE_FACES];
    double xy[2 * FIXTURE_FACES];
    fm_audit_figure audit[FM_AUDIT_CONFOUNDS + 1 + FM_AUDIT_CURVE + 1 + 1];
    fm_audits audits;
    fm_near near[2];
    fm_nears nears;
    fm_explain_value cell[3][9];
    fm_explain_map map[3];
    fm_explanation explanation;
} fixture_extras;

/* Nine cells, the middle one over the threshold; class 1 has one subject. */
static inline void fixture_explanation(fixture_extras *more)
{
    for (int c = 0; c < 3; c++) {
        for (int k = 0; k < 9; k++)
            more->cell[c][k] = (fm_explain_value){0.1 * k - 0.2, c == 2 ? NAN : 0.05, k == 4 ? 4 : 1, c ? NAN : k == 4 ? 0.01 : 0.5};
        more->map[c] = (fm_explain_map){.faces = c ? 5 : 10, .subjects = c == 2 ? 1 : 5, .base = 1.5, .cell = more->cell[c]};
        for (int r = 0; r < FM_EXPLAIN_REGIONS; r++)
            more->map[c].region[r] = more->cell[c][r];
    }
    more->explanation = (fm_explanation){.grid = 3, .classes = 2, .permutations = 99, .regions = FM_EXPLAIN_REGIONS,
                                         .threshold = 2.5, .region_threshold = 2, .map = more->map};
    for (int i = 0; i < FM_EXPLAIN_POINTS; i++) {
        more->explanation.points[i][0] = 0.2 + 0.01 * i;
        more->explanation.points[i][1] = 0.3 + 0.005 * i;
    }
}

static inline fm_report fixture_report(fixture *x, fixture_extras *more)
{
    memset(more, 0, sizeof *more);
    more->balance.n_rows = 2;
    more->balance.rows[0] = (fm_balance_row){.name = "age", .all = {.cases = 6, .controls = 6, .smd = 0.63},
                                             .matched = {.cases = 4, .controls = 4, .smd = -0.04}};
    more->balance.rows[1] = (fm_balance_row){.name = "female", .all = {.smd = NAN}, .matched = {.smd = NAN}};
    for (uint32_t i = 0; i < FIXTURE_PHOTOS; i++)
        more->facts[i] = (fm_ledger_fact){.width = 100 + i, .height = 200, .faces_found = 1 + i % 2, .faces_kept = i != 5,
                                          .left = 10, .right = 59, .score = 0.5F + (float)i, .format = FM_PHOTO_JPEG,
                                          .orientation = 1, .jpeg_quality = 90};
    for (size_t i = 0; i < FIXTURE_FACES; i++) {
        more->rows[i] = i;
        more->xy[2 * i] = (double)i;
        more->xy[2 * i + 1] = -(double)(i * i);
    }
    for (size_t i = 0; i < sizeof more->audit / sizeof *more->audit; i++)
        more->audit[i] = (fm_audit_figure){.auc = 0.5, .low = 0.4, .high = 0.6, .subjects = 4};
    more->audit[FM_CONFOUND_FACTS] = (fm_audit_figure){.auc = 0.95, .low = 0.9, .high = 0.99};
    more->audit[FM_AUDIT_CONFOUNDS] = (fm_audit_figure){.auc = NAN, .low = NAN, .high = NAN};   /* the null study */
    more->audits = (fm_audits){.level = FM_AUDIT_QUICK, .figures = {.count = {FM_AUDIT_CONFOUNDS, 1, FM_AUDIT_CURVE, 1, 1},
                               .n = sizeof more->audit / sizeof *more->audit, .v = more->audit}, .null_hold = NAN,
                               .seed_mean = 0.5, .seed_low = 0.5, .seed_high = 0.5, .p = 0.04, .permuted_mean = 0.51,
                               .permuted_high = 0.62, .permutations = 1, .n_pairs = 4, .disagree = 1, .paired = true};
    more->near[0] = (fm_near){.a = 0, .b = 6, .distance = 0.05, .across = true};
    more->near[1] = (fm_near){.a = 1, .b = 2, .distance = 0.1, .same_subject = true};
    more->nears = (fm_nears){.searched = true, .v = more->near, .n = 2};
    fixture_explanation(more);
    x->results.explanation = &more->explanation;
    x->results.audits = &more->audits;
    x->results.nears = &more->nears;
    x->results.balance = &more->balance;
    return (fm_report){.results = &x->results, .facts = more->facts,
                       .codes = {.n = FIXTURE_FACES, .row = more->rows, .xy = more->xy, .explained = {0.25, 0.125}}};
}

#endif

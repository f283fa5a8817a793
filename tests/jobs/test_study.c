/* Study files, manifests and matching: what strangers hand us. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "jobs/match.h"
#include "tests/jobs/manifest.h"

#define COHORT "cohorts: [{name: a, role: case, format: csv, path: a/m.csv}]\n"

static void contract_example_is_read(void)
{
    fm_err err;
    fm_study *s = load("name: demo\nseed: 7\nout: results/demo\n"
                       "cohorts:\n  - {name: clinic, role: case, format: csv, path: clinic/manifest.csv}\n"
                       "  - {name: population, role: control, format: utkface, path: faces}\n"
                       "select: {age: [10, 120], race: [white, asian]}\n"
                       "match: {by: [sex, age], bands: [0,10,20], ratio: 2}\n"
                       "recipe:\n  detector: {kind: hog, upsample: 1, threshold: 0.5, face: only}\n  landmarks: 5\n"
                       "  chip: {size: 150, padding: 0.25}\n  mask: none\n"
                       "encoder: {model: dlib-resnet, code: embedding}\ntask: {label: age>=40}\n"
                       "head: {kind: fc, hidden: 32, dropout: 0.25, l2: 1e-3, learning_rate: 1e-3, batch: 10, epochs: 5}\n"
                       "evaluate: {split: kfold, folds: 10, repeats: 2, group: subject, test_fraction: 0.5, bootstrap: 100,\n"
                       "  prevalence: 0.02, top_k: 3}\n"
                       "store: {encrypt: false}\ncluster: {nodes: 1, ranks: 0, metrics: mill.prom}\n", &err);

    REQUIRE(s != NULL);
    CHECK_INT(s->n_cohorts, 2);
    CHECK(strstr(s->cohorts[0].path, "/clinic/manifest.csv") && s->cohorts[0].path[0] == '/');
    CHECK(s->selects[0].is_range && !s->selects[1].is_range && s->selects[1].n_values == 2);
    CHECK_INT(s->match.n_bands, 3);
    CHECK_INT(s->match.ratio, 2);
    CHECK(s->recipe.upsample == 1 && s->recipe.face == FM_FACE_ONLY && s->recipe.landmarks == 5);
    CHECK_NEAR(s->recipe.threshold, 0.5, 0);
    CHECK(s->embedding && s->task.kind == FM_TASK_AGE && s->task.age == 40);
    CHECK_INT(s->head.hidden, 32);
    CHECK_INT(s->evaluate.folds, 10);
    CHECK(s->metrics[0] == '/' && strstr(s->metrics, "/mill.prom"));
    CHECK(s->evaluate.prevalence == 0.02 && s->evaluate.top_k == 3);
}

static void scratch_may_be_a_variable(void)
{
    static const struct { const char *value, *key, *want; } cases[] = {
        {"/local/job7", "$FM_TEST_SCRATCH", "/local/job7/."}, {"/local/job7", "$FM_TEST_SCRATCH/fm", "/local/job7/fm"},
        {NULL, "$FM_TEST_SCRATCH", ""}, {"", "$FM_TEST_SCRATCH", ""}, {NULL, "/disk", "/disk"},
        {"here", "$FM_TEST_SCRATCH", NULL}, {NULL, "$", NULL}, {NULL, "$/x", NULL},
    };
    char text[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_study *s;
        fm_err err;

        unsetenv("FM_TEST_SCRATCH");
        if (cases[i].value)
            setenv("FM_TEST_SCRATCH", cases[i].value, 1);
        snprintf(text, sizeof text, "name: x\n" COHORT "store: {scratch: %s}\n", cases[i].key);
        s = load(text, &err);
        CHECK((s != NULL) == (cases[i].want != NULL));
        if (s && cases[i].want)
            CHECK_STR(s->scratch, cases[i].want);
    }
    unsetenv("FM_TEST_SCRATCH");
}

static void mistakes_name_line_and_remedy(void)
{
    static const struct { const char *text; int rc; const char *say; } cases[] = {
        {"name: x\n" COHORT "encodre: {}\n", -EINVAL, ":3: study: unknown key \"encodre\"; did you mean \"encoder\""},
        {"name: x\n" COHORT "head: {epochs: many}\n", -EINVAL, ":3: epochs: expected whole numbers from 1 to"},
        {"name: x\n" COHORT "head: {epochs: 0}\n", -EINVAL, "from 1 to"},
        {"name: x\n" COHORT "evaluate: {prevalence: 2}\n", -EINVAL, "prevalence"},
        {"name: x\n" COHORT "recipe: {landmarks: 7}\n", -EINVAL, "5 or 68"},
        {"name: x\n", -EINVAL, "\"cohorts\" is missing"},
        {"name: x\nname: y\n" COHORT, -EINVAL, ":2: study: key \"name\" stands here twice"},
        {"name: [x\n", -EINVAL, "not YAML"},
        {"- x\n", -EINVAL, "expected a mapping"},
        {"", -EINVAL, "is empty"},
        {"name: x\n" COHORT "select: {age: [9, 3]}\n", -EINVAL, "9 is above 3"},
        {"name: x\n" COHORT "match: {bands: [0, 10, 5]}\n", -EINVAL, "rising ages"},
        {"name: x\n" COHORT "head: {C: [1, 2]}\n", -EINVAL, "fc has none; give epochs"},
        {"name: x\n" COHORT "head: {kind: svm, epochs: [1, 2]}\n", -EINVAL, "svm has none; give C"},
        {"name: x\n" COHORT "head: {kind: svm, C: [1, 1]}\n", -EINVAL, ":3: C: values to choose from must rise"},
        {"name: x\n" COHORT "head: {kind: svm, C: []}\n", -EINVAL, "up to 32"},
        {"name: x\n" COHORT "head: {kind: svm, C: 0}\n", -EINVAL, "numbers from 1e-09"},
        {"name: x\n" COHORT "head: {kind: svm, C: [nan]}\n", -EINVAL, "numbers from 1e-09"},
        {"name: x\n" COHORT "head: {epochs: [1, 2.5]}\n", -EINVAL, "whole numbers from 1"},
        {"name: x\n" COHORT "head: {class_weight: even}\n", -EINVAL, "none of: none, balanced"},
        {"name: x\n" COHORT "evaluate: {split: group}\n", -EINVAL, "group: site"},
        {"name: x\n" COHORT "evaluate: {split: cohorts, train: [a]}\n", -EINVAL, "needs train: [names] and test"},
        {"name: x\n" COHORT "evaluate: {split: cohorts, train: [a], test: [b]}\n", -EINVAL, "no cohort is named \"b\""},
        {"name: x\n" COHORT "evaluate: {split: cohorts, train: [a], test: [a]}\n", -EINVAL, "\"a\" is named twice"},
        {"name: x\n" COHORT "evaluate: {split: cohorts, train: [], test: []}\n", -EINVAL, "\"a\" is neither in train"},
        {"name: x\n" COHORT "evaluate: {test: [a]}\n", -EINVAL, "belong to split: cohorts"},
        {"name: x\n" COHORT "store: {key_file: k}\n", -EINVAL, "does not say encrypt: true"},
        {"name: x\n" COHORT "store: {encrypt: true, key_file: k, key_command: c}\n", -EINVAL, "not both"},
        {"name: x\n" COHORT "recipe: {mask: potrait}\n", -EINVAL, "none of: none, portrait"},
        {"name: x\n" COHORT "recipe: {mask: {kind: portrait, fill: [0, 256, 0]}}\n", -EINVAL, "whole numbers from 0 to 255"},
        {"name: x\n" COHORT "recipe: {mask: {kind: portrait, fill: [0, 1]}}\n", -EINVAL, "one number, or three"},
        {"name: x\n" COHORT "recipe: {chip: {size: 112}}\n", -EINVAL, "takes chips of size 150"},
        {"name: x\n" COHORT "encoder: {model: resnet50}\n", -EINVAL, "neither dlib-resnet nor an .onnx file"},
        {"name: x\n" COHORT "encoder: {mean: 127.5}\n", -EINVAL, "dlib-resnet takes no key but code"},
        {"name: x\n" COHORT "encoder: {model: a.onnx, code: pooled}\n", -EINVAL, "name the output"},
        {"name: x\n" COHORT "encoder: {model: a.onnx, scale: [1, x, 2]}\n", -EINVAL, "scale: expected a number"},
        {"name: x\n" COHORT "encoder: {model: a.onnx, channels: gray}\n", -EINVAL, "none of: rgb, bgr, grey"},
        {"name: x\ncohorts: [{name: a, role: case, format: megage, path: m}]\n", -EINVAL, "none of: csv, tsv"},
        {"name: x\ncohorts: [{name: a, role: patient, format: csv, path: m}]\n", -EINVAL, "none of: case, control"},
        {"name: x\n" COHORT "task: {label: age>40}\n", -EINVAL, "age>=40"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_err err;
        bool loaded = load(cases[i].text, &err) != NULL;

        CHECK(!loaded);
        CHECK_INT(err.code, cases[i].rc);
        if (!strstr(err.text, cases[i].say))
            check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, cases[i].say);
    }
}

static void choices_and_protocols_are_read(void)
{
    fm_err err;
    fm_study *s = load("name: x\n" COHORT "head: {kind: svm, C: [0.01, 1, 100], class_weight: balanced}\n"
                       "evaluate: {split: group, group: site}\n", &err);

    REQUIRE(s != NULL);
    CHECK(s->head.kind == FM_STUDY_SVM && s->head.balanced && s->head.n_choices == 3 && s->head.choices[2] == 100);
    CHECK(s->evaluate.split == FM_SPLIT_GROUP && strcmp(s->evaluate.group, "site") == 0);
    s = load("name: x\n" COHORT "head: {kind: logistic}\n", &err);
    REQUIRE(s != NULL);
    CHECK(s->head.n_choices == 5 && s->head.choices[0] == 0.0001 && s->head.choices[4] == 1);
    s = load("name: x\n" COHORT "head: {kind: svm, C: 1}\n", &err);
    REQUIRE(s != NULL);
    CHECK(s->head.n_choices == 0 && s->head.C == 1);
    s = load("name: x\n" COHORT "head: {epochs: [7]}\n", &err);
    REQUIRE(s != NULL);
    CHECK(s->head.n_choices == 0 && s->head.epochs == 7 && !s->head.balanced);
    s = load("name: x\ncohorts:\n - {name: a, role: case, format: csv, path: a}\n - {name: b, role: case, format: csv, "
             "path: b}\nevaluate: {split: cohorts, train: [b], test: [a]}\n", &err);
    REQUIRE(s != NULL);
    CHECK(s->evaluate.tests[0] && !s->evaluate.tests[1]);
}

static void encoders_and_masks_are_read(void)
{
    uint32_t offset, width;
    fm_err err;
    fm_study *s = load("name: x\n" COHORT "encoder: {code: embedding}\n", &err);

    REQUIRE(s != NULL);
    fm_study_code(s, &offset, &width);
    CHECK(s->encoding.kind == FM_ENCODER_DLIB && offset == 0 && width == 128 && !s->encoding.mask && !s->recipe.mask);
    s = load("name: x\n" COHORT "recipe: {chip: {size: 112}, mask: {kind: portrait, fill: [1, 2, 255]}}\n"
             "encoder: {model: nets/face.onnx, output: code, channels: bgr, mean: [1, 2, 3], scale: 0.5}\n", &err);
    REQUIRE(s != NULL);
    CHECK(s->encoding.kind == FM_ENCODER_ONNX && s->encoding.mask && s->recipe.mask && s->recipe.chip_size == 112);
    CHECK(s->encoding.fill[0] == 1 && s->encoding.fill[2] == 255);
    CHECK_STR(s->encoder, "face.onnx");
    CHECK(strstr(s->encoder_file, "/nets/face.onnx") != NULL);
    CHECK(s->wish.n_mean == 3 && s->wish.mean[2] == 3 && s->wish.n_scale == 1 && s->wish.channels == FM_CHANNELS_BGR &&
          s->wish.layout == -1);
}

static void csv_rows_good_and_bad(void)
{
    fm_err err;
    fm_study *s = load("name: x\n" COHORT "task: {label: centre}\n", &err);
    fm_samples samples;
    char number[32];

    REQUIRE(s != NULL);
    fm_log_set_level(FM_LOG_ERROR);
    put("a/m.csv", "\xef\xbb\xbf" "file,subject,sex,age,centre,note\r\n"
                   "1.jpg,p1,male,40,north,\"a \"\"quoted\"\", one\nof two lines\"\r\n"
                   "2.jpg,p2,F,NA,south,\r\n"
                   "\r\n"
                   "3.jpg,p3,1,30,north,\r\n"
                   "4.jpg,p4,male,400,north,\r\n"
                   "5.jpg,p5,male\r\n"
                   "1.jpg,p1,male,40,north,again\r\n"
                   "6.jpg,p1,,50,,last");
    REQUIRE(fm_samples_import(s, &samples, &err) == 0);
    CHECK_INT(samples.n, 7);
    CHECK_STR(samples.v[0].name, "a/1.jpg");
    CHECK_STR(samples.v[0].subject, "a/p1");
    CHECK_STR(fm_sample_column(&samples, &samples.v[0], "note", number), "a \"quoted\", one\nof two lines");
    CHECK(samples.v[1].sex == FM_SEX_FEMALE && isnan(samples.v[1].age));
    for (int i = 2; i < 5; i++)
        CHECK_INT(samples.v[i].reason, FM_BAD_MANIFEST);
    CHECK(strstr(samples.v[2].detail, "m.csv:6: sex \"1\"") != NULL);
    CHECK(strstr(samples.v[4].detail, "m.csv:8: 3 columns where the header has 6") != NULL);
    CHECK_INT(samples.v[5].reason, FM_DUPLICATE);
    CHECK_STR(fm_sample_column(&samples, &samples.v[6], "note", number), "last");
    REQUIRE(fm_samples_label(s, &samples, &err) == 0);
    CHECK_INT(samples.n_classes, 2);
    CHECK_STR(samples.classes[0], "north");
    CHECK_INT(samples.v[6].reason, FM_UNKNOWN_LABEL);
    fm_samples_fini(&samples);
}

static void folder_and_utkface_names(void)
{
    fm_err err;
    fm_study *s = load("name: x\ncohorts:\n - {name: u, role: case, format: utkface, path: u}\n"
                       " - {name: f, role: control, format: folder, path: f}\nselect: {label: b}\n", &err);
    fm_samples samples;

    REQUIRE(s != NULL);
    fm_log_set_level(FM_LOG_ERROR);
    put("u/61_1_20170109142408075.jpg.chip.jpg", "x");
    put("u/26_1_3_20170117154600245.jpg.chip.jpg", "x");
    put("u/.hidden", "x");
    put("f/b/2.png", "x");
    put("f/a/1.png", "x");
    REQUIRE(fm_samples_import(s, &samples, &err) == 0);
    REQUIRE(samples.n == 4);
    CHECK_STR(samples.v[0].name, "u/26_1_3_20170117154600245.jpg.chip.jpg");
    CHECK(samples.v[0].sex == FM_SEX_FEMALE && samples.v[0].age == 26 && strcmp(samples.v[0].extra[0], "indian") == 0);
    CHECK_INT(samples.v[1].reason, FM_BAD_MANIFEST);
    CHECK_STR(samples.v[2].name, "f/a/1.png");
    REQUIRE(fm_samples_select(s, &samples, &err) == 0);
    CHECK_INT(samples.v[0].reason, FM_NOT_SELECTED);
    CHECK_INT(samples.v[2].reason, FM_NOT_SELECTED);
    CHECK_INT(samples.v[3].reason, FM_USED);
    fm_samples_fini(&samples);
}

/* Cases 30m 31m 50f; controls 29m 33m 31m 52f 45m 20f: nearest within sex and decade. */
static void matching_is_exact_in_sex_and_band(void)
{
    fm_err err;
    fm_study *s = load("name: x\ncohorts:\n - {name: a, role: case, format: csv, path: a.csv}\n"
                       " - {name: b, role: control, format: csv, path: b.csv}\nmatch: {by: [sex, age]}\n", &err);
    fm_samples samples;
    fm_pairs pairs;

    REQUIRE(s != NULL);
    put("a.csv", "file,sex,age\n1,m,30\n2,m,31\n3,f,50\n4,f,\n5,f,65\n");
    put("b.csv", "file,sex,age\n1,m,29\n2,m,33\n3,m,31\n4,f,52\n5,m,45\n6,f,20\n");
    REQUIRE(fm_samples_import(s, &samples, &err) == 0);
    REQUIRE(fm_match(s, &samples, &pairs, &err) == 0);
    REQUIRE(pairs.n == 3);
    CHECK(pairs.v[0].case_sample == 0 && pairs.v[1].case_sample == 1 && pairs.v[2].case_sample == 2);
    CHECK(pairs.v[0].control_sample + pairs.v[1].control_sample == 6 + 7);  /* b2 and b3 in one order or the other */
    CHECK_INT(pairs.v[2].control_sample, 8);
    CHECK_STR(samples.v[3].detail, "age is not known");
    CHECK_STR(samples.v[4].detail, "no control of this sex and age band is free");
    CHECK_INT(samples.v[5].reason, FM_UNMATCHED);
    CHECK_INT(fm_samples_used(&samples), 6);
    fm_pairs_fini(&pairs);
    fm_samples_fini(&samples);
}

CHECK_MAIN(CHECK_CASE(contract_example_is_read), CHECK_CASE(mistakes_name_line_and_remedy),
           CHECK_CASE(choices_and_protocols_are_read), CHECK_CASE(scratch_may_be_a_variable),
           CHECK_CASE(encoders_and_masks_are_read),
           CHECK_CASE(csv_rows_good_and_bad), CHECK_CASE(folder_and_utkface_names),
           CHECK_CASE(matching_is_exact_in_sex_and_band))

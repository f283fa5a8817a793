/* results.json, predictions.tsv and ledger.tsv: what scripts read. */
#define _GNU_SOURCE     /* memmem */
#include "tests/check.h"

#include <errno.h>
#include <jansson.h>

#include "base/file.h"
#include "base/text.h"
#include "jobs/ledger.h"
#include "tests/jobs/fixture.h"

static json_t *parse(const fm_buf *b)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)b->data, b->size, 0, &error);

    if (!root)
        check_failed(__FILE__, __LINE__, "not JSON: line %d: %s", error.line, error.text);
    return root;
}

/* Follow "a.b.3.c" from root. */
static const json_t *at(const json_t *v, const char *path)
{
    char word[64];

    while (v && *path) {
        size_t n = strcspn(path, ".");

        snprintf(word, sizeof word, "%.*s", (int)n, path);
        v = json_is_array(v) ? json_array_get(v, (size_t)atoi(word)) : json_object_get(v, word);
        path += n + (path[n] == '.');
    }
    return v;
}

static double number(const json_t *root, const char *path)
{
    const json_t *v = at(root, path);

    if (!json_is_number(v))
        check_failed(__FILE__, __LINE__, "%s is no number", path);
    return json_number_value(v);
}

static const char *string(const json_t *root, const char *path)
{
    const char *s = json_string_value(at(root, path));

    return s ? s : "(no text)";
}

static void json_holds_what_the_contract_names(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    json_t *root = NULL;

    if (CHECK(fm_results_json(&x->results, &b, &err) == 0))
        root = parse(&b);
    CHECK_INT(number(root, "counts.photographs"), 12);
    CHECK_INT(number(root, "counts.used"), 10);
    CHECK_INT(number(root, "counts.left_out.no_face"), 1);
    CHECK_INT(number(root, "counts.left_out.not_selected"), 1);
    CHECK_INT(number(root, "counts.left_out.crashed"), 0);
    CHECK(!at(root, "counts.left_out.used") && !at(root, "counts.pairs"));
    CHECK_NEAR(number(root, "metrics.accuracy.value"), 7.0 / 9, 1e-12);
    CHECK_NEAR(number(root, "metrics.ece.low"), 0.6, 0);
    CHECK_INT(json_object_size(at(root, "metrics")), FM_METRIC_COUNT - 3);     /* neither prevalence nor k */
    CHECK(number(root, "metrics.auc.delong.se") > 0 && !at(root, "metrics.auc.delong.undefined"));
    CHECK(!at(root, "metrics.accuracy.delong") && !at(root, "folds.0.metrics.top_k_accuracy"));
    CHECK_INT(json_array_size(at(root, "folds")), 2);
    CHECK_INT(number(root, "folds.1.n_train"), 6);
    CHECK_NEAR(number(root, "folds.0.metrics.auc"), 0.5, 0);
    CHECK_NEAR(number(root, "folds.1.chosen"), 0.01, 0);
    CHECK(!at(root, "folds.0.chosen"));
    CHECK_NEAR(number(root, "folds.0.threshold"), 0.25, 0);
    CHECK(!at(root, "folds.1.threshold"));
    CHECK_NEAR(number(root, "classes.0.recall"), 4.0 / 5, 1e-12);
    CHECK_NEAR(number(root, "classes.1.precision"), 3.0 / 4, 1e-12);
    CHECK_INT(number(root, "classes.1.faces"), 5);
    CHECK_INT(number(root, "confusion.0.1"), 1);
    CHECK(json_is_object(at(root, "audits")));
    CHECK_INT(strlen(string(root, "digest")), 64);
    CHECK_STR(string(root, "provenance.version"), FM_VERSION);
    CHECK_STR(string(root, "provenance.models.1.licence"), "research <only>");
    CHECK_INT(strlen(string(root, "provenance.study")), 64);
    CHECK_INT(number(root, "provenance.seed"), 7);
    CHECK_INT(number(root, "run.ranks"), 2);
    CHECK_STR(string(root, "run.finished"), "1970-01-02T00:00:00Z");
    CHECK_STR(string(root, "classes.1.name"), "case\xef\xbf\xbd");
    CHECK(memmem(b.data, b.size, "0.777777777778\n", 15) != NULL);
    json_decref(root);
    fm_buf_fini(&b);
    fixture_fini(x);
}

/* Everything before and after the object `run`, joined. */
static char *without_run(const fm_buf *b)
{
    char *s = strndup((const char *)b->data, b->size), *from = strstr(s, "\n \"run\": {"), *to = NULL;

    if (from)
        to = strstr(from, "\n }");
    if (!from || !to) {
        check_failed(__FILE__, __LINE__, "no object run");
        return s;
    }
    memmove(from, to, strlen(to) + 1);
    return s;
}

static void only_run_depends_on_the_run(void)
{
    fixture *x = fixture_make();
    fm_buf a = FM_BUF_INIT, b = FM_BUF_INIT;
    char *one, *other;

    CHECK(fm_results_json(&x->results, &a, NULL) == 0);
    x->results.ranks = 4;
    x->results.seconds = -1;
    x->results.build = NULL;
    x->results.finished = 0;
    CHECK(fm_results_json(&x->results, &b, NULL) == 0);
    one = without_run(&a);
    other = without_run(&b);
    CHECK(a.size != b.size);
    CHECK_STR(one, other);
    free(one);
    free(other);
    fm_buf_fini(&a);
    fm_buf_fini(&b);
    fixture_fini(x);
}

static void what_is_undefined_is_null_and_says_why(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT;
    json_t *root;

    x->evaluation.metrics[FM_METRIC_AUC] = (fm_metric){NAN, NAN, NAN};
    x->evaluation.metrics[FM_METRIC_F1] = (fm_metric){0.5, NAN, NAN};
    memcpy(x->evaluation.confusion, (uint64_t[]){5, 0, 0, 0}, 4 * sizeof(uint64_t));
    REQUIRE(fm_results_json(&x->results, &b, NULL) == 0);
    root = parse(&b);
    CHECK(json_is_null(at(root, "metrics.auc.value")) && json_is_null(at(root, "metrics.auc.low")));
    CHECK_STR(string(root, "metrics.auc.undefined"), fm_metric_why_undefined(FM_METRIC_AUC));
    CHECK(strstr(string(root, "metrics.f1.undefined"), "a tenth") != NULL);
    CHECK(!at(root, "metrics.accuracy.undefined"));
    CHECK(json_is_null(at(root, "folds.1.metrics.ppv")));
    CHECK_STR(string(root, "folds.1.undefined.ppv"), fm_metric_why_undefined(FM_METRIC_PPV));
    CHECK(!at(root, "folds.0.undefined"));
    CHECK(json_is_null(at(root, "classes.1.recall")) && json_is_null(at(root, "classes.1.precision")));
    CHECK_INT(json_object_size(at(root, "classes.1.undefined")), 2);
    json_decref(root);
    fm_buf_fini(&b);
    fixture_fini(x);
}

/* Splits a line in place; returns the number of fields. */
static int fields(char *line, char **out, int most)
{
    int n = 0;

    for (char *p = line; p && n < most; n++) {
        out[n] = p;
        p = strchr(p, '\t');
        if (p)
            *p++ = '\0';
    }
    return n;
}

static void predictions_read_back_exactly(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT;
    char *f[16], *rest, *text, *line;
    int row = 0;

    REQUIRE(fm_results_predictions(&x->results, &b, NULL) == 0);
    text = strndup((const char *)b.data, b.size);
    line = strtok_r(text, "\n", &rest);
    CHECK_STR(line, "sample\tsubject\trepeat\tfold\tlabel\tp_con\"trol<b>\tp_case\xff\tprediction");
    for (; (line = strtok_r(NULL, "\n", &rest)); row++) {
        size_t i = (size_t)row + (row >= 4);    /* row 4 has no prediction */

        if (!CHECK(fields(line, f, 16) == 8))
            break;
        CHECK(strtod(f[5], NULL) == x->evaluation.prob[2 * i] && strtod(f[6], NULL) == x->evaluation.prob[2 * i + 1]);
        CHECK_INT(atoi(f[3]), x->evaluation.test_fold[i]);
        CHECK_STR(f[4], x->samples.classes[x->evaluation.label[i]]);
        CHECK_STR(f[7], x->samples.classes[x->evaluation.prob[2 * i + 1] > 0.5]);
    }
    CHECK_INT(row, 9);
    CHECK(memmem(b.data, b.size, "clinic/tab\\there.jpg", 20) != NULL);
    free(text);
    fm_buf_fini(&b);
    fixture_fini(x);
}

static void subgroups_by_sex_and_age_band(void)
{
    fixture *x = fixture_make();
    fm_subgroup *g = NULL;
    size_t n = 0, in_bands = 0;

    REQUIRE(fm_results_subgroups(&x->results, &g, &n, NULL) == 0);
    REQUIRE(n == 7);    /* two sexes; 18, 26, 30 to 38, 42 to 46, 50 to 58 */
    CHECK_STR(g[0].name, "male");
    CHECK_STR(g[0].column, "sex");
    CHECK_INT(g[0].n, 6);
    CHECK(g[0].of_class[1] == 3 && g[0].of_class[0] == 3);
    CHECK_STR(g[2].name, "age 10-19");
    CHECK_INT(g[2].n, 1);
    for (size_t i = 2; i < n; i++)
        in_bands += g[i].n;
    CHECK_INT(in_bands, 9);     /* one age is not known */
    free(g);

    x->study.match = (fm_match_spec){.on = true, .by_age = true, .n_bands = 4, .bands = {18, 19, 30.5, 46}};
    REQUIRE(fm_results_subgroups(&x->results, &g, &n, NULL) == 0);
    REQUIRE(n == 5);
    CHECK_STR(g[2].name, "age 18");
    CHECK_STR(g[3].name, "age 19 to below 30.5");
    CHECK_STR(g[4].name, "age 30.5-46");
    CHECK_INT(g[4].n, 3);       /* 34, 42 and the last edge, 46 */
    free(g);

    x->results.groups = (fm_subgroup[]){{.name = "made before", .n = 3}};
    x->results.n_groups = 1;
    REQUIRE(fm_results_subgroups(&x->results, &g, &n, NULL) == 0);
    CHECK(n == 1 && strcmp(g[0].name, "made before") == 0);
    free(g);
    x->results.groups = NULL;

    for (size_t i = 0; i < x->samples.n; i++) {
        x->samples.v[i].sex = FM_SEX_UNKNOWN;
        x->samples.v[i].age = NAN;
    }
    REQUIRE(fm_results_subgroups(&x->results, &g, &n, NULL) == 0);
    CHECK_INT(n, 0);
    free(g);
    fixture_fini(x);
}

/* The fixture ten times over: cells of sex and band with 30 faces, of which one then loses a face. */
static void cells_of_sex_and_age_need_thirty_faces(void)
{
    fixture *x = fixture_make();
    fm_evaluation *e = &x->evaluation, many = {.n = 10 * FIXTURE_FACES, .classes = 2, .repeats = 1, .folds = 2};
    fm_subgroup *g = NULL;
    size_t n = 0, cells = 0;

    REQUIRE(fm_evaluation_room(&many, NULL) == 0);
    for (size_t i = 0; i < many.n; i++) {
        size_t from = i % FIXTURE_FACES;

        many.sample[i] = e->sample[from];
        many.subject[i] = (uint32_t)i;
        many.label[i] = e->label[from];
        many.test_fold[i] = e->test_fold[from];
        memcpy(many.prob + 2 * i, e->prob + 2 * from, 2 * sizeof *many.prob);
    }
    x->study.match = (fm_match_spec){.on = true, .by_age = true, .n_bands = 3, .bands = {10, 40, 60}};
    x->results.evaluation = &many;
    for (int turn = 0; turn < 2; turn++) {
        REQUIRE(fm_results_subgroups(&x->results, &g, &n, NULL) == 0);
        cells = 0;
        for (size_t i = 0; i < n; i++)
            if (strcmp(g[i].column, "sex and age") == 0) {
                CHECK(g[i].n >= FM_SUBGROUP_CELL_MIN);
                cells++;
            }
        CHECK_INT(cells, turn ? 1 : 2);     /* males of 18, 26, 34; of 42, 50, 58, the last of whom goes */
        CHECK_STR(g[4].name, "male, age 10-39");
        CHECK_INT(g[4].n, 30);
        CHECK(!isnan(g[4].sensitivity.value) && g[4].of_class[1] > 0);
        free(g);
        many.n--;
    }
    many.n += 2;
    fm_evaluation_fini(&many);
    x->results.evaluation = e;
    fixture_fini(x);
}

static void what_was_asked_for_is_there(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT;
    json_t *root;

    x->evaluation.prevalence = 0.01;
    x->evaluation.top_k = 1;
    REQUIRE(fm_results_json(&x->results, &b, NULL) == 0);
    root = parse(&b);
    CHECK_INT(json_object_size(at(root, "metrics")), FM_METRIC_COUNT);
    CHECK_NEAR(number(root, "metrics.ppv_at_prevalence.prevalence"), 0.01, 0);
    CHECK_INT(number(root, "metrics.top_k_accuracy.k"), 1);
    json_decref(root);
    fm_buf_fini(&b);
    fixture_fini(x);
}

static void an_evaluation_of_another_study_is_refused(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    x->evaluation.sample[3] = FIXTURE_PHOTOS;
    CHECK_INT(fm_results_json(&x->results, &b, &err), -EINVAL);
    CHECK(strstr(err.text, "evaluate again") != NULL);
    x->evaluation.sample[3] = 3;
    x->evaluation.label[0] = 2;
    CHECK_INT(fm_results_predictions(&x->results, &b, &err), -EINVAL);
    x->evaluation.label[0] = 1;
    x->evaluation.classes = 3;
    CHECK_INT(fm_results_write(&x->results, check_tmpdir(), &err), -EINVAL);
    CHECK_INT(b.size, 0);
    fixture_fini(x);
}

static void files_are_written_whole(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT, file = FM_BUF_INIT;
    char path[FM_PATH_MAX];

    REQUIRE(fm_results_write(&x->results, check_tmpdir(), NULL) == 0);
    fm_path_join(path, sizeof path, check_tmpdir(), "predictions.tsv", NULL);
    CHECK(fm_results_predictions(&x->results, &b, NULL) == 0 && fm_file_read(path, 1 << 20, &file, NULL) == 0);
    CHECK(b.size == file.size && memcmp(b.data, file.data, b.size) == 0);
    fm_path_join(path, sizeof path, check_tmpdir(), "results.json", NULL);
    CHECK(fm_path_exists(path));
    fm_buf_fini(&b);
    fm_buf_fini(&file);
    fixture_fini(x);
}

static fm_ledger_fact *facts_of_photos(void)
{
    fm_photo_face face = {.left = -3, .top = 4, .right = 50, .bottom = 60, .score = 0.1f, .view = 2};
    fm_photo seen = {.width = 200, .height = 100, .format = FM_PHOTO_JPEG, .orientation = 6, .jpeg_quality = 90,
                     .faces_found = 2, .n_faces = 1, .faces = &face, .detail = "Premature end\tof file"};
    fm_photo empty = {.reason = FM_NO_FACE, .width = 64, .height = 64, .format = FM_PHOTO_PNG, .orientation = 1,
                      .detail = "overruled by the sample's own"};
    fm_ledger_fact *facts = calloc(FIXTURE_PHOTOS, sizeof *facts);

    CHECK(fm_ledger_fact_of(&seen, &facts[0], NULL) == 0);
    CHECK(fm_ledger_fact_of(&empty, &facts[5], NULL) == 0);
    return facts;
}

static void ledger_has_a_row_a_photograph(void)
{
    fixture *x = fixture_make();
    fm_ledger_fact *facts = facts_of_photos();
    fm_buf b = FM_BUF_INIT;
    char *f[32], *rest, *text, *line;
    int row = -1;

    REQUIRE(fm_ledger_table(&x->study, &x->samples, facts, &b, NULL) == 0);
    text = strndup((const char *)b.data, b.size);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest), row++) {
        if (row == 0)
            CHECK_STR(line, "clinic/a/1.jpg\tclinic\tclinic/a/1.jpg\ta/1.jpg\tused\t\tPremature end\\tof "
                    "file\tmale\t18\t"
                      "case\xff\tjpeg\t200\t100\t6\t90\t0\t2\t1\t-3\t4\t50\t60\t0.100000001\t2");
        if (row == 5)
            CHECK_STR(line, "clinic/\xff\xfe.jpg\tclinic\tclinic/\xff\xfe.jpg\t\xff\xfe.jpg\tleft_out\tno_face\t"
                      "no face is over the threshold\tfemale\t38\tcase\xff\tpng\t64\t64\t1\t\t0\t0\t0\t\t\t\t\t\t");
        if (row == 1)
            CHECK(strstr(line, "\ttab\\there.jpg\tused\t\t\tfemale\t\t") != NULL);
        if (!CHECK(fields(line, f, 32) == 24))
            break;
    }
    CHECK_INT(row, FIXTURE_PHOTOS);
    free(text);
    fm_buf_fini(&b);
    fm_ledger_facts_destroy(facts, FIXTURE_PHOTOS);
    fixture_fini(x);
}

static void ledger_is_written_without_any_facts(void)
{
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT, file = FM_BUF_INIT;
    char path[FM_PATH_MAX];

    fm_path_join(path, sizeof path, check_tmpdir(), "ledger.tsv", NULL);
    REQUIRE(fm_ledger_write(&x->study, &x->samples, NULL, path, NULL) == 0);
    CHECK(fm_ledger_table(&x->study, &x->samples, NULL, &b, NULL) == 0);
    CHECK(fm_file_read(path, 1 << 20, &file, NULL) == 0);
    CHECK(b.size == file.size && memcmp(b.data, file.data, b.size) == 0);
    fm_buf_fini(&b);
    fm_buf_fini(&file);
    fixture_fini(x);
}

static void text_becomes_utf8(void)
{
    static const struct { const char *in, *want; } cases[] = {
        {"plain\t\n", "plain\t\n"}, {"\xc3\xa9", "\xc3\xa9"}, {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
        {"a\x01\x7f", "a\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},               /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},   /* a surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},   /* past the last character */
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},               /* cut short */
        {"\xe2\x82x", "\xef\xbf\xbd\xef\xbf\xbdx"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_buf b = FM_BUF_INIT;

        fm_utf8_text(&b, cases[i].in);
        fm_buf_u8(&b, 0);
        CHECK_STR((const char *)b.data, cases[i].want);
        fm_buf_fini(&b);
    }
}

CHECK_MAIN(CHECK_CASE(json_holds_what_the_contract_names), CHECK_CASE(only_run_depends_on_the_run),
           CHECK_CASE(what_is_undefined_is_null_and_says_why), CHECK_CASE(predictions_read_back_exactly),
           CHECK_CASE(subgroups_by_sex_and_age_band),
           CHECK_CASE(cells_of_sex_and_age_need_thirty_faces), CHECK_CASE(what_was_asked_for_is_there),
           CHECK_CASE(an_evaluation_of_another_study_is_refused),
           CHECK_CASE(files_are_written_whole), CHECK_CASE(ledger_has_a_row_a_photograph),
           CHECK_CASE(ledger_is_written_without_any_facts), CHECK_CASE(text_becomes_utf8))

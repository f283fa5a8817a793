/* report.html: well-formed whatever names it is given, complete, and fetching nothing. */
#include "tests/check.h"

#include <errno.h>

#include "base/file.h"
#include "jobs/figure.h"
#include "jobs/html.h"
#include "jobs/report.h"
#include "tests/jobs/fixture.h"
#include "tests/jobs/markup.h"

#define CHIP 32

static uint8_t pixels[CHIP * CHIP * 3];

static void fill_pixels(void)
{
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
}

/* The page as a string, or NULL after a failed check; free() it. */
static char *page_of(const fm_report *report)
{
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    char *s;

    if (fm_report_html(report, &b, &err) != 0) {
        check_failed(__FILE__, __LINE__, "%s", err.text);
        return NULL;
    }
    s = strndup((const char *)b.data, b.size);
    if (strlen(s) != b.size)
        check_failed(__FILE__, __LINE__, "a NUL in the page");
    fm_buf_fini(&b);
    return s;
}

/* --- the page's rules --- */

static void check_page(const char *page)
{
    const char *wrong = malformed(page), *fetched = fetches(page);

    if (wrong)
        check_failed(__FILE__, __LINE__, "malformed: %s", wrong);
    if (fetched)
        check_failed(__FILE__, __LINE__, "fetches: %s", fetched);
    CHECK(drawings_are_finite(page));
}

/* The checker itself must be able to fail. */
static void the_checker_sees_what_is_wrong(void)
{
    static const char *const bad[] = {
        "\n<p><b></p></b>", "\n<p>", "\n<p>a & b</p>", "\n<p>a > b</p>", "\n<p class=x>y</p>", "\n</p>",
        "\n<p title=\"a\"b\">x</p>", "\n<p onload=\"x\">y</p>", "\n<script>x</script>",
    };
    static const char *const fetching[] = {"<img src=\"x.png\"/>", "<a href=\"#x\">", "url(x)", "https://x"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!malformed(bad[i]))
            check_failed(__FILE__, __LINE__, "passed: %s", bad[i]);
    for (size_t i = 0; i < sizeof fetching / sizeof *fetching; i++)
        if (!fetches(fetching[i]))
            check_failed(__FILE__, __LINE__, "passed: %s", fetching[i]);
    CHECK(malformed("\n<p class=\"a b\" id=\"c\">x &amp; y<br/><img alt=\"z\"></p>") == NULL);
    CHECK(!drawings_are_finite("<svg><path d=\"M-nan 3\"/></svg>"));
}

/* --- the page --- */

static void page_says(const char *page, const char *const *said, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strstr(page, said[i]))
            check_failed(__FILE__, __LINE__, "the page does not say: %s", said[i]);
}

static void whole_page_says(const char *const *said, size_t n)
{
    fixture *x = fixture_make();
    fixture_extras more;
    fm_report report = fixture_report(x, &more);
    char *page = page_of(&report);

    REQUIRE(page != NULL);
    page_says(page, said, n);
    free(page);
    fixture_fini(x);
}

static void page_is_whole_and_fetches_nothing(void)
{
    static const char *const said[] = {
        "faces &amp; &lt;traits&gt;", "con&quot;trol&lt;b&gt;", "case\xef\xbf\xbd",
        "<b>77.8&#160;%</b> of 9 faces of 9 subjects (95&#160;% interval 50.0 to 100.0&#160;%)",
        "<b>12</b> photographs in the study", "<b>1</b> show no face that was found",
        "<b>1</b> are outside what the study selects", "<b>10</b> faces of <b>10</b> subjects",
        "0.778", "0.500 to 1.000", "ROC curve", "Calibration", "called case", "80.0 %", "Accuracy by subgroup",
        "age 20-29",
        "64 units with ReLU and dropout 0.25", "2-fold cross-validation", "100 bootstrap resamples of subjects",
        "seed 7",
        "BSL-1.0", "research &lt;only&gt;", "2 ranks, 12 s", "1970-01-02 00:00 UTC", "<td>facemill ",
        "prefers-color-scheme:dark", "@media print", "name=\"viewport\"", "default-src 'none'",
    };
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    char *page = page_of(&report);

    REQUIRE(page != NULL);
    check_page(page);
    page_says(page, said, sizeof said / sizeof *said);
    CHECK(!strstr(page, "clinic/") && !strstr(page, "alert("));     /* names of photographs are not shown */
    CHECK(!strstr(page, "identifiable") && !strstr(page, "generated"));
    free(page);
    fixture_fini(x);
}

static size_t occurrences(const char *page, const char *word)
{
    size_t n = 0;

    for (const char *p = page; (p = strstr(p, word)); p += strlen(word))
        n++;
    return n;
}

static void figures_and_tables_are_named(void)
{
    fixture *x = fixture_make();
    fixture_extras more;
    fm_report report = fixture_report(x, &more);
    char *page = page_of(&report);

    REQUIRE(page != NULL);
    check_page(page);
    CHECK_INT(occurrences(page, "<svg"), FM_FIGURE_COUNT);
    CHECK_INT(occurrences(page, "role=\"img\" aria-labelledby="), FM_FIGURE_COUNT);
    CHECK_INT(occurrences(page, "<desc id="), FM_FIGURE_COUNT);
    CHECK_INT(occurrences(page, "<table"), occurrences(page, "<caption>"));
    CHECK_INT(occurrences(page, "<th "), occurrences(page, "scope="));
    free(page);
    report.codes.n = 0;
    x->results.balance = NULL;
    x->results.audits = NULL;
    x->results.explanation = NULL;
    page = page_of(&report);
    REQUIRE(page != NULL);
    CHECK_INT(occurrences(page, "<svg"), FM_FIGURE_COUNT - 7);
    CHECK(!strstr(page, "look at?<") && !strstr(page, ">Balance of matching<") && !strstr(page, ">Codes<"));
    free(page);
    fixture_fini(x);
}

static void people_and_photographs_are_counted(void)
{
    static const char *const said[] = {
        /* of five controls, five cases, and all */
        ">Male</th><td>3<span>60.0 %</span></td><td>3<span>60.0 %</span></td><td>6<span>60.0 %</span></td>",
        ">Age, mean (SD)</th><td>50.0 (6.3)</td><td>27.0 (6.8)</td><td>39.8 (13.6)</td>",
        ">Age, range</th><td>42 to 58</td><td>18 to 34</td><td>18 to 58</td>",
        ">Age not known</th><td>0<span>0.0 %</span></td><td>1<span>20.0 %</span></td>",
        ">age<span>after</span></th><td>0.000<span>of 4</span></td>", "<td>-0.040</td>",
        ">no_face</th><td>1</td><td>0</td><td>1</td>", ">JPEG, of those read</th><td>100.0 %</td>",
        ">several faces found</th><td>50.0 %</td>", ">Width, pixels</th><td>102<span>101 to 104</span></td>",
        ">Face&#39;s width, pixels</th><td>50<span>", "25.0 and 12.5&#160;%",
    };

    whole_page_says(said, sizeof said / sizeof *said);
}

static void explanations_are_told(void)
{
    static const char *const said[] = {
        "<h2>What did the classifier look at?</h2>", "1 of 9 places is over the threshold; hiding row 2, column 2", "What it cannot see",
        "<b>By region.</b>", "Regions over theirs: cheeks.", "Occlusion of parts of the face",
    };

    whole_page_says(said, sizeof said / sizeof *said);
}

/* Rows 1 and 6 are called wrongly, with 2/3 and 0.6; photographs 1 and 7 are lines 3 and 9 of the ledger. */
static void audits_are_told(void)
{
    static const char *const said[] = {
        "<h2>Can it be believed?</h2>", "<li class=\"wrong\"><b>Take care.</b> A classifier that sees only the file&#39;s size",
        "the classes come from different sources", ">null study 1</text><text x=\"340\" y=\"128.0\" text-anchor=\"end\">&#8211;",
        "p = 0.04; AUC 0.510 in the mean", "in 1 of 4 the case is scored below its control",
        "2 pairs of photographs, 1 across cohorts, 1 of different subjects", "audit: full does more",
    };
    fixture *x = fixture_make();
    fixture_extras more;
    fm_report report = fixture_report(x, &more);
    char *page = page_of(&report);

    REQUIRE(page != NULL);
    page_says(page, said, sizeof said / sizeof *said);
    CHECK_INT(occurrences(page, "Take care."), 1);
    CHECK(!strstr(page, "Null studies whose"));
    free(page);
    more.audits.level = FM_AUDIT_NONE;
    page = page_of(&report);
    CHECK(page && !strstr(page, "Can it be believed?</h2>"));
    free(page);
    fixture_fini(x);
}

static void near_misses_are_the_surest_mistakes(void)
{
    fixture *x = fixture_make();
    fm_report_chip chip = {pixels, CHIP, 6};
    fm_report report = {.results = &x->results};
    size_t rows[FM_REPORT_MISSES_MAX];
    char *page = page_of(&report), *first, *second;

    CHECK_INT(fm_report_misses(&x->evaluation, FM_REPORT_MISSES_MAX, rows), 2);
    CHECK(rows[0] == 1 && rows[1] == 6);
    CHECK_INT(fm_report_misses(&x->evaluation, 1, rows), 1);
    CHECK(rows[0] == 1);
    CHECK_INT(fm_report_misses(&x->evaluation, 0, rows), 0);
    REQUIRE(page != NULL);
    first = strstr(page, "<tr><th scope=\"row\">3</th><td class=\"words\">case");
    second = strstr(page, "<tr><th scope=\"row\">9</th><td class=\"words\">con");
    CHECK(first && second && first < second);
    CHECK(first && strstr(first, "<td>0.667</td><td>0.333</td>") && !strstr(page, "<img"));
    free(page);
    report.misses = &chip;
    report.n_misses = 1;
    page = page_of(&report);
    REQUIRE(page != NULL);
    check_page(page);
    CHECK_INT(occurrences(page, "<img"), 1);
    CHECK(strstr(page, "identifiable persons") != NULL);
    free(page);
    fixture_fini(x);
}

static void many_mistakes_are_ranked(void)
{
    enum { N = 50 };
    int32_t label[N] = {0}, fold[N] = {0};
    double prob[2 * N];
    fm_evaluation e = {.n = N, .classes = 2, .repeats = 1, .label = label, .test_fold = fold, .prob = prob};
    size_t rows[FM_REPORT_MISSES_MAX];

    for (int i = 0; i < N; i++) {
        prob[2 * i + 1] = 0.3 + (i * 37 % N) / 100.0;
        prob[2 * i] = 1 - prob[2 * i + 1];
    }
    REQUIRE(fm_report_misses(&e, FM_REPORT_MISSES_MAX, rows) == FM_REPORT_MISSES_MAX);
    for (int i = 0; i < FM_REPORT_MISSES_MAX; i++)
        CHECK_NEAR(prob[2 * rows[i] + 1], 0.79 - 0.01 * i, 1e-12);
}

static void checklists_have_every_item(void)
{
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    char *page = page_of(&report), *tripod, *claim, row[64];

    REQUIRE(page != NULL);
    tripod = strstr(page, "<h2>TRIPOD+AI");
    claim = strstr(page, "<h2>CLAIM");
    REQUIRE(tripod && claim && tripod < claim);
    CHECK_INT(occurrences(claim, "<tr><th scope=\"row\">"), 44);
    CHECK_INT(occurrences(tripod, "<tr><th scope=\"row\">"), 44 + 52);
    for (int i = 1; i <= 44; i++) {
        snprintf(row, sizeof row, "<tr><th scope=\"row\">%d</th><td>", i);
        CHECK_INT(occurrences(claim, row), 1);
    }
    CHECK(strstr(tripod, ">18d</th><td>Registration</td><td></td>") && strstr(claim, ">40</th><td>Limitations</td><td></td>"));
    CHECK(strstr(claim, ">29</th><td>Significance and uncertainty: method</td><td> A face was called "));
    CHECK(strstr(claim, "trained once more on all faces.") && !strstr(page, "on all training faces"));
    CHECK(strstr(tripod, ">23b</th><td>Heterogeneity between clusters: results</td><td>Not examined"));
    CHECK(strstr(claim, "This page has no names of persons or photographs, and no pictures."));
    CHECK(strstr(tripod, "All 10 faces of 10 subjects"));
    free(page);
    fixture_fini(x);
}

static void sheet_says_whose_faces_it_shows(void)
{
    fixture *x = fixture_make();
    fm_report_chip chips[FM_REPORT_CHIPS_MAX + 2];
    fm_report report = {.results = &x->results, .chips = chips, .n_chips = FM_REPORT_CHIPS_MAX + 2};
    char *page;

    fill_pixels();
    for (size_t i = 0; i < report.n_chips; i++)
        chips[i] = (fm_report_chip){pixels, CHIP, i % FIXTURE_FACES};
    page = page_of(&report);
    REQUIRE(page != NULL);
    check_page(page);
    CHECK(strstr(page, "identifiable persons") && strstr(page, "identifiable persons") < strstr(page, "<h1>"));
    CHECK_INT(occurrences(page, "<img "), FM_REPORT_CHIPS_MAX);
    CHECK_INT(occurrences(page, "src=\"data:image/jpeg;base64,/9j/"), FM_REPORT_CHIPS_MAX);
    CHECK_INT(occurrences(page, "alt=\"Face of class "), FM_REPORT_CHIPS_MAX);
    CHECK_INT(occurrences(page, "<li class=\"wrong\">"), 2 * 5);    /* rows 1 and 6, 5 times each */
    free(page);

    report.generated_faces = true;
    page = page_of(&report);
    REQUIRE(page != NULL);
    CHECK(strstr(page, "No real person is shown") && !strstr(page, "identifiable"));
    free(page);
    fixture_fini(x);
}

static void chips_that_do_not_fit_are_refused(void)
{
    fixture *x = fixture_make();
    fm_report_chip chip = {pixels, CHIP, FIXTURE_FACES};
    fm_report report = {.results = &x->results, .chips = &chip, .n_chips = 1};
    fm_buf b = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;

    CHECK_INT(fm_report_html(&report, &b, &err), -EINVAL);
    chip = (fm_report_chip){pixels, 0, 0};
    CHECK_INT(fm_report_html(&report, &b, &err), -EINVAL);
    x->evaluation.classes = 1;
    report.n_chips = 0;
    CHECK_INT(fm_report_html(&report, &b, &err), -EINVAL);
    CHECK_INT(b.size, 0);
    fixture_fini(x);
}

static void page_bears_what_is_undefined(void)
{
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    char *page;

    for (int i = 0; i < FM_METRIC_COUNT; i++) {
        x->evaluation.metrics[i] = (fm_metric){NAN, NAN, NAN};
        x->evaluation.fold[0].metrics.v[i] = NAN;
    }
    for (size_t i = 0; i < x->evaluation.n; i++)
        x->evaluation.test_fold[i] = -1;
    memset(x->evaluation.confusion, 0, 4 * sizeof *x->evaluation.confusion);
    page = page_of(&report);
    REQUIRE(page != NULL);
    check_page(page);
    CHECK(strstr(page, fm_metric_why_undefined(FM_METRIC_ACCURACY)) != NULL);
    free(page);
    fixture_fini(x);
}

static void page_bears_what_was_asked_for(void)
{
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    char *page = page_of(&report);

    CHECK(page && !strstr(page, "PPV at stated prevalence") && !strstr(page, "Top-k"));
    CHECK(page && strstr(page, "AUC, DeLong") && strstr(page, "Average precision") && strstr(page, "Obuchowski"));
    free(page);
    x->evaluation.prevalence = 0.01;
    x->evaluation.top_k = 1;
    page = page_of(&report);
    REQUIRE(page != NULL);
    check_page(page);
    CHECK(strstr(page, "PPV at stated prevalence, 0.01<") && strstr(page, "Top-k accuracy, k = 1<"));
    CHECK(strstr(page, "for a prevalence of 0.01.") != NULL);
    free(page);
    fixture_fini(x);
}

static void chance_is_called_chance(void)
{
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    char *page;

    x->evaluation.metrics[FM_METRIC_AUC] = (fm_metric){0.55, 0.45, 0.65};
    page = page_of(&report);
    CHECK(page && strstr(page, "cannot be told apart"));
    free(page);
    x->evaluation.metrics[FM_METRIC_AUC] = (fm_metric){0.65, 0.55, 0.75};
    page = page_of(&report);
    CHECK(page && !strstr(page, "cannot be told apart"));
    free(page);
    fixture_fini(x);
}

/* What inner folds chose is not given as if it had been set. */
static void chosen_settings_are_not_stated_as_set(void)
{
    static const int kinds[] = {FM_STUDY_LOGISTIC, FM_STUDY_SVM, FM_STUDY_FC};
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    fm_study_head *h = &x->study.head;

    for (int i = 0; i < 3; i++) {
        char *page;

        h->kind = kinds[i];
        h->n_choices = 2;
        h->choices[0] = 1;
        h->choices[1] = 8;
        page = page_of(&report);
        REQUIRE(page != NULL);
        CHECK(!strstr(page, "(C = ") && !strstr(page, "C = 1") && !strstr(page, "epochs of batches"));
        CHECK(strstr(page, "was chosen anew in every fold from 2 values between 1 and 8 by the log loss"));
        CHECK(i == 2 || strstr(page, "C as LIBLINEAR defines it"));
        CHECK(!strstr(page, "(Platt 1999)") == !strstr(page, "<li>Platt."));    /* who is cited is listed */
        free(page);
    }
    fixture_fini(x);
}

/* The methods say what was run: other studies, other words. */
static void methods_are_those_of_the_study(void)
{
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    fm_study *s = &x->study;
    char *page;

    s->head.kind = FM_STUDY_LOGISTIC;
    s->match = (fm_match_spec){.on = true, .by_sex = true, .by_age = true, .ratio = 2, .n_bands = 3, .bands = {0, 40,
            120}, .caliper = 3, .replace = true};
    s->recipe.upsample = 1;
    s->recipe.landmarks = 5;
    s->recipe.face = FM_FACE_ONLY;
    s->evaluate.split = FM_SPLIT_HOLDOUT;
    strcpy(s->evaluate.group, "site");
    strcpy(s->encoder, "other-net");
    s->n_selects = 1;
    s->selects[0] = (fm_select){.column = "age", .is_range = true, .low = 10, .high = 120, .n_values = 2};
    x->results.pairs = 4;
    page = page_of(&report);
    REQUIRE(page != NULL);
    CHECK(strstr(page, "logistic regression (C = 1") && !strstr(page, "Adam"));
    CHECK(strstr(page, "with replacement to up to 2 controls of the same sex and age band, nearest in age first and at most "
                       "3 years apart (bands begin at 0, 40 years), which gave 4 pairs"));
    CHECK(strstr(page, "doubled in size 1 time") && strstr(page, "5 landmarks"));
    CHECK(strstr(page, "a photograph with several faces was left out"));
    CHECK(strstr(page, "held out from training") && strstr(page, "samples of the same site"));
    CHECK(strstr(page, "frozen network other-net") && !strstr(page, "He et al."));
    CHECK(strstr(page, "age from 10 to 120."));
    free(page);
    fixture_fini(x);
}

static void many_classes_and_folds_are_cut_short(void)
{
    enum { CLASSES = 70, FOLDS = 50 };
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    fm_evaluation *e = &x->evaluation;
    char *page, name[16];

    x->samples.classes = realloc(x->samples.classes, CLASSES * sizeof *x->samples.classes);
    for (int c = 2; c < CLASSES; c++) {
        snprintf(name, sizeof name, "class %d", c);
        x->samples.classes[c] = strdup(name);
    }
    x->samples.n_classes = CLASSES;
    e->classes = CLASSES;
    e->folds = FOLDS;
    e->prob = realloc(e->prob, e->n * CLASSES * sizeof *e->prob);
    for (size_t i = 0; i < e->n * CLASSES; i++)
        e->prob[i] = 1.0 / CLASSES;
    e->confusion = realloc(e->confusion, CLASSES * CLASSES * sizeof *e->confusion);
    memset(e->confusion, 0, CLASSES * CLASSES * sizeof *e->confusion);
    e->fold = realloc(e->fold, FOLDS * sizeof *e->fold);
    memset(e->fold, 0, FOLDS * sizeof *e->fold);
    page = page_of(&report);
    REQUIRE(page != NULL);
    check_page(page);
    CHECK(strstr(page, "told 70 classes apart") && strstr(page, "class 59<") && !strstr(page, "class 60<"));
    CHECK(strstr(page, "the first 40") && !strstr(page, "class=\"confusion\"") && !strstr(page, "ROC curve.</b>"));
    free(page);
    fixture_fini(x);
}

static void choice_is_spread_over_classes_and_rows(void)
{
    enum { N = 1000 };
    int32_t label[N];
    fm_evaluation e = {.n = N, .classes = 3, .label = label};
    size_t rows[N], of_class[3] = {0}, n;

    for (int i = 0; i < N; i++)
        label[i] = i == 500 ? 2 : i % 10 == 0;  /* 900, 99 and 1 */
    n = fm_report_choose(&e, 21, rows);
    REQUIRE(n == 21);
    for (size_t i = 0; i < n; i++)
        of_class[label[rows[i]]]++;
    CHECK(of_class[0] == 10 && of_class[1] == 10 && of_class[2] == 1);
    CHECK(rows[0] < 100 && rows[9] > 900 && rows[0] < rows[1]);
    for (size_t i = 1; i < 10; i++)
        CHECK(rows[i] - rows[i - 1] > 80 && rows[i] - rows[i - 1] < 120);
    CHECK_INT(fm_report_choose(&e, 0, rows), 0);
    e.n = 5;
    CHECK_INT(fm_report_choose(&e, 21, rows), 5);
}

/* A file of the test's folder as a string; free() it.  NULL: not there. */
static char *file_of(const char *name)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;

    fm_path_join(path, sizeof path, check_tmpdir(), name, NULL);
    if (!fm_path_exists(path) || fm_file_read(path, 1 << 20, &b, NULL) != 0)
        return NULL;
    fm_buf_u8(&b, 0);
    return (char *)b.data;
}

static void page_is_written_whole(void)
{
    fixture *x = fixture_make();
    fm_report report = {.results = &x->results};
    fm_buf b = FM_BUF_INIT;
    char *file;

    REQUIRE(fm_report_write(&report, check_tmpdir(), NULL) == 0);
    CHECK(fm_report_html(&report, &b, NULL) == 0);
    file = file_of("report.html");
    CHECK(file && b.size == strlen(file) && memcmp(b.data, file, b.size) == 0);
    free(file);
    fm_buf_fini(&b);
    fixture_fini(x);
}

static void check_figure(const char *name)
{
    char path[64], *svg, *csv;

    snprintf(path, sizeof path, "figures/%s.svg", name);
    svg = file_of(path);
    snprintf(path, sizeof path, "figures/%s.csv", name);
    csv = file_of(path);
    if (!svg || !csv || malformed(svg) || !drawings_are_finite(svg) || !strstr(svg, "<title") || !strstr(svg, "role=\"img\""))
        check_failed(__FILE__, __LINE__, "%s: %s", name, !svg ? "no SVG" : !csv ? "no CSV" : malformed(svg));
    if (svg && (strstr(svg, "var(") || strstr(svg, "href") || !strstr(svg, "xmlns=\"http://www.w3.org/2000/svg\"")))
        check_failed(__FILE__, __LINE__, "%s needs a page around it", name);
    if (csv && (!strchr(csv, '\n') || !strchr(csv, '\n')[1]))
        check_failed(__FILE__, __LINE__, "%s: no numbers", name);
    free(svg);
    free(csv);
}

static void figures_are_left_as_files(void)
{
    fixture *x = fixture_make();
    fixture_extras more;
    fm_report report = fixture_report(x, &more);
    char *csv;

    REQUIRE(fm_report_write(&report, check_tmpdir(), NULL) == 0);
#define FM_X(id, name) check_figure(name);
    FM_FIGURES(FM_X)
#undef FM_X
    csv = file_of("figures/subgroups-accuracy.csv");
    CHECK(csv && strncmp(csv, "subgroup,faces,value,low,high\nall faces,9,0.777777778,0.5,1\nmale,5,", 65) == 0);
    free(csv);
    csv = file_of("figures/codes.csv");
    CHECK(csv && strstr(csv, "\"con\"\"trol<b>\",5,-25\n") != NULL);
    free(csv);
    report.codes.n = 0;     /* what is no longer drawn does not stay */
    REQUIRE(fm_report_write(&report, check_tmpdir(), NULL) == 0);
    csv = file_of("figures/codes.svg");
    CHECK(csv == NULL);
    free(csv);
    fixture_fini(x);
}

static void markup_escapes_what_it_is_given(void)
{
    fm_buf b = FM_BUF_INIT;
    char n[FM_GROUPED];

    fm_html(&b, "<p class=\"%s\">%d %u %zu %.2f %g %%</p>", "a\"b'c<d>&\xff", -3, 4u, (size_t)5, NAN, 0.25);
    fm_buf_u8(&b, 0);
    CHECK_STR((const char *)b.data, "<p class=\"a&quot;b&#39;c&lt;d&gt;&amp;\xef\xbf\xbd\">-3 4 5 0.00 0.25 %</p>");
    fm_buf_fini(&b);
    CHECK_STR(fm_grouped(0, n), "0");
    CHECK_STR(fm_grouped(999, n), "999");
    CHECK_STR(fm_grouped(1234567, n), "1,234,567");
    CHECK_STR(fm_grouped(UINT64_MAX, n), "18,446,744,073,709,551,615");
}

CHECK_MAIN(CHECK_CASE(the_checker_sees_what_is_wrong), CHECK_CASE(page_is_whole_and_fetches_nothing),
           CHECK_CASE(figures_and_tables_are_named),
           CHECK_CASE(people_and_photographs_are_counted), CHECK_CASE(audits_are_told), CHECK_CASE(explanations_are_told),
           CHECK_CASE(near_misses_are_the_surest_mistakes),
           CHECK_CASE(many_mistakes_are_ranked), CHECK_CASE(checklists_have_every_item), CHECK_CASE(sheet_says_whose_faces_it_shows),
           CHECK_CASE(chips_that_do_not_fit_are_refused), CHECK_CASE(page_bears_what_is_undefined),
           CHECK_CASE(page_bears_what_was_asked_for),
           CHECK_CASE(chance_is_called_chance), CHECK_CASE(chosen_settings_are_not_stated_as_set), CHECK_CASE(methods_are_those_of_the_study),
           CHECK_CASE(many_classes_and_folds_are_cut_short), CHECK_CASE(choice_is_spread_over_classes_and_rows),
           CHECK_CASE(page_is_written_whole), CHECK_CASE(figures_are_left_as_files),
           CHECK_CASE(markup_escapes_what_it_is_given))

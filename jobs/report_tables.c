/* The page's tables, and the way from photographs to faces as a list of boxes
 * (after the CONSORT flow diagram): text that wraps on a phone, unlike a drawing. */
#include "jobs/report_parts.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "jobs/html.h"

#define FOLDS_SHOWN 40
#define CLASSES_SHOWN 60
#define MATRIX_MAX 10       /* classes; a larger matrix is for results.json */

/* --- from photographs to faces --- */

/* Where on the way a photograph can be left out, and in which words. */
enum { BY_STUDY, BY_BYTES, BY_FACE };
static const struct {
    int stage;
    const char *words;
} reasons[FM_REASON_COUNT] = {
    [FM_BAD_MANIFEST] = {BY_STUDY, "have a row in the manifest that cannot be used"},
    [FM_DUPLICATE] = {BY_STUDY, "are there twice"},
    [FM_NOT_SELECTED] = {BY_STUDY, "are outside what the study selects"},
    [FM_UNKNOWN_LABEL] = {BY_STUDY, "have no known label"},
    [FM_UNMATCHED] = {BY_STUDY, "have no partner in matching"},
    [FM_FORGOTTEN] = {BY_STUDY, "were forgotten on request"},
    [FM_UNREADABLE] = {BY_BYTES, "cannot be read"},
    [FM_UNSUPPORTED] = {BY_BYTES, "are neither JPEG nor PNG"},
    [FM_TOO_LARGE] = {BY_BYTES, "are larger than the study allows"},
    [FM_DECODE_ERROR] = {BY_BYTES, "are damaged"},
    [FM_DECODE_WARNING_STRICT] = {BY_BYTES, "are damaged in part"},
    [FM_CRASHED] = {BY_BYTES, "crashed the worker and are quarantined"},
    [FM_TIMED_OUT] = {BY_BYTES, "took too long"},
    [FM_NO_FACE] = {BY_FACE, "show no face that was found"},
    [FM_SEVERAL_FACES] = {BY_FACE, "show several faces"},
    [FM_FACE_TOO_SMALL] = {BY_FACE, "show a face that is too small"},
};

/* The box of a stage's losses; returns how many there are. */
static size_t put_losses(fm_buf *b, const size_t *of, int stage)
{
    char n[FM_GROUPED];
    size_t lost = 0;

    for (int i = FM_USED + 1; i < FM_REASON_COUNT; i++)
        lost += reasons[i].stage == stage ? of[i] : 0;
    if (!lost)
        return 0;
    fm_html(b, "<li class=\"out\"><b>%s</b> left out<ul>", fm_grouped(lost, n));
    for (int i = FM_USED + 1; i < FM_REASON_COUNT; i++)
        if (reasons[i].stage == stage && of[i])
            fm_html(b, "<li><b>%s</b> %s</li>", fm_grouped(of[i], n), reasons[i].words);
    fm_html(b, "</ul></li>");
    return lost;
}

static void put_start(const fm_page *page)
{
    const fm_study *study = page->results->study;
    const fm_samples *s = page->results->samples;
    size_t of[FM_COHORTS_MAX] = {0};
    char n[FM_GROUPED];

    for (size_t i = 0; i < s->n; i++)
        of[s->v[i].cohort]++;
    fm_html(page->b, "<li class=\"kept\"><b>%s</b> photographs in the study<ul>", fm_grouped(s->n, n));
    for (int c = 0; study->n_cohorts > 1 && c < study->n_cohorts; c++)
        fm_html(page->b, "<li><b>%s</b> %s</li>", fm_grouped(of[c], n), study->cohorts[c].name);
    fm_html(page->b, "</ul></li>");
}

static void put_end(const fm_page *page, size_t photographs)
{
    const fm_evaluation *e = page->e;
    char n[FM_GROUPED];

    fm_html(page->b, "<li class=\"kept\"><b>%s</b> faces", fm_grouped(e->n, n));
    if (photographs != e->n)
        fm_html(page->b, " of %s photographs", fm_grouped(photographs, n));
    fm_html(page->b, " of <b>%s</b> %s", fm_grouped(page->subjects, n), fm_page_group_word(page));
    fm_html(page->b, "<ul>");
    for (uint32_t c = 0; c < e->classes && c < CLASSES_SHOWN; c++) {
        size_t of_class = 0;

        for (size_t i = 0; i < e->n; i++)
            of_class += (uint32_t)e->label[i] == c;
        fm_html(page->b, "<li><b>%s</b> %s</li>", fm_grouped(of_class, n), fm_page_class(page, c));
    }
    fm_html(page->b, "</ul></li>");
}

void fm_page_flow(const fm_page *page)
{
    static const char *const next[] = {"photographs to read", "photographs decoded"};
    const fm_samples *s = page->results->samples;
    size_t of[FM_REASON_COUNT] = {0}, left = s->n;
    char n[FM_GROUPED];

    for (size_t i = 0; i < s->n; i++)
        of[s->v[i].reason]++;
    fm_html(page->b, "<ol class=\"flow\">");
    put_start(page);
    for (int stage = BY_STUDY; stage <= BY_FACE; stage++) {
        size_t lost = put_losses(page->b, of, stage);

        left -= lost;
        if (lost && stage < BY_FACE)
            fm_html(page->b, "<li class=\"kept\"><b>%s</b> %s</li>", fm_grouped(left, n), next[stage]);
    }
    put_end(page, left);
    fm_html(page->b, "</ol>");
}

/* --- metrics --- */

static const struct {
    const char *name, *words;
} metric_words[FM_METRIC_COUNT] = {
    [FM_METRIC_ACCURACY] = {"Accuracy", "faces called correctly"},
    [FM_METRIC_AUC] = {"AUC", "area under the ROC curve; 0.5 is chance"},
    [FM_METRIC_AVERAGE_PRECISION] = {"Average precision", "area under the precision-recall curve"},
    [FM_METRIC_SENSITIVITY] = {"Sensitivity", "positives called so"},
    [FM_METRIC_SPECIFICITY] = {"Specificity", "negatives called so"},
    [FM_METRIC_PPV] = {"PPV", "positive calls that are correct"},
    [FM_METRIC_NPV] = {"NPV", "negative calls that are correct"},
    [FM_METRIC_PPV_AT_PREVALENCE] = {"PPV at stated prevalence", "from sensitivity and specificity"},
    [FM_METRIC_NPV_AT_PREVALENCE] = {"NPV at stated prevalence", "from sensitivity and specificity"},
    [FM_METRIC_F1] = {"F1", "harmonic mean of sensitivity and PPV"},
    [FM_METRIC_MCC] = {"MCC", "correlation of true and called class; 0 is chance"},
    [FM_METRIC_BALANCED_ACCURACY] = {"Balanced accuracy", "mean over the classes"},
    [FM_METRIC_TOP_K_ACCURACY] = {"Top-k accuracy", "true class among the most probable"},
    [FM_METRIC_BRIER] = {"Brier score", "squared error of probabilities; 0 is best"},
    [FM_METRIC_LOG_LOSS] = {"Log loss", "of probabilities; 0 is best"},
    [FM_METRIC_ECE] = {"Calibration error", "expected, of probabilities; 0 is best"},
};

/* "0.915 to 0.944", or a dash. */
static void put_interval(fm_buf *b, const fm_metric *m)
{
    if (isfinite(m->low) && isfinite(m->high))
        fm_html(b, "%.3f to %.3f", m->low, m->high);
    else
        fm_html(b, "&#8211;");
}

static void put_metric(const fm_page *page, int i)
{
    const fm_metric *m = &page->e->metrics[i];
    fm_predictions p = fm_evaluation_predictions(page->e);
    fm_buf *b = page->b;

    fm_html(b, "<tr><th scope=\"row\">%s", metric_words[i].name);
    if (i == FM_METRIC_TOP_K_ACCURACY)
        fm_html(b, ", k = %u", fm_top_k(page->e->classes, p.top_k));
    if (i == FM_METRIC_PPV_AT_PREVALENCE || i == FM_METRIC_NPV_AT_PREVALENCE)
        fm_html(b, ", %g", p.prevalence);
    fm_html(b, "<span>%s</span></th><td class=\"value\">",
            isfinite(m->value) ? metric_words[i].words : fm_metric_why_undefined(i));
    fm_page_value(b, m->value);
    fm_html(b, "</td><td>");
    put_interval(b, m);
    fm_html(b, "</td></tr>");
}

static void put_delong(const fm_page *page)
{
    const fm_metric m = {page->delong.value, page->delong.low, page->delong.high};

    if (!isfinite(page->delong.se))
        return;
    fm_html(page->b, "<tr><th scope=\"row\">AUC, DeLong<span>the same with an interval that is not resampled</span>"
            "</th><td class=\"value\">");
    fm_page_value(page->b, m.value);
    fm_html(page->b, "</td><td>");
    put_interval(page->b, &m);
    fm_html(page->b, "</td></tr>");
}

void fm_page_metrics(const fm_page *page)
{
    fm_predictions p = fm_evaluation_predictions(page->e);
    fm_buf *b = page->b;

    fm_html(b, "<div class=\"wide\"><table class=\"metrics\"><caption>All folds together%s%s.</caption><thead><tr>"
            "<th scope=\"col\">Metric</th><th scope=\"col\">Value</th><th scope=\"col\">95 %% interval</th></tr>"
            "</thead><tbody>",
            page->e->classes == 2 ? "; positive is " : "; of one class against the rest: means over classes",
            page->e->classes == 2 ? fm_page_class(page, 1) : "");
    for (int i = 0; i < FM_METRIC_COUNT; i++) {
        if (fm_metric_applies(&p, i))
            put_metric(page, i);
        if (i == FM_METRIC_AUC)
            put_delong(page);
    }
    fm_html(b, "</tbody></table></div>");
}

/* --- confusion --- */

static uint64_t row_sum(const fm_evaluation *e, uint32_t c)
{
    uint64_t n = 0;

    for (uint32_t k = 0; k < e->classes; k++)
        n += e->confusion[(size_t)c * e->classes + k];
    return n;
}

static uint64_t column_sum(const fm_evaluation *e, uint32_t c)
{
    uint64_t n = 0;

    for (uint32_t k = 0; k < e->classes; k++)
        n += e->confusion[(size_t)k * e->classes + c];
    return n;
}

static double part(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : NAN;
}

static void put_matrix(const fm_page *page)
{
    const fm_evaluation *e = page->e;
    fm_buf *b = page->b;
    char n[FM_GROUPED];

    fm_html(b, "<div class=\"wide\"><table class=\"confusion\"><caption>Rows: true class; columns: class called%s."
            "</caption><thead><tr><th></th>", e->repeats > 1 ? "; all repeats added up" : "");
    for (uint32_t k = 0; k < e->classes; k++)
        fm_html(b, "<th scope=\"col\">called %s</th>", fm_page_class(page, k));
    fm_html(b, "</tr></thead><tbody>");
    for (uint32_t c = 0; c < e->classes; c++) {
        uint64_t sum = row_sum(e, c);

        fm_html(b, "<tr><th scope=\"row\">%s</th>", fm_page_class(page, c));
        for (uint32_t k = 0; k < e->classes; k++) {
            uint64_t v = e->confusion[(size_t)c * e->classes + k];

            fm_html(b, "<td class=\"cell\" style=\"--share:%.3f\">%s<span>%.1f %%</span></td>", part(v, sum),
                    fm_grouped(v, n), 100 * part(v, sum));
        }
        fm_html(b, "</tr>");
    }
    fm_html(b, "</tbody></table></div>");
}

static void put_classes(const fm_page *page)
{
    const fm_evaluation *e = page->e;
    fm_buf *b = page->b;
    char n[FM_GROUPED];

    fm_html(b, "<div class=\"wide\"><table><caption>Each class against the rest");
    if (e->classes > CLASSES_SHOWN)
        fm_html(b, "; the first %d, results.json has all", CLASSES_SHOWN);
    fm_html(b, ".</caption><thead><tr><th scope=\"col\">Class</th><th scope=\"col\">Tested</th>"
            "<th scope=\"col\">Recall</th><th scope=\"col\">Precision</th></tr></thead><tbody>");
    for (uint32_t c = 0; c < e->classes && c < CLASSES_SHOWN; c++) {
        uint64_t right = e->confusion[(size_t)c * e->classes + c];

        fm_html(b, "<tr><th scope=\"row\">%s</th><td>%s</td><td>", fm_page_class(page, c),
                fm_grouped(row_sum(e, c), n));
        fm_page_value(b, part(right, row_sum(e, c)));
        fm_html(b, "</td><td>");
        fm_page_value(b, part(right, column_sum(e, c)));
        fm_html(b, "</td></tr>");
    }
    fm_html(b, "</tbody></table></div>");
}

/* For two classes the metrics say already what the table of classes would. */
void fm_page_confusion(const fm_page *page)
{
    if (page->e->classes <= MATRIX_MAX)
        put_matrix(page);
    if (page->e->classes > 2)
        put_classes(page);
}

/* --- folds and subgroups --- */

void fm_page_folds(const fm_page *page)
{
    static const int shown[] = {FM_METRIC_ACCURACY, FM_METRIC_AUC, FM_METRIC_SENSITIVITY, FM_METRIC_SPECIFICITY};
    size_t n = (size_t)page->e->repeats * page->e->folds;
    fm_buf *b = page->b;
    char count[FM_GROUPED];

    fm_html(b, "<div class=\"wide\"><table class=\"folds\"><caption>Each fold's test faces by themselves");
    if (n > FOLDS_SHOWN)
        fm_html(b, "; the first %d, results.json has all", FOLDS_SHOWN);
    fm_html(b, ".</caption><thead><tr><th scope=\"col\">%s</th><th scope=\"col\">Trained</th>"
            "<th scope=\"col\">Tested</th>", page->e->repeats > 1 ? "Repeat, fold" : "Fold");
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
        fm_html(b, "<th scope=\"col\">%s</th>", metric_words[shown[k]].name);
    fm_html(b, "</tr></thead><tbody>");
    for (size_t i = 0; i < n && i < FOLDS_SHOWN; i++) {
        const fm_fold_result *f = &page->e->fold[i];

        fm_html(b, "<tr><th scope=\"row\">");
        if (page->e->repeats > 1)
            fm_html(b, "%u, ", f->repeat);
        fm_html(b, "%u</th><td>%s</td>", f->fold, fm_grouped(f->n_train, count));
        fm_html(b, "<td>%s</td>", fm_grouped(f->n_test, count));
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) {
            fm_html(b, "<td>");
            fm_page_value(b, f->metrics.v[shown[k]]);
            fm_html(b, "</td>");
        }
        fm_html(b, "</tr>");
    }
    fm_html(b, "</tbody></table></div>");
}

static void put_value_over_interval(fm_buf *b, const fm_metric *m)
{
    fm_html(b, "<td>");
    fm_page_value(b, m->value);
    if (isfinite(m->value)) {
        fm_html(b, "<span>");
        put_interval(b, m);
        fm_html(b, "</span>");
    }
    fm_html(b, "</td>");
}

static void put_subgroup(const fm_page *page, const char *name, size_t n, const fm_metric *accuracy,
                         const fm_metric *auc, bool total)
{
    char count[FM_GROUPED];

    fm_html(page->b, total ? "<tr class=\"total\">" : "<tr>");
    fm_html(page->b, "<th scope=\"row\">%s</th><td>%s</td>", name, fm_grouped(n, count));
    put_value_over_interval(page->b, accuracy);
    put_value_over_interval(page->b, auc);
    fm_html(page->b, "</tr>");
}

void fm_page_subgroups(const fm_page *page)
{
    const fm_metric *m = page->e->metrics;

    fm_html(page->b, "<div class=\"wide\"><table><caption>Subgroups by sex and age, with 95 %% intervals; both "
            "together where there are %d faces or more. Where one class is absent there is no AUC.</caption><thead><tr>"
            "<th scope=\"col\">Subgroup</th><th scope=\"col\">Faces</th><th scope=\"col\">Accuracy</th>"
            "<th scope=\"col\">AUC</th></tr></thead><tbody>",
            FM_SUBGROUP_CELL_MIN);
    put_subgroup(page, "all faces", page->e->n, &m[FM_METRIC_ACCURACY], &m[FM_METRIC_AUC], true);
    for (size_t i = 0; i < page->n_groups; i++)
        put_subgroup(page, page->groups[i].name, page->groups[i].n, &page->groups[i].accuracy, &page->groups[i].auc,
                     false);
    fm_html(page->b, "</tbody></table></div>");
}

/* --- provenance --- */

static void put_digest(fm_buf *b, const char *name, const fm_digest *d)
{
    char hex[FM_DIGEST_HEX];

    fm_digest_hex(d, hex);
    fm_html(b, "<tr><th scope=\"row\">%s</th><td><code>%s</code></td></tr>", name, hex);
}

static void put_run(const fm_page *page)
{
    const fm_results *r = page->results;
    time_t finished = (time_t)r->finished;
    struct tm tm;
    char when[32], made[FM_GROUPED], reused[FM_GROUPED];

    fm_html(page->b, "<tr><th scope=\"row\">Run</th><td>%u %s", r->ranks, r->ranks == 1 ? "rank" : "ranks");
    if (r->seconds >= 0)
        fm_html(page->b, ", %.0f s", r->seconds);
    if (finished && gmtime_r(&finished, &tm) && strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm))
        fm_html(page->b, ", finished %s", when);
    if (r->build)
        fm_html(page->b, "; photographs: %s made, %s found in the store", fm_grouped(r->build->photos_made, made),
                fm_grouped(r->build->photos_reused, reused));
    fm_html(page->b, "</td></tr>");
}

void fm_page_provenance(const fm_page *page)
{
    const fm_results *r = page->results;
    fm_buf *b = page->b;
    char hex[FM_DIGEST_HEX];

    fm_html(b, "<table class=\"facts\"><caption>With these, and with the photographs, the study can be run again to "
            "the same results.</caption><tbody>");
    fm_html(b, "<tr><th scope=\"row\">Program</th><td>facemill %s</td></tr>", FM_VERSION);
    put_digest(b, "Study file", &r->study->digest);
    if (!fm_digest_is_zero(&r->store))
        put_digest(b, "Chips and codes", &r->store);
    put_digest(b, "Evaluation plan", &r->evaluation->plan);
    fm_html(b, "<tr><th scope=\"row\">Seed</th><td>%.0f</td></tr>", (double)r->study->seed);
    for (size_t i = 0; i < r->n_models; i++) {
        fm_digest_hex(&r->models[i].sha256, hex);
        fm_html(b, "<tr><th scope=\"row\">Model: %s</th><td>%s%s%s<br/><code>%s</code></td></tr>", r->models[i].role,
                r->models[i].name, r->models[i].licence[0] ? "; licence: " : "", r->models[i].licence, hex);
    }
    put_run(page);
    fm_html(b, "</tbody></table>");
}

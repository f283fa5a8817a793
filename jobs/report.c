/* The page is put together from parts (jobs/report_parts.h), all of them plain
 * markup: no script, nothing fetched, and a policy in the head that forbids it,
 * should a name from a manifest ever slip through the escaping. */
#include "jobs/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "jobs/html.h"
#include "jobs/report_parts.h"

const char *fm_page_class(const fm_page *page, uint32_t c)
{
    return page->results->samples->classes[c];
}

/* The first repeat that tested a row; e->repeats: none did. */
static uint32_t tested_in(const fm_evaluation *e, size_t row)
{
    uint32_t r = 0;

    while (r < e->repeats && e->test_fold[(size_t)r * e->n + row] < 0)
        r++;
    return r;
}

const double *fm_page_tested(const fm_evaluation *e, size_t row)
{
    uint32_t r = tested_in(e, row);

    return r < e->repeats ? e->prob + ((size_t)r * e->n + row) * e->classes : NULL;
}

uint32_t fm_page_called(const fm_evaluation *e, size_t row)
{
    uint32_t r = tested_in(e, row);

    return (uint32_t)(r < e->repeats ? fm_evaluation_called(e, r, row) : e->label[row]);
}

void fm_page_value(fm_buf *b, double v)
{
    if (isfinite(v))
        fm_html(b, "%.3f", v);
    else
        fm_html(b, "&#8211;");
}

void fm_page_figure(const fm_page *page, const fm_figure *f)
{
    fm_html(page->b, "<figure>");
    fm_figure_inline(f, page->b);
    fm_html(page->b, "<figcaption>");
}

/* --- which faces to show --- */

/* Deal `most` places to the classes, one a round, until all are dealt or every row has one. */
static void deal(const size_t *of_class, uint32_t classes, size_t most, size_t *places)
{
    for (bool any = true; any && most > 0;) {
        any = false;
        for (uint32_t c = 0; c < classes && most > 0; c++)
            if (places[c] < of_class[c]) {
                places[c]++;
                most--;
                any = true;
            }
    }
}

size_t fm_report_choose(const fm_evaluation *e, size_t most, size_t *rows)
{
    size_t *of_class = calloc((size_t)e->classes + 1, sizeof *of_class);
    size_t *places = calloc((size_t)e->classes + 1, sizeof *places);
    size_t n = 0;

    for (size_t i = 0; of_class && i < e->n; i++)
        of_class[e->label[i]]++;
    if (of_class && places)
        deal(of_class, e->classes, most, places);
    for (uint32_t c = 0; of_class && places && c < e->classes; c++) {
        size_t seen = 0, taken = 0;

        for (size_t i = 0; taken < places[c]; i++) {
            if ((uint32_t)e->label[i] != c)
                continue;
            if (seen++ == (2 * taken + 1) * of_class[c] / (2 * places[c])) {
                rows[n++] = i;
                taken++;
            }
        }
    }
    free(of_class);
    free(places);
    return n;
}

/* How sure the wrong call was; below 0 when it was right or none was made. */
static double wrongness(const fm_evaluation *e, size_t row)
{
    uint32_t called = fm_page_called(e, row);

    return called == (uint32_t)e->label[row] ? -1 : fm_page_tested(e, row)[called];
}

size_t fm_report_misses(const fm_evaluation *e, size_t most, size_t *rows)
{
    size_t n = 0;

    for (size_t i = 0; i < e->n; i++) {
        double wrong = wrongness(e, i);
        size_t at = n;

        if (!(wrong >= 0) || (n == most && (n == 0 || wrong <= wrongness(e, rows[n - 1]))))
            continue;
        while (at > 0 && wrong > wrongness(e, rows[at - 1]))
            at--;
        n += n < most;
        memmove(rows + at + 1, rows + at, (n - at - 1) * sizeof *rows);
        rows[at] = i;
    }
    return n;
}

/* --- the page --- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Sorts number[n]; returns how many are different. */
static size_t different(uint32_t *number, size_t n)
{
    size_t found = 0;

    qsort(number, n, sizeof *number, by_number);
    for (size_t i = 0; i < n; i++)
        found += i == 0 || number[i] != number[i - 1];
    return found;
}

static int count_rows(fm_page *page, fm_err *err)
{
    const fm_evaluation *e = page->e;
    uint32_t *subject = malloc((e->n + 1) * sizeof *subject);

    if (!subject)
        return fm_fail_nomem(err, "report", e->n * sizeof *subject);
    for (size_t i = 0; i < e->n; i++)
        if (tested_in(e, i) < e->repeats)
            subject[page->tested++] = e->subject[i];
    page->tested_subjects = different(subject, page->tested);
    for (size_t i = 0; i < e->n; i++)
        subject[i] = e->subject[i];
    page->subjects = different(subject, e->n);
    free(subject);
    return 0;
}

static void put_head(const fm_page *page)
{
    fm_buf *b = page->b;

    fm_html(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
            "style-src 'unsafe-inline'\"/><title>%s</title>\n<style>\n", page->results->study->name);
    fm_buf_put(b, fm_page_style, strlen(fm_page_style));
    fm_html(b, "</style></head>\n<body><main>\n");
    const bool pictures = page->report->n_chips || page->report->n_misses;

    if (pictures && page->report->generated_faces)
        fm_html(b, "<p class=\"note calm\">All faces on this page were generated. No real person is shown.</p>\n");
    else if (pictures)
        fm_html(b, "<p class=\"note\"><b>This page shows identifiable persons.</b> Keep it and pass it on only as "
                "their consent and your data protection rules allow.</p>\n");
    fm_html(b, "<header><p class=\"kicker\">facemill study</p><h1>%s</h1>", page->results->study->name);
    fm_page_lead(page);
    fm_html(b, "</header>\n");
}

static void open_section(const fm_page *page, const char *title)
{
    fm_html(page->b, "<section><h2>%s</h2><div>", title);
}

static void close_section(const fm_page *page)
{
    fm_html(page->b, "</div></section>\n");
}

static int put_figures(const fm_page *page, fm_err *err)
{
    int rc;

    open_section(page, page->e->classes == 2 ? "Curves and calibration" : "Calibration");
    fm_html(page->b, "<div class=\"pair\">");
    rc = fm_page_curves(page, err);
    fm_page_calibration(page);
    fm_html(page->b, "</div>");
    close_section(page);
    return rc;
}

static void put_subgroups(const fm_page *page)
{
    if (page->n_groups == 0)
        return;
    open_section(page, "Subgroups");
    fm_html(page->b, "<div class=\"pair\">");
    fm_page_forest(page, FM_METRIC_ACCURACY);
    fm_page_forest(page, FM_METRIC_AUC);
    fm_html(page->b, "</div>");
    fm_page_subgroups(page);
    close_section(page);
}

static void put_section(const fm_page *page, const char *title, void (*put)(const fm_page *))
{
    open_section(page, title);
    put(page);
    close_section(page);
}

static int put_section_or_fail(const fm_page *page, const char *title, int (*put)(const fm_page *, fm_err *), fm_err *err)
{
    int rc;

    open_section(page, title);
    rc = put(page, err);
    close_section(page);
    return rc;
}

/* Who was studied. */
static int put_people(const fm_page *page, fm_err *err)
{
    const fm_balance *balance = page->results->balance;
    int rc;

    put_section(page, "From photographs to faces", fm_page_flow);
    rc = put_section_or_fail(page, "Characteristics", fm_page_characteristics, err);
    if (rc == 0 && balance && balance->n_rows)
        put_section(page, "Balance of matching", fm_page_balance);
    return rc;
}

/* What came out. */
static int put_results(const fm_page *page, fm_err *err)
{
    int rc;

    put_section(page, "Metrics", fm_page_metrics);
    rc = put_figures(page, err);
    if (rc != 0)
        return rc;
    put_section(page, "Confusion matrix", fm_page_confusion);
    put_section(page, "Folds", fm_page_folds);
    put_subgroups(page);
    if (page->results->audits && page->results->audits->level != FM_AUDIT_NONE)
        put_section(page, "Can it be believed?", fm_page_audits);
    if (fm_page_explained(page))
        put_section(page, "What did the classifier look at?", fm_page_explain);
    rc = put_section_or_fail(page, "Near misses", fm_page_misses, err);
    if (rc == 0 && page->report->n_chips)
        rc = put_section_or_fail(page, "Faces", fm_page_chips, err);
    if (rc == 0 && page->report->codes.n)
        put_section(page, "Codes", fm_page_codes);
    return rc;
}

static int put_page(const fm_page *page, fm_err *err)
{
    int rc;

    put_head(page);
    rc = put_people(page, err);
    if (rc == 0)
        rc = put_results(page, err);
    if (rc == 0)
        rc = put_section_or_fail(page, "Ledger", fm_page_ledger, err);
    if (rc != 0)
        return rc;
    put_section(page, "Methods", fm_page_methods);
    put_section(page, "Provenance", fm_page_provenance);
    if (page->report->usage.seconds > 0)
        put_section(page, "Time of the build", fm_page_usage);
    put_section(page, "TRIPOD+AI", fm_page_tripod);
    put_section(page, "CLAIM", fm_page_claim);
    fm_html(page->b, "</main></body></html>\n");
    return 0;
}

/* The page and, on the way, its figures. */
static int make(const fm_report *report, fm_buf *out, fm_figures *figures, fm_err *err)
{
    fm_page page = {.report = report, .results = report->results, .e = report->results->evaluation, .figures = figures,
                    .b = out};
    fm_predictions predictions = fm_evaluation_predictions(page.e);
    fm_subgroup *groups = NULL;
    int rc = fm_results_subgroups(report->results, &groups, &page.n_groups, err);

    page.groups = groups;
    if (rc == 0)
        rc = fm_delong_auc(&predictions, &page.delong, err);
    if (rc == 0)
        rc = count_rows(&page, err);
    if (rc == 0)
        rc = put_page(&page, err);
    if (rc == 0 && out->failed)
        rc = fm_fail_nomem(err, "report.html", out->size);
    free(groups);
    return rc;
}

int fm_report_html(const fm_report *report, fm_buf *out, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    fm_figures figures = {.v = {{.name = NULL}}};
    int rc = make(report, &b, &figures, err);

    if (rc == 0) {
        fm_buf_put(out, b.data, b.size);
        if (out->failed)
            rc = fm_fail_nomem(err, "report.html", b.size);
    }
    fm_figures_fini(&figures);
    fm_buf_fini(&b);
    return rc;
}

int fm_report_write(const fm_report *report, const char *dir, fm_err *err)
{
    char path[FM_PATH_MAX];
    fm_buf b = FM_BUF_INIT;
    fm_figures figures = {.v = {{.name = NULL}}};
    int rc = make(report, &b, &figures, err);

    if (rc == 0)
        rc = fm_path_join(path, sizeof path, dir, "report.html", err);
    if (rc == 0)
        rc = fm_file_write(path, b.data, b.size, err);
    if (rc == 0)
        rc = fm_figures_write(&figures, dir, err);
    fm_figures_fini(&figures);
    fm_buf_fini(&b);
    return rc;
}

/* The ledger in one table: cohort by cohort, what became of the photographs, and
 * what their bytes and faces look like.  Cohorts that differ here can be told
 * apart without any face, and a reader must see that. */
#include "jobs/report_parts.h"

#include <math.h>
#include <stdlib.h>

#include "jobs/characteristics.h"
#include "jobs/html.h"

#define COHORTS_SHOWN 6     /* beside all; more do not fit on paper */

typedef struct {
    const fm_page *page;
    int columns;            /* cohorts shown, and all */
    double *v;              /* [samples], room for one column's values */
} table;

/* Column c is a cohort; the last one is all of them. */
static bool in_column(const table *t, size_t i, int c)
{
    return c + 1 == t->columns || t->page->results->samples->v[i].cohort == c;
}

static bool is_read(const table *t, size_t i)
{
    return t->page->report->facts[i].width > 0;
}

typedef bool (*holds)(const table *t, size_t i);
typedef double (*measure)(const table *t, size_t i);

static bool is_jpeg(const table *t, size_t i) { return t->page->report->facts[i].format == FM_PHOTO_JPEG; }
static bool is_turned(const table *t, size_t i) { return t->page->report->facts[i].orientation > 1; }
static bool has_several(const table *t, size_t i) { return t->page->report->facts[i].faces_found > 1; }

static double width(const table *t, size_t i) { return t->page->report->facts[i].width; }
static double height(const table *t, size_t i) { return t->page->report->facts[i].height; }

static double quality(const table *t, size_t i)
{
    const fm_ledger_fact *f = &t->page->report->facts[i];

    return f->format == FM_PHOTO_JPEG && f->jpeg_quality ? f->jpeg_quality : NAN;
}

static double face_width(const table *t, size_t i)
{
    const fm_ledger_fact *f = &t->page->report->facts[i];

    return f->faces_kept ? (double)f->right - f->left + 1 : NAN;
}

static double score(const table *t, size_t i)
{
    const fm_ledger_fact *f = &t->page->report->facts[i];

    return f->faces_kept ? (double)f->score : NAN;
}

static void put_part(const table *t, const char *name, holds is)
{
    fm_buf *b = t->page->b;

    fm_html(b, "<tr><th scope=\"row\">%s</th>", name);
    for (int c = 0; c < t->columns; c++) {
        size_t n = 0, of = 0;

        for (size_t i = 0; i < t->page->results->samples->n; i++)
            if (in_column(t, i, c) && is_read(t, i)) {
                of++;
                n += is(t, i);
            }
        if (of)
            fm_html(b, "<td>%.1f %%</td>", 100.0 * (double)n / (double)of);
        else
            fm_html(b, "<td>&#8211;</td>");
    }
    fm_html(b, "</tr>");
}

static void put_quartiles(const table *t, const char *name, measure of, int digits)
{
    fm_buf *b = t->page->b;

    fm_html(b, "<tr><th scope=\"row\">%s</th>", name);
    for (int c = 0; c < t->columns; c++) {
        double q[5];
        size_t n = 0;

        for (size_t i = 0; i < t->page->results->samples->n; i++)
            if (in_column(t, i, c) && is_read(t, i) && isfinite(of(t, i)))
                t->v[n++] = of(t, i);
        fm_quartiles(t->v, n, q);
        if (n == 0)
            fm_html(b, "<td>&#8211;</td>");
        else if (digits)
            fm_html(b, "<td>%.2f<span>%.2f to %.2f</span></td>", q[2], q[1], q[3]);
        else
            fm_html(b, "<td>%.0f<span>%.0f to %.0f</span></td>", q[2], q[1], q[3]);
    }
    fm_html(b, "</tr>");
}

/* Photographs of one reason, or all of them for FM_REASON_COUNT; no row when there are none. */
static void put_reason(const table *t, const char *name, int reason)
{
    const fm_samples *s = t->page->results->samples;
    size_t n[COHORTS_SHOWN + 1] = {0};
    char text[FM_GROUPED];

    for (size_t i = 0; i < s->n; i++)
        for (int c = 0; c < t->columns; c++)
            n[c] += in_column(t, i, c) && (reason == FM_REASON_COUNT || (int)s->v[i].reason == reason);
    if (!n[t->columns - 1])
        return;
    fm_html(t->page->b, "<tr><th scope=\"row\">%s</th>", name);
    for (int c = 0; c < t->columns; c++)
        fm_html(t->page->b, "<td>%s</td>", fm_grouped(n[c], text));
    fm_html(t->page->b, "</tr>");
}

static void put_facts(const table *t)
{
    put_part(t, "JPEG, of those read", is_jpeg);
    put_part(t, "turned or mirrored by EXIF", is_turned);
    put_part(t, "several faces found", has_several);
    put_quartiles(t, "Width, pixels", width, 0);
    put_quartiles(t, "Height, pixels", height, 0);
    put_quartiles(t, "JPEG quality", quality, 0);
    put_quartiles(t, "Face's width, pixels", face_width, 0);
    put_quartiles(t, "Detector's score", score, 2);
}

static void put_table(const table *t)
{
    const fm_study *study = t->page->results->study;
    fm_buf *b = t->page->b;

    fm_html(b, "<div class=\"wide\"><table><caption>Photographs by cohort%s; medians with quartiles. ledger.tsv has a row "
            "for each.</caption><thead><tr><th scope=\"col\"></th>", study->n_cohorts > COHORTS_SHOWN ? ", the first" : "");
    for (int c = 0; c + 1 < t->columns; c++)
        fm_html(b, "<th scope=\"col\">%s</th>", study->cohorts[c].name);
    fm_html(b, "<th scope=\"col\">all</th></tr></thead><tbody>");
    put_reason(t, "Photographs", FM_REASON_COUNT);
    put_reason(t, "used", FM_USED);
    for (int i = FM_USED + 1; i < FM_REASON_COUNT; i++)
        put_reason(t, fm_reason_name((fm_reason)i), i);
    if (t->page->report->facts)
        put_facts(t);
    fm_html(b, "</tbody></table></div>");
}

int fm_page_ledger(const fm_page *page, fm_err *err)
{
    int cohorts = page->results->study->n_cohorts;
    size_t n = page->results->samples->n;
    table t = {.page = page, .columns = (cohorts < COHORTS_SHOWN ? cohorts : COHORTS_SHOWN) + 1,
               .v = malloc((n + 1) * sizeof *t.v)};

    if (!t.v)
        return fm_fail_nomem(err, "the ledger's summary", n * sizeof *t.v);
    put_table(&t);
    free(t.v);
    return 0;
}

/* Who was studied: Table 1, and the balance of matching. */
#include "jobs/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jobs/characteristics.h"
#include "jobs/html.h"

#define COLUMNS_MAX 6       /* classes or cohorts beside all; more do not fit on paper */

/* --- Table 1 --- */

typedef struct {
    const fm_page *page;
    const fm_characteristics *of;       /* [classes + 1] */
    uint32_t column[COLUMNS_MAX + 1];   /* which of them are shown */
    int n;
} table;

static void begin_row(const fm_page *page, const char *name)
{
    fm_html(page->b, "<tr><th scope=\"row\">%s</th>", name);
}

/* A row of counts that lie `offset` bytes into each column's figures; with parts of all photographs where wanted. */
static void put_counts(const table *t, const char *name, size_t offset, bool parts)
{
    char text[FM_GROUPED];

    begin_row(t->page, name);
    for (int i = 0; i < t->n; i++) {
        const fm_characteristics *c = &t->of[t->column[i]];
        size_t n = *(const size_t *)(const void *)((const char *)c + offset);

        fm_html(t->page->b, "<td>%s", fm_grouped(n, text));
        if (parts && c->photographs)
            fm_html(t->page->b, "<span>%.1f %%</span>", 100.0 * (double)n / (double)c->photographs);
        fm_html(t->page->b, "</td>");
    }
    fm_html(t->page->b, "</tr>");
}

#define COUNTS(t, name, field, parts) put_counts(t, name, offsetof(fm_characteristics, field), parts)

/* As COUNTS, but not when nobody has it. */
#define COUNTS_IF_ANY(t, name, field)                                                       \
    do {                                                                                    \
        if ((t)->of[(t)->page->e->classes].field)                                           \
            COUNTS(t, name, field, true);                                                   \
    } while (0)

/* The three ways to say it, one a row. */
enum { AGE_MEAN, AGE_QUARTILES, AGE_RANGE, AGE_WAYS };

static void put_age(fm_buf *b, const fm_characteristics *c, int way)
{
    if (c->ages == 0 || (way == AGE_MEAN && c->ages == 1))
        fm_html(b, "<td>&#8211;</td>");
    else if (way == AGE_MEAN)
        fm_html(b, "<td>%.1f (%.1f)</td>", c->age_mean, c->age_sd);
    else if (way == AGE_QUARTILES)
        fm_html(b, "<td>%g<span>%g to %g</span></td>", c->age[2], c->age[1], c->age[3]);
    else
        fm_html(b, "<td>%g to %g</td>", c->age[0], c->age[4]);
}

static void put_ages(const table *t)
{
    static const char *const names[AGE_WAYS] = {"Age, mean (SD)", "Age, median and quartiles", "Age, range"};

    for (int way = 0; way < AGE_WAYS; way++) {
        begin_row(t->page, names[way]);
        for (int i = 0; i < t->n; i++)
            put_age(t->page->b, &t->of[t->column[i]], way);
        fm_html(t->page->b, "</tr>");
    }
}

static void put_bands(const table *t)
{
    const fm_match_spec *m = &t->page->results->study->match;

    for (int k = 0; m->on && m->by_age && k + 1 < m->n_bands; k++) {
        char name[64];

        if (!t->of[t->page->e->classes].of_band[k])
            continue;
        snprintf(name, sizeof name, "Age %g to %s%g", m->bands[k], k + 2 < m->n_bands ? "under " : "", m->bands[k + 1]);
        put_counts(t, name, offsetof(fm_characteristics, of_band) + (size_t)k * sizeof(size_t), true);
    }
}

static void put_table(table *t)
{
    const fm_page *page = t->page;

    for (uint32_t c = 0; c < page->e->classes && t->n < COLUMNS_MAX; c++)
        t->column[t->n++] = c;
    fm_html(page->b, "<div class=\"wide\"><table><caption>The faces that were evaluated, by class");
    if (page->e->classes > COLUMNS_MAX)
        fm_html(page->b, " (the first %d)", COLUMNS_MAX);
    fm_html(page->b, ". Sex and age are counted by photograph.</caption><thead><tr><th scope=\"col\"></th>");
    for (int i = 0; i < t->n; i++)
        fm_html(page->b, "<th scope=\"col\">%s</th>", fm_page_class(page, t->column[i]));
    fm_html(page->b, "<th scope=\"col\">all</th></tr></thead><tbody>");
    t->column[t->n++] = page->e->classes;
    COUNTS(t, "Faces", faces, false);
    COUNTS(t, "Photographs", photographs, false);
    put_counts(t, fm_page_group_word(page)[0] == 's' ? "Subjects" : "Groups", offsetof(fm_characteristics, subjects),
               false);
    COUNTS(t, "Male", male, true);
    COUNTS(t, "Female", female, true);
    COUNTS_IF_ANY(t, "Sex not known", sex_unknown);
    put_ages(t);
    put_bands(t);
    COUNTS_IF_ANY(t, "Age known as a range", age_ranges);
    COUNTS_IF_ANY(t, "Age not known", age_unknown);
    fm_html(page->b, "</tbody></table></div>");
}

int fm_page_characteristics(const fm_page *page, fm_err *err)
{
    fm_characteristics *of = calloc((size_t)page->e->classes + 1, sizeof *of);
    table t = {.page = page, .of = of};
    int rc;

    if (!of)
        return fm_fail_nomem(err, "characteristics", ((size_t)page->e->classes + 1) * sizeof *of);
    rc = fm_characteristics_make(page->results, of, err);
    if (rc == 0)
        put_table(&t);
    free(of);
    return rc;
}

/* --- balance --- */

#define PLOT_LEFT 70.0
#define PLOT_RIGHT 330.0

static double smd_x(double v, double most)
{
    return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * fmin(fabs(v) / most, 1);
}

static void balance_axis(fm_buf *b, double most, double bottom)
{
    for (int i = 0; i <= 2; i++) {
        double v = most * i / 2, x = smd_x(v, most);

        fm_html(b, "<path class=\"grid\" d=\"M%.1f 2V%.1f\"/>", x, bottom);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>", x, bottom + 15, v);
    }
    fm_html(b, "<path class=\"chance\" d=\"M%.1f 2V%.1f\"/>", smd_x(0.1, most), bottom);
    fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">standardised mean difference, without its sign"
            "</text>", (PLOT_LEFT + PLOT_RIGHT) / 2, bottom + 32);
}

static void balance_row(fm_figure *f, const fm_balance_row *row, double most, double y)
{
    fm_html(&f->words, "%s: %.3f before, %.3f after. ", row->name, row->all.smd, row->matched.smd);
    fm_html(&f->body, "<text class=\"name\" x=\"0\" y=\"%.1f\">%s</text><path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>",
            y + 4, row->name, PLOT_LEFT, y, PLOT_RIGHT);
    if (isfinite(row->all.smd))
        fm_html(&f->body, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", smd_x(row->all.smd, most), y);
    if (isfinite(row->matched.smd))
        fm_html(&f->body, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", smd_x(row->matched.smd, most), y);
    fm_csv_text(&f->csv, row->name);
    fm_buf_u8(&f->csv, ',');
    fm_csv_number(&f->csv, row->all.smd, ',');
    fm_csv_number(&f->csv, row->matched.smd, '\n');
}

/* Standardised differences before and after, as distances from zero: a Love plot. */
static void draw_balance(const fm_page *page, const fm_balance *balance)
{
    double most = 0.2, bottom = 12 + 26.0 * balance->n_rows;
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_BALANCE, "Balance of matching", bottom + 38);

    fm_html(&f->csv, "variable,before,after\n");
    for (int i = 0; i < balance->n_rows; i++)       /* the fifth over every value; a NaN is passed over */
        most = fmax(most, ceil(5 * fmax(fabs(balance->rows[i].all.smd), fabs(balance->rows[i].matched.smd))) / 5);
    balance_axis(&f->body, most, bottom);
    for (int i = 0; i < balance->n_rows; i++)
        balance_row(f, &balance->rows[i], most, 16 + 26.0 * i);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Balance.</b> Ring: before matching; dot: after; dashed: 0.1, under which a difference is "
            "commonly held to be small.</figcaption></figure>");
}

static void put_mean(const fm_page *page, double mean, size_t n)
{
    char text[FM_GROUPED];

    fm_html(page->b, "<td>");
    fm_page_value(page->b, mean);
    fm_html(page->b, "<span>of %s</span></td>", fm_grouped(n, text));
}

static void put_balance_row(const fm_page *page, const char *name, const char *when, const fm_balance_figures *f)
{
    const double v[] = {f->smd, f->variance_ratio, f->ecdf_max};

    fm_html(page->b, "<tr><th scope=\"row\">%s<span>%s</span></th>", name, when);
    put_mean(page, f->mean_cases, f->cases);
    put_mean(page, f->mean_controls, f->controls);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        fm_html(page->b, "<td>");
        fm_page_value(page->b, v[i]);
        fm_html(page->b, "</td>");
    }
    fm_html(page->b, "</tr>");
}

void fm_page_balance(const fm_page *page)
{
    const fm_balance *balance = page->results->balance;
    fm_buf *b = page->b;

    draw_balance(page, balance);
    fm_html(b, "<div class=\"wide\"><table class=\"folds\"><caption>Cases and controls before and after matching; sexes "
            "as parts of 1. Differences of means are in standard deviations of all cases; the last column is the largest "
            "gap between the two cumulative distributions. balance.tsv has more.</caption><thead><tr>"
            "<th scope=\"col\">Variable</th><th scope=\"col\">Mean of cases</th><th scope=\"col\">of controls</th>"
            "<th scope=\"col\">Difference</th><th scope=\"col\">Variance ratio</th><th scope=\"col\">Gap</th></tr></thead>"
            "<tbody>");
    for (int i = 0; i < balance->n_rows; i++) {
        put_balance_row(page, balance->rows[i].name, "before", &balance->rows[i].all);
        put_balance_row(page, balance->rows[i].name, "after", &balance->rows[i].matched);
    }
    fm_html(b, "</tbody></table></div>");
}

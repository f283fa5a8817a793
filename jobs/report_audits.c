/* Can it be believed?  The audits beside the study's own AUC: what classifiers
 * reach that see no face, what comes out where nothing is, and how much it takes.
 * The sentences are those of results.json (jobs/audits.h). */
#include "jobs/report_parts.h"

#include <math.h>
#include <stdio.h>

#include "jobs/audits.h"
#include "jobs/html.h"

#define PLOT_LEFT 128.0
#define PLOT_RIGHT 300.0
#define ROW 22.0
#define FROM 0.2        /* where the axis of AUCs starts */

static const char *const sees[FM_CONFOUND_COUNT] = {
    [FM_CONFOUND_RING] = "background only", [FM_CONFOUND_BLUR] = "chip of 8 x 8", [FM_CONFOUND_FACTS] = "file facts only",
    [FM_CONFOUND_COLOUR] = "mean colours only",
};

static double at_auc(double v)
{
    double t = (v - FROM) / (1 - FROM);

    return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * (t < 0 ? 0 : t > 1 ? 1 : t);
}

static void put_row(fm_figure *f, const char *name, double auc, double low, double high, double y, bool total)
{
    fm_buf *b = &f->body;

    fm_html(b, "<text class=\"name%s\" x=\"0\" y=\"%.1f\">%s</text>", total ? " total" : "", y + 4, name);
    if (isfinite(low) && isfinite(high))
        fm_html(b, "<path class=\"bar\" d=\"M%.1f %.1fH%.1f\"/>", at_auc(low), y, at_auc(high));
    if (isfinite(auc)) {
        fm_html(b, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"/>", at_auc(auc), y, total ? 6 : 5);
        fm_html(b, "<text class=\"name%s\" x=\"340\" y=\"%.1f\" text-anchor=\"end\">%.3f</text>", total ? " total" : "", y + 4,
                auc);
        fm_html(&f->words, "%s: %.3f. ", name, auc);
    } else {
        fm_html(b, "<text x=\"340\" y=\"%.1f\" text-anchor=\"end\">&#8211;</text>", y + 4);
    }
    fm_csv_text(&f->csv, name);
    fm_buf_u8(&f->csv, ',');
    fm_csv_number(&f->csv, auc, ',');
    fm_csv_number(&f->csv, low, ',');
    fm_csv_number(&f->csv, high, '\n');
}

static void put_axis(fm_buf *b, double bottom)
{
    for (int i = 1; i <= 5; i++) {
        double v = i / 5.0;

        fm_html(b, "<path class=\"grid\" d=\"M%.1f 2V%.1f\"/>", at_auc(v), bottom);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f</text>", at_auc(v), bottom + 16, v);
    }
    fm_html(b, "<path class=\"chance\" d=\"M%.1f 2V%.1f\"/>", at_auc(0.5), bottom);
}

/* The study, then confounds, then null studies one by one. */
static void draw_aucs(const fm_page *page, const fm_audits *a)
{
    const fm_audit_figure *confound = fm_audit_figures(&a->figures, FM_AUDIT_CONFOUND);
    const fm_audit_figure *null = fm_audit_figures(&a->figures, FM_AUDIT_NULL);
    const fm_metric *auc = &page->e->metrics[FM_METRIC_AUC];
    size_t nulls = a->figures.count[FM_AUDIT_NULL];
    double bottom = 8 + ROW * (double)(1 + FM_CONFOUND_COUNT + nulls);
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_AUDITS, "AUC of the study and of its audits", bottom + 20);
    double y = 14;

    fm_html(&f->csv, "what,auc,low,high\n");
    put_axis(&f->body, bottom);
    put_row(f, "the study", auc->value, auc->low, auc->high, y, true);
    for (int i = 0; i < FM_CONFOUND_COUNT; i++)
        put_row(f, sees[i], confound[i].auc, confound[i].low, confound[i].high, y += ROW, false);
    for (size_t i = 0; i < nulls; i++) {
        char name[32];

        snprintf(name, sizeof name, "null study %zu", i + 1);
        put_row(f, name, null[i].auc, null[i].low, null[i].high, y += ROW, false);
    }
    fm_page_figure(page, f);
    fm_html(page->b, "<b>AUC of the study</b> beside that of classifiers that see no face, and of null studies, in which "
            "one class is split at random. Bars: 95 %% intervals; dashed: chance.</figcaption></figure>");
}

static void draw_curve(const fm_page *page, const fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_CURVE_POINT);
    size_t n = a->figures.count[FM_AUDIT_CURVE_POINT];
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_LEARNING, "Learning curve", FM_SQUARE_HEIGHT);

    fm_html(&f->csv, "share,training_subjects,auc,low,high\n");
    fm_figure_square(f, "share of training subjects", "AUC", true);
    for (size_t i = 0; i < n; i++) {
        double x = fm_square_x(fm_audit_share(i));

        fm_csv_number(&f->csv, fm_audit_share(i), ',');
        fm_csv_number(&f->csv, v[i].subjects, ',');
        fm_csv_number(&f->csv, v[i].auc, ',');
        fm_csv_number(&f->csv, v[i].low, ',');
        fm_csv_number(&f->csv, v[i].high, '\n');
        if (!isfinite(v[i].auc))
            continue;
        fm_html(&f->words, "%.0f subjects: %.3f. ", v[i].subjects, v[i].auc);
        if (isfinite(v[i].low))
            fm_html(&f->body, "<path class=\"bar\" d=\"M%.1f %.1fV%.1f\"/>", x, fm_square_y(v[i].low), fm_square_y(v[i].high));
        fm_html(&f->body, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", x, fm_square_y(v[i].auc));
    }
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Learning curve.</b> AUC when each fold trains on a part of its subjects. Where it still rises, more "
            "subjects would help.</figcaption></figure>");
}

static void put_sentences(const fm_page *page, const fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_CONFOUND);

    fm_html(page->b, "<ul class=\"said\">");
    for (int i = 0; i < FM_CONFOUND_COUNT; i++) {
        char sentence[512];

        fm_audits_sentence(i, &v[i], sentence, sizeof sentence);
        fm_html(page->b, fm_audits_rings(&v[i]) ? "<li class=\"wrong\"><b>Take care.</b> %s</li>" : "<li>%s</li>", sentence);
    }
    fm_html(page->b, "</ul>");
}

static void put_figures(const fm_page *page, const fm_audits *a)
{
    fm_buf *b = page->b;
    char n[FM_GROUPED];

    if (isfinite(a->null_hold))
        fm_html(b, "<tr><th scope=\"row\">Null studies whose interval holds 0.5</th><td>%.0f&#160;%% of %zu</td></tr>",
                100 * a->null_hold, a->figures.count[FM_AUDIT_NULL]);
    if (isfinite(a->p))
        fm_html(b, "<tr><th scope=\"row\">Labels permuted</th><td>p = %.3g; AUC %.3f in the mean, under %.3f in 97.5&#160;%% of "
                "%s permutations</td></tr>", a->p, a->permuted_mean, a->permuted_high, fm_grouped(a->permutations, n));
    if (isfinite(a->seed_mean))
        fm_html(b, "<tr><th scope=\"row\">Other seeds</th><td>AUC %.3f to %.3f, mean %.3f, SD %.3f, over %zu</td></tr>",
                a->seed_low, a->seed_high, a->seed_mean, a->seed_sd, a->figures.count[FM_AUDIT_SEED]);
    if (a->paired)
        fm_html(b, "<tr><th scope=\"row\">Matched pairs that disagree</th><td>in %zu of %zu the case is scored below its "
                "control; pairs.tsv has them</td></tr>", a->disagree, a->n_pairs);
}

static void put_nears(const fm_page *page)
{
    const fm_nears *nears = page->results->nears;
    size_t across = 0, apart = 0;

    if (!nears)
        return;
    fm_html(page->b, "<tr><th scope=\"row\">Near duplicates</th><td>");
    for (size_t i = 0; i < nears->n; i++) {
        across += nears->v[i].across;
        apart += !nears->v[i].same_subject;
    }
    if (nears->searched)
        fm_html(page->b, "%zu pairs of photographs, %zu across cohorts, %zu of different subjects; near_duplicates.tsv has "
                "them", nears->n, across, apart);
    else
        fm_html(page->b, "not searched: there are too many faces");
    fm_html(page->b, "</td></tr>");
}

void fm_page_audits(const fm_page *page)
{
    const fm_audits *a = page->results->audits;

    if (a->figures.n) {
        put_sentences(page, a);
        fm_html(page->b, "<div class=\"pair\">");
        draw_aucs(page, a);
        draw_curve(page, a);
        fm_html(page->b, "</div>");
    }
    fm_html(page->b, "<table class=\"facts\"><caption>Further audits%s.</caption><tbody>",
            a->level == FM_AUDIT_QUICK ? "; audit: full does more of each" : "");
    put_figures(page, a);
    put_nears(page);
    fm_html(page->b, "</tbody></table>");
}

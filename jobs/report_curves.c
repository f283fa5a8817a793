/* ROC and precision-recall curves, with the bands of their bootstrap. */
#include "jobs/report_parts.h"

#include <math.h>

#include "coordinator/learn/curves.h"
#include "jobs/html.h"

/* A step shorter than half a unit cannot be seen: points are left out until it can. */
static void put_curve(fm_buf *b, const double *x, const double *y, size_t n)
{
    double last_x = -1, last_y = -1;

    for (size_t i = 0; i < n; i++) {
        double px = fm_square_x(x[i]), py = fm_square_y(y[i]);

        if (i > 0 && i + 1 < n && fabs(px - last_x) < 0.5 && fabs(py - last_y) < 0.5)
            continue;
        fm_html(b, "%s%.1f %.1f", i ? "L" : "M", px, py);
        last_x = px;
        last_y = py;
    }
}

/* Up along the lower ends, back along the upper ones. */
static void put_band(fm_buf *b, const fm_metric *m, int first)
{
    if (!isfinite(m[FM_CURVE_POSITIONS / 2].low))
        return;
    fm_html(b, "<path class=\"band\" d=\"");
    for (int k = 2 * first; k < 2 * FM_CURVE_POSITIONS; k++) {
        bool back = k >= FM_CURVE_POSITIONS + first;
        int i = back ? 2 * FM_CURVE_POSITIONS - 1 - k + first : k - first;

        if (isfinite(m[i].low))
            fm_html(b, "%s%.1f %.1f", k == 2 * first ? "M" : "L", fm_square_x((double)i / (FM_CURVE_POSITIONS - 1)),
                    fm_square_y(back ? m[i].high : m[i].low));
    }
    fm_html(b, "Z\"/>");
}

/* The curve's points, then the band's positions; a column that does not apply is empty. */
static void put_csv(fm_figure *f, const char *header, const double *x, const double *y, size_t n, const fm_metric *band)
{
    fm_html(&f->csv, "what,%s,low,high\n", header);
    for (size_t i = 0; i < n; i++) {
        fm_html(&f->csv, "curve,");
        fm_csv_number(&f->csv, x[i], ',');
        fm_csv_number(&f->csv, y[i], ',');
        fm_html(&f->csv, ",\n");
    }
    for (int i = 0; i < FM_CURVE_POSITIONS; i++) {
        fm_html(&f->csv, "band,");
        fm_csv_number(&f->csv, (double)i / (FM_CURVE_POSITIONS - 1), ',');
        fm_csv_number(&f->csv, band[i].value, ',');
        fm_csv_number(&f->csv, band[i].low, ',');
        fm_csv_number(&f->csv, band[i].high, '\n');
    }
}

static const char *band_words(const fm_curves *c)
{
    return isfinite(c->sensitivity[FM_CURVE_POSITIONS / 2].low) ? "; shaded: 95 % band of the bootstrap, position by "
           "position" : "";
}

static void put_value(fm_figure *f, const char *name, double value, double y)
{
    if (isfinite(value))
        fm_html(&f->body, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s %.3f</text>",
                fm_square_x(0.97), fm_square_y(y), name, value);
}

static void draw_roc(const fm_page *page, const fm_curves *c)
{
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_ROC, "ROC curve", FM_SQUARE_HEIGHT);
    const fm_metric *auc = &page->e->metrics[FM_METRIC_AUC];

    fm_html(&f->words, "The curve rises from 0, 0 to 1, 1; the area under it is %.3f. Where 1 - specificity is 0.05, "
            "0.1 and 0.2, sensitivity is %.2f, %.2f and %.2f.", auc->value, c->sensitivity[5].value,
            c->sensitivity[10].value, c->sensitivity[20].value);
    fm_figure_square(f, "1 \xe2\x88\x92 specificity", "sensitivity", true);
    fm_figure_diagonal(f);
    put_band(&f->body, c->sensitivity, 0);
    fm_html(&f->body, "<path class=\"curve\" d=\"");
    put_curve(&f->body, c->fpr, c->tpr, c->n);
    fm_html(&f->body, "\"/>");
    put_value(f, "AUC", auc->value, 0.06);
    put_csv(f, "one_minus_specificity,sensitivity", c->fpr, c->tpr, c->n, c->sensitivity);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>ROC curve.</b> Each point is a threshold on the probability of %s; dashed: "
            "chance%s.%s</figcaption></figure>", fm_page_class(page, 1), band_words(c),
            page->e->repeats > 1 ? " First repeat." : "");
}

/* From one recall to the next, precision is that of the next: across, then along. */
static void put_steps(fm_buf *b, const fm_curves *c)
{
    double last_x = -1, last_y = -1;

    for (size_t i = 1; i < c->n; i++) {
        double px = fm_square_x(c->tpr[i]), py = fm_square_y(c->precision[i]);

        if (i > 1 && i + 1 < c->n && fabs(px - last_x) < 0.5 && fabs(py - last_y) < 0.5)
            continue;
        if (i == 1)
            fm_html(b, "M%.1f %.1fH%.1f", fm_square_x(0), py, px);
        else
            fm_html(b, "L%.1f %.1fH%.1f", last_x, py, px);
        last_x = px;
        last_y = py;
    }
}

static void draw_pr(const fm_page *page, const fm_curves *c)
{
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_PR, "Precision-recall curve", FM_SQUARE_HEIGHT);
    double prevalence = c->precision[c->n - 1];

    fm_html(&f->words, "At a recall of 0.5, 0.8 and 0.95, precision is %.2f, %.2f and %.2f; without any skill it would "
            "be %.2f.", c->at_recall[50].value, c->at_recall[80].value, c->at_recall[95].value, prevalence);
    fm_figure_square(f, "recall (sensitivity)", "precision (PPV)", true);
    fm_html(&f->body, "<path class=\"chance\" d=\"M%.1f %.1fH%.1f\"/>", fm_square_x(0), fm_square_y(prevalence),
            fm_square_x(1));
    put_band(&f->body, c->at_recall, 1);
    fm_html(&f->body, "<path class=\"curve\" d=\"");
    put_steps(&f->body, c);
    fm_html(&f->body, "\"/>");
    put_value(f, "average precision", page->e->metrics[FM_METRIC_AVERAGE_PRECISION].value, 0.06);
    put_csv(f, "recall,precision", c->tpr, c->precision, c->n, c->at_recall);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Precision and recall</b> of %s, threshold by threshold; dashed: the part of faces that are %s, "
            "which precision is without any skill%s.%s</figcaption></figure>", fm_page_class(page, 1),
            fm_page_class(page, 1), band_words(c), page->e->repeats > 1 ? " First repeat." : "");
}

int fm_page_curves(const fm_page *page, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(page->e);
    fm_curves c;
    int rc;

    if (p.classes != 2)
        return 0;
    rc = fm_curves_make(&p, (uint64_t)page->results->study->seed, page->e->bootstrap, &c, err);
    if (rc != 0)
        return rc;
    if (c.n) {
        draw_roc(page, &c);
        draw_pr(page, &c);
    }
    fm_curves_fini(&c);
    return 0;
}

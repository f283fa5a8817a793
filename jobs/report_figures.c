/* Figures as inline SVG, drawn for a width of 340 units, so that their letters
 * keep their size from a phone to a page.  Colours come from the style sheet. */
#include "jobs/report_parts.h"

#include <math.h>
#include <stdlib.h>

#include "jobs/html.h"

#define LEFT 46.0
#define TOP 10.0
#define SIDE 284.0      /* of the unit square */

#define BINS 10

static double at_x(double v)
{
    return LEFT + SIDE * v;
}

static double at_y(double v)
{
    return TOP + SIDE * (1 - v);
}

/* Title and description are what a screen reader says. */
static void begin(fm_buf *b, const char *id, double height, const char *title)
{
    fm_html(b, "<svg viewBox=\"0 0 340 %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">%s</title>"
            "<desc id=\"%s-d\">", height, id, id, id, title, id);
}

static void unit_square(fm_buf *b, const char *x_name, const char *y_name)
{
    fm_html(b, "<rect class=\"axis\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", LEFT, TOP, SIDE, SIDE);
    for (int i = 0; i <= 4; i++) {
        double v = i / 4.0;

        if (i > 0 && i < 4)
            fm_html(b, "<path class=\"grid\" d=\"M%.1f %.1fV%.1fM%.1f %.1fH%.1f\"/>", at_x(v), TOP + 0.5,
                    TOP + SIDE - 0.5, LEFT + 0.5, at_y(v), LEFT + SIDE - 0.5);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>", at_x(v), TOP + SIDE + 16, v);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>", LEFT - 7, at_y(v) + 4, v);
    }
    fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", at_x(0.5), TOP + SIDE + 34, x_name);
    fm_html(b, "<text x=\"10\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 10 %.1f)\">%s</text>",
            at_y(0.5), at_y(0.5), y_name);
    fm_html(b, "<path class=\"chance\" d=\"M%.1f %.1fL%.1f %.1f\"/>", at_x(0), at_y(0), at_x(1), at_y(1));
}

/* A step shorter than half a unit cannot be seen: points are left out until it can. */
static void put_curve(fm_buf *b, const double *x, const double *y, long n)
{
    double last_x = -1, last_y = -1;

    for (long i = 0; i < n; i++) {
        double px = at_x(x[i]), py = at_y(y[i]);

        if (i > 0 && i + 1 < n && fabs(px - last_x) < 0.5 && fabs(py - last_y) < 0.5)
            continue;
        fm_html(b, "%s%.1f %.1f", i ? "L" : "M", px, py);
        last_x = px;
        last_y = py;
    }
}

static void draw_roc(const fm_page *page, const double *fpr, const double *tpr, long n)
{
    const fm_metric *auc = &page->e->metrics[FM_METRIC_AUC];
    fm_buf *b = page->b;

    fm_html(b, "<figure>");
    begin(b, "roc", TOP + SIDE + 42, "ROC curve");
    fm_html(b, "The curve rises from 0, 0 to 1, 1; the area under it is %.3f.</desc>", auc->value);
    unit_square(b, "1 \xe2\x88\x92 specificity", "sensitivity");
    fm_html(b, "<path class=\"area\" d=\"");
    put_curve(b, fpr, tpr, n);
    fm_html(b, "L%.1f %.1fZ\"/><path class=\"curve\" d=\"", at_x(1), at_y(0));
    put_curve(b, fpr, tpr, n);
    fm_html(b, "\"/>");
    if (isfinite(auc->value))
        fm_html(b, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">AUC %.3f</text>", at_x(0.97),
                at_y(0.06), auc->value);
    fm_html(b, "</svg><figcaption><b>ROC curve.</b> Each point is a threshold on the probability of %s; dashed: "
            "chance.%s</figcaption></figure>", fm_page_class(page, 1), page->e->repeats > 1 ? " First repeat." : "");
}

int fm_page_roc(const fm_page *page, fm_err *err)
{
    fm_predictions p = fm_evaluation_predictions(page->e);
    double *fpr, *tpr;
    long n;

    if (p.classes != 2)
        return 0;
    fpr = malloc((p.n + 1) * sizeof *fpr);
    tpr = malloc((p.n + 1) * sizeof *tpr);
    n = fpr && tpr ? fm_roc(&p, fpr, tpr) : -1;
    if (n > 1)
        draw_roc(page, fpr, tpr, n);
    free(fpr);
    free(tpr);
    return n < 0 ? fm_fail_nomem(err, "ROC curve", 2 * p.n * sizeof *fpr) : 0;
}

typedef struct {
    uint64_t n;
    double said, seen;      /* sums of the probability said and of what then was the case */
} bin;

/* Two classes: probability of class 1; more: of the class called. */
static void fill_bins(const fm_evaluation *e, bin bins[BINS])
{
    for (size_t r = 0; r < e->repeats; r++)
        for (size_t i = 0; i < e->n; i++) {
            const double *prob = e->prob + (r * e->n + i) * e->classes;
            int c, k;

            if (e->test_fold[r * e->n + i] < 0)
                continue;
            c = e->classes == 2 ? 1 : fm_called_class(prob, (int)e->classes);
            k = prob[c] >= 1 ? BINS - 1 : prob[c] > 0 ? (int)(prob[c] * BINS) : 0;
            bins[k].n++;
            bins[k].said += prob[c];
            bins[k].seen += e->label[i] == c;
        }
}

/* Wilson's interval of k of n (Wilson 1927): holds for the few faces that a middling probability gets. */
static void wilson(double k, double n, double *low, double *high)
{
    const double z = 1.959964;
    double p = k / n, middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));

    *low = fmax(middle - half, 0);
    *high = fmin(middle + half, 1);
}

static void put_bin(fm_buf *b, const bin *x, uint64_t most)
{
    double n = (double)x->n, said = x->said / n, low, high;

    wilson(x->seen, n, &low, &high);
    fm_html(b, "<path class=\"bar\" d=\"M%.1f %.1fV%.1f\"/>", at_x(said), at_y(low), at_y(high));
    fm_html(b, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", at_x(said), at_y(x->seen / n),
            3.5 + 4.5 * sqrt(n / (double)most));
}

void fm_page_calibration(const fm_page *page)
{
    fm_buf *b = page->b;
    bin bins[BINS] = {{0, 0, 0}};
    uint64_t most = 1;

    fill_bins(page->e, bins);
    fm_html(b, "<figure>");
    begin(b, "cal", TOP + SIDE + 42, "Calibration");
    for (int i = 0; i < BINS; i++) {
        most = bins[i].n > most ? bins[i].n : most;
        if (bins[i].n)
            fm_html(b, "Given %.2f, seen %.2f. ", bins[i].said / (double)bins[i].n, bins[i].seen / (double)bins[i].n);
    }
    fm_html(b, "</desc>");
    unit_square(b, "probability given", "part that was so");
    for (int i = 0; i < BINS; i++)
        if (bins[i].n)
            put_bin(b, &bins[i], most);
    fm_html(b, "</svg><figcaption><b>Calibration.</b> In tenths of the probability given to %s: how often it was so, "
            "with 95 %% intervals. On the dashed line a probability means what it says; larger dots stand for more "
            "faces.</figcaption></figure>", page->e->classes == 2 ? fm_page_class(page, 1) : "the class called");
}

/* --- forest plot --- */

#define PLOT_LEFT 104.0
#define PLOT_RIGHT 300.0
#define ROW 22.0

static const fm_metric *of_group(const fm_subgroup *g, int metric)
{
    return metric == FM_METRIC_AUC ? &g->auc : &g->accuracy;
}

static double forest_x(double v, double from)
{
    double t = (v - from) / (1 - from);

    return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * (t < 0 ? 0 : t > 1 ? 1 : t);
}

/* An interval that goes on past the axis ends in a tip. */
static void forest_bar(fm_buf *b, const fm_metric *m, double y, double from)
{
    if (!isfinite(m->low) || !isfinite(m->high))
        return;
    fm_html(b, "<path class=\"bar\" d=\"M%.1f %.1fH%.1f\"/>", forest_x(m->low, from), y, forest_x(m->high, from));
    if (m->low < from)
        fm_html(b, "<path class=\"curve\" d=\"M%.1f %.1fl-4 4l4 4\"/>", PLOT_LEFT + 4, y - 4);
}

static void forest_row(fm_buf *b, const char *name, const fm_metric *m, double y, double from, bool total)
{
    fm_html(b, "<text class=\"name%s\" x=\"0\" y=\"%.1f\">%s</text>", total ? " total" : "", y + 4, name);
    if (!isfinite(m->value)) {
        fm_html(b, "<text x=\"340\" y=\"%.1f\" text-anchor=\"end\">&#8211;</text>", y + 4);
        return;
    }
    forest_bar(b, m, y, from);
    fm_html(b, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"/>", forest_x(m->value, from), y, total ? 6 : 5);
    fm_html(b, "<text class=\"name%s\" x=\"340\" y=\"%.1f\" text-anchor=\"end\">%.3f</text>", total ? " total" : "",
            y + 4, m->value);
}

/* Where the axis starts: the tenth under every value, and never over one half.  Intervals do not move it: that
 * of a tiny subgroup would press all others together. */
static double forest_from(const fm_page *page, int metric)
{
    double low = 0.5;

    for (size_t i = 0; i < page->n_groups; i++)
        low = fmin(low, of_group(&page->groups[i], metric)->value);     /* a NaN is passed over */
    return floor(low * 10 + 1e-9) / 10;
}

void fm_page_forest(const fm_page *page, int metric)
{
    const fm_metric *all = &page->e->metrics[metric];
    const char *title = metric == FM_METRIC_AUC ? "AUC" : "Accuracy", *id = metric == FM_METRIC_AUC ? "f-auc" : "f-acc";
    double from = forest_from(page, metric), step = from > 0.45 ? 0.1 : 0.2;
    double bottom = 8 + ROW * (double)(page->n_groups + 1);
    fm_buf *b = page->b;

    fm_html(b, "<figure>");
    begin(b, id, bottom + 20, title);
    fm_html(b, "%s of all faces and of %zu subgroups; the numbers are in the table below.</desc>", title,
            page->n_groups);
    for (int i = 0; from + i * step <= 1 + 1e-9; i++) {
        double x = forest_x(from + i * step, from);

        fm_html(b, "<path class=\"grid\" d=\"M%.1f 2V%.1f\"/>", x, bottom);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f</text>", x, bottom + 16, from + i * step);
    }
    if (isfinite(all->value))
        fm_html(b, "<path class=\"chance\" d=\"M%.1f 2V%.1f\"/>", forest_x(all->value, from), bottom);
    forest_row(b, "all faces", all, 14, from, true);
    for (size_t i = 0; i < page->n_groups; i++)
        forest_row(b, page->groups[i].name, of_group(&page->groups[i], metric), 14 + ROW * (double)(i + 1), from,
                   false);
    fm_html(b, "</svg><figcaption><b>%s by subgroup.</b> Dot: value; bar: 95 %% interval; dashed: all "
            "faces.</figcaption></figure>", title);
}

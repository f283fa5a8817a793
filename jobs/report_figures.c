/* Calibration and forest plots. */
#include "jobs/report_parts.h"

#include <math.h>

#include "jobs/html.h"

#define BINS 10

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
    fm_html(b, "<path class=\"bar\" d=\"M%.1f %.1fV%.1f\"/>", fm_square_x(said), fm_square_y(low), fm_square_y(high));
    fm_html(b, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", fm_square_x(said), fm_square_y(x->seen / n),
            3.5 + 4.5 * sqrt(n / (double)most));
}

static void put_bins_csv(fm_figure *f, const bin bins[BINS])
{
    fm_html(&f->csv, "faces,probability_given,part_so,low,high\n");
    for (int i = 0; i < BINS; i++) {
        double n = (double)bins[i].n, low, high;

        if (bins[i].n == 0)
            continue;
        wilson(bins[i].seen, n, &low, &high);
        fm_csv_number(&f->csv, n, ',');
        fm_csv_number(&f->csv, bins[i].said / n, ',');
        fm_csv_number(&f->csv, bins[i].seen / n, ',');
        fm_csv_number(&f->csv, low, ',');
        fm_csv_number(&f->csv, high, '\n');
    }
}

void fm_page_calibration(const fm_page *page)
{
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_CALIBRATION, "Calibration", FM_SQUARE_HEIGHT);
    bin bins[BINS] = {{0, 0, 0}};
    uint64_t most = 1;

    fill_bins(page->e, bins);
    for (int i = 0; i < BINS; i++) {
        most = bins[i].n > most ? bins[i].n : most;
        if (bins[i].n)
            fm_html(&f->words, "Given %.2f, seen %.2f. ", bins[i].said / (double)bins[i].n,
                    bins[i].seen / (double)bins[i].n);
    }
    fm_figure_square(f, "probability given", "part that was so", true);
    fm_figure_diagonal(f);
    for (int i = 0; i < BINS; i++)
        if (bins[i].n)
            put_bin(&f->body, &bins[i], most);
    put_bins_csv(f, bins);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Calibration.</b> In tenths of the probability given to %s: how often it was so, with 95 %% "
            "intervals. On the dashed line a probability means what it says; larger dots stand for more "
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

static void put_forest_csv(const fm_page *page, int metric, fm_figure *f)
{
    fm_html(&f->csv, "subgroup,faces,value,low,high\nall faces,%zu,", page->tested);
    for (size_t i = 0; i <= page->n_groups; i++) {
        const fm_metric *m = i ? of_group(&page->groups[i - 1], metric) : &page->e->metrics[metric];

        if (i) {
            fm_csv_text(&f->csv, page->groups[i - 1].name);
            fm_html(&f->csv, ",%zu,", page->groups[i - 1].n);
        }
        fm_csv_number(&f->csv, m->value, ',');
        fm_csv_number(&f->csv, m->low, ',');
        fm_csv_number(&f->csv, m->high, '\n');
    }
}

static void forest_axis(fm_buf *b, double from, double bottom)
{
    double step = from > 0.45 ? 0.1 : 0.2;

    for (int i = 0; from + i * step <= 1 + 1e-9; i++) {
        double x = forest_x(from + i * step, from);

        fm_html(b, "<path class=\"grid\" d=\"M%.1f 2V%.1f\"/>", x, bottom);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f</text>", x, bottom + 16, from + i * step);
    }
}

void fm_page_forest(const fm_page *page, int metric)
{
    const fm_metric *all = &page->e->metrics[metric];
    const bool auc = metric == FM_METRIC_AUC;
    double from = forest_from(page, metric), bottom = 8 + ROW * (double)(page->n_groups + 1);
    fm_figure *f = fm_figure_begin(page->figures, auc ? FM_FIGURE_FOREST_AUC : FM_FIGURE_FOREST_ACCURACY,
                                   auc ? "AUC by subgroup" : "Accuracy by subgroup", bottom + 20);
    fm_buf *b = &f->body;

    fm_html(&f->words, "%s of all faces is %.3f; %zu subgroups follow, and their numbers are in the table below.",
            auc ? "AUC" : "Accuracy", all->value, page->n_groups);
    forest_axis(b, from, bottom);
    if (isfinite(all->value))
        fm_html(b, "<path class=\"chance\" d=\"M%.1f 2V%.1f\"/>", forest_x(all->value, from), bottom);
    forest_row(b, "all faces", all, 14, from, true);
    for (size_t i = 0; i < page->n_groups; i++)
        forest_row(b, page->groups[i].name, of_group(&page->groups[i], metric), 14 + ROW * (double)(i + 1), from,
                   false);
    put_forest_csv(page, metric, f);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>%s.</b> Dot: value; bar: 95 %% interval; dashed: all faces.</figcaption></figure>", f->title);
}

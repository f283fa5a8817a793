/* What did the classifier look at?  Maps over the outline of the mean landmarks: a mean of photographs would show a
 * person where faces are few. */
#include "jobs/report_parts.h"

#include <math.h>
#include <stdio.h>

#include "jobs/explain.h"
#include "jobs/html.h"
#include "worker/face/regions.h"

#define CLASSES_SHOWN 4
#define PLOT_LEFT 84.0
#define PLOT_RIGHT 296.0
#define ROW 22.0

bool fm_page_explained(const fm_page *page)
{
    return page->results->explanation && page->results->explanation->classes;
}

/* A square of the drawing that stands for the chip. */
typedef struct { double left, top, side; } square;

static double largest(const fm_explanation *x, const fm_explain_map *m)
{
    double most = 0;

    for (uint32_t k = 0; k < x->grid * x->grid; k++)
        most = fmax(most, fabs(m->cell[k].fall));
    return most;
}

/* Strokes of landmarks: jaw, brows, nose, eyes, lips. */
static void put_outline(const fm_explanation *x, const square *s, fm_buf *b)
{
    static const struct { int first, last; bool closed; } strokes[] = {
        {0, 16, false}, {17, 21, false}, {22, 26, false}, {27, 30, false}, {31, 35, false}, {36, 41, true},
        {42, 47, true}, {48, 59, true}, {60, 67, true},
    };

    for (size_t i = 0; x->regions && i < sizeof strokes / sizeof *strokes; i++) {
        fm_html(b, "<path class=\"axis\" d=\"");
        for (int p = strokes[i].first; p <= strokes[i].last; p++)
            fm_html(b, p == strokes[i].first ? "M%.1f %.1f" : "L%.1f %.1f", s->left + s->side * x->points[p][0],
                    s->top + s->side * x->points[p][1]);
        fm_html(b, strokes[i].closed ? "Z\"/>" : "\"/>");
    }
}

/* Colour: a fall is of the first class's colour, a rise of the second's, stronger the larger; over the threshold framed. */
static void put_cells(const fm_explanation *x, const fm_explain_map *m, double most, const square *s, fm_buf *b)
{
    double side = s->side / x->grid;

    for (uint32_t k = 0; k < x->grid * x->grid; k++) {
        double fall = m->cell[k].fall, left = s->left + side * (k % x->grid), top = s->top + side * (k / x->grid);

        if (isfinite(fall) && most > 0)
            fm_html(b, "<rect class=\"k%d\" fill-opacity=\"%.2f\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", fall < 0,
                    0.85 * fabs(fall) / most, left, top, side, side);
    }
    for (uint32_t k = 0; k < x->grid * x->grid; k++)
        if (fm_explain_over(&m->cell[k]))
            fm_html(b, "<rect class=\"curve\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                    s->left + side * (k % x->grid) + 1, s->top + side * (k / x->grid) + 1, side - 2, side - 2);
    fm_html(b, "<rect class=\"axis\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", s->left, s->top, s->side, s->side);
    put_outline(x, s, b);
}

static void put_csv(const fm_explanation *x, const fm_explain_map *m, const char *of, fm_buf *csv)
{
    for (uint32_t k = 0; k < x->grid * x->grid; k++) {
        const fm_explain_value *v = &m->cell[k];

        if (of) {
            fm_csv_text(csv, of);
            fm_buf_u8(csv, ',');
        }
        fm_html(csv, "%u,%u,", k / x->grid + 1, k % x->grid + 1);
        fm_csv_number(csv, v->fall, ',');
        fm_csv_number(csv, v->se, of ? '\n' : ',');
        if (of)
            continue;
        fm_csv_number(csv, v->t, ',');
        fm_csv_number(csv, v->p, '\n');
    }
}

static void draw_map(const fm_page *page, const fm_explanation *x)
{
    const square whole = {FM_SQUARE_LEFT, FM_SQUARE_TOP, FM_SQUARE_SIDE};
    double most = largest(x, &x->map[0]);
    char sentence[512];
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_EXPLAIN_MAP, "What hiding each place does to the score",
                                   FM_SQUARE_TOP + FM_SQUARE_SIDE + 40);

    fm_explain_sentence(x, sentence, sizeof sentence);
    fm_html(&f->words, "The chip in %u by %u places, with the outline of the mean face. The largest change is %.3f log odds. %s", x->grid,
            x->grid, most, sentence);
    put_cells(x, &x->map[0], most, &whole, &f->body);
    fm_html(&f->body, "<rect class=\"k0\" fill-opacity=\"0.85\" x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\"/>"
            "<text x=\"%.1f\" y=\"%.1f\">score falls by %.3f</text>", whole.left, whole.top + whole.side + 12, whole.left + 16,
            whole.top + whole.side + 21, most);
    fm_html(&f->body, "<rect class=\"k1\" fill-opacity=\"0.85\" x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"10\"/>"
            "<text x=\"%.1f\" y=\"%.1f\">rises by as much</text>", whole.left + 150, whole.top + whole.side + 12,
            whole.left + 166, whole.top + whole.side + 21);
    fm_html(&f->csv, "row,column,fall,se,t,p\n");
    put_csv(x, &x->map[0], NULL, &f->csv);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Map.</b> How much the log odds of a face's own class fall when a patch about this place is hidden, "
            "mean over classes of %zu faces. Framed: over the threshold that maps of permuted labels reach anywhere in 5&#160;%% of "
            "cases. The outline is that of the mean landmarks.</figcaption></figure>", (size_t)x->map[0].faces);
}

static double at_fall(double v, double low, double high)
{
    return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * (v - low) / (high - low);
}

static double half_of(const fm_explain_value *v)
{
    return isfinite(v->se) ? 1.96 * v->se : 0;
}

static void put_region(fm_figure *f, const char *name, const fm_explain_value *v, double y, double low, double high)
{
    bool over = fm_explain_over(v);

    fm_html(&f->body, "<text class=\"name%s\" x=\"0\" y=\"%.1f\">%s</text>", over ? " total" : "", y + 4, name);
    fm_html(&f->body, "<path class=\"bar\" d=\"M%.1f %.1fH%.1f\"/>", at_fall(v->fall - half_of(v), low, high), y,
            at_fall(v->fall + half_of(v), low, high));
    fm_html(&f->body, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", over ? "dot" : "ring", at_fall(v->fall, low, high), y);
    fm_html(&f->body, "<text class=\"name%s\" x=\"340\" y=\"%.1f\" text-anchor=\"end\">%.3f</text>", over ? " total" : "", y + 4,
            v->fall);
    fm_html(&f->words, "%s: %.3f%s. ", name, v->fall, over ? ", over the threshold" : "");
    fm_csv_text(&f->csv, name);
    fm_buf_u8(&f->csv, ',');
    fm_csv_number(&f->csv, v->fall, ',');
    fm_csv_number(&f->csv, v->se, ',');
    fm_csv_number(&f->csv, v->t, ',');
    fm_csv_number(&f->csv, v->p, '\n');
}

static void draw_regions(const fm_page *page, const fm_explanation *x)
{
    const fm_explain_value *v = x->map[0].region;
    double low = 0, high = 1e-9, bottom = 8 + ROW * FM_EXPLAIN_REGIONS;
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_EXPLAIN_REGIONS, "Fall of the score by region", bottom + 20);

    for (int r = 0; r < FM_EXPLAIN_REGIONS; r++) {
        low = fmin(low, v[r].fall - half_of(&v[r]));
        high = fmax(high, v[r].fall + half_of(&v[r]));
    }
    fm_html(&f->csv, "region,fall,se,t,p\n");
    fm_html(&f->body, "<path class=\"chance\" d=\"M%.1f 2V%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">0</text>",
            at_fall(0, low, high), bottom, at_fall(0, low, high), bottom + 16);
    for (int r = 0; r < FM_EXPLAIN_REGIONS; r++)
        put_region(f, fm_region_name(r), &v[r], 14 + ROW * r, low, high);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>By region.</b> Fall of the log odds, weighted by how much of the region each patch hides. Bars: 1.96 standard "
            "errors, clustered by subject; filled dots: over the regions' own threshold.</figcaption></figure>");
}

static void draw_classes(const fm_page *page, const fm_explanation *x)
{
    uint32_t shown = x->classes < CLASSES_SHOWN ? x->classes : CLASSES_SHOWN;
    double most = 0, side = 156;
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_EXPLAIN_CLASSES, "Each class's own map",
                                   (side + 34) * (double)((shown + 1) / 2));

    for (uint32_t c = 1; c <= x->classes; c++)
        most = fmax(most, largest(x, &x->map[c]));
    fm_html(&f->csv, "class,row,column,fall,se\n");
    for (uint32_t c = 0; c < x->classes; c++) {
        const square s = {c % 2 ? 340 - side : 0, 20 + (side + 34) * (double)(c / 2), side};
        const char *name = fm_page_class(page, c);

        put_csv(x, &x->map[1 + c], name, &f->csv);
        if (c >= shown)
            continue;
        fm_html(&f->body, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s</text>", s.left, s.top - 6, name);
        put_cells(x, &x->map[1 + c], most, &s, &f->body);
        fm_html(&f->words, "%s: %zu faces, largest change %.3f. ", name, (size_t)x->map[1 + c].faces, largest(x, &x->map[1 + c]));
    }
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Each class's own map,</b> in one scale%s. Hiding a place also moves every face towards one class, whatever it "
            "shows; that falls here as it rises there, and is gone in the mean above. So these are not tested.</figcaption></figure>",
            x->classes > shown ? ", of the first classes; explain_classes.csv has all" : "");
}

void fm_page_explain(const fm_page *page)
{
    const fm_explanation *x = page->results->explanation;
    char sentence[512];

    fm_explain_sentence(x, sentence, sizeof sentence);
    fm_html(page->b, "<ul class=\"said\"><li>%s</li>", sentence);
    fm_html(page->b, "<li>A face's own class has log odds of %.3f in the mean, by classifiers that were trained without its subject; the "
            "figures say how much of that goes when a part is hidden behind the chip's mean colour.</li>", x->map[0].base);
    fm_html(page->b, "<li><b>What it means:</b> this classifier's scores rest on these places. It does not mean that the trait causes a "
            "difference there: light, glasses, hair or pose that go along with the class lower the score as well.</li>"
            "<li><b>What it cannot see:</b> what several places show alike, as each is hidden alone and the others still tell; "
            "distances between parts further apart than a patch; what is smaller than a patch. Hidden parts are unlike any "
            "photograph the encoder was trained on.</li></ul>");
    fm_html(page->b, "<div class=\"pair\">");
    draw_map(page, x);
    if (x->regions)
        draw_regions(page, x);
    draw_classes(page, x);
    fm_html(page->b, "</div>");
}

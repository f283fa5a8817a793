/* Codes in the plane of their first two principal components, coloured by class. */
#include "jobs/report_parts.h"

#include <math.h>

#include "jobs/html.h"

#define COLOURS 8       /* classes with a colour of their own; the rest share the last one */

static int colour_of(const fm_page *page, size_t row)
{
    int c = page->e->label[row];

    return c < COLOURS ? c : COLOURS - 1;
}

/* The least square with a margin that holds all points, axes in equal units. */
static void frame(const fm_report_codes *codes, double low[2], double *side)
{
    *side = 0;
    for (int k = 0; k < 2; k++) {
        double high = codes->xy[k];

        low[k] = high;
        for (size_t i = 0; i < codes->n; i++) {
            low[k] = fmin(low[k], codes->xy[2 * i + (size_t)k]);
            high = fmax(high, codes->xy[2 * i + (size_t)k]);
        }
        *side = fmax(*side, high - low[k]);
        low[k] = (low[k] + high) / 2;
    }
    *side = *side > 0 ? 1.06 * *side : 1;
    low[0] -= *side / 2;
    low[1] -= *side / 2;
}

static void put_points(const fm_page *page, fm_figure *f)
{
    const fm_report_codes *codes = &page->report->codes;
    double low[2], side;

    frame(codes, low, &side);
    fm_html(&f->csv, "class,first,second\n");
    for (size_t i = 0; i < codes->n; i++) {
        fm_html(&f->body, "<circle class=\"k%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"/>", colour_of(page, codes->row[i]),
                fm_square_x((codes->xy[2 * i] - low[0]) / side), fm_square_y((codes->xy[2 * i + 1] - low[1]) / side));
        fm_csv_text(&f->csv, fm_page_class(page, (uint32_t)page->e->label[codes->row[i]]));
        fm_buf_u8(&f->csv, ',');
        fm_csv_number(&f->csv, codes->xy[2 * i], ',');
        fm_csv_number(&f->csv, codes->xy[2 * i + 1], '\n');
    }
}

static void put_legend(const fm_page *page, fm_figure *f, double y)
{
    for (uint32_t c = 0; c < page->e->classes && c < COLOURS; c++) {
        double x = FM_SQUARE_LEFT + (c % 2 ? FM_SQUARE_SIDE / 2 : 0), at = y + 16 * (double)(c / 2);
        bool rest = c == COLOURS - 1 && page->e->classes > COLOURS;

        fm_html(&f->body, "<circle class=\"k%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/><text class=\"name\" x=\"%.1f\" y=\"%.1f\">", c,
                x + 4, at - 4, x + 14, at);
        fm_html(&f->body, "%s</text>", rest ? "all other classes" : fm_page_class(page, c));
    }
}

static size_t legend_lines(const fm_page *page)
{
    return ((page->e->classes < COLOURS ? page->e->classes : COLOURS) + 1) / 2;
}

void fm_page_codes(const fm_page *page)
{
    const fm_report_codes *codes = &page->report->codes;
    double bottom = FM_SQUARE_TOP + FM_SQUARE_SIDE + 30;
    fm_figure *f = fm_figure_begin(page->figures, FM_FIGURE_CODES, "Codes by class",
                                   bottom + 16 * (double)legend_lines(page));

    fm_html(&f->words, "%zu codes of %u classes as points; the two components have %.1f and %.1f per cent of the "
            "variance.", codes->n, page->e->classes, 100 * codes->explained[0], 100 * codes->explained[1]);
    fm_figure_square(f, "first component", "second component", false);
    put_points(page, f);
    put_legend(page, f, bottom + 14);
    fm_page_figure(page, f);
    fm_html(page->b, "<b>Codes by class,</b> in the plane of their first two principal components, which have %.1f and "
            "%.1f&#160;%% of the variance of the standardised codes%s. The classifier sees all numbers of a code: classes "
            "that lie on each other here may still be told apart.</figcaption></figure>", 100 * codes->explained[0],
            100 * codes->explained[1], codes->n < page->e->n ? "; a selection spread over each class" : "");
}

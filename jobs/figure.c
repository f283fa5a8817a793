/* SVG is written by hand: a few lines a figure, and they give what plotting
 * libraries do not: letters that can be searched and read aloud, colours of the
 * page's own style in light, dark and print, and a phone's width. */
#include "jobs/figure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "jobs/html.h"
#include "jobs/report_parts.h"

static const char *const names[FM_FIGURE_COUNT] = {
#define FM_X(id, name) [FM_FIGURE_##id] = name,
    FM_FIGURES(FM_X)
#undef FM_X
};

void fm_figures_fini(fm_figures *all)
{
    for (int i = 0; i < FM_FIGURE_COUNT; i++) {
        fm_buf_fini(&all->v[i].words);
        fm_buf_fini(&all->v[i].body);
        fm_buf_fini(&all->v[i].csv);
    }
}

fm_figure *fm_figure_begin(fm_figures *all, fm_figure_id id, const char *title, double height)
{
    fm_figure *f = &all->v[id];

    f->name = names[id];
    f->title = title;
    f->height = height;
    return f;
}

/* From the title on, the same on the page and in a file. */
static void put_inside(const fm_figure *f, const char *style, fm_buf *b)
{
    fm_html(b, "<title id=\"%s-t\">%s</title><desc id=\"%s-d\">", f->name, f->title, f->name);
    fm_buf_put(b, f->words.data, f->words.size);
    fm_html(b, "</desc>");
    fm_buf_put(b, style, strlen(style));
    fm_buf_put(b, f->body.data, f->body.size);
    fm_html(b, "</svg>");
    b->failed = b->failed || f->words.failed || f->body.failed || f->csv.failed;
}

void fm_figure_inline(const fm_figure *f, fm_buf *page)
{
    fm_html(page, "<svg viewBox=\"0 0 340 %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\">", f->height, f->name,
            f->name);
    put_inside(f, "", page);
}

static void put_file(const fm_figure *f, fm_buf *b)
{
    fm_html(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" "
            "height=\"%.0f\" viewBox=\"-8 -4 356 %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\">",
            2 * (f->height + 8) * 340 / 356, f->height + 8, f->name, f->name);
    put_inside(f, fm_figure_style, b);
    fm_html(b, "\n");
}

/* NAME.ending into the folder; without bytes, an older one is removed. */
static int write_one(const char *folder, const char *name, const char *ending, const fm_buf *bytes, fm_err *err)
{
    char file[64], path[FM_PATH_MAX];
    int rc;

    snprintf(file, sizeof file, "%s.%s", name, ending);
    rc = fm_path_join(path, sizeof path, folder, file, err);
    if (rc == 0 && !bytes)
        unlink(path);
    else if (rc == 0)
        rc = bytes->failed ? fm_fail_nomem(err, file, bytes->size) : fm_file_write(path, bytes->data, bytes->size, err);
    return rc;
}

int fm_figures_write(const fm_figures *all, const char *dir, fm_err *err)
{
    char folder[FM_PATH_MAX];
    int rc = fm_path_join(folder, sizeof folder, dir, "figures", err);

    if (rc == 0)
        rc = fm_dir_make(folder, err);
    for (int i = 0; rc == 0 && i < FM_FIGURE_COUNT; i++) {
        const fm_figure *f = &all->v[i];
        fm_buf svg = FM_BUF_INIT;

        if (f->name)
            put_file(f, &svg);
        rc = write_one(folder, names[i], "svg", f->name ? &svg : NULL, err);
        if (rc == 0)
            rc = write_one(folder, names[i], "csv", f->name ? &f->csv : NULL, err);
        fm_buf_fini(&svg);
    }
    return rc;
}

/* --- the unit square --- */

double fm_square_x(double v)
{
    return FM_SQUARE_LEFT + FM_SQUARE_SIDE * v;
}

double fm_square_y(double v)
{
    return FM_SQUARE_TOP + FM_SQUARE_SIDE * (1 - v);
}

static void put_ticks(fm_buf *b)
{
    const double bottom = FM_SQUARE_TOP + FM_SQUARE_SIDE;

    for (int i = 0; i <= 4; i++) {
        double v = i / 4.0, x = fm_square_x(v), y = fm_square_y(v);

        if (i > 0 && i < 4)
            fm_html(b, "<path class=\"grid\" d=\"M%.1f %.1fV%.1fM%.1f %.1fH%.1f\"/>", x, FM_SQUARE_TOP + 0.5,
                    bottom - 0.5, FM_SQUARE_LEFT + 0.5, y, FM_SQUARE_LEFT + FM_SQUARE_SIDE - 0.5);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>", x, bottom + 16, v);
        fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>", FM_SQUARE_LEFT - 7, y + 4, v);
    }
}

void fm_figure_square(fm_figure *f, const char *x_name, const char *y_name, bool ticks)
{
    fm_buf *b = &f->body;

    fm_html(b, "<rect class=\"axis\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", FM_SQUARE_LEFT,
            FM_SQUARE_TOP, FM_SQUARE_SIDE, FM_SQUARE_SIDE);
    if (ticks)
        put_ticks(b);
    fm_html(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", fm_square_x(0.5),
            FM_SQUARE_TOP + FM_SQUARE_SIDE + (ticks ? 34 : 18), x_name);
    fm_html(b, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 %d %.1f)\">%s</text>",
            ticks ? 10 : 34, fm_square_y(0.5), ticks ? 10 : 34, fm_square_y(0.5), y_name);
}

void fm_figure_diagonal(fm_figure *f)
{
    fm_html(&f->body, "<path class=\"chance\" d=\"M%.1f %.1fL%.1f %.1f\"/>", fm_square_x(0), fm_square_y(0), fm_square_x(1),
            fm_square_y(1));
}

/* --- CSV --- */

void fm_csv_text(fm_buf *b, const char *s)
{
    if (!s[strcspn(s, ",\"\r\n")]) {
        fm_buf_put(b, s, strlen(s));
        return;
    }
    fm_buf_u8(b, '"');
    for (; *s; s++) {
        if (*s == '"')
            fm_buf_u8(b, '"');
        fm_buf_u8(b, (uint8_t)*s);
    }
    fm_buf_u8(b, '"');
}

void fm_csv_number(fm_buf *b, double v, char after)
{
    char text[40] = "";

    if (isfinite(v))
        snprintf(text, sizeof text, "%.9g", v);
    fm_buf_put(b, text, strlen(text));
    fm_buf_u8(b, (uint8_t)after);
}

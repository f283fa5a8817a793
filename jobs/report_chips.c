/* The sheet of chips, class by class, and the faces called wrongly with most
 * confidence.  A chip is embedded as JPEG: a sheet of 48 as PNG would be most of
 * the page's bytes.  No name of a photograph stands here: names may be those of
 * patients.  A line of ledger.tsv leads to it, for those who have that. */
#include "jobs/report_parts.h"

#include <errno.h>
#include <sodium.h>

#include "jobs/html.h"
#include "worker/image/encode.h"

#define JPEG_QUALITY 88

static int put_pixels(const fm_report_chip *chip, fm_buf *b, fm_err *err)
{
    fm_image image = {(int)chip->size, (int)chip->size, 3 * (size_t)chip->size, (uint8_t *)chip->rgb};
    fm_buf jpeg = FM_BUF_INIT;
    size_t n;
    char *to;
    int rc = fm_jpeg_encode(&image, JPEG_QUALITY, &jpeg, err);

    if (rc == 0) {
        n = sodium_base64_encoded_len(jpeg.size, sodium_base64_VARIANT_ORIGINAL);
        to = (char *)fm_buf_add(b, n);
        if (to) {
            sodium_bin2base64(to, n, jpeg.data, jpeg.size, sodium_base64_VARIANT_ORIGINAL);
            b->size--;      /* the NUL does not count */
        }
    }
    fm_buf_fini(&jpeg);
    return rc;
}

static int put_image(const fm_page *page, const fm_report_chip *chip, uint32_t label, uint32_t called, fm_err *err)
{
    fm_buf *b = page->b;
    int rc;

    fm_html(b, "<img width=\"%u\" height=\"%u\" alt=\"Face of class %s", chip->size, chip->size,
            fm_page_class(page, label));
    if (called != label)
        fm_html(b, ", called %s", fm_page_class(page, called));
    fm_html(b, "\" src=\"data:image/jpeg;base64,");
    rc = put_pixels(chip, b, err);
    if (rc == 0)
        fm_html(b, "\">");
    return rc;
}

static int put_chip(const fm_page *page, const fm_report_chip *chip, fm_err *err)
{
    const fm_evaluation *e = page->e;
    const double *prob = fm_page_tested(e, chip->row);
    uint32_t label = (uint32_t)e->label[chip->row];
    uint32_t called = fm_page_called(e, chip->row);
    fm_buf *b = page->b;
    int rc;

    fm_html(b, called == label ? "<li>" : "<li class=\"wrong\">");
    rc = put_image(page, chip, label, called, err);
    if (rc != 0)
        return rc;
    if (prob)
        fm_html(b, "%.2f", prob[label]);
    if (called != label)
        fm_html(b, " %s", fm_page_class(page, called));
    fm_html(b, "</li>");
    return 0;
}

static int put_class(const fm_page *page, uint32_t c, size_t n, fm_err *err)
{
    bool open = false;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const fm_report_chip *chip = &page->report->chips[i];

        if ((uint32_t)page->e->label[chip->row] != c)
            continue;
        if (!open)
            fm_html(page->b, "<h3>%s</h3><ul class=\"chips\">", fm_page_class(page, c));
        open = true;
        rc = put_chip(page, chip, err);
    }
    if (open)
        fm_html(page->b, "</ul>");
    return rc;
}

/* They come from a caller: each must be of a row, and have pixels. */
static int check_chips(const fm_page *page, const fm_report_chip *chips, size_t n, fm_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (chips[i].row >= page->e->n || chips[i].size == 0)
            return fm_fail(err, -EINVAL, "chip %zu of the report belongs to row %zu of %zu and is %u pixels wide", i,
                           chips[i].row, page->e->n, chips[i].size);
    return 0;
}

int fm_page_chips(const fm_page *page, fm_err *err)
{
    size_t n = page->report->n_chips < FM_REPORT_CHIPS_MAX ? page->report->n_chips : FM_REPORT_CHIPS_MAX;
    int rc = check_chips(page, page->report->chips, n, err);

    if (rc != 0)
        return rc;
    fm_html(page->b, "<p>Faces as the encoder saw them, a selection spread over each class. Under each: the "
            "probability that was given to its class when it was tested. Framed, with the class it was called: "
            "mistakes.</p>");
    for (uint32_t c = 0; rc == 0 && c < page->e->classes; c++)
        rc = put_class(page, c, n, err);
    return rc;
}

/* --- near misses --- */

static const fm_report_chip *picture_of(const fm_page *page, size_t row)
{
    for (size_t i = 0; i < page->report->n_misses; i++)
        if (page->report->misses[i].row == row)
            return &page->report->misses[i];
    return NULL;
}

static int put_miss(const fm_page *page, size_t row, fm_err *err)
{
    const fm_evaluation *e = page->e;
    const double *prob = fm_page_tested(e, row);
    const fm_report_chip *chip = picture_of(page, row);
    uint32_t label = (uint32_t)e->label[row], called = fm_page_called(e, row);
    int rc = 0;

    fm_html(page->b, "<tr><th scope=\"row\">%zu</th>", (size_t)e->sample[row] + 2);     /* a header line, from 1 */
    if (page->report->n_misses)
        fm_html(page->b, "<td class=\"face\">");
    if (chip)
        rc = put_image(page, chip, label, called, err);
    if (page->report->n_misses)
        fm_html(page->b, "</td>");
    fm_html(page->b, "<td class=\"words\">%s</td><td class=\"words\">%s</td><td>%.3f</td><td>%.3f</td></tr>",
            fm_page_class(page, label), fm_page_class(page, called), prob[called], prob[label]);
    return rc;
}

int fm_page_misses(const fm_page *page, fm_err *err)
{
    size_t rows[FM_REPORT_MISSES_MAX], n = fm_report_misses(page->e, FM_REPORT_MISSES_MAX, rows);
    int rc = check_chips(page, page->report->misses, page->report->n_misses, err);

    if (rc != 0)
        return rc;
    if (n == 0) {
        fm_html(page->b, "<p>No face was called wrongly.</p>");
        return 0;
    }
    fm_html(page->b, "<div class=\"wide\"><table><caption>The faces that were called wrongly with most confidence. Look at "
            "them first: a wrong label, another person in the picture, a beard or glasses.</caption><thead><tr>"
            "<th scope=\"col\">Line of ledger.tsv</th>");
    if (page->report->n_misses)
        fm_html(page->b, "<th scope=\"col\" class=\"words\">Face</th>");
    fm_html(page->b, "<th scope=\"col\" class=\"words\">Class</th><th scope=\"col\" class=\"words\">Called</th>"
            "<th scope=\"col\">with probability</th><th scope=\"col\">its own class</th></tr></thead><tbody>");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_miss(page, rows[i], err);
    fm_html(page->b, "</tbody></table></div>");
    return rc;
}

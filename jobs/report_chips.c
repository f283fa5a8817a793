/* The sheet of chips, class by class.  A chip is embedded as JPEG: a sheet of 48
 * as PNG would be most of the page's bytes.  No name of a photograph stands here:
 * names may be those of patients. */
#include "jobs/report_parts.h"

#include <errno.h>
#include <sodium.h>

#include "jobs/html.h"
#include "worker/image/encode.h"

#define JPEG_QUALITY 88

/* What a row was given when it was tested, in the first repeat that did; NULL: it only trains. */
static const double *tested(const fm_evaluation *e, size_t row)
{
    for (size_t r = 0; r < e->repeats; r++)
        if (e->test_fold[r * e->n + row] >= 0)
            return e->prob + (r * e->n + row) * e->classes;
    return NULL;
}

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

static int put_chip(const fm_page *page, const fm_report_chip *chip, fm_err *err)
{
    const fm_evaluation *e = page->e;
    const double *prob = tested(e, chip->row);
    uint32_t label = (uint32_t)e->label[chip->row];
    uint32_t repeat = prob ? (uint32_t)((size_t)(prob - e->prob) / (e->n * e->classes)) : 0;
    uint32_t called = prob ? (uint32_t)fm_evaluation_called(e, repeat, chip->row) : label;
    fm_buf *b = page->b;
    int rc;

    fm_html(b, called == label ? "<li>" : "<li class=\"wrong\">");
    fm_html(b, "<img width=\"%u\" height=\"%u\" alt=\"Face of class %s", chip->size, chip->size,
            fm_page_class(page, label));
    if (called != label)
        fm_html(b, ", called %s", fm_page_class(page, called));
    fm_html(b, "\" src=\"data:image/jpeg;base64,");
    rc = put_pixels(chip, b, err);
    if (rc != 0)
        return rc;
    fm_html(b, "\">");
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

int fm_page_chips(const fm_page *page, fm_err *err)
{
    size_t n = page->report->n_chips;
    int rc = 0;

    if (n > FM_REPORT_CHIPS_MAX)
        n = FM_REPORT_CHIPS_MAX;
    for (size_t i = 0; i < n; i++)
        if (page->report->chips[i].row >= page->e->n || page->report->chips[i].size == 0)
            return fm_fail(err, -EINVAL, "chip %zu of the report belongs to row %zu of %zu and is %u pixels wide", i,
                           page->report->chips[i].row, page->e->n, page->report->chips[i].size);
    fm_html(page->b, "<p>Faces as the encoder saw them, a selection spread over each class. Under each: the "
            "probability that was given to its class when it was tested. Framed, with the class it was called: "
            "mistakes.</p>");
    for (uint32_t c = 0; rc == 0 && c < page->e->classes; c++)
        rc = put_class(page, c, n, err);
    return rc;
}

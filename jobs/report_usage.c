/* Where a build's time went: a row a stage, so that a slow build shows what to change. */
#include "jobs/html.h"
#include "jobs/report_parts.h"

static const struct {
    const char *words, *things;
} stages[FM_SPAN_KINDS] = {
    [FM_SPAN_WAIT] = {"waiting for the coordinator", NULL},
    [FM_SPAN_READ] = {"reading files", "photographs"},
    [FM_SPAN_CHIP] = {"decoding, finding the face, cutting the chip", "photographs"},
    [FM_SPAN_ENCODE] = {"encoding", "chips"},
    [FM_SPAN_COMMIT] = {"writing records", "photographs"},
    [FM_SPAN_SEAL] = {"sealing segments", "records"},
};

void fm_page_usage(const fm_page *page)
{
    const fm_usage *u = &page->report->usage;
    double all = 0;
    char n[FM_GROUPED];

    for (int k = 0; k < FM_SPAN_KINDS; k++)
        all += u->spent[k].seconds;
    if (all <= 0)
        return;
    fm_html(page->b, "<div class=\"wide\"><table><caption>What the workers of the last build with work to do spent their "
            "time on: %u at most, %.1f s by the clock. Shares are of what is accounted for, %.1f s of all workers together."
            "</caption><thead><tr><th scope=\"col\">Stage</th><th scope=\"col\">Seconds</th><th scope=\"col\">Share</th>"
            "<th scope=\"col\">Of</th><th scope=\"col\">Each, ms</th></tr></thead><tbody>",
            u->workers, u->seconds, all);
    for (int k = 0; k < FM_SPAN_KINDS; k++) {
        double seconds = u->spent[k].seconds;

        fm_html(page->b, "<tr><th scope=\"row\">%s</th><td>%.2f</td><td>%.1f %%</td>", stages[k].words, seconds,
                100 * seconds / all);
        if (stages[k].things && u->spent[k].things)
            fm_html(page->b, "<td>%s %s</td><td>%.2f</td></tr>", fm_grouped(u->spent[k].things, n), stages[k].things,
                    1e3 * seconds / (double)u->spent[k].things);
        else
            fm_html(page->b, "<td>\xe2\x80\x93</td><td>\xe2\x80\x93</td></tr>");
    }
    fm_html(page->b, "</tbody></table></div>");
}

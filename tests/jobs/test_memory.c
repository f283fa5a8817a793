/* Every allocation of what writes results fails once: it is said so, nothing leaks,
 * and no half of an output is left. */
#include "tests/check.h"

#include "jobs/ledger.h"
#include "jobs/report.h"
#include "tests/alloc_each.h"
#include "tests/jobs/fixture.h"

static int json(const void *ctx, fm_buf *out, fm_err *err)
{
    const fixture *x = ctx;

    return fm_results_json(&x->results, out, err);
}

static int predictions(const void *ctx, fm_buf *out, fm_err *err)
{
    const fixture *x = ctx;

    return fm_results_predictions(&x->results, out, err);
}

static int ledger(const void *ctx, fm_buf *out, fm_err *err)
{
    const fixture *x = ctx;

    return fm_ledger_table(&x->study, &x->samples, NULL, out, err);
}

static int page(const void *ctx, fm_buf *out, fm_err *err)
{
    const fixture *x = ctx;
    static uint8_t pixels[8 * 8 * 3];
    static fixture_extras more;
    fixture copy = *x;
    fm_report_chip chip = {pixels, 8, 0}, miss = {pixels, 8, 1};
    fm_report report = fixture_report(&copy, &more);

    report.chips = &chip;
    report.misses = &miss;
    report.n_chips = report.n_misses = 1;
    return fm_report_html(&report, out, err);
}

static void fail_each(const char *name, alloc_task run)
{
    fixture *x = fixture_make();

    x->evaluation.bootstrap = 2;
    alloc_each(name, run, x);
    fixture_fini(x);
}

static void results_json(void)
{
    fail_each("results.json", json);
}

static void predictions_tsv(void)
{
    fail_each("predictions.tsv", predictions);
}

static void ledger_tsv(void)
{
    fail_each("ledger.tsv", ledger);
}

static void report_html(void)
{
    fail_each("report.html", page);
}

CHECK_MAIN(CHECK_CASE(results_json), CHECK_CASE(predictions_tsv), CHECK_CASE(ledger_tsv), CHECK_CASE(report_html))

/* Every allocation of what writes results fails once: it is said so, nothing leaks,
 * and no half of an output is left. */
#include "tests/check.h"

#include <errno.h>

#include "jobs/ledger.h"
#include "jobs/report.h"
#include "tests/alloc.h"
#include "tests/jobs/fixture.h"

#define TRIES_MAX 20000

typedef int (*task)(const fixture *x, fm_buf *out, fm_err *err);

static int json(const fixture *x, fm_buf *out, fm_err *err)
{
    return fm_results_json(&x->results, out, err);
}

static int predictions(const fixture *x, fm_buf *out, fm_err *err)
{
    return fm_results_predictions(&x->results, out, err);
}

static int ledger(const fixture *x, fm_buf *out, fm_err *err)
{
    return fm_ledger_table(&x->study, &x->samples, NULL, out, err);
}

static int page(const fixture *x, fm_buf *out, fm_err *err)
{
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

/* The n-th allocation of run fails; false when there are not so many. */
static bool fail_at(const char *name, task run, const fixture *x, size_t n, const fm_buf *want)
{
    fm_buf out = FM_BUF_INIT;
    fm_err err = FM_ERR_INIT;
    long before = alloc_live();
    bool failed;
    int rc;

    alloc_fail_at(n);
    rc = run(x, &out, &err);
    failed = alloc_failed();
    alloc_fail_at(0);
    if (rc == 0 && (out.size != want->size || memcmp(out.data, want->data, want->size) != 0))
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: another result", name, n);
    if (rc != 0 && (rc != -ENOMEM || err.code != rc || !err.text[0]))
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: %d: %s", name, n, rc, err.text);
    fm_buf_fini(&out);
    if (alloc_live() != before)
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: %ld leaked", name, n, alloc_live() - before);
    return failed;
}

static void fail_each(const char *name, task run)
{
    fixture *x = fixture_make();
    fm_buf want = FM_BUF_INIT;
    size_t n = 1;

    x->evaluation.bootstrap = 2;
    if (!alloc_counted())
        check_skip("allocations cannot be made to fail with this allocator");
    else if (CHECK(run(x, &want, NULL) == 0)) {
        while (n < TRIES_MAX && check_ok_so_far() && fail_at(name, run, x, n, &want))
            n++;
        CHECK(n > 3 && n < TRIES_MAX);
    }
    fm_buf_fini(&want);
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

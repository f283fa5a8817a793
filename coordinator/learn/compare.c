/* Paired comparison.
 *
 * Calls are compared in the first repeat: the rows of several repeats are the same
 * people again, which no test of independent rows forgives.  AUCs are compared
 * over all repeats, because DeLong's parts can be averaged.  Always: what is
 * reported of b less a has the opposite sign and the same p. */
#include "coordinator/learn/compare.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* P(X <= k) of a fair coin's n throws; k below n / 2.  Terms shrink from the k-th downwards. */
static double binomial_tail(uint64_t k, uint64_t n)
{
    double ways = lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
    double term = exp(ways - (double)n * log(2.0)), sum = 0.0;

    for (uint64_t i = k; term > sum * 1e-18; i--) {
        sum += term;
        if (i == 0)
            break;
        term *= (double)i / (double)(n - i + 1);
    }
    return sum;
}

fm_mcnemar fm_mcnemar_of(uint64_t both, uint64_t only_a, uint64_t only_b, uint64_t neither)
{
    uint64_t n = only_a + only_b, less = only_a < only_b ? only_a : only_b;
    double gap = fmax((double)(n - 2 * less) - 1.0, 0.0);
    fm_mcnemar m = {both, only_a, only_b, neither, 1.0, NAN, NAN};

    if (n > 0) {
        m.exact_p = 2 * less == n ? 1.0 : fmin(2.0 * binomial_tail(less, n), 1.0);
        m.chi2 = gap * gap / (double)n;
        m.chi2_p = erfc(sqrt(m.chi2 / 2.0));
    }
    return m;
}

/* A row that both tested, by subject. */
typedef struct {
    uint32_t subject;
    bool a, b;          /* rightly called by */
} row_call;

static int compare_subjects(const void *x, const void *y)
{
    uint32_t a = ((const row_call *)x)->subject, b = ((const row_call *)y)->subject;

    return (a > b) - (a < b);
}

static bool is_tested(const fm_predictions *p, size_t row)
{
    return !p->test_fold || p->test_fold[row] >= 0;
}

static bool is_right(const fm_predictions *p, size_t row)
{
    int called = p->called ? p->called[row] : fm_called_class(p->prob + row * (size_t)p->classes, p->classes);

    return called == p->label[row];
}

static size_t collect(const fm_predictions *a, const fm_predictions *b, row_call *out)
{
    size_t n = 0;

    for (size_t i = 0; i < a->n; i++)
        if (is_tested(a, i) && is_tested(b, i))
            out[n++] = (row_call){a->group ? a->group[i] : (uint32_t)i, is_right(a, i), is_right(b, i)};
    qsort(out, n, sizeof *out, compare_subjects);
    return n;
}

/* Of the mean difference of right calls: squares of what each subject adds beyond its share. */
static double variance_by_subject(const row_call *c, size_t n, double difference, size_t *subjects)
{
    double squares = 0.0;
    size_t end;

    *subjects = 0;
    for (size_t i = 0; i < n; i = end) {
        double sum = 0.0;

        for (end = i; end < n && c[end].subject == c[i].subject; end++)
            sum += c[end].a - c[end].b - difference;
        squares += sum * sum;
        ++*subjects;
    }
    if (*subjects < 2)
        return NAN;
    return (double)*subjects / (double)(*subjects - 1) * squares / ((double)n * (double)n);
}

static void compare_calls(const row_call *c, size_t n, fm_comparison *out)
{
    uint64_t right[2][2] = {{0, 0}, {0, 0}};
    double a, b, variance;

    for (size_t i = 0; i < n; i++)
        right[c[i].a][c[i].b]++;
    a = n ? (double)(right[1][1] + right[1][0]) / (double)n : NAN;
    b = n ? (double)(right[1][1] + right[0][1]) / (double)n : NAN;
    variance = variance_by_subject(c, n, a - b, &out->subjects);
    out->rows = n;
    out->accuracy = fm_paired_from(a, b, variance);
    out->mcnemar = fm_mcnemar_of(right[1][1], right[1][0], right[0][1], right[0][0]);
}

int fm_compare(const fm_predictions *a, const fm_predictions *b, fm_comparison *out, fm_err *err)
{
    fm_comparison c;
    row_call *calls = NULL;
    int rc = fm_delong_compare(a, b, &c.auc, err);

    if (rc != 0)
        return rc;
    calls = malloc((a->n + 1) * sizeof *calls);
    if (!calls)
        return fm_fail_nomem(err, "calls", a->n * sizeof *calls);
    compare_calls(calls, collect(a, b, calls), &c);
    free(calls);
    *out = c;
    return 0;
}

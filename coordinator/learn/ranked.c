/* Ranked predictions.
 *
 * A repeat is a list of its predictions, with all that does not depend on
 * weights worked out, and one list a class in the order of that class's
 * probability with ties marked.  Weighing is then one pass over each, without
 * sorting.  Two classes need one ranking: class 0's is its mirror image.
 * Always: counts are whole numbers, so the order of tied predictions cannot show
 * in a result; sums of errors run in the order of rows. */
#include "coordinator/learn/ranked.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BINS 15
#define NO_UNIT UINT32_MAX

typedef struct {
    double brier;           /* squared error of the probabilities */
    double log_loss;
    double confidence;      /* probability of the called class */
    uint32_t unit;
    int32_t label, called;
    int32_t ahead;          /* classes that are more probable than the true one */
    int32_t bin;            /* of confidence */
} prediction;

typedef struct {
    uint32_t unit;
    uint16_t positive;
    uint16_t closes;        /* the last of its ties */
} ranked_score;

typedef struct {
    size_t n;
    prediction *predictions;    /* [n] */
    ranked_score *order;        /* [rankings, n], each by ascending probability */
} ranked_repeat;

struct fm_ranked {
    int classes;
    int rankings;           /* 1 for two classes, else one a class */
    int32_t top_k;          /* 0: none */
    double prevalence;      /* 0: not stated */
    size_t units;
    size_t repeats;
    ranked_repeat repeat[];
};

static bool is_chosen(const fm_predictions *p, size_t repeat, size_t row, int fold)
{
    int32_t tested = p->test_fold ? p->test_fold[repeat * p->n + row] : 0;

    return tested >= 0 && (fold < 0 || tested == fold);
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Unit of each chosen row; NO_UNIT for rows without a prediction in these repeats. */
static int number_units(const fm_predictions *p, const uint32_t *rows, size_t n_rows, size_t first, size_t end,
                        int fold, uint32_t *unit, size_t *units, fm_err *err)
{
    uint32_t *keys = malloc((n_rows + 1) * sizeof *keys);
    size_t n = 0, distinct = 0;

    if (!keys)
        return fm_fail_nomem(err, "groups of predictions", n_rows * sizeof *keys);
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = rows ? rows[i] : i, repeat = first;

        while (repeat < end && !is_chosen(p, repeat, row, fold))
            repeat++;
        unit[i] = repeat < end ? 0 : NO_UNIT;
        if (repeat < end)
            keys[n++] = p->group ? p->group[row] : (uint32_t)row;
    }
    qsort(keys, n, sizeof *keys, compare_u32);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || keys[i] != keys[distinct - 1])
            keys[distinct++] = keys[i];
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = rows ? rows[i] : i;
        uint32_t key = p->group ? p->group[row] : (uint32_t)row;

        if (unit[i] != NO_UNIT)
            unit[i] = (uint32_t)((uint32_t *)bsearch(&key, keys, distinct, sizeof key, compare_u32) - keys);
    }
    *units = distinct;
    free(keys);
    return 0;
}

/* Bin of (k/15, (k+1)/15]; 0 belongs to the first. */
static int bin_of(double confidence)
{
    int k = 0;

    while (k < BINS - 1 && confidence > (k + 1) / (double)BINS)
        k++;
    return k;
}

static double squared_error(const double *prob, int label, int classes)
{
    double sum = 0.0;

    if (classes == 2)
        return (prob[1] - label) * (prob[1] - label);
    for (int c = 0; c < classes; c++)
        sum += (prob[c] - (c == label)) * (prob[c] - (c == label));
    return sum;
}

static double log_loss(double prob)
{
    return -log(fmin(fmax(prob, DBL_EPSILON), 1.0 - DBL_EPSILON));
}

static int32_t classes_ahead(const double *prob, int label, int classes)
{
    int32_t ahead = 0;

    for (int c = 0; c < classes; c++)
        ahead += prob[c] > prob[label] || (c < label && prob[c] == prob[label]);
    return ahead;
}

static int check_row(const fm_predictions *p, size_t row, const double *prob, int called, fm_err *err)
{
    if (p->label[row] < 0 || p->label[row] >= p->classes)
        return fm_fail(err, -EINVAL, "prediction of row %zu: label %d, expected 0 to %d", row, (int)p->label[row],
                       p->classes - 1);
    for (int c = 0; c < p->classes; c++)
        if (!(prob[c] >= 0.0 && prob[c] <= 1.0))
            return fm_fail(err, -EINVAL, "prediction of row %zu: probability %g of class %d is not in 0 to 1", row,
                           prob[c], c);
    if (called < 0 || called >= p->classes)
        return fm_fail(err, -EINVAL, "prediction of row %zu: called %d, expected 0 to %d", row, called,
                       p->classes - 1);
    return 0;
}

typedef struct {
    double score;
    ranked_score to;
} sortable;

static int compare_scores(const void *a, const void *b)
{
    double x = ((const sortable *)a)->score, y = ((const sortable *)b)->score;

    return (x > y) - (x < y);
}

static void rank_class(const double *const *prob, const prediction *predictions, size_t n, int class, sortable *room,
                       ranked_score *out)
{
    for (size_t i = 0; i < n; i++) {
        room[i].score = prob[i][class];
        room[i].to = (ranked_score){predictions[i].unit, predictions[i].label == class, 0};
    }
    qsort(room, n, sizeof *room, compare_scores);
    for (size_t i = 0; i < n; i++) {
        out[i] = room[i].to;
        out[i].closes = i + 1 == n || room[i + 1].score > room[i].score;
    }
}

static int collect(const fm_predictions *p, const uint32_t *rows, size_t n_rows, size_t repeat, int fold,
                   const uint32_t *unit, const double **prob, ranked_repeat *out, fm_err *err)
{
    for (size_t i = 0; i < n_rows; i++) {
        size_t row = rows ? rows[i] : i;
        const double *at = p->prob + (repeat * p->n + row) * (size_t)p->classes;
        int label = p->label[row], called;

        if (!is_chosen(p, repeat, row, fold))
            continue;
        called = p->called ? p->called[repeat * p->n + row] : fm_called_class(at, p->classes);
        if (check_row(p, row, at, called, err) != 0)
            return -EINVAL;
        out->predictions[out->n] = (prediction){squared_error(at, label, p->classes), log_loss(at[label]), at[called],
                                                unit[i], label, called, classes_ahead(at, label, p->classes),
                                                bin_of(at[called])};
        prob[out->n++] = at;
    }
    return 0;
}

static int rank_repeat(const fm_predictions *p, const uint32_t *rows, size_t n_rows, size_t repeat, int fold,
                       const uint32_t *unit, int rankings, ranked_repeat *out, fm_err *err)
{
    const double **prob = malloc((n_rows + 1) * sizeof *prob);
    sortable *room = malloc((n_rows + 1) * sizeof *room);
    int rc = 0;

    out->predictions = malloc((n_rows + 1) * sizeof *out->predictions);
    if (!prob || !room || !out->predictions)
        rc = fm_fail_nomem(err, "predictions", n_rows * sizeof *out->predictions);
    else
        rc = collect(p, rows, n_rows, repeat, fold, unit, prob, out, err);
    if (rc != 0)
        goto done;
    out->order = calloc(out->n + 1, (size_t)rankings * sizeof *out->order);
    if (!out->order) {
        rc = fm_fail_nomem(err, "ranked predictions", out->n * (size_t)rankings * sizeof *out->order);
        goto done;
    }
    for (int k = 0; k < rankings; k++)
        rank_class(prob, out->predictions, out->n, rankings == 1 ? 1 : k, room, out->order + (size_t)k * out->n);
done:
    free(room);
    free(prob);
    return rc;
}

int fm_ranked_create(const fm_predictions *p, const uint32_t *rows, size_t n_rows, int repeat, int fold,
                     fm_ranked **out, fm_err *err)
{
    size_t first = repeat < 0 ? 0 : (size_t)repeat, end = repeat < 0 ? p->repeats : first + 1;
    size_t n = rows ? n_rows : p->n, bytes = sizeof(fm_ranked) + (end - first) * sizeof(ranked_repeat);
    fm_ranked *r = NULL;
    uint32_t *unit = NULL;
    int rc;

    if (p->classes < 2 || end > p->repeats)
        return fm_fail(err, -EINVAL, "predictions of %d classes and %u repeats, expected at least 2 and %zu",
                       p->classes, p->repeats, end);
    r = calloc(1, bytes);
    unit = malloc((n + 1) * sizeof *unit);
    if (!r || !unit) {
        rc = fm_fail_nomem(err, "predictions", bytes + n * sizeof *unit);
        goto done;
    }
    r->classes = p->classes;
    r->rankings = p->classes == 2 ? 1 : p->classes;
    r->top_k = (int32_t)fm_top_k((uint32_t)p->classes, p->top_k);
    r->prevalence = p->prevalence;
    r->repeats = end - first;
    rc = number_units(p, rows, n, first, end, fold, unit, &r->units, err);
    for (size_t i = 0; rc == 0 && i < r->repeats; i++)
        rc = rank_repeat(p, rows, n, first + i, fold, unit, r->rankings, &r->repeat[i], err);
    if (rc == 0) {
        *out = r;
        r = NULL;
    }
done:
    free(unit);
    fm_ranked_destroy(r);
    return rc;
}

void fm_ranked_destroy(fm_ranked *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->repeats; i++) {
        free(r->repeat[i].predictions);
        free(r->repeat[i].order);
    }
    free(r);
}

size_t fm_ranked_units(const fm_ranked *r)
{
    return r->units;
}

size_t fm_ranked_scratch(const fm_ranked *r)
{
    return 3 * (size_t)r->classes;
}

/* Weighed counts of one repeat. */
typedef struct {
    uint64_t all, *hit, *of_class, *called;     /* [classes]: rightly called, true, called */
    uint64_t near;                              /* true class among the k most probable */
    double brier, log_loss;
    uint64_t bin_hit[BINS];
    double bin_confidence[BINS];
} tally;

static void count(const ranked_repeat *r, int32_t top_k, const uint32_t *weight, tally *t)
{
    for (size_t i = 0; i < r->n; i++) {
        const prediction *p = &r->predictions[i];
        uint64_t w = weight[p->unit], hit = p->label == p->called ? w : 0;

        t->all += w;
        t->of_class[p->label] += w;
        t->called[p->called] += w;
        t->hit[p->label] += hit;
        t->bin_hit[p->bin] += hit;
        t->bin_confidence[p->bin] += (double)w * p->confidence;
        t->near += p->ahead < top_k ? w : 0;
        t->brier += (double)w * p->brier;
        t->log_loss += (double)w * p->log_loss;
    }
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : NAN;
}

typedef struct {
    double auc;         /* twice the pairs that are ranked rightly, over twice all pairs */
    double precision;   /* average precision */
} ranking;

/* From the lowest score upwards: what has not been passed yet is what a threshold there calls positive. */
static ranking rank_metrics(const ranked_score *order, size_t n, const uint32_t *weight, uint64_t positives,
                            uint64_t all)
{
    uint64_t side[2] = {0, 0}, below[2] = {0, 0}, right2 = 0, negatives = all - positives;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        side[order[i].positive] += weight[order[i].unit];
        if (!order[i].closes)
            continue;
        right2 += side[1] * (2 * below[0] + side[0]);
        if (side[1])
            sum += (double)side[1] * (double)(positives - below[1]) / (double)(all - below[0] - below[1]);
        for (int k = 0; k < 2; k++) {
            below[k] += side[k];
            side[k] = 0;
        }
    }
    return (ranking){positives && negatives ? (double)right2 / (2.0 * (double)positives * (double)negatives) : NAN,
                     positives ? sum / (double)positives : NAN};
}

/* The correlation of true and called class. */
static double correlation(const tally *t, size_t classes)
{
    double all = (double)t->all, hits = 0.0, chance = 0.0, truth = 0.0, calls = 0.0;

    for (size_t c = 0; c < classes; c++) {
        if (t->of_class[c] == t->all || t->called[c] == t->all)
            return NAN;
        hits += (double)t->hit[c];
        chance += (double)t->of_class[c] * (double)t->called[c];
        truth += (double)t->of_class[c] * (double)t->of_class[c];
        calls += (double)t->called[c] * (double)t->called[c];
    }
    return (hits * all - chance) / sqrt((all * all - truth) * (all * all - calls));
}

/* Bayes' rule: of what is called so, the part that is, when `share` of all is so and the test calls `rightly` of those
 * and `wrongly` of the others so, too. */
static double predictive_value(double rightly, double share, double wrongly)
{
    double right = rightly * share, all = right + wrongly * (1.0 - share);

    return all > 0.0 ? right / all : NAN;
}

/* Mean of the defined ones of several values. */
typedef struct {
    double sum;
    unsigned n;
} mean;

static void mean_add(mean *m, double v)
{
    if (!isnan(v)) {
        m->sum += v;
        m->n++;
    }
}

static double mean_value(const mean *m)
{
    return m->n ? m->sum / m->n : NAN;
}

static void metrics_of_classes(const fm_ranked *r, const ranked_repeat *repeat, const uint32_t *weight,
                               const tally *t, fm_metric_values *out)
{
    mean m[FM_METRIC_COUNT] = {{0, 0}};

    for (int c = 0; c < r->classes; c++) {
        uint64_t hit = t->hit[c], of_class = t->of_class[c], called = t->called[c];
        uint64_t rest_hit = t->all + hit - of_class - called;
        ranking rank;

        mean_add(&m[FM_METRIC_BALANCED_ACCURACY], ratio(hit, of_class));
        if (r->rankings == 1 && c == 0)
            continue;
        mean_add(&m[FM_METRIC_SENSITIVITY], ratio(hit, of_class));
        mean_add(&m[FM_METRIC_SPECIFICITY], ratio(rest_hit, t->all - of_class));
        mean_add(&m[FM_METRIC_PPV], ratio(hit, called));
        mean_add(&m[FM_METRIC_NPV], ratio(rest_hit, t->all - called));
        mean_add(&m[FM_METRIC_F1], ratio(2 * hit, of_class + called));
        rank = rank_metrics(repeat->order + (r->rankings == 1 ? 0 : (size_t)c * repeat->n), repeat->n, weight, of_class,
                            t->all);
        mean_add(&m[FM_METRIC_AUC], rank.auc);
        mean_add(&m[FM_METRIC_AVERAGE_PRECISION], rank.precision);
    }
    for (int i = 0; i < FM_METRIC_COUNT; i++)
        out->v[i] = mean_value(&m[i]);
}

static void metrics_at_prevalence(const fm_ranked *r, fm_metric_values *out)
{
    double sensitivity = out->v[FM_METRIC_SENSITIVITY], specificity = out->v[FM_METRIC_SPECIFICITY];

    if (r->classes == 2 && r->prevalence > 0.0) {
        out->v[FM_METRIC_PPV_AT_PREVALENCE] = predictive_value(sensitivity, r->prevalence, 1.0 - specificity);
        out->v[FM_METRIC_NPV_AT_PREVALENCE] = predictive_value(specificity, 1.0 - r->prevalence, 1.0 - sensitivity);
    }
}

static void metrics_of_repeat(const fm_ranked *r, const ranked_repeat *repeat, const uint32_t *weight,
                              uint64_t *scratch, fm_metric_values *out)
{
    size_t classes = (size_t)r->classes;
    tally t = {.hit = scratch, .of_class = scratch + classes, .called = scratch + 2 * classes};
    uint64_t hits = 0;
    double gap = 0.0;

    memset(scratch, 0, 3 * classes * sizeof *scratch);
    count(repeat, r->top_k, weight, &t);
    metrics_of_classes(r, repeat, weight, &t, out);
    metrics_at_prevalence(r, out);
    for (size_t c = 0; c < classes; c++)
        hits += t.hit[c];
    for (int k = 0; k < BINS; k++)
        gap += fabs(t.bin_confidence[k] - (double)t.bin_hit[k]);
    out->v[FM_METRIC_ACCURACY] = ratio(hits, t.all);
    out->v[FM_METRIC_MCC] = correlation(&t, classes);
    out->v[FM_METRIC_TOP_K_ACCURACY] = r->top_k ? ratio(t.near, t.all) : NAN;
    out->v[FM_METRIC_BRIER] = t.all ? t.brier / (double)t.all : NAN;
    out->v[FM_METRIC_LOG_LOSS] = t.all ? t.log_loss / (double)t.all : NAN;
    out->v[FM_METRIC_ECE] = t.all ? gap / (double)t.all : NAN;
}

void fm_ranked_metrics(const fm_ranked *r, const uint32_t *weight, uint64_t *scratch, fm_metric_values *out)
{
    mean m[FM_METRIC_COUNT] = {{0, 0}};

    for (size_t i = 0; i < r->repeats; i++) {
        fm_metric_values v;

        metrics_of_repeat(r, &r->repeat[i], weight, scratch, &v);
        for (int k = 0; k < FM_METRIC_COUNT; k++)
            mean_add(&m[k], v.v[k]);
    }
    for (int k = 0; k < FM_METRIC_COUNT; k++)
        out->v[k] = mean_value(&m[k]);
}

size_t fm_ranked_points_max(const fm_ranked *r)
{
    return r->repeat[0].n + 1;
}

size_t fm_ranked_points(const fm_ranked *r, const uint32_t *weight, fm_ranked_point *points)
{
    const ranked_repeat *first = &r->repeat[0];
    fm_ranked_point at = {0, 0};
    size_t n = 0;

    points[n++] = at;
    for (size_t i = first->n; i-- > 0;) {
        const ranked_score *s = &first->order[i];

        if (s->positive)
            at.right += weight[s->unit];
        else
            at.wrong += weight[s->unit];
        if (i == 0 || first->order[i - 1].closes)
            points[n++] = at;
    }
    return n;
}

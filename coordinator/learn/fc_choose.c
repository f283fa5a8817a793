/* How many epochs: each inner fold's head is trained once, for the most epochs
 * there are to choose from, and looked at after each of the others on the way.
 * Folds are the parts that ranks share out: their heads know nothing of each other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/fc.h"

typedef struct {
    const fm_rows *rows;
    size_t n_choices, n_held;
    const double *choice;
    uint32_t fold;          /* being held out */
    double *prob;           /* f64 [choices, n_held, classes] */
    float *hidden, *logit;  /* f32 [hidden], [classes] */
} watched;

static size_t choices_of(const fm_head_spec *spec)
{
    return spec->n_choices ? spec->n_choices : 1;
}

static double choice_of(const fm_head_spec *spec, size_t k)
{
    return spec->n_choices ? spec->choice[k] : (double)spec->epochs;
}

static size_t held_out(const fm_rows *rows, uint32_t fold)
{
    size_t n = 0;

    for (size_t i = 0; i < rows->n; i++)
        n += rows->fold[i] == (int32_t)fold;
    return n;
}

size_t fm_fc_part_values(const fm_head_spec *spec, const fm_rows *rows, uint32_t fold)
{
    return choices_of(spec) * held_out(rows, fold) * (size_t)rows->classes;
}

/* The held-out rows' probabilities after so many epochs, if they are a choice. */
static void look(void *ctx, const fm_fc *net, uint32_t epochs)
{
    watched *w = ctx;
    const fm_rows *r = w->rows;

    for (size_t k = 0; k < w->n_choices; k++) {
        double *to = w->prob + k * w->n_held * net->classes;

        for (size_t i = 0; w->choice[k] == (double)epochs && i < r->n; i++)
            if (r->fold[i] == (int32_t)w->fold) {
                fm_fc_score(net, r->x + i * r->d, w->hidden, w->logit, to);
                to += net->classes;
            }
    }
}

/* Rows outside the inner fold, x f32 [n, d] and label i32 [n] being the caller's. */
static fm_rows rows_without(const fm_rows *r, uint32_t fold, float *x, int32_t *label)
{
    fm_rows out = *r;

    out.n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->fold[i] == (int32_t)fold)
            continue;
        memcpy(x + out.n * r->d, r->x + i * r->d, r->d * sizeof *x);
        label[out.n++] = r->labels[i];
    }
    out.x = x;
    out.labels = label;
    return out;
}

int fm_fc_part(const fm_head_spec *spec, const fm_rows *rows, uint64_t seed, uint64_t stream, uint32_t fold,
               double *values, fm_err *err)
{
    const double own = spec->epochs;
    size_t classes = (size_t)rows->classes;
    watched w = {.rows = rows, .n_choices = choices_of(spec), .n_held = held_out(rows, fold),
                 .choice = spec->n_choices ? spec->choice : &own, .fold = fold, .prob = values};
    const fm_fc_watch watch = {look, &w};
    float *x = malloc(rows->n * rows->d * sizeof *x);
    int32_t *label = malloc(rows->n * sizeof *label);
    fm_head_spec longest = *spec;
    fm_fc net = {0};
    int rc = fm_fc_init(&net, rows->d, spec->hidden, classes, err);

    w.hidden = malloc((spec->hidden + classes) * sizeof *w.hidden);
    if (rc == 0 && (!x || !label || !w.hidden))
        rc = fm_fail_nomem(err, "inner folds", rows->n * rows->d * sizeof *x);
    if (rc == 0) {
        fm_rows without = rows_without(rows, fold, x, label);

        w.logit = w.hidden + spec->hidden;
        longest.epochs = (uint32_t)w.choice[w.n_choices - 1];
        rc = fm_fc_train(&net, &longest, &without, seed, fm_rng_stream("inner head", stream, fold), &watch, err);
    }
    free(x);
    free(label);
    free(w.hidden);
    fm_fc_fini(&net);
    return rc;
}

/* The probabilities of one choice out of all parts, by row. */
static void collect(const fm_head_spec *spec, const fm_rows *rows, const double *parts, size_t choice, double *prob)
{
    size_t classes = (size_t)rows->classes;

    for (uint32_t f = 0; f < rows->folds; f++) {
        const double *from = parts + choice * held_out(rows, f) * classes;

        for (size_t i = 0; i < rows->n; i++)
            if (rows->fold[i] == (int32_t)f) {
                memcpy(prob + i * classes, from, classes * sizeof *prob);
                from += classes;
            }
        parts += fm_fc_part_values(spec, rows, f);
    }
}

int fm_fc_choose(const fm_head_spec *spec, const fm_rows *rows, const double *parts, uint32_t *epochs,
                 double *inner_prob, fm_err *err)
{
    size_t each = rows->n * (size_t)rows->classes, best = 0;
    double *prob = malloc(each * sizeof *prob), least = INFINITY;

    if (!prob)
        return fm_fail_nomem(err, "inner folds", each * sizeof *prob);
    for (size_t k = 0; k < choices_of(spec); k++) {
        double loss;

        collect(spec, rows, parts, k, prob);
        loss = fm_log_loss(rows, prob);
        if (loss < least) {
            least = loss;
            best = k;
        }
    }
    *epochs = (uint32_t)choice_of(spec, best);
    if (inner_prob)
        collect(spec, rows, parts, best, inner_prob);
    free(prob);
    return 0;
}

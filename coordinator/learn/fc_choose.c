/* How many epochs: each inner fold's head is trained once, for the most epochs
 * there are to choose from, and looked at after each of the others on the way. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "coordinator/learn/fc.h"

typedef struct {
    const fm_rows *rows;
    size_t n_choices;
    const double *choice;
    uint32_t fold;          /* being held out */
    double *prob;           /* f64 [choices, n, classes] */
    float *hidden, *logit;  /* f32 [hidden], [classes] */
} chooser;

/* The held-out rows' probabilities after so many epochs, if they are a choice. */
static void look(void *ctx, const fm_fc *net, uint32_t epochs)
{
    chooser *c = ctx;
    const fm_rows *r = c->rows;

    for (size_t k = 0; k < c->n_choices; k++)
        for (size_t i = 0; c->choice[k] == (double)epochs && i < r->n; i++)
            if (r->fold[i] == (int32_t)c->fold)
                fm_fc_score(net, r->x + i * r->d, c->hidden, c->logit, c->prob + (k * r->n + i) * net->classes);
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

static int run_folds(chooser *c, fm_fc *net, const fm_head_spec *spec, uint64_t seed, uint64_t stream, fm_err *err)
{
    const fm_fc_watch watch = {look, c};
    float *x = malloc(c->rows->n * c->rows->d * sizeof *x);
    int32_t *label = malloc(c->rows->n * sizeof *label);
    int rc = x && label ? 0 : fm_fail_nomem(err, "inner folds", c->rows->n * c->rows->d * sizeof *x);

    for (c->fold = 0; rc == 0 && c->fold < c->rows->folds; c->fold++) {
        fm_rows rows = rows_without(c->rows, c->fold, x, label);

        memset(net->param, 0, net->n * sizeof *net->param);
        rc = fm_fc_train(net, spec, &rows, seed, fm_rng_stream("inner head", stream, c->fold), &watch, err);
    }
    free(x);
    free(label);
    return rc;
}

int fm_fc_choose(const fm_head_spec *spec, const fm_rows *rows, uint64_t seed, uint64_t stream, uint32_t *epochs,
                 double *inner_prob, fm_err *err)
{
    const double own = spec->epochs;
    size_t classes = (size_t)rows->classes, each = rows->n * classes, best = 0;
    chooser c = {.rows = rows, .n_choices = spec->n_choices ? spec->n_choices : 1,
                 .choice = spec->n_choices ? spec->choice : &own};
    fm_head_spec longest = *spec;
    fm_fc net = {0};
    double least = INFINITY;
    int rc = fm_fc_init(&net, rows->d, spec->hidden, classes, err);

    longest.epochs = (uint32_t)c.choice[c.n_choices - 1];
    c.prob = calloc(c.n_choices, each * sizeof *c.prob);
    c.hidden = malloc((spec->hidden + classes) * sizeof *c.hidden);
    if (rc == 0 && (!c.prob || !c.hidden))
        rc = fm_fail_nomem(err, "inner folds", c.n_choices * each * sizeof *c.prob);
    if (rc == 0) {
        c.logit = c.hidden + spec->hidden;
        rc = run_folds(&c, &net, &longest, seed, stream, err);
    }
    for (size_t k = 0; rc == 0 && k < c.n_choices; k++) {
        double loss = fm_log_loss(rows, c.prob + k * each);

        if (loss < least) {
            least = loss;
            best = k;
        }
    }
    if (rc == 0)
        *epochs = (uint32_t)c.choice[best];
    if (rc == 0 && inner_prob)
        memcpy(inner_prob, c.prob + best * each, each * sizeof *inner_prob);
    free(c.prob);
    free(c.hidden);
    fm_fc_fini(&net);
    return rc;
}

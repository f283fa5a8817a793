/* results.json, put together with jansson.  A value that could not be made turns
 * its parent's failure flag on, so that one check at the end sees any of them.
 * Names go through fm_utf8_text: jansson refuses a string that is not UTF-8. */
#include "jobs/json_text.h"
#include "jobs/results.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/cpu.h"
#include "base/text.h"
#include "coordinator/learn/delong.h"

#define FORMAT (JSON_SORT_KEYS | JSON_INDENT(1) | JSON_REAL_PRECISION(12))

typedef struct {
    const fm_results *r;
    fm_predictions predictions;
    fm_delong delong;   /* of the AUC */
    bool failed;        /* an allocation failed somewhere */
} maker;

/* The reference to v is given away, whether it works or not. */
static void put(maker *m, json_t *object, const char *key, json_t *v)
{
    if (json_object_set_new(object, key, v) != 0)
        m->failed = true;
}

static void add(maker *m, json_t *array, json_t *v)
{
    if (json_array_append_new(array, v) != 0)
        m->failed = true;
}

static json_t *count(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *digest(const fm_digest *d)
{
    char hex[FM_DIGEST_HEX];

    fm_digest_hex(d, hex);
    return json_string(hex);
}

static json_t *counts(maker *m)
{
    const fm_samples *s = m->r->samples;
    uint64_t of[FM_REASON_COUNT] = {0};
    json_t *o = json_object(), *left_out = json_object();

    for (size_t i = 0; i < s->n; i++)
        of[s->v[i].reason]++;
    for (int i = FM_USED + 1; i < FM_REASON_COUNT; i++)
        put(m, left_out, fm_reason_name((fm_reason)i), count(of[i]));
    put(m, o, "photographs", count(s->n));
    put(m, o, "used", count(of[FM_USED]));
    put(m, o, "left_out", left_out);
    put(m, o, "faces", count(m->r->evaluation->n));
    if (m->r->study->match.on)
        put(m, o, "pairs", count(m->r->pairs));
    return o;
}

static json_t *metric(maker *m, const fm_metric *v, int id, uint32_t bootstrap)
{
    json_t *o = json_object();

    put(m, o, "value", real(v->value));
    put(m, o, "low", real(v->low));
    put(m, o, "high", real(v->high));
    if (!isfinite(v->value))
        put(m, o, "undefined", json_string(fm_metric_why_undefined(id)));
    else if (bootstrap == 0)
        put(m, o, "undefined", json_string("no interval: the study's bootstrap is 0"));
    else if (!isfinite(v->low) || !isfinite(v->high))
        put(m, o, "undefined", json_string("no interval: undefined in more than a tenth of the resamples"));
    return o;
}

static json_t *delong(maker *m)
{
    json_t *o = json_object();

    put(m, o, "se", real(m->delong.se));
    put(m, o, "low", real(m->delong.low));
    put(m, o, "high", real(m->delong.high));
    if (!isfinite(m->delong.se))
        put(m, o, "undefined", json_string("two classes are needed, and two subjects with rows of each"));
    return o;
}

/* What a metric was asked for with, and what there is beside its bootstrap. */
static void put_beside(maker *m, json_t *o, int id)
{
    const fm_predictions *p = &m->predictions;

    if (id == FM_METRIC_AUC)
        put(m, o, "delong", delong(m));
    if (id == FM_METRIC_TOP_K_ACCURACY)
        put(m, o, "k", count(fm_top_k((uint32_t)p->classes, p->top_k)));
    if (id == FM_METRIC_PPV_AT_PREVALENCE || id == FM_METRIC_NPV_AT_PREVALENCE)
        put(m, o, "prevalence", real(p->prevalence));
}

static json_t *metrics(maker *m)
{
    const fm_evaluation *e = m->r->evaluation;
    json_t *o = json_object();

    for (int i = 0; i < FM_METRIC_COUNT; i++) {
        json_t *v;

        if (!fm_metric_applies(&m->predictions, i))
            continue;
        v = metric(m, &e->metrics[i], i, e->bootstrap);
        put_beside(m, v, i);
        put(m, o, fm_metric_name(i), v);
    }
    return o;
}

/* Beside values that may be null: which of them are, and why. */
static void put_undefined(maker *m, json_t *o, json_t *undefined)
{
    if (json_object_size(undefined))
        put(m, o, "undefined", undefined);
    else
        json_decref(undefined);
}

static json_t *fold(maker *m, const fm_fold_result *f)
{
    json_t *o = json_object(), *values = json_object(), *undefined = json_object();

    for (int i = 0; i < FM_METRIC_COUNT; i++) {
        if (!fm_metric_applies(&m->predictions, i))
            continue;
        put(m, values, fm_metric_name(i), real(f->metrics.v[i]));
        if (!isfinite(f->metrics.v[i]))
            put(m, undefined, fm_metric_name(i), json_string(fm_metric_why_undefined(i)));
    }
    put(m, o, "repeat", count(f->repeat));
    put(m, o, "fold", count(f->fold));
    put(m, o, "n_train", count(f->n_train));
    put(m, o, "n_test", count(f->n_test));
    if (!isnan(f->chosen))
        put(m, o, "chosen", real(f->chosen));
    if (!isnan(f->threshold))
        put(m, o, "threshold", real(f->threshold));
    put(m, o, "metrics", values);
    put_undefined(m, o, undefined);
    return o;
}

static json_t *folds(maker *m)
{
    const fm_evaluation *e = m->r->evaluation;
    json_t *a = json_array();

    for (size_t i = 0; i < (size_t)e->repeats * e->folds; i++)
        add(m, a, fold(m, &e->fold[i]));
    return a;
}

static json_t *class_of(maker *m, uint32_t c)
{
    const fm_evaluation *e = m->r->evaluation;
    uint64_t tested = 0, called = 0, right = e->confusion[(size_t)c * e->classes + c], faces = 0;
    json_t *o = json_object(), *undefined = json_object();

    for (uint32_t k = 0; k < e->classes; k++) {
        tested += e->confusion[(size_t)c * e->classes + k];
        called += e->confusion[(size_t)k * e->classes + c];
    }
    for (size_t i = 0; i < e->n; i++)
        faces += (uint32_t)e->label[i] == c;
    if (!called)
        put(m, undefined, "precision", json_string("no prediction calls this class"));
    if (!tested)
        put(m, undefined, "recall", json_string("no face of this class was tested"));
    put(m, o, "name", fm_json_text(m->r->samples->classes[c]));
    put(m, o, "faces", count(faces));
    put(m, o, "precision", real(called ? (double)right / (double)called : NAN));
    put(m, o, "recall", real(tested ? (double)right / (double)tested : NAN));
    put_undefined(m, o, undefined);
    return o;
}

static json_t *classes(maker *m)
{
    json_t *a = json_array();

    for (uint32_t c = 0; c < m->r->evaluation->classes; c++)
        add(m, a, class_of(m, c));
    return a;
}

static json_t *confusion(maker *m)
{
    const fm_evaluation *e = m->r->evaluation;
    json_t *a = json_array();

    for (uint32_t c = 0; c < e->classes; c++) {
        json_t *row = json_array();

        for (uint32_t k = 0; k < e->classes; k++)
            add(m, row, count(e->confusion[(size_t)c * e->classes + k]));
        add(m, a, row);
    }
    return a;
}

static json_t *subgroup(maker *m, const fm_subgroup *g)
{
    const fm_evaluation *e = m->r->evaluation;
    json_t *o = json_object(), *of_class = json_array(), *values = json_object();

    for (uint32_t c = 0; c < e->classes && c < 16; c++)
        add(m, of_class, count(g->of_class[c]));
    put(m, values, "accuracy", metric(m, &g->accuracy, FM_METRIC_ACCURACY, e->bootstrap));
    put(m, values, "auc", metric(m, &g->auc, FM_METRIC_AUC, e->bootstrap));
    put(m, values, "sensitivity", metric(m, &g->sensitivity, FM_METRIC_SENSITIVITY, e->bootstrap));
    put(m, values, "specificity", metric(m, &g->specificity, FM_METRIC_SPECIFICITY, e->bootstrap));
    put(m, o, "name", json_string(g->name));
    put(m, o, "column", json_string(g->column));
    put(m, o, "faces", count(g->n));
    put(m, o, "of_class", of_class);
    put(m, o, "metrics", values);
    return o;
}

static json_t *figures(maker *m, const fm_balance_figures *f)
{
    const struct { const char *key, *why; double value; } all[] = {
        {"effective_controls", "no control", f->effective_controls},
        {"mean_cases", "no case", f->mean_cases},
        {"mean_controls", "no control", f->mean_controls},
        {"std_mean_diff", "no case or no control", f->smd},
        {"var_ratio", "a share's variance follows from its mean, or controls do not vary", f->variance_ratio},
        {"ecdf_mean", "no case or no control", f->ecdf_mean},
        {"ecdf_max", "no case or no control", f->ecdf_max},
    };
    json_t *o = json_object(), *undefined = json_object();

    put(m, o, "cases", count(f->cases));
    put(m, o, "controls", count(f->controls));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        put(m, o, all[i].key, real(all[i].value));
        if (!isfinite(all[i].value))
            put(m, undefined, all[i].key, json_string(all[i].why));
    }
    put_undefined(m, o, undefined);
    return o;
}

static json_t *balance(maker *m)
{
    json_t *a = json_array();

    for (int i = 0; i < m->r->balance->n_rows; i++) {
        const fm_balance_row *row = &m->r->balance->rows[i];
        json_t *o = json_object();

        put(m, o, "variable", json_string(row->name));
        put(m, o, "all", figures(m, &row->all));
        put(m, o, "matched", figures(m, &row->matched));
        put(m, o, "std_pair_dist", real(row->pair_distance));
        add(m, a, o);
    }
    return a;
}

static json_t *provenance(maker *m)
{
    const fm_results *r = m->r;
    json_t *o = json_object(), *models = json_array();

    for (size_t i = 0; i < r->n_models; i++) {
        json_t *model = json_object();

        put(m, model, "role", fm_json_text(r->models[i].role));
        put(m, model, "name", fm_json_text(r->models[i].name));
        put(m, model, "licence", fm_json_text(r->models[i].licence));
        put(m, model, "sha256", digest(&r->models[i].sha256));
        add(m, models, model);
    }
    put(m, o, "version", json_string(FM_VERSION));
    put(m, o, "study", digest(&r->study->digest));
    put(m, o, "plan", digest(&r->evaluation->plan));
    put(m, o, "codes", digest(&r->evaluation->codes));
    put(m, o, "models", models);
    put(m, o, "seed", json_integer(r->study->seed));
    put(m, o, "bootstrap", count(r->evaluation->bootstrap));
    return o;
}

static json_t *host(maker *m)
{
    json_t *o = json_object();
    struct utsname u;

    if (uname(&u) == 0) {
        put(m, o, "system", fm_json_text(u.sysname));
        put(m, o, "release", fm_json_text(u.release));
        put(m, o, "machine", fm_json_text(u.machine));
    }
    put(m, o, "processor", fm_json_text(fm_cpu_model()));
    put(m, o, "kernels", json_string(fm_isa_name(fm_cpu_isa())));
    return o;
}

static json_t *build(maker *m, const fm_build_counts *c)
{
    json_t *o = json_object();

    put(m, o, "photographs", count(c->photographs));
    put(m, o, "photos_made", count(c->photos_made));
    put(m, o, "photos_reused", count(c->photos_reused));
    put(m, o, "codes_made", count(c->codes_made));
    put(m, o, "codes_reused", count(c->codes_reused));
    put(m, o, "leases_lost", count(c->leases_lost));
    put(m, o, "crews_lost", count(c->crews_lost));
    put(m, o, "workers", count(c->workers));
    put(m, o, "seconds", real(c->seconds));
    return o;
}

static json_t *run(maker *m)
{
    const fm_results *r = m->r;
    json_t *o = json_object();
    time_t finished = (time_t)r->finished;
    struct tm tm;
    char when[32];

    put(m, o, "host", host(m));
    put(m, o, "ranks", count(r->ranks));
    if (r->build)
        put(m, o, "build", build(m, r->build));
    if (r->seconds >= 0)
        put(m, o, "seconds", real(r->seconds));
    if (finished && gmtime_r(&finished, &tm) && strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm))
        put(m, o, "finished", json_string(when));
    return o;
}

static json_t *whole(maker *m, const fm_subgroup *groups, size_t n_groups)
{
    json_t *o = json_object(), *subgroups = json_array();

    for (size_t i = 0; i < n_groups; i++)
        add(m, subgroups, subgroup(m, &groups[i]));
    put(m, o, "name", fm_json_text(m->r->study->name));
    put(m, o, "counts", counts(m));
    put(m, o, "metrics", metrics(m));
    put(m, o, "folds", folds(m));
    put(m, o, "classes", classes(m));
    put(m, o, "confusion", confusion(m));
    put(m, o, "subgroups", subgroups);
    if (m->r->balance && m->r->balance->n_rows)
        put(m, o, "balance", balance(m));
    put(m, o, "audits", m->r->audits ? fm_audits_json(m->r->audits, m->r->nears, m->r->samples) : json_object());
    if (m->r->explanation && m->r->explanation->classes)
        put(m, o, "explain", fm_explain_json(m->r->explanation, m->r->samples));
    if (!fm_digest_is_zero(&m->r->store))
        put(m, o, "digest", digest(&m->r->store));
    put(m, o, "provenance", provenance(m));
    put(m, o, "run", run(m));
    return o;
}

/* jansson's own buffer can lose a key without saying so when memory runs out; an fm_buf remembers. */
static int append(const char *bytes, size_t n, void *buf)
{
    fm_buf_put(buf, bytes, n);
    return ((fm_buf *)buf)->failed ? -1 : 0;
}

int fm_results_json(const fm_results *r, fm_buf *out, fm_err *err)
{
    maker m = {.r = r, .predictions = fm_evaluation_predictions(r->evaluation)};
    fm_buf b = FM_BUF_INIT;
    fm_subgroup *groups = NULL;
    size_t n_groups = 0;
    json_t *root = NULL;
    int rc = fm_results_subgroups(r, &groups, &n_groups, err);

    if (rc == 0)
        rc = fm_delong_auc(&m.predictions, &m.delong, err);
    if (rc != 0) {
        free(groups);
        return rc;
    }
    root = whole(&m, groups, n_groups);
    if (m.failed || json_dump_callback(root, append, &b, FORMAT) != 0)
        b.failed = true;
    fm_buf_u8(&b, '\n');
    if (!b.failed)
        fm_buf_put(out, b.data, b.size);
    if (b.failed || out->failed)
        rc = fm_fail_nomem(err, "results.json", b.size);
    fm_buf_fini(&b);
    json_decref(root);
    free(groups);
    return rc;
}

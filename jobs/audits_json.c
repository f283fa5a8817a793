/* The object `audits` of results.json.  What is not defined is null, with its reason
 * beside it. */
#include <math.h>

#include "base/buf.h"
#include "base/text.h"
#include "jobs/audits.h"

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *count(size_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *name_of(const fm_samples *s, size_t sample)
{
    fm_buf b = FM_BUF_INIT;
    json_t *v;

    fm_utf8_text(&b, s->v[sample].name);
    v = b.failed ? NULL : json_stringn(b.size ? (const char *)b.data : "", b.size);
    fm_buf_fini(&b);
    return v;
}

static json_t *auc(const fm_audit_figure *f)
{
    json_t *o = json_pack("{s:o, s:o, s:o}", "value", real(f->auc), "low", real(f->low), "high", real(f->high));

    if (o && isnan(f->auc))
        json_object_set_new(o, "undefined", json_string("too few subjects of a class for the study's folds"));
    else if (o && isnan(f->low))
        json_object_set_new(o, "undefined", json_string("no interval: the study's bootstrap is 0"));
    return o;
}

static json_t *confounds(const fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_CONFOUND);
    json_t *all = json_array();

    for (int i = 0; i < FM_CONFOUND_COUNT; i++) {
        char sentence[512];

        fm_audits_sentence(i, &v[i], sentence, sizeof sentence);
        json_array_append_new(all, json_pack("{s:s, s:o, s:b, s:s}", "sees", fm_confound_name(i), "auc", auc(&v[i]),
                                             "rings", fm_audits_rings(&v[i]), "means", sentence));
    }
    return all;
}

static json_t *null_study(const fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_NULL);
    json_t *all = json_array();

    for (size_t i = 0; i < a->figures.count[FM_AUDIT_NULL]; i++)
        json_array_append_new(all, json_pack("{s:o, s:o}", "subjects_a_half", real(v[i].subjects), "auc", auc(&v[i])));
    return json_pack("{s:o, s:o}", "hold_half", real(a->null_hold), "studies", all);
}

static json_t *curve(const fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_CURVE_POINT);
    json_t *all = json_array();

    for (size_t i = 0; i < a->figures.count[FM_AUDIT_CURVE_POINT]; i++)
        json_array_append_new(all, json_pack("{s:o, s:o, s:o}", "share", real(fm_audit_share(i)), "training_subjects",
                                             real(v[i].subjects), "auc", auc(&v[i])));
    return all;
}

static json_t *seeds(const fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_SEED);
    json_t *all = json_array();

    for (size_t i = 0; i < a->figures.count[FM_AUDIT_SEED]; i++)
        json_array_append_new(all, real(v[i].auc));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "auc", all, "mean", real(a->seed_mean), "sd", real(a->seed_sd), "low",
                     real(a->seed_low), "high", real(a->seed_high));
}

static json_t *permutation(const fm_audits *a)
{
    const fm_audit_figure *curve_points = fm_audit_figures(&a->figures, FM_AUDIT_CURVE_POINT);

    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "permutations", count(a->permutations), "p", real(a->p), "auc",
                     real(curve_points[FM_AUDIT_CURVE - 1].auc), "permuted_mean", real(a->permuted_mean),
                     "permuted_high", real(a->permuted_high));
}

static json_t *pairs(const fm_audits *a)
{
    return json_pack("{s:o, s:o, s:o}", "scored", count(a->n_pairs), "disagree", count(a->disagree), "tied",
                     count(a->tied));
}

static json_t *near_duplicates(const fm_nears *n, const fm_samples *s)
{
    json_t *all = json_array();
    size_t across = 0, apart = 0;

    for (size_t i = 0; i < n->n; i++) {
        const fm_near *x = &n->v[i];

        across += x->across;
        apart += !x->same_subject;
        json_array_append_new(all, json_pack("{s:o, s:o, s:f, s:b, s:b}", "sample", name_of(s, x->a), "other",
                                             name_of(s, x->b), "distance", x->distance, "across_cohorts", x->across,
                                             "same_subject", x->same_subject));
    }
    return json_pack("{s:b, s:f, s:o, s:o, s:o, s:o, s:o}", "searched", n->searched, "threshold", FM_NEAR_DISTANCE, "n",
                     count(n->n), "across_cohorts", count(across), "of_different_subjects", count(apart), "grouped",
                     count(n->grouped), "pairs", all);
}

json_t *fm_audits_json(const fm_audits *a, const fm_nears *nears, const fm_samples *s)
{
    static const char *const levels[] = {[FM_AUDIT_NONE] = "none", [FM_AUDIT_QUICK] = "quick", [FM_AUDIT_FULL] = "full"};
    json_t *o = json_pack("{s:s}", "level", levels[a->level]);
    int failed = 0;

    if (a->figures.n)
        failed |= json_object_set_new(o, "confounds", confounds(a)) | json_object_set_new(o, "null_study", null_study(a)) |
                  json_object_set_new(o, "learning_curve", curve(a)) | json_object_set_new(o, "seeds", seeds(a)) |
                  json_object_set_new(o, "permutation", permutation(a));
    if (a->paired)
        failed |= json_object_set_new(o, "pairs", pairs(a));
    if (nears)
        failed |= json_object_set_new(o, "near_duplicates", near_duplicates(nears, s));
    if (!failed)
        return o;
    json_decref(o);
    return NULL;
}

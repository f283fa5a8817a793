/* From the figures of the stage to what they say.  Nothing is trained here. */
#include "jobs/audits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

static const struct { uint32_t nulls, seeds, permutations; } levels[] = {
    [FM_AUDIT_NONE] = {0, 0, 0}, [FM_AUDIT_QUICK] = {5, 5, 100}, [FM_AUDIT_FULL] = {20, 20, 1000},
};

void fm_audits_fini(fm_audits *a)
{
    fm_audit_fini(&a->figures);
    free(a->pairs);
    a->pairs = NULL;
    a->n_pairs = 0;
}

bool fm_audits_rings(const fm_audit_figure *f)
{
    return f->low > FM_AUDITS_RINGS;
}

void fm_audits_sentence(int confound, const fm_audit_figure *f, char *out, size_t n)
{
    static const struct { const char *sees, *means; } words[FM_CONFOUND_COUNT] = {
        [FM_CONFOUND_RING] = {"the background around the face", "the classes were photographed in different surroundings, "
                              "or differ in hair and clothes"},
        [FM_CONFOUND_BLUR] = {"the chip as 8 x 8 pixels", "the classes differ in light, colour or pose, which need no "
                              "feature of a face"},
        [FM_CONFOUND_FACTS] = {"the file's size, shape and JPEG quality", "the classes come from different sources or were "
                               "saved differently"},
        [FM_CONFOUND_COLOUR] = {"the mean colours of the chip", "the classes differ in light, camera or skin colour"},
    };

    if (isnan(f->auc))
        snprintf(out, n, "A classifier that sees only %s could not be trained.", words[confound].sees);
    else if (isnan(f->low))
        snprintf(out, n, "A classifier that sees only %s reaches AUC %.3f; without resamples there is no telling what "
                 "chance would give.", words[confound].sees, f->auc);
    else if (fm_audits_rings(f))
        snprintf(out, n, "A classifier that sees only %s reaches AUC %.3f (%.3f to %.3f): %s, and the study's own AUC may "
                 "rest on that.", words[confound].sees, f->auc, f->low, f->high, words[confound].means);
    else if (f->low > 0.5)
        snprintf(out, n, "A classifier that sees only %s reaches AUC %.3f (%.3f to %.3f): a little more than chance.",
                 words[confound].sees, f->auc, f->low, f->high);
    else if (f->high < 0.5)
        snprintf(out, n, "A classifier that sees only %s reaches AUC %.3f (%.3f to %.3f), below 0.5: no more than chance would "
                 "give. What tells nothing falls below it by folds alone: a class that happens to lie high in test faces "
                 "lies low in the faces trained on.", words[confound].sees, f->auc, f->low, f->high);
    else
        snprintf(out, n, "A classifier that sees only %s reaches AUC %.3f (%.3f to %.3f): no more than chance would give.",
                 words[confound].sees, f->auc, f->low, f->high);
}

/* stratum[sample]: sex and band in which it was matched, from 1 on. */
static void set_strata(const fm_samples *s, const fm_pairs *pairs, uint32_t *stratum)
{
    for (size_t i = 0; i < pairs->n; i++) {
        size_t both[2] = {pairs->v[i].case_sample, pairs->v[i].control_sample};

        for (int k = 0; k < 2; k++)
            stratum[both[k]] = 1 + (uint32_t)s->v[both[k]].sex + 3 * (uint32_t)(pairs->v[i].band + 1);
    }
}

int fm_audits_plan(const fm_study *study, const fm_samples *s, const fm_pairs *pairs, fm_plan *plan, const fm_digest *photo,
                   const uint64_t *file_bytes, fm_audit_plan *out, fm_err *err)
{
    uint32_t *stratum = calloc(s->n + 1, sizeof *stratum);
    fm_audit_plan a;
    int rc = stratum ? fm_audit_plan_init(&a, plan, err) : fm_fail_nomem(err, "strata", s->n * sizeof *stratum);

    if (rc != 0) {
        free(stratum);
        fm_plan_fini(plan);
        return rc;
    }
    if (study->match.on)
        set_strata(s, pairs, stratum);
    a.nulls = levels[study->audit].nulls;
    a.seeds = levels[study->audit].seeds;
    a.permutations = levels[study->audit].permutations;
    a.chip_padding = study->recipe.chip_padding;
    memcpy(a.fill, study->encoding.fill, sizeof a.fill);
    for (size_t i = 0; i < a.plan.n; i++) {
        uint32_t sample = a.plan.rows[i].sample;

        a.photo[i] = photo[sample];
        a.file_bytes[i] = file_bytes[sample];
        a.stratum[i] = stratum[sample];
    }
    free(stratum);
    *out = a;
    return 0;
}

/* Mean probability of class 1 of each sample; NaN where none was tested. */
static int mean_scores(const fm_evaluation *e, size_t n_samples, double **out, fm_err *err)
{
    double *sum = calloc(n_samples + 1, sizeof *sum);
    uint32_t *n = calloc(n_samples + 1, sizeof *n);

    if (!sum || !n) {
        free(sum);
        free(n);
        return fm_fail_nomem(err, "scores of pairs", n_samples * sizeof *sum);
    }
    for (size_t k = 0; k < e->repeats * e->n; k++)
        if (e->test_fold[k] >= 0) {
            sum[e->sample[k % e->n]] += e->prob[k * e->classes + 1];
            n[e->sample[k % e->n]]++;
        }
    for (size_t i = 0; i < n_samples; i++)
        sum[i] = n[i] ? sum[i] / n[i] : NAN;
    free(n);
    *out = sum;
    return 0;
}

static int score_pairs(const fm_samples *s, const fm_pairs *pairs, const fm_evaluation *e, fm_audits *a, fm_err *err)
{
    double *score = NULL;
    int rc = mean_scores(e, s->n, &score, err);

    if (rc != 0)
        return rc;
    if (!(a->pairs = malloc((pairs->n + 1) * sizeof *a->pairs)))
        rc = fm_fail_nomem(err, "pairs", pairs->n * sizeof *a->pairs);
    for (size_t i = 0; rc == 0 && i < pairs->n; i++) {
        size_t c = pairs->v[i].case_sample, k = pairs->v[i].control_sample;

        if (isnan(score[c]) || isnan(score[k]))
            continue;
        a->pairs[a->n_pairs++] = (fm_audits_pair){c, k, score[c], score[k]};
        a->disagree += score[c] < score[k];
        a->tied += score[c] == score[k];
    }
    a->paired = rc == 0;
    free(score);
    return rc;
}

static int rising(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int sum_up_permutations(fm_audits *a, fm_err *err)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_PERMUTATION);
    size_t all = a->figures.count[FM_AUDIT_PERMUTATION], n = 0;
    double *auc = malloc((all + 1) * sizeof *auc), sum = 0;

    if (!auc)
        return fm_fail_nomem(err, "permutations", all * sizeof *auc);
    for (size_t i = 0; i < all; i++)
        if (!isnan(v[i].auc))
            sum += auc[n++] = v[i].auc;
    qsort(auc, n, sizeof *auc, rising);
    a->permutations = n;
    a->p = fm_audit_p(&a->figures);
    a->permuted_mean = n ? sum / (double)n : NAN;
    a->permuted_high = n ? auc[(size_t)ceil(0.975 * (double)n) - 1] : NAN;
    free(auc);
    return 0;
}

static void sum_up_seeds(fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_SEED);
    double sum = 0, squares = 0, n = 0;

    a->seed_low = a->seed_high = NAN;
    for (size_t i = 0; i < a->figures.count[FM_AUDIT_SEED]; i++)
        if (!isnan(v[i].auc)) {
            sum += v[i].auc;
            n++;
            a->seed_low = fmin(a->seed_low, v[i].auc);
            a->seed_high = fmax(a->seed_high, v[i].auc);
        }
    a->seed_mean = n > 0 ? sum / n : NAN;
    for (size_t i = 0; i < a->figures.count[FM_AUDIT_SEED]; i++)
        if (!isnan(v[i].auc))
            squares += (v[i].auc - a->seed_mean) * (v[i].auc - a->seed_mean);
    a->seed_sd = n > 1 ? sqrt(squares / (n - 1)) : NAN;
}

static void sum_up_nulls(fm_audits *a)
{
    const fm_audit_figure *v = fm_audit_figures(&a->figures, FM_AUDIT_NULL);
    double hold = 0, n = 0;

    for (size_t i = 0; i < a->figures.count[FM_AUDIT_NULL]; i++) {
        n += !isnan(v[i].low);
        hold += v[i].low <= 0.5 && v[i].high >= 0.5;
    }
    a->null_hold = n > 0 ? hold / n : NAN;
}

int fm_audits_conclude(const fm_study *study, const fm_samples *s, const fm_pairs *pairs, const fm_evaluation *e,
                       fm_audits *a, fm_err *err)
{
    int rc;

    a->level = study->audit;
    sum_up_nulls(a);
    sum_up_seeds(a);
    rc = sum_up_permutations(a, err);
    if (rc == 0 && study->match.on && study->task.kind == FM_TASK_COHORT && e->classes == 2)
        rc = score_pairs(s, pairs, e, a, err);
    return rc;
}

int fm_audits_write_pairs(const fm_samples *s, const fm_audits *a, const char *path, fm_err *err)
{
    fm_buf b = FM_BUF_INIT;
    int rc;

    fm_buf_printf(&b, "case\tcontrol\tcase_score\tcontrol_score\tagrees\n");
    for (size_t i = 0; i < a->n_pairs; i++) {
        const fm_audits_pair *p = &a->pairs[i];

        fm_tsv_field(&b, s->v[p->case_sample].name);
        fm_buf_u8(&b, '\t');
        fm_tsv_field(&b, s->v[p->control_sample].name);
        fm_buf_printf(&b, "\t%.6f\t%.6f\t%s\n", p->case_score, p->control_score,
                      p->case_score > p->control_score ? "yes" : p->case_score < p->control_score ? "no" : "tied");
    }
    rc = b.failed ? fm_fail_nomem(err, path, b.size) : fm_file_write(path, b.data, b.size, err);
    fm_buf_fini(&b);
    return rc;
}

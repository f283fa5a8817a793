#include "jobs/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    const char *group;      /* borrowed from the samples; a sample that has none is its own */
    uint32_t sample;
} member;

static int by_group(const void *a, const void *b)
{
    const member *x = a, *y = b;
    int order = strcmp(x->group, y->group);

    return order ? order : (x->sample > y->sample) - (x->sample < y->sample);
}

/* number[i]: the group of sample i by a column, counted in the order of names. */
static int number_groups(const fm_study *study, const fm_samples *s, const char *column, uint32_t *number, fm_err *err)
{
    member *m;
    char text[32];
    uint32_t next = 0;
    bool known = false;

    if (strcmp(column, "age") == 0)
        return fm_fail(err, -EINVAL, "%s: evaluate: group: age is no group; name a column of subjects or sites",
                       study->file);
    m = malloc((s->n + 1) * sizeof *m);
    if (!m)
        return fm_fail_nomem(err, "groups", s->n * sizeof *m);
    for (size_t i = 0; i < s->n; i++) {
        const char *g = fm_sample_column(s, &s->v[i], column, text);

        known = known || g;
        m[i] = (member){g && *g ? g : s->v[i].name, (uint32_t)i};
    }
    qsort(m, s->n, sizeof *m, by_group);
    for (size_t i = 0; i < s->n; i++) {
        next += i > 0 && strcmp(m[i].group, m[i - 1].group) != 0;
        number[m[i].sample] = next;
    }
    free(m);
    if (!known)
        return fm_fail(err, -EINVAL, "%s: evaluate: group: no cohort has a column \"%s\"", study->file, column);
    return 0;
}

/* fold[i]: the fold in which sample i is tested when the study says which; -1: it only trains. */
static int give_folds(const fm_study *study, const fm_samples *s, int32_t *fold, fm_err *err)
{
    const fm_study_evaluate *e = &study->evaluate;
    char text[32];

    for (size_t i = 0; i < s->n; i++)
        fold[i] = e->split == FM_SPLIT_COHORTS ? (e->tests[s->v[i].cohort] ? 0 : -1) : s->v[i].fold;
    if (e->split != FM_SPLIT_GROUP)
        return 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *g = fm_sample_column(s, &s->v[i], e->group, text);

        if (s->v[i].reason == FM_USED && (!g || !*g))
            return fm_fail(err, -EINVAL, "%s: evaluate: split: group: %s has no \"%s\"; fill it in, or leave such "
                           "photographs out with select", study->file, s->v[i].name, e->group);
    }
    return number_groups(study, s, e->group, (uint32_t *)fold, err);
}

/* A subject on both sides of a fold would be a leak: said by name, which the folds themselves do not know. */
static int check_subjects(const fm_study *study, const fm_samples *s, const uint32_t *group, const int32_t *fold,
                          fm_err *err)
{
    size_t *first = malloc((s->n + 1) * sizeof *first);
    int rc = 0;

    if (!first)
        return fm_fail_nomem(err, "subjects", s->n * sizeof *first);
    for (size_t i = 0; i < s->n; i++)
        first[group[i]] = s->n;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        size_t *at = &first[group[i]];

        if (s->v[i].reason != FM_USED)
            continue;
        if (*at == s->n)
            *at = i;
        else if (fold[i] != fold[*at])
            rc = fm_fail(err, -EINVAL, "%s: evaluate: subject \"%s\" would be on both sides of a fold (%s and %s); give a "
                         "subject one fold and one %s", study->file, s->v[i].subject, s->v[*at].name, s->v[i].name,
                         study->evaluate.split == FM_SPLIT_GROUP ? study->evaluate.group : "side");
    }
    free(first);
    return rc;
}

static int check_classes(const fm_study *study, const fm_samples *s, const size_t *of_class, fm_err *err)
{
    for (int c = 0; c < s->n_classes; c++)
        if (of_class[c] == 0)
            return fm_fail(err, -EINVAL, "%s: no face of class \"%s\" is left to learn from; the ledger says why each "
                           "photograph was left out", study->file, s->classes[c]);
    return 0;
}

static int add_rows(const fm_study *study, const fm_samples *s, const fm_digest *code, const uint32_t *faces,
                    const uint32_t *group, const int32_t *fold, fm_plan *plan, fm_err *err)
{
    size_t n = 0, *of_class = calloc((size_t)s->n_classes + 1, sizeof *of_class);
    int rc;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].reason == FM_USED ? faces[i] : 0;
    plan->rows = malloc((n + 1) * sizeof *plan->rows);
    if (!plan->rows || !of_class) {
        free(of_class);
        return fm_fail_nomem(err, "plan", n * sizeof *plan->rows);
    }
    for (size_t i = 0; i < s->n; i++)
        for (uint32_t f = 0; s->v[i].reason == FM_USED && f < faces[i]; f++) {
            plan->rows[plan->n++] = (fm_plan_row){.code = code[i], .face = f, .sample = (uint32_t)i, .subject = group[i],
                                                  .label = s->v[i].label, .fold = fold[i]};
            of_class[s->v[i].label]++;
        }
    rc = check_classes(study, s, of_class, err);
    free(of_class);
    return rc;
}

static void set_specs(const fm_study *study, fm_plan *plan)
{
    static const fm_head_kind heads[] = {[FM_STUDY_FC] = FM_HEAD_FC, [FM_STUDY_SVM] = FM_HEAD_SVM,
                                         [FM_STUDY_LOGISTIC] = FM_HEAD_LOGISTIC};
    static const fm_folds_kind splits[] = {[FM_SPLIT_HOLDOUT] = FM_FOLDS_HOLDOUT, [FM_SPLIT_KFOLD] = FM_FOLDS_KFOLD,
                                           [FM_SPLIT_GIVEN] = FM_FOLDS_GIVEN, [FM_SPLIT_GROUP] = FM_FOLDS_GIVEN,
                                           [FM_SPLIT_COHORTS] = FM_FOLDS_GIVEN};
    static const fm_call_kind calls[] = {[FM_THRESHOLD_NONE] = FM_CALL_LARGER, [FM_THRESHOLD_YOUDEN] = FM_CALL_YOUDEN,
                                         [FM_THRESHOLD_SENSITIVITY] = FM_CALL_SENSITIVITY};
    _Static_assert(FM_CHOICES_MAX == FM_HEAD_CHOICES_MAX, "a study may list as many values as a head may try");
    const fm_study_head *h = &study->head;
    const fm_study_evaluate *e = &study->evaluate;

    fm_study_code(study, &plan->code_offset, &plan->code_width);
    plan->seed = (uint64_t)study->seed;
    plan->bootstrap = (uint32_t)e->bootstrap;
    plan->prevalence = e->prevalence;
    plan->top_k = (uint32_t)e->top_k;
    plan->head = (fm_head_spec){.kind = (uint8_t)heads[h->kind], .hidden = (uint32_t)h->hidden,
                                .batch = (uint32_t)h->batch, .epochs = (uint32_t)h->epochs, .dropout = h->dropout,
                                .l2 = h->l2, .learning_rate = h->learning_rate, .C = h->C,
                                .class_weight = h->balanced ? FM_CLASS_WEIGHT_BALANCED : FM_CLASS_WEIGHT_NONE,
                                .n_choices = (uint32_t)h->n_choices};
    memcpy(plan->head.choice, h->choices, sizeof h->choices);
    plan->call = (fm_call_spec){(uint8_t)calls[e->threshold], e->sensitivity};
    plan->folds = (fm_folds_spec){.kind = (uint8_t)splits[e->split], .folds = (uint32_t)e->folds,
                                  .repeats = splits[e->split] == FM_FOLDS_GIVEN ? 1 : (uint32_t)e->repeats,
                                  .test_fraction = e->test_fraction};
}

/* Subjects and folds as numbers, into room for one of each a sample. */
static int number_samples(const fm_study *study, const fm_samples *s, uint32_t *group, int32_t *fold, fm_err *err)
{
    bool in_turn = study->evaluate.split == FM_SPLIT_GROUP;
    int rc = number_groups(study, s, in_turn ? "subject" : study->evaluate.group, group, err);

    if (rc == 0)
        rc = give_folds(study, s, fold, err);
    if (rc == 0 && study->evaluate.split >= FM_SPLIT_GIVEN)
        rc = check_subjects(study, s, group, fold, err);
    return rc;
}

int fm_plan_make(const fm_study *study, const fm_samples *s, const char *store_dir, const fm_digest *code,
                 const uint32_t *faces, fm_plan *out, fm_err *err)
{
    uint32_t *group = malloc((s->n + 1) * sizeof *group);
    int32_t *fold = malloc((s->n + 1) * sizeof *fold);
    fm_plan plan;
    int rc;

    fm_plan_init(&plan);
    plan.classes = (uint32_t)s->n_classes;
    set_specs(study, &plan);
    if (!group || !fold)
        rc = fm_fail_nomem(err, "groups", s->n * sizeof *group);
    else if (strlen(store_dir) >= sizeof plan.store_dir)
        rc = fm_fail(err, -ENAMETOOLONG, "%s: path too long", store_dir);
    else
        rc = number_samples(study, s, group, fold, err);
    if (rc == 0) {
        strcpy(plan.store_dir, store_dir);
        rc = add_rows(study, s, code, faces, group, fold, &plan, err);
    }
    free(group);
    free(fold);
    if (rc != 0)
        fm_plan_fini(&plan);
    else
        *out = plan;
    return rc;
}

/* The page's sentences.  They are put together from the study and from what came
 * out, so that the methods paragraph can be pasted into a paper as it stands. */
#include "jobs/report_parts.h"

#include <math.h>
#include <string.h>

#include "jobs/html.h"

static const fm_study *study_of(const fm_page *page)
{
    return page->results->study;
}

static bool grouped_by_subject(const fm_page *page)
{
    const fm_study_evaluate *v = &study_of(page)->evaluate;

    return v->split == FM_SPLIT_GROUP || strcmp(v->group, "subject") == 0;
}

const char *fm_page_group_word(const fm_page *page)
{
    return grouped_by_subject(page) ? "subjects" : "groups";
}

/* --- what came out --- */

/* The class most rows have, and how many. */
static uint32_t largest_class(const fm_evaluation *e, size_t *count)
{
    uint32_t best = 0;

    *count = 0;
    for (uint32_t c = 0; c < e->classes; c++) {
        size_t n = 0;

        for (size_t i = 0; i < e->n; i++)
            n += (uint32_t)e->label[i] == c;
        if (n > *count) {
            *count = n;
            best = c;
        }
    }
    return best;
}

static void put_classes_told_apart(const fm_page *page)
{
    if (page->e->classes == 2)
        fm_html(page->b, "<i>%s</i> from <i>%s</i>", fm_page_class(page, 1), fm_page_class(page, 0));
    else
        fm_html(page->b, "%u classes apart", page->e->classes);
}

static void put_auc(const fm_page *page)
{
    const fm_metric *auc = &page->e->metrics[FM_METRIC_AUC];

    if (!isfinite(auc->value))
        return;
    fm_html(page->b, " The area under the ROC curve%s is <b>%.3f</b>",
            page->e->classes == 2 ? "" : ", each class against the rest,", auc->value);
    if (isfinite(auc->low))
        fm_html(page->b, " (%.3f to %.3f)", auc->low, auc->high);
    fm_html(page->b, ".");
    if (isfinite(auc->low) && auc->low <= 0.5 && auc->high >= 0.5)
        fm_html(page->b, " Its interval includes 0.5: on this evidence the classes cannot be told apart.");
}

void fm_page_lead(const fm_page *page)
{
    const fm_metric *accuracy = &page->e->metrics[FM_METRIC_ACCURACY];
    char tested[FM_GROUPED], subjects[FM_GROUPED];
    size_t largest;
    uint32_t c = largest_class(page->e, &largest);

    fm_html(page->b, "<p class=\"lead\">Shown a face it had not learned from, the classifier told ");
    put_classes_told_apart(page);
    if (isfinite(accuracy->value))
        fm_html(page->b, " correctly in <b>%.1f&#160;%%</b>", 100 * accuracy->value);
    else
        fm_html(page->b, " in none");
    fm_html(page->b, " of %s faces of %s %s", fm_grouped(page->tested, tested),
            fm_grouped(page->tested_subjects, subjects), fm_page_group_word(page));
    if (isfinite(accuracy->low))
        fm_html(page->b, " (95&#160;%% interval %.1f to %.1f&#160;%%)", 100 * accuracy->low, 100 * accuracy->high);
    fm_html(page->b, ".");
    put_auc(page);
    fm_html(page->b, "</p><p class=\"after\">For comparison: calling every face <i>%s</i>, the most frequent class, "
            "would be correct in %.1f&#160;%%.</p>", fm_page_class(page, c),
            page->e->n ? 100.0 * (double)largest / (double)page->e->n : 0);
}

/* --- how it was done --- */

static void put_cohorts(const fm_page *page)
{
    const fm_study *s = study_of(page);
    const fm_samples *samples = page->results->samples;
    bool roles = s->match.on || s->task.kind == FM_TASK_COHORT;
    char n[FM_GROUPED];

    fm_html(page->b, "%s photographs were taken from %d %s (", fm_grouped(samples->n, n), s->n_cohorts,
            s->n_cohorts == 1 ? "cohort" : "cohorts");
    for (int c = 0; c < s->n_cohorts; c++) {
        size_t photos = 0;

        for (size_t i = 0; i < samples->n; i++)
            photos += samples->v[i].cohort == c;
        fm_html(page->b, "%s%s from %s%s", c ? "; " : "", fm_grouped(photos, n), s->cohorts[c].name,
                !roles ? "" : s->cohorts[c].role == FM_ROLE_CASE ? ", as cases" : ", as controls");
    }
    fm_html(page->b, ").");
}

static void put_selects(const fm_page *page)
{
    const fm_study *s = study_of(page);

    for (int i = 0; i < s->n_selects; i++) {
        const fm_select *rule = &s->selects[i];

        fm_html(page->b, "%s%s ", i ? " and " : " Of these, samples were taken with ", rule->column);
        if (rule->is_range)
            fm_html(page->b, "from %g to %g", rule->low, rule->high);
        for (int k = 0; !rule->is_range && k < rule->n_values; k++)
            fm_html(page->b, "%s%s", k ? " or " : "", rule->values[k]);
    }
    fm_html(page->b, s->n_selects ? "." : "");
}

/* In which way controls were taken from those that may stand for a case. */
static void put_match_method(const fm_page *page)
{
    const fm_match_spec *m = &study_of(page)->match;

    if (m->method == FM_MATCH_OPTIMAL && !m->replace)
        fm_html(page->b, ", so that the total distance in age was least");
    else
        fm_html(page->b, ", nearest in age first");
    if (isfinite(m->caliper))
        fm_html(page->b, " and at most %g years apart", m->caliper);
    fm_html(page->b, " (bands begin at ");
    for (int i = 0; i + 1 < m->n_bands; i++)
        fm_html(page->b, "%s%g", i ? ", " : "", m->bands[i]);
    fm_html(page->b, " years)");
}

static void put_match(const fm_page *page)
{
    const fm_match_spec *m = &study_of(page)->match;
    char pairs[FM_GROUPED];

    if (!m->on)
        return;
    fm_html(page->b, " Each case was matched %s replacement to up to %d %s of the same %s",
            m->replace ? "with" : "without", (int)m->ratio, m->ratio == 1 ? "control" : "controls",
            m->by_sex && m->by_age ? "sex and age band" : m->by_sex ? "sex" : "age band");
    if (m->by_age)
        put_match_method(page);
    fm_html(page->b, ", which gave %s pairs.", fm_grouped(page->results->pairs, pairs));
}

static void put_faces(const fm_page *page)
{
    static const char *const choice[] = {"the largest face of a photograph was used",
                                         "every face of a photograph was used",
                                         "a photograph with several faces was left out"};
    const fm_recipe *r = &study_of(page)->recipe;

    fm_html(page->b, " Faces were found with the frontal detector of dlib, five filters on histograms of oriented "
            "gradients (King 2009)");
    if (r->upsample)
        fm_html(page->b, ", in photographs doubled in size %d %s", r->upsample, r->upsample == 1 ? "time" : "times");
    if (r->threshold != 0)
        fm_html(page->b, ", at a threshold of %g", r->threshold);
    fm_html(page->b, "; %s", choice[r->face]);
    if (r->face_min_pixels)
        fm_html(page->b, ", unless it was narrower than %u pixels", r->face_min_pixels);
    fm_html(page->b, ". On each, %d landmarks were placed by an ensemble of regression trees (Kazemi and Sullivan "
            "2014); a similarity transform to the mean face gave an upright chip of %d x %d pixels, padding %g.",
            r->landmarks, r->chip_size, r->chip_size, r->chip_padding);
    if (r->mask)
        fm_html(page->b, " What a segmentation network took for background was painted over with one colour (%u, %u, %u).",
                study_of(page)->encoding.fill[0], study_of(page)->encoding.fill[1], study_of(page)->encoding.fill[2]);
}

static void put_encoder(const fm_page *page)
{
    const fm_study *s = study_of(page);

    if (strcmp(s->encoder, "dlib-resnet") == 0)
        fm_html(page->b, " Chips were encoded by a frozen residual network (dlib's face recognition model; He et al. "
                "2016): %s.", s->embedding ? "its embedding of 128 numbers" : "256 pooled features");
    else
        fm_html(page->b, " Chips were encoded by the frozen network %s: its output %s, %u numbers. It saw pictures of "
                "%u x %u pixels.", s->encoder, s->encoding.output, s->encoding.width, s->encoding.size, s->encoding.size);
}

/* The value that stands for what there was no choice of. */
static void put_C(const fm_page *page)
{
    const fm_study_head *h = &study_of(page)->head;

    if (h->n_choices)
        fm_html(page->b, "C ");
    else
        fm_html(page->b, "C = %g, ", h->C);
    fm_html(page->b, "as LIBLINEAR defines it; Fan et al. 2008)");
}

static void put_classifier(const fm_page *page)
{
    const fm_study_head *h = &study_of(page)->head;
    char faces[FM_GROUPED];

    fm_html(page->b, "%s faces were evaluated. Codes were standardised by mean and standard deviation of the training "
            "faces. ", fm_grouped(page->e->n, faces));
    if (h->kind == FM_STUDY_FC) {
        fm_html(page->b, "The classifier, after Liang et al. (2020), was a network of one hidden layer of %d units "
                "with ReLU and dropout %g, softmax, and cross-entropy with an L2 penalty of %g, trained by Adam "
                "(Kingma and Ba 2015) with a learning rate of %g in ", (int)h->hidden, h->dropout, h->l2,
                h->learning_rate);
        if (!h->n_choices)
            fm_html(page->b, "%d epochs of ", (int)h->epochs);
        fm_html(page->b, "batches of %d.", (int)h->batch);
    } else if (h->kind == FM_STUDY_LOGISTIC) {
        fm_html(page->b, "The classifier was L2-regularised logistic regression (");
        put_C(page);
        fm_html(page->b, ".");
    } else {
        fm_html(page->b, "The classifier was a linear support vector machine (L2-regularised, squared hinge loss, ");
        put_C(page);
        fm_html(page->b, "; its scores were turned into probabilities by a sigmoid fitted to held-out scores of inner "
                "folds (Platt 1999).");
    }
}

static void put_head(const fm_page *page)
{
    const fm_study_head *h = &study_of(page)->head;
    int threshold = study_of(page)->evaluate.threshold;

    put_classifier(page);
    if (h->n_choices)
        fm_html(page->b, " %s was chosen anew in every fold from %d values between %g and %g by the log loss of grouped, "
                "stratified inner folds of the training faces.", h->kind == FM_STUDY_FC ? "The number of epochs" : "C",
                h->n_choices, h->choices[0], h->choices[h->n_choices - 1]);
    if (h->balanced)
        fm_html(page->b, " Faces were weighted so that classes counted alike.");
    if (threshold != FM_THRESHOLD_NONE)
        fm_html(page->b, " The threshold of its probability was chosen in every fold on inner folds of the training faces "
                "(%s).", threshold == FM_THRESHOLD_YOUDEN ? "Youden's index" : "a fixed sensitivity");
}

/* Which cohorts it was tested on; the others trained it. */
static void put_sides(const fm_page *page)
{
    const fm_study *s = study_of(page);
    const char *before = " The classifier was tested on ";

    for (int tests = 1; tests >= 0; tests--) {
        for (int c = 0; c < s->n_cohorts; c++)
            if (s->evaluate.tests[c] == (tests == 1)) {
                fm_html(page->b, "%s%s", before, s->cohorts[c].name);
                before = ", ";
            }
        before = " and trained on ";
    }
}

static void put_split(const fm_page *page)
{
    const fm_study_evaluate *v = &study_of(page)->evaluate;
    const fm_evaluation *e = page->e;

    if (v->split == FM_SPLIT_HOLDOUT)
        fm_html(page->b, " The classifier was tested on %g %% of the faces, held out from training", 100 * v->test_fraction);
    else if (v->split == FM_SPLIT_GIVEN)
        fm_html(page->b, " The classifier was tested by %u folds given with the data", e->folds);
    else if (v->split == FM_SPLIT_GROUP)
        fm_html(page->b, " The classifier was tested on each of %u values of %s in turn, trained on the others", e->folds, v->group);
    else if (v->split == FM_SPLIT_COHORTS)
        put_sides(page);
    else
        fm_html(page->b, " The classifier was tested by %u-fold cross-validation", e->folds);
    if (e->repeats > 1)
        fm_html(page->b, ", %u times with other folds; metrics are means over these", e->repeats);
    if (v->split < FM_SPLIT_GIVEN)
        fm_html(page->b, "; folds were stratified by class");
    if (grouped_by_subject(page))
        fm_html(page->b, "; no subject was on both sides of a fold.");
    else
        fm_html(page->b, "; samples of the same %s were never on both sides of a fold.", v->group);
}

static void put_statistics(const fm_page *page)
{
    char resamples[FM_GROUPED];

    if (page->e->by_threshold)
        fm_html(page->b, " A face was called <i>%s</i> when its probability of it reached the threshold.",
                fm_page_class(page, 1));
    else if (page->e->classes == 2)
        fm_html(page->b, " A face was called <i>%s</i> when that was its more probable class.", fm_page_class(page, 1));
    else
        fm_html(page->b, " A face was called by its most probable class; metrics of one class against the rest are "
                "means over classes.");
    if (page->e->bootstrap)
        fm_html(page->b, " Intervals are the 2.5th and 97.5th percentiles of %s bootstrap resamples of %s.",
                fm_grouped(page->e->bootstrap, resamples), fm_page_group_word(page));
    if (isfinite(page->delong.se))
        fm_html(page->b, " DeLong's interval of the AUC (DeLong et al. 1988) allows for %s with several faces "
                "(Obuchowski 1997).", fm_page_group_word(page));
    if (page->e->prevalence > 0 && page->e->classes == 2)
        fm_html(page->b, " Predictive values are also given for a prevalence of %g.", page->e->prevalence);
    fm_html(page->b, " Computed with facemill %s; seed %.0f.", FM_VERSION, (double)study_of(page)->seed);
}

static void put_references(const fm_page *page)
{
    const fm_study *s = study_of(page);
    fm_buf *b = page->b;

    fm_html(b, "<ul class=\"refs\">");
    if (isfinite(page->delong.se))
        fm_html(b, "<li>DeLong et al. Comparing the areas under two or more correlated receiver operating "
                "characteristic curves. Biometrics 44:837-845, 1988.</li>");
    if (s->head.kind != FM_STUDY_FC)
        fm_html(b, "<li>Fan et al. LIBLINEAR: a library for large linear classification. JMLR 9:1871-1874, 2008.</li>");
    if (strcmp(s->encoder, "dlib-resnet") == 0)
        fm_html(b, "<li>He et al. Deep residual learning for image recognition. CVPR 2016.</li>");
    fm_html(b, "<li>Kazemi and Sullivan. One millisecond face alignment with an ensemble of regression trees. CVPR "
            "2014.</li><li>King. Dlib-ml: a machine learning toolkit. JMLR 10:1755-1758, 2009.</li>");
    if (s->head.kind == FM_STUDY_FC)
        fm_html(b, "<li>Kingma and Ba. Adam: a method for stochastic optimization. ICLR 2015.</li>"
                "<li>Liang et al. Identification of the facial features of patients with cancer: a deep learning-based "
                "pilot study. Journal of Medical Internet Research 22(4):e17234, 2020.</li>");
    if (isfinite(page->delong.se))
        fm_html(b, "<li>Obuchowski. Nonparametric analysis of clustered ROC curve data. Biometrics 53:567-578, 1997.</li>");
    if (s->head.kind == FM_STUDY_SVM)
        fm_html(b, "<li>Platt. Probabilistic outputs for support vector machines and comparisons to regularized "
                "likelihood methods. Advances in Large Margin Classifiers, MIT Press, 1999.</li>");
    fm_html(b, "</ul>");
}

void fm_page_methods(const fm_page *page)
{
    fm_html(page->b, "<p class=\"small\">As it was run, in words that can be pasted into a paper.</p><p>");
    put_cohorts(page);
    put_selects(page);
    put_match(page);
    put_faces(page);
    put_encoder(page);
    fm_html(page->b, "</p><p>");
    put_head(page);
    put_split(page);
    put_statistics(page);
    fm_html(page->b, "</p>");
    put_references(page);
}

void fm_page_say(const fm_page *page, fm_page_sentence what)
{
    static void (*const say[])(const fm_page *) = {
        [FM_SAY_COHORTS] = put_cohorts, [FM_SAY_SELECTS] = put_selects, [FM_SAY_MATCH] = put_match,
        [FM_SAY_FACES] = put_faces,     [FM_SAY_ENCODER] = put_encoder, [FM_SAY_HEAD] = put_head,
        [FM_SAY_SPLIT] = put_split,     [FM_SAY_STATISTICS] = put_statistics,
    };

    say[what](page);
}

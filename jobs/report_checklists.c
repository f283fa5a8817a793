/* Two reporting guidelines, item by item: TRIPOD+AI (Collins et al. 2024, BMJ
 * 385:e078378; checklist of 11 January 2024) and CLAIM, 2024 update (Tejani et al.,
 * Radiology: Artificial Intelligence 6(4):e240300).  docs/statistics.md says what
 * numbers and meanings were compared with.
 *
 * An item is filled in when the study file or what came out decides it.  What
 * only authors know stays blank: a guess would be worse than a gap.  Names of
 * items are short ones of our own; the numbers lead to the originals. */
#include "jobs/report_parts.h"

#include "jobs/html.h"

typedef struct {
    const char *number, *name;
    void (*fill)(const fm_page *page);      /* NULL: for the authors */
} item;

static const fm_study *study_of(const fm_page *page)
{
    return page->results->study;
}

static void cohorts(const fm_page *page) { fm_page_say(page, FM_SAY_COHORTS); }
static void split(const fm_page *page) { fm_page_say(page, FM_SAY_SPLIT); }
static void head(const fm_page *page) { fm_page_say(page, FM_SAY_HEAD); }
static void statistics(const fm_page *page) { fm_page_say(page, FM_SAY_STATISTICS); }

static void faces(const fm_page *page)
{
    fm_page_say(page, FM_SAY_FACES);
    fm_html(page->b, " All photographs were treated alike, whatever their class, sex or age.");
}

static void encoder(const fm_page *page)
{
    fm_page_say(page, FM_SAY_ENCODER);
    fm_html(page->b, " Nothing else enters; Provenance has the network's SHA-256.");
}

static void choice_of_predictors(const fm_page *page)
{
    fm_html(page->b, "All %s of the encoder; none was chosen by its relation to the class.",
            study_of(page)->embedding ? "numbers of the embedding" : "pooled features");
}

static void eligibility(const fm_page *page)
{
    if (study_of(page)->n_selects)
        fm_page_say(page, FM_SAY_SELECTS);
    else
        fm_html(page->b, "The study file selects nothing: all photographs of the cohorts.");
    fm_html(page->b, " Why photographs were left out, and how many: From photographs to faces.");
}

static void subsets(const fm_page *page)
{
    fm_page_say(page, FM_SAY_SELECTS);
    if (study_of(page)->match.on)
        fm_page_say(page, FM_SAY_MATCH);
    else
        fm_html(page->b, " Controls were not matched to cases.");
}

static void label(const fm_page *page)
{
    const fm_task *task = &study_of(page)->task;

    if (task->kind == FM_TASK_COHORT)
        fm_html(page->b, "The class is the cohort that a photograph came with.");
    else if (task->kind == FM_TASK_SEX)
        fm_html(page->b, "The class is the sex that the cohort states.");
    else if (task->kind == FM_TASK_AGE)
        fm_html(page->b, "The class is an age of %g years or more, by the age that the cohort states.", task->age);
    else
        fm_html(page->b, "The class is the column %s of the manifests.", task->column);
    fm_html(page->b, " How that was assessed is for the authors to say.");
}

static void sample_size(const fm_page *page)
{
    char n[FM_GROUPED], subjects[FM_GROUPED];

    fm_html(page->b, "All %s faces of %s %s that could be used. Why they suffice is for the authors to say.",
            fm_grouped(page->e->n, n), fm_grouped(page->subjects, subjects), fm_page_group_word(page));
}

static void missing(const fm_page *page)
{
    fm_html(page->b, "Nothing was imputed. A photograph without a known class, without a face%s is left out and counted: "
            "From photographs to faces.", study_of(page)->match.on ? ", or without what is matched by" : "");
}

static void scaling(const fm_page *page)
{
    fm_html(page->b, "Codes were standardised by mean and standard deviation of the training faces of each fold.");
}

static void no_reader(const fm_page *page)
{
    fm_html(page->b, "Does not apply: codes are computed, nobody judges them.");
}

static void no_update(const fm_page *page)
{
    fm_html(page->b, "None was made.");
}

static void how_predicted(const fm_page *page)
{
    fm_html(page->b, "By the head that did not see the face, on its standardised code; predictions.tsv has every "
            "probability.");
}

static void imbalance(const fm_page *page)
{
    if (study_of(page)->head.balanced)
        fm_html(page->b, "Faces were weighted in training so that classes counted alike. ");
    else
        fm_html(page->b, "Classes were taken as they were, without weights. ");
    fm_html(page->b, "Their sizes: Characteristics.");
}

static void fairness(const fm_page *page)
{
    const fm_match_spec *m = &study_of(page)->match;

    if (m->on)
        fm_html(page->b, "Controls were matched by %s. ", m->by_sex && m->by_age ? "sex and age" : m->by_sex ? "sex" : "age");
    if (page->n_groups)
        fm_html(page->b, "Performance by sex and age: Subgroups.");
    else
        fm_html(page->b, "Sex and age are not known: there are no subgroups.");
}

static void output(const fm_page *page)
{
    if (page->e->by_threshold)
        fm_html(page->b, "A probability for each class. The threshold was chosen in every fold, on inner folds of its training "
                "faces.");
    else
        fm_html(page->b, "A probability for each class. The most probable class is called; no threshold was tuned.");
}

static void same_data(const fm_page *page)
{
    const fm_study_evaluate *v = &study_of(page)->evaluate;

    if (v->split == FM_SPLIT_HOLDOUT || v->split == FM_SPLIT_KFOLD)
        fm_html(page->b, "Folds are random parts of the same cohorts: training and test faces differ by chance alone.");
    else if (v->split == FM_SPLIT_GROUP)
        fm_html(page->b, "Each %s was tested by what the others taught: differences between them are in Folds.", v->group);
    else
        fm_html(page->b, "Training and test faces were told apart by the study; how they differ beyond Characteristics and "
                "Ledger is for the authors to say.");
}

/* Only a study that says which cohorts, or which sites, are tested has data from elsewhere. */
static void external(const fm_page *page)
{
    if (study_of(page)->evaluate.split >= FM_SPLIT_GROUP)
        fm_page_say(page, FM_SAY_SPLIT);
}

static void software(const fm_page *page)
{
    fm_html(page->b, "facemill %s, Apache-2.0, with the model files and hashes under Provenance.", FM_VERSION);
}

static void flow(const fm_page *page)
{
    fm_html(page->b, "From photographs to faces.");
}

static void characteristics(const fm_page *page)
{
    fm_html(page->b, "Characteristics, for sex and age, by class but not by fold; clinical ones are for the authors to add.");
}

static void numbers(const fm_page *page)
{
    fm_html(page->b, "Characteristics has them by class, Folds by training and test.");
}

static void model(const fm_page *page)
{
    fm_html(page->b, "head.bin is the final classifier, which facemill predict applies to new photographs; the model files "
            "under Provenance, with their licences, are the rest.");
}

static void availability(const fm_page *page)
{
    software(page);
    fm_html(page->b, " The trained classifier is head.bin. Whether it and the data are shared is for the authors to say.");
}

static void metrics(const fm_page *page)
{
    fm_html(page->b, "All those under Metrics, the same for every study of this kind; plots under Curves and calibration.");
}

static void metrics_and_statistics(const fm_page *page)
{
    metrics(page);
    statistics(page);
}

static void performance(const fm_page *page)
{
    fm_html(page->b, "Metrics, with 95 %% intervals%s; curves and calibration; Subgroups.",
            page->e->bootstrap ? "" : " left out by the study file (bootstrap: 0)");
}

static void robustness(const fm_page *page)
{
    if (page->results->audits && page->results->audits->figures.n)
        fm_html(page->b, "Can it be believed?: confounds, null studies, permutations, other seeds, learning curve. ");
    fm_html(page->b, "By fold under Folds%s.", page->n_groups ? ", by sex and age under Subgroups" : "");
}

/* Random folds are no clusters: that they differ says nothing about centres. */
static void heterogeneity(const fm_page *page)
{
    const fm_study_evaluate *v = &study_of(page)->evaluate;

    if (v->split == FM_SPLIT_GROUP)
        fm_html(page->b, "Each %s by itself: Folds.", v->group);
    else if (v->split < FM_SPLIT_GIVEN)
        fm_html(page->b, "Not examined: folds are random, and none is a centre or another cluster.");
    else
        fm_html(page->b, "Each fold by itself: Folds. Which clusters they are is for the authors to say.");
}

static void refusals(const fm_page *page)
{
    fm_html(page->b, "A photograph that is damaged or shows no face is refused with a reason; there is no score for it.");
}

static void identity(const fm_page *page)
{
    bool pictures = page->report->n_chips > 0;

    fm_html(page->b, "This page has no names of persons or photographs, and %s. How photographs were de-identified before is "
            "for the authors to say.", !pictures ? "no pictures" : page->report->generated_faces ?
            "pictures of generated faces only" : "pictures of faces, which identify");
}

static void acquisition(const fm_page *page)
{
    fm_html(page->b, "Formats, sizes and JPEG qualities by cohort: Ledger. How photographs were taken is for the authors to "
            "say.");
}

static void disjoint(const fm_page *page)
{
    fm_html(page->b, "%s: all samples of one are on the same side of a fold.",
            fm_page_group_word(page)[0] == 's' ? "Subject" : study_of(page)->evaluate.group);
}

static void initial_weights(const fm_page *page)
{
    fm_html(page->b, "Detector, landmarks and encoder: as published, unchanged. ");
    if (study_of(page)->head.kind == FM_STUDY_FC)
        fm_html(page->b, "Classifier: weights drawn at random from seed %.0f.", (double)study_of(page)->seed);
    else
        fm_html(page->b, "Classifier: its optimum is the same from any start.");
}

static void final_model(const fm_page *page)
{
    if (study_of(page)->head.n_choices)
        fm_html(page->b, "Settings were chosen by inner folds only; the final classifier chose in the same way and was trained "
                "on all faces.");
    else
        fm_html(page->b, "The classifier as the study file sets it, trained once more on all faces.");
}

static void no_ensemble(const fm_page *page)
{
    fm_html(page->b, "None.");
}

static void explainability(const fm_page *page)
{
    if (fm_page_explained(page))
        fm_html(page->b, "Occlusion of parts of the face, with a threshold from permuted labels: What did the classifier look "
                "at?");
}

static void internal(const fm_page *page)
{
    fm_page_say(page, FM_SAY_SPLIT);
}

static void failures(const fm_page *page)
{
    fm_html(page->b, "Confusion matrix, and Near misses: the faces called wrongly with most confidence.");
}

static const item tripod[] = {
    {"1", "Title: development or evaluation, population, outcome", NULL},
    {"2", "Abstract", NULL},
    {"3a", "Healthcare context, and why a model", NULL},
    {"3b", "Target population, purpose, users", NULL},
    {"3c", "Known health inequalities", NULL},
    {"4", "Objectives", NULL},
    {"5a", "Sources of data", cohorts},
    {"5b", "Dates of data", NULL},
    {"6a", "Setting and centres", NULL},
    {"6b", "Eligibility", eligibility},
    {"6c", "Treatments", NULL},
    {"7", "Preparation and checks of data, alike for all groups", faces},
    {"8a", "Outcome, when and how assessed", label},
    {"8b", "Who assessed the outcome", NULL},
    {"8c", "Blinding of the outcome's assessment", NULL},
    {"9a", "Choice of predictors", choice_of_predictors},
    {"9b", "Predictors, and how they were measured", encoder},
    {"9c", "Who assessed predictors", no_reader},
    {"10", "Sample size", sample_size},
    {"11", "Missing data", missing},
    {"12a", "Use and partition of data", split},
    {"12b", "Handling of predictors", scaling},
    {"12c", "Type of model and how it was built", head},
    {"12d", "Heterogeneity between clusters: method", external},
    {"12e", "Measures and plots of performance", metrics_and_statistics},
    {"12f", "Updating of the model", no_update},
    {"12g", "How predictions were calculated", how_predicted},
    {"13", "Class imbalance", imbalance},
    {"14", "Fairness: method", fairness},
    {"15", "Output of the model, thresholds", output},
    {"16", "Differences between training and evaluation", same_data},
    {"17", "Ethical approval and consent", NULL},
    {"18a", "Funding, and the funders' part", NULL},
    {"18b", "Conflicts of interest", NULL},
    {"18c", "Protocol", NULL},
    {"18d", "Registration", NULL},
    {"18e", "Data sharing", NULL},
    {"18f", "Code sharing", software},
    {"19", "Involvement of patients and public", NULL},
    {"20a", "Flow of participants", flow},
    {"20b", "Characteristics of participants", characteristics},
    {"20c", "Comparison with the development data", same_data},
    {"21", "Participants and outcomes in each analysis", numbers},
    {"22", "The full model", model},
    {"23a", "Performance with intervals, in subgroups too", performance},
    {"23b", "Heterogeneity between clusters: results", heterogeneity},
    {"24", "Results of updating", no_update},
    {"25", "Interpretation, fairness included", NULL},
    {"26", "Limitations", NULL},
    {"27a", "Poor or unavailable input when the model is used", refusals},
    {"27b", "What is asked of users", NULL},
    {"27c", "Next steps", NULL},
};

static const item claim[] = {
    {"1", "Title or abstract names the AI method", NULL},
    {"2", "Abstract", NULL},
    {"3", "Background, intended use", NULL},
    {"4", "Aims and hypotheses", NULL},
    {"5", "Prospective or retrospective", NULL},
    {"6", "Goal of the study", NULL},
    {"7", "Sources of data", cohorts},
    {"8", "Inclusion and exclusion", eligibility},
    {"9", "Preprocessing", faces},
    {"10", "Selection of subsets", subsets},
    {"11", "De-identification", identity},
    {"12", "Missing data", missing},
    {"13", "Acquisition of images", acquisition},
    {"14", "Reference standard", label},
    {"15", "Why that reference standard", NULL},
    {"16", "Source of its annotations", NULL},
    {"17", "Annotation of the test set", NULL},
    {"18", "Agreement between and within raters", NULL},
    {"19", "Assignment to partitions", split},
    {"20", "Level at which partitions are disjoint", disjoint},
    {"21", "Intended size of the test data", sample_size},
    {"22", "Model", encoder},
    {"23", "Software", software},
    {"24", "Initial parameters", initial_weights},
    {"25", "Training", head},
    {"26", "Selection of the final model", final_model},
    {"27", "Ensembles", no_ensemble},
    {"28", "Metrics", metrics},
    {"29", "Significance and uncertainty: method", statistics},
    {"30", "Robustness", robustness},
    {"31", "Explainability", explainability},
    {"32", "Evaluation on internal data", internal},
    {"33", "Testing on external data", external},
    {"34", "Registration of a clinical trial", NULL},
    {"35", "Numbers included and excluded", flow},
    {"36", "Characteristics of cases in each partition", characteristics},
    {"37", "Performance and its uncertainty", performance},
    {"38", "Diagnostic performance and its precision", performance},
    {"39", "Analysis of failures", failures},
    {"40", "Limitations", NULL},
    {"41", "Implications for practice, intended use", NULL},
    {"42", "Protocol, or further technical details", NULL},
    {"43", "Availability of software, model, data", availability},
    {"44", "Funding, and the funders' part", NULL},
};

static void put_items(const fm_page *page, const item *items, size_t n, const char *caption)
{
    fm_buf *b = page->b;

    fm_html(b, "<table class=\"checklist\"><caption>%s</caption><thead><tr><th scope=\"col\">Item</th><th scope=\"col\">About"
            "</th><th scope=\"col\">In this study</th></tr></thead><tbody>", caption);
    for (size_t i = 0; i < n; i++) {
        fm_html(b, "<tr><th scope=\"row\">%s</th><td>%s</td><td>", items[i].number, items[i].name);
        if (items[i].fill)
            items[i].fill(page);
        fm_html(b, "</td></tr>");
    }
    fm_html(b, "</tbody></table>");
}

void fm_page_tripod(const fm_page *page)
{
    put_items(page, tripod, sizeof tripod / sizeof *tripod, "TRIPOD+AI (BMJ 385:e078378), checklist of 11 January 2024, for "
              "prediction models: what the program knows. Empty items are the authors'.");
}

void fm_page_claim(const fm_page *page)
{
    put_items(page, claim, sizeof claim / sizeof *claim, "CLAIM, 2024 update (Radiology: Artificial Intelligence "
              "6(4):e240300), for AI on medical images: what the program knows. Empty items are the authors'.");
}

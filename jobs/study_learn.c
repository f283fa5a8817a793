/* Sections head, evaluate and explain: what is trained, how it is tested, and what it looked at. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "coordinator/learn/explain.h"
#include "jobs/study_parts.h"
#include "worker/occlude.h"

static const char *const head_names[] = {"fc", "svm", "logistic", NULL};
static const char *const weight_names[] = {"none", "balanced", NULL};
static const char *const threshold_names[] = {"none", "youden", "sensitivity", NULL};
static const char *const split_names[] = {"holdout", "kfold", "given", "group", "cohorts", NULL};

/* What inner folds choose C from when the study names none: on standardised codes of a face network the best
 * lies at 0.01 or below, and no one value serves studies of a hundred faces and of ten thousand. */
static const double default_C[] = {0.0001, 0.001, 0.01, 0.1, 1};

/* One value into *one, or a rising list to choose from. */
static int read_choices(const fm_yaml *y, const yaml_node_t *node, const char *key, const double range[2], bool whole,
                        double *one, fm_study_head *h, fm_err *err)
{
    bool list = node->type == YAML_SEQUENCE_NODE;
    size_t n = list ? (size_t)(node->data.sequence.items.top - node->data.sequence.items.start) : 1;
    double values[FM_CHOICES_MAX];

    if (n < 1 || n > FM_CHOICES_MAX)
        return fm_yaml_fail(y, node, err, "%s: expected one value or a list of up to %d", key, FM_CHOICES_MAX);
    for (size_t i = 0; i < n; i++) {
        const yaml_node_t *item = list ? fm_yaml_node(y, node->data.sequence.items.start[i]) : node;
        const char *text = fm_yaml_text(item);

        if (!text || !fm_parse_double(text, &values[i]) || !(values[i] >= range[0] && values[i] <= range[1]) ||
            (whole && values[i] != (double)(int64_t)values[i]))
            return fm_yaml_fail(y, item, err, "%s: expected %s from %g to %g", key,
                                whole ? "whole numbers" : "numbers", range[0], range[1]);
        if (i > 0 && values[i] <= values[i - 1])
            return fm_yaml_fail(y, item, err, "%s: values to choose from must rise, e.g. [0.01, 0.1, 1]", key);
    }
    *one = values[0];
    if (n > 1) {
        h->n_choices = (int)n;
        memcpy(h->choices, values, n * sizeof *values);
    }
    return 0;
}

int fm_study_read_head(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    static const double C_range[2] = {1e-9, 1e9}, epochs_range[2] = {1, 100000};
    fm_study_head *h = &s->head;
    struct { fm_study_head head; int weight; const yaml_node_t *epochs, *C; } raw = {*h, 0, NULL, NULL};
    const fm_yaml_key keys[] = {
        CHOICE(fm_study_head, kind, "kind", head_names, false),
        KEY(INT, fm_study_head, hidden, "hidden", 1, 65536),
        KEY(REAL, fm_study_head, dropout, "dropout", 0, 0.95),
        KEY(REAL, fm_study_head, l2, "l2", 0, 1000),
        KEY(REAL, fm_study_head, learning_rate, "learning_rate", 1e-9, 10),
        KEY(INT, fm_study_head, batch, "batch", 1, 1000000),
        {"class_weight", FM_YAML_CHOICE, offsetof(__typeof__(raw), weight), 0, 0, weight_names, false},
        {"epochs", FM_YAML_NODE, offsetof(__typeof__(raw), epochs), 0, 0, NULL, false},
        {"C", FM_YAML_NODE, offsetof(__typeof__(raw), C), 0, 0, NULL, false},
    };
    double epochs = (double)h->epochs;
    int rc = fm_yaml_map(y, node, "head", keys, COUNT(keys), &raw, err);

    *h = raw.head;
    h->balanced = raw.weight == 1;
    if (rc == 0 && raw.epochs)
        rc = read_choices(y, raw.epochs, "epochs", epochs_range, true, &epochs, h, err);
    if (rc == 0 && h->n_choices && h->kind != FM_STUDY_FC)
        return fm_yaml_fail(y, raw.epochs, err, "epochs: %s has none; give C a list to choose from", head_names[h->kind]);
    h->epochs = (int64_t)epochs;
    if (rc == 0 && raw.C && raw.C->type == YAML_SEQUENCE_NODE && h->kind == FM_STUDY_FC)
        return fm_yaml_fail(y, raw.C, err, "C: fc has none; give epochs a list to choose from");
    if (rc == 0 && raw.C)
        rc = read_choices(y, raw.C, "C", C_range, false, &h->C, h, err);
    else if (rc == 0 && h->kind != FM_STUDY_FC) {
        h->n_choices = COUNT(default_C);
        memcpy(h->choices, default_C, sizeof default_C);
    }
    return rc;
}

/* Names of cohorts in one list; each cohort it names is counted in named. */
static int read_names(const fm_yaml *y, const yaml_node_t *node, const char *key, fm_study *s, bool tests, int *named,
                      fm_err *err)
{
    if (node->type != YAML_SEQUENCE_NODE)
        return fm_yaml_fail(y, node, err, "%s: expected a list of cohorts' names", key);
    for (const int *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
        const yaml_node_t *item = fm_yaml_node(y, *i);
        const char *text = fm_yaml_text(item);
        int c = 0;

        while (c < s->n_cohorts && (!text || strcmp(s->cohorts[c].name, text) != 0))
            c++;
        if (c == s->n_cohorts)
            return fm_yaml_fail(y, item, err, "%s: no cohort is named \"%s\"", key, text ? text : "(not a word)");
        if (named[c]++)
            return fm_yaml_fail(y, item, err, "%s: cohort \"%s\" is named twice; it can train or be tested", key, text);
        s->evaluate.tests[c] = tests;
    }
    return 0;
}

/* Every cohort trains or is tested: one that did neither would be matched and built for nothing. */
static int read_sides(const fm_yaml *y, const yaml_node_t *node, const yaml_node_t *train, const yaml_node_t *test,
                      fm_study *s, fm_err *err)
{
    int named[FM_COHORTS_MAX] = {0}, rc;

    if (!train || !test)
        return fm_yaml_fail(y, node, err, "split: cohorts needs train: [names] and test: [names]");
    rc = read_names(y, train, "train", s, false, named, err);
    if (rc == 0)
        rc = read_names(y, test, "test", s, true, named, err);
    for (int c = 0; rc == 0 && c < s->n_cohorts; c++)
        if (!named[c])
            rc = fm_yaml_fail(y, node, err, "cohort \"%s\" is neither in train nor in test; name it, or take it out of "
                              "the study", s->cohorts[c].name);
    return rc;
}

int fm_study_read_evaluate(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    struct { fm_study_evaluate e; const yaml_node_t *train, *test; } raw = {s->evaluate, NULL, NULL};
    const fm_yaml_key keys[] = {
        CHOICE(fm_study_evaluate, split, "split", split_names, false),
        KEY(INT, fm_study_evaluate, folds, "folds", 2, 10000),
        KEY(INT, fm_study_evaluate, repeats, "repeats", 1, 10000),
        KEY(STRING, fm_study_evaluate, group, "group", 0, 64),
        KEY(REAL, fm_study_evaluate, test_fraction, "test_fraction", 0.01, 0.99),
        KEY(INT, fm_study_evaluate, bootstrap, "bootstrap", 0, 1000000),
        KEY(REAL, fm_study_evaluate, prevalence, "prevalence", 1e-6, 0.999999),
        KEY(INT, fm_study_evaluate, top_k, "top_k", 1, 65536),
        CHOICE(fm_study_evaluate, threshold, "threshold", threshold_names, false),
        KEY(REAL, fm_study_evaluate, sensitivity, "sensitivity", 0.01, 1),
        {"train", FM_YAML_NODE, offsetof(__typeof__(raw), train), 0, 0, NULL, false},
        {"test", FM_YAML_NODE, offsetof(__typeof__(raw), test), 0, 0, NULL, false},
    };
    int rc = fm_yaml_map(y, node, "evaluate", keys, COUNT(keys), &raw, err);

    if (rc != 0)
        return rc;
    s->evaluate = raw.e;
    if (raw.e.split == FM_SPLIT_COHORTS)
        return read_sides(y, node, raw.train, raw.test, s, err);
    if (raw.train || raw.test)
        return fm_yaml_fail(y, node, err, "train and test belong to split: cohorts");
    if (raw.e.split == FM_SPLIT_GROUP && strcmp(raw.e.group, "subject") == 0)
        return fm_yaml_fail(y, node, err, "split: group needs a group to leave out in turn, e.g. group: site");
    return 0;
}

int fm_study_read_explain(const fm_yaml *y, const yaml_node_t *node, fm_study *s, fm_err *err)
{
    static const fm_yaml_key keys[] = {
        KEY(INT, fm_study_explain, faces, "faces", 1, FM_EXPLAIN_FACES_MAX),
        KEY(INT, fm_study_explain, grid, "grid", FM_OCCLUDE_GRID_MIN, FM_OCCLUDE_GRID_MAX),
        KEY(INT, fm_study_explain, permutations, "permutations", 0, FM_EXPLAIN_PERMUTATIONS_MAX),
    };
    const char *text = fm_yaml_text(node);

    if (text && strcmp(text, "none") == 0)
        return 0;
    s->explain.on = true;
    return fm_yaml_map(y, node, "explain", keys, COUNT(keys), &s->explain, err);
}

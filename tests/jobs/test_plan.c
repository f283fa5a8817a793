/* Who is tested when, as the study says it: sites in turn, cohorts against cohorts, folds of the manifest. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "jobs/plan.h"

enum { MAX = 16 };

static void put(const char *name, const char *text)
{
    char path[FM_PATH_MAX];

    if (fm_path_join(path, sizeof path, check_tmpdir(), name, NULL) != 0 ||
        fm_file_write(path, text, strlen(text), NULL) != 0)
        abort();
}

/* The plan of a study of cohorts a (cases) and b (controls), every photograph with one face. */
static int make(const char *evaluate, fm_plan *plan, fm_err *err)
{
    static fm_study study;
    static const fm_digest code[MAX];
    uint32_t faces[MAX];
    char path[FM_PATH_MAX], text[1024];
    fm_samples s = {0};
    int rc;

    *err = (fm_err)FM_ERR_INIT;
    snprintf(text, sizeof text, "name: x\ncohorts:\n - {name: a, role: case, format: csv, path: a.csv}\n"
             " - {name: b, role: control, format: csv, path: b.csv}\nselect: {age: [0, 50]}\n"
             "task: {label: sex}\nevaluate: {%s}\n", evaluate);
    put("s.yaml", text);
    fm_path_join(path, sizeof path, check_tmpdir(), "s.yaml", NULL);
    for (int i = 0; i < MAX; i++)
        faces[i] = 1;
    rc = fm_study_load(path, &study, err);
    if (rc == 0)
        rc = fm_samples_import(&study, &s, err);
    if (rc == 0)
        rc = fm_samples_select(&study, &s, err);
    if (rc == 0)
        rc = fm_samples_label(&study, &s, err);
    if (rc == 0)
        rc = fm_plan_make(&study, &s, "/store", code, faces, plan, err);
    fm_samples_fini(&s);
    return rc;
}

static void folds_are(const fm_plan *plan, const int32_t *want, size_t n)
{
    CHECK_INT(plan->n, n);
    CHECK_INT(plan->folds.kind, FM_FOLDS_GIVEN);
    CHECK_INT(plan->folds.repeats, 1);
    for (size_t i = 0; i < n && i < plan->n; i++)
        CHECK_INT(plan->rows[i].fold, want[i]);
}

static const char *const a_csv = "file,subject,sex,age,site,fold\n1,p1,m,30,rome,4\n2,p1,m,31,rome,4\n3,p2,f,30,oslo,2\n"
                                 "4,p3,m,30,oslo,2\n",
           *const b_csv = "file,subject,sex,age,site,fold\n1,p1,f,30,rome,4\n2,p2,m,30,bonn,\n3,p3,f,30,bonn,\n";

static void protocols_say_who_is_tested(void)
{
    fm_plan plan;
    fm_err err;

    put("a.csv", a_csv);
    put("b.csv", b_csv);
    REQUIRE(make("split: group, group: site, repeats: 9", &plan, &err) == 0);
    folds_are(&plan, (int32_t[]){2, 2, 1, 1, 2, 0, 0}, 7);      /* bonn, oslo, rome */
    CHECK(plan.rows[0].subject == plan.rows[1].subject && plan.rows[0].subject != plan.rows[4].subject);
    fm_plan_fini(&plan);
    REQUIRE(make("split: cohorts, train: [b], test: [a]", &plan, &err) == 0);
    folds_are(&plan, (int32_t[]){0, 0, 0, 0, -1, -1, -1}, 7);
    fm_plan_fini(&plan);
    REQUIRE(make("split: given", &plan, &err) == 0);
    folds_are(&plan, (int32_t[]){4, 4, 2, 2, 4, -1, -1}, 7);
    fm_plan_fini(&plan);
}

/* A person on both sides of a fold is refused by name; one who was left out does no harm. */
static void a_subject_in_two_folds_is_named(void)
{
    static const char *const protocols[] = {"split: given", "split: group, group: site"};
    fm_plan plan;
    fm_err err;

    put("b.csv", b_csv);
    for (int i = 0; i < 2; i++) {
        put("a.csv", "file,subject,sex,age,site,fold\n1,p1,m,30,rome,4\n2,p1,m,31,oslo,2\n3,p2,f,30,oslo,2\n");
        CHECK_INT(make(protocols[i], &plan, &err), -EINVAL);
        CHECK(strstr(err.text, "subject \"a/p1\"") && strstr(err.text, "a/1 and a/2"));
        put("a.csv", "file,subject,sex,age,site,fold\n1,p1,m,30,rome,4\n2,p1,m,71,oslo,2\n3,p2,f,30,oslo,2\n");
        REQUIRE(make(protocols[i], &plan, &err) == 0);
        fm_plan_fini(&plan);
    }
}

static void a_site_must_be_known(void)
{
    fm_plan plan;
    fm_err err;

    put("a.csv", "file,subject,sex,age,site\n1,p1,m,30,rome\n2,p2,f,30,\n");
    put("b.csv", b_csv);
    CHECK_INT(make("split: group, group: site", &plan, &err), -EINVAL);
    CHECK(strstr(err.text, "a/2 has no \"site\"") != NULL);
    CHECK_INT(make("split: group, group: ward", &plan, &err), -EINVAL);
    CHECK(strstr(err.text, "has no \"ward\"") != NULL);
}

static void a_head_is_told_all(void)
{
    fm_plan plan;
    fm_err err;

    put("a.csv", a_csv);
    put("b.csv", b_csv);
    REQUIRE(make("folds: 2}\nhead: {kind: svm, C: [0.1, 1], class_weight: balanced", &plan, &err) == 0);
    CHECK(plan.head.kind == FM_HEAD_SVM && plan.head.class_weight == FM_CLASS_WEIGHT_BALANCED &&
          plan.head.n_choices == 2 && plan.head.choice[0] == 0.1 && plan.head.choice[1] == 1);
    fm_plan_fini(&plan);
}

CHECK_MAIN(CHECK_CASE(protocols_say_who_is_tested), CHECK_CASE(a_subject_in_two_folds_is_named),
           CHECK_CASE(a_site_must_be_known), CHECK_CASE(a_head_is_told_all))

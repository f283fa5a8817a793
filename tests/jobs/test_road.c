/* The small parts of a study's road: plans, progress lines, pseudonyms, the model list. */
#include "tests/check.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "jobs/model_list.h"
#include "jobs/plan.h"
#include "jobs/progress.h"
#include "jobs/pseudonym.h"

enum { N = 6 };

/* Six samples of three subjects; the fourth was left out. */
static fm_samples six_samples(fm_study *study)
{
    static char *classes[] = {"control", "case"};
    fm_samples s = {.classes = classes, .n_classes = 2};

    memset(study, 0, sizeof *study);
    strcpy(study->file, "study.yaml");
    strcpy(study->evaluate.group, "subject");
    study->evaluate.folds = 2;
    study->evaluate.repeats = 3;
    for (int i = 0; i < N; i++) {
        char name[16], subject[16];

        snprintf(name, sizeof name, "f%d.jpg", i);
        snprintf(subject, sizeof subject, "p%d", (N - 1 - i) / 2);
        if (!fm_samples_add(&s, 0, "c", name, name, subject, NULL))
            abort();
        s.v[i].label = i & 1;
    }
    fm_sample_leave_out(&s.v[3], FM_NO_FACE, NULL);
    return s;
}

static void samples_fini(fm_samples *s)
{
    s->classes = NULL;      /* static here */
    s->n_classes = 0;
    fm_samples_fini(s);
}

static void plans_hold_used_faces_by_subject(void)
{
    static fm_study study;
    fm_samples s = six_samples(&study);
    fm_digest code[N];
    uint32_t faces[N] = {1, 2, 1, 1, 0, 1};
    static const uint32_t samples[] = {0, 1, 1, 2, 5}, subjects[] = {2, 2, 2, 1, 0};
    fm_plan plan;

    for (int i = 0; i < N; i++)
        memset(&code[i], i + 1, sizeof code[i]);
    REQUIRE(fm_plan_make(&study, &s, "/store", code, faces, &plan, NULL) == 0);
    CHECK_INT(plan.n, 5);
    for (size_t i = 0; i < 5; i++) {
        CHECK_INT(plan.rows[i].sample, samples[i]);
        CHECK_INT(plan.rows[i].subject, subjects[i]);
        CHECK_INT(plan.rows[i].label, s.v[samples[i]].label);
        CHECK(fm_digest_equal(&plan.rows[i].code, &code[samples[i]]));
    }
    CHECK_INT(plan.rows[2].face, 1);
    CHECK_INT(plan.code_offset, 128);
    CHECK_INT(plan.folds.repeats, 3);
    fm_plan_fini(&plan);
    samples_fini(&s);
}

static void plans_that_cannot_be_are_refused(void)
{
    static fm_study study;
    fm_samples s = six_samples(&study);
    fm_digest code[N] = {{{0}}};
    uint32_t faces[N] = {1, 0, 1, 0, 1, 0};
    fm_err err = FM_ERR_INIT;
    fm_plan plan;

    CHECK_INT(fm_plan_make(&study, &s, "/store", code, faces, &plan, &err), -EINVAL);
    CHECK(strstr(err.text, "no face of class \"case\""));
    strcpy(study.evaluate.group, "hospital");
    CHECK_INT(fm_plan_make(&study, &s, "/store", code, faces, &plan, &err), -EINVAL);
    CHECK(strstr(err.text, "no cohort has a column \"hospital\""));
    strcpy(study.evaluate.group, "age");
    CHECK_INT(fm_plan_make(&study, &s, "/store", code, faces, &plan, &err), -EINVAL);
    samples_fini(&s);
}

static void progress_is_one_line(void)
{
    fm_build_counts c = {.photographs = 2002, .done = 312};
    char line[200], cut[20];

    c.left_out[FM_NO_FACE] = 3;
    c.left_out[FM_DECODE_ERROR] = 1;
    fm_progress_line(&c, 41.3, line, sizeof line);
    CHECK_STR(line, "312/2002  15%  41.3/s  0:40 left  left out: 1 decode_error, 3 no_face");
    fm_progress_line(&c, 0.01, line, sizeof line);
    CHECK(strstr(line, "46:56 h left"));
    fm_progress_line(&c, 41.3, cut, sizeof cut);
    CHECK_INT(strlen(cut), sizeof cut - 1);
    c = (fm_build_counts){.photographs = 0};
    fm_progress_line(&c, 0, line, sizeof line);
    CHECK_STR(line, "0/0  100%");
}

static void names_leave_as_pseudonyms(void)
{
    static const char *const names[] = {"sample", "subject", NULL}, *const dropped[] = {"detail", NULL};
    char text[] = "sample\tage\tsubject\tdetail\nc/a\\tb\t30\tc/p1\tlike c/x\nc/y\t31\tc/p1\t\n", out[FM_PATH_MAX];
    char of_name[FM_PSEUDONYM_SIZE], again[FM_PSEUDONYM_SIZE], want[256];
    fm_pseudonyms p, q;
    fm_buf b = FM_BUF_INIT;

    fm_path_join(out, sizeof out, check_tmpdir(), "run", NULL);
    REQUIRE(fm_dir_make(out, NULL) == 0);
    REQUIRE(fm_pseudonyms_open(check_tmpdir(), &p, NULL) == 0);
    REQUIRE(fm_pseudonyms_open(check_tmpdir(), &q, NULL) == 0);     /* the key stays */
    fm_pseudonym(&p, "c/a\tb", of_name);
    fm_pseudonym(&q, "c/a\tb", again);
    CHECK_STR(again, of_name);
    REQUIRE(fm_pseudonyms_table(&p, names, dropped, text, &b, NULL) == 0);
    fm_buf_u8(&b, '\0');
    fm_pseudonym(&p, "c/p1", again);
    snprintf(want, sizeof want, "sample\tage\tsubject\tdetail\n%s\t30\t%s\t\n", of_name, again);
    CHECK(strncmp((char *)b.data, want, strlen(want)) == 0);
    CHECK(!strstr((char *)b.data, "c/"));
    fm_buf_fini(&b);
}

static void put(const char *name, const char *text)
{
    char path[FM_PATH_MAX];

    fm_path_join(path, sizeof path, check_tmpdir(), name, NULL);
    REQUIRE(fm_file_write(path, text, strlen(text), NULL) == 0);
}

#define HEADER "name\tfile\tsha256\tbytes\tlicence\tsource\tpurpose\n"
#define SHA_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void models_are_found_by_size_and_judged_by_hash(void)
{
    static fm_model_list list;
    const fm_model_entry *m;
    fm_err err = FM_ERR_INIT;

    setenv("FACEMILL_MODELS", check_tmpdir(), 1);
    put("models.tsv", HEADER "x\tx.bin\t" SHA_OF_ABC "\t3\tfree\there\ttest\n"
                             "y\ty.bin\t" SHA_OF_ABC "\t4\tfree\there\ttest\n");
    put("x.bin", "abc");
    put("y.bin", "abc");
    REQUIRE(fm_model_list_read(&list, &err) == 0);
    REQUIRE(fm_model_need(&list, "x", &m, &err) == 0);
    CHECK_INT(fm_model_check(m, &err), 0);
    CHECK_INT(fm_model_need(&list, "y", &m, &err), -ENOENT);
    CHECK(strstr(err.text, "y.bin of 4 bytes") && strstr(err.text, "./setup"));
    CHECK_INT(fm_model_need(&list, "z", &m, &err), -ENOENT);
    put("x.bin", "abd");
    REQUIRE(fm_model_need(&list, "x", &m, &err) == 0);
    CHECK_INT(fm_model_check(m, &err), -EBADMSG);
    CHECK(strstr(err.text, SHA_OF_ABC));
    put("models.tsv", HEADER "x\t../x.bin\t" SHA_OF_ABC "\t3\tfree\there\ttest\n");
    CHECK_INT(fm_model_list_read(&list, &err), -EINVAL);
    CHECK(strstr(err.text, "models.tsv:2"));
    unsetenv("FACEMILL_MODELS");
}

CHECK_MAIN(CHECK_CASE(plans_hold_used_faces_by_subject), CHECK_CASE(plans_that_cannot_be_are_refused),
           CHECK_CASE(progress_is_one_line), CHECK_CASE(names_leave_as_pseudonyms),
           CHECK_CASE(models_are_found_by_size_and_judged_by_hash))

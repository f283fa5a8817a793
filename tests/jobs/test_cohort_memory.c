/* Every allocation of reading cohorts and of matching fails once: it is said so or does not matter, and nothing
 * leaks. */
#include "tests/check.h"

#include <errno.h>

#include "base/log.h"
#include "jobs/balance.h"
#include "jobs/match.h"
#include "tests/alloc.h"
#include "tests/jobs/manifest.h"

#define TRIES_MAX 5000

static void put_trees(void)
{
    put("m.csv", "file,sex,age,site\n1.jpg,m,40,x\n2.jpg,q,400,x\n\"3.jpg,f,1,y\n");
    put("folder/a/1.jpg", "x");
    put("utk/26_1_3_20170117154600245.jpg", "x");
    put("utk/odd.jpg", "x");
    put("lfw/Ada/Ada_0001.jpg", "x");
    put("lfw/male_names.txt", "Bob_0001\n");
    put("lfw/female_names.txt", "Ada_0001.jpg\n");
    put("ma/list/train_name.txt", "1.jpg\n\n");
    put("ma/list/train_age.txt", "3\nx\n");
    put("ma/list/train_dis.txt", "0.5 0.5\n1\n");
    put("ff/fairface_label_val.csv", "file,age,gender,race,service_test\nval/1.jpg,3-9,Male,White,True\nval/2.jpg,?,?,?,?\n");
}

/* True when the run had an allocation left to fail. */
static bool settled(const char *name, size_t n, int rc, const fm_err *err, long before)
{
    bool failed = alloc_failed();

    alloc_fail_at(0);
    if (rc != 0 && (rc != -ENOMEM || err->code != rc || !err->text[0]))
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: %d: %s", name, n, rc, err->text);
    if (alloc_live() != before)
        check_failed(__FILE__, __LINE__, "%s, allocation %zu: %ld leaked", name, n, alloc_live() - before);
    return failed;
}

static bool import_fails_at(const fm_study *study, const char *name, size_t n)
{
    fm_samples s = {.n = 0};
    fm_err err = FM_ERR_INIT;
    long before = alloc_live();
    int rc;

    alloc_fail_at(n);
    rc = fm_samples_import(study, &s, &err);
    fm_samples_fini(&s);
    return settled(name, n, rc, &err, before);
}

static void importing(void)
{
    static const struct { const char *format, *path; } cohorts[] = {
        {"csv", "m.csv"}, {"folder", "folder"}, {"utkface", "utk"}, {"lfw", "lfw"}, {"megaage", "ma"}, {"fairface", "ff"}};

    if (!alloc_counted())
        check_skip("allocations cannot be made to fail with this allocator");
    for (size_t i = 0; alloc_counted() && i < sizeof cohorts / sizeof *cohorts; i++) {
        char text[256];
        fm_err err;
        fm_study *study;
        size_t n = 1;

        put_trees();
        snprintf(text, sizeof text, "name: x\ncohorts: [{name: c, role: case, format: %s, path: %s}]\n",
                 cohorts[i].format, cohorts[i].path);
        study = load(text, &err);
        REQUIRE(study != NULL);
        while (n < TRIES_MAX && check_ok_so_far() && import_fails_at(study, cohorts[i].format, n))
            n++;
        CHECK(n > 5 && n < TRIES_MAX);
    }
}

static bool match_fails_at(const fm_study *study, const char *name, size_t n)
{
    fm_samples s = {.n = 0};
    fm_pairs p = {NULL, 0};
    fm_balance b;
    fm_err err = FM_ERR_INIT;
    long before = alloc_live();
    int rc;

    for (int i = 0; i < 90; i++) {
        fm_sample *x = fm_samples_add(&s, i % 3 != 0, "c", "f", "/x", NULL, NULL);

        if (!x)
            abort();
        x->sex = i % 2 ? FM_SEX_MALE : FM_SEX_FEMALE;
        x->age = i % 7 ? 20 + i * 0.37 : NAN;
    }
    alloc_fail_at(n);
    rc = fm_match(study, &s, &p, &err);
    if (rc == 0)
        rc = fm_balance_make(study, &s, &p, &b, &err);
    CHECK(rc != 0 || p.n > 10);
    fm_pairs_fini(&p);
    fm_samples_fini(&s);
    return settled(name, n, rc, &err, before);
}

static void matching(void)
{
    static const char *const ways[] = {"{by: [sex, age]}", "{method: nearest, ratio: 2}", "{replace: true}"};

    if (!alloc_counted())
        check_skip("allocations cannot be made to fail with this allocator");
    for (size_t i = 0; alloc_counted() && i < sizeof ways / sizeof *ways; i++) {
        char text[256];
        fm_err err;
        fm_study *study;
        size_t n = 1;

        snprintf(text, sizeof text, "name: x\ncohorts:\n - {name: a, role: case, format: csv, path: a}\n"
                 " - {name: b, role: control, format: csv, path: b}\nmatch: %s\n", ways[i]);
        study = load(text, &err);
        REQUIRE(study != NULL);
        while (n < TRIES_MAX && check_ok_so_far() && match_fails_at(study, ways[i], n))
            n++;
        CHECK(n > 10 && n < TRIES_MAX);
    }
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {CHECK_CASE(importing), CHECK_CASE(matching)};

    fm_log_set_level(FM_LOG_ERROR);
    return check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}

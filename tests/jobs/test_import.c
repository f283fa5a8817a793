/* Every cohort format on a small tree in its published layout, with what strangers do to it; UTKFace for real. */
#include "tests/check.h"

#include <errno.h>

#include "base/log.h"
#include "tests/jobs/manifest.h"

/* What a sample should have become. */
typedef struct {
    const char *name, *subject;
    fm_sex sex;
    double age;
    const char *problem;        /* part of its detail; NULL: it is used */
} expectation;

static void expect(const fm_samples *s, const expectation *e, size_t n)
{
    size_t bad = 0;

    CHECK_INT(s->n, n);
    for (size_t i = 0; i < n; i++) {
        const fm_sample *x = sample_named(s, e[i].name);

        if (!x) {
            check_failed(__FILE__, __LINE__, "no sample is named %s", e[i].name);
            continue;
        }
        bad += e[i].problem != NULL;
        CHECK_INT(x->reason, e[i].problem ? FM_BAD_MANIFEST : FM_USED);
        if (e[i].problem && !strstr(x->detail, e[i].problem))
            check_failed(__FILE__, __LINE__, "%s: \"%s\" does not say \"%s\"", e[i].name, x->detail, e[i].problem);
        if (e[i].problem)
            continue;
        CHECK_STR(x->subject, e[i].subject);
        CHECK_INT(x->sex, e[i].sex);
        if (isnan(e[i].age) ? !isnan(x->age) : x->age != e[i].age)
            check_failed(__FILE__, __LINE__, "%s: age %g, expected %g", e[i].name, x->age, e[i].age);
    }
    CHECK(s->problems >= bad);
}

#define EXPECT(samples, ...)                                            \
    do {                                                                \
        const expectation e_[] = {__VA_ARGS__};                         \
        expect(&samples, e_, sizeof e_ / sizeof *e_);                   \
    } while (0)

static void fgnet(void)
{
    fm_samples s;
    fm_err err;

    put("f/images/001A02.JPG", "x");
    put("f/images/001A43a.JPG", "x");
    put("f/images/082a18.jpg", "x");
    put("f/images/083A18.JPG", "x");
    put("f/images/01A18.JPG", "x");
    put("f/images/002A18.txt", "x");
    put("f/points/001a02.pts", "x");
    REQUIRE(import_one("fgnet", "f", "", &s, &err) == 0);
    EXPECT(s, {"c/images/001A02.JPG", "c/001", FM_SEX_UNKNOWN, 2, NULL},
           {"c/images/001A43a.JPG", "c/001", FM_SEX_UNKNOWN, 43, NULL},
           {"c/images/082a18.jpg", "c/082", FM_SEX_UNKNOWN, 18, NULL},
           {"c/images/083A18.JPG", "", 0, 0, "the name is not 001A02.JPG"},
           {"c/images/01A18.JPG", "", 0, 0, "rename it so, or list it in a csv"},
           {"c/images/002A18.txt", "", 0, 0, "002A18.txt"});
    fm_samples_fini(&s);
    REQUIRE(import_one("fgnet", "f/images", "", &s, &err) == 0);
    CHECK_STR(s.v[0].name, "c/001A02.JPG");
    fm_samples_fini(&s);
}

static void all_age_faces(void)
{
    fm_samples s;
    fm_err err;

    put("a/original images/00000A02.jpg", "x");
    put("a/original images/07380A80.jpg", "x");
    put("a/original images/07381A35.jpg", "x");
    put("a/original images/13322A35.jpg", "x");
    put("a/original images/00001A01.jpg", "x");
    put("a/original images/00001A81.jpg", "x");
    put("a/aligned faces/00000A02.jpg", "x");
    REQUIRE(import_one("all-age-faces", "a", "", &s, &err) == 0);
    EXPECT(s, {"c/original images/00000A02.jpg", "c/00000", FM_SEX_FEMALE, 2, NULL},
           {"c/original images/07380A80.jpg", "c/07380", FM_SEX_FEMALE, 80, NULL},
           {"c/original images/07381A35.jpg", "c/07381", FM_SEX_MALE, 35, NULL},
           {"c/original images/13322A35.jpg", "", 0, 0, "person up to 13321"},
           {"c/original images/00001A01.jpg", "", 0, 0, "age 02 to 80"},
           {"c/original images/00001A81.jpg", "", 0, 0, "00001A81.jpg"});
    fm_samples_fini(&s);
    REQUIRE(import_one("all-age-faces", "'a/aligned faces'", "", &s, &err) == 0);
    CHECK_INT(s.n, 1);
    fm_samples_fini(&s);
}

static void lfw(void)
{
    fm_samples s;
    fm_err err;

    put("lfw/Ada_Lovelace/Ada_Lovelace_0001.jpg", "x");
    put("lfw/Ada_Lovelace/Ada_Lovelace_0002.jpg", "x");
    put("lfw/Alan_Turing/Alan_Turing_0001.jpg", "x");
    put("lfw/Alan_Turing/Alan_Turing_1.jpg", "x");
    put("lfw/Robin/Robin_0001.jpg", "x");
    put("lfw/Kim/Kim_0001.jpg", "x");
    put("lfw/pairs.txt", "not a person");
    REQUIRE(import_one("lfw", "lfw", "", &s, &err) == 0);
    CHECK_INT(s.v[0].sex, FM_SEX_UNKNOWN);
    fm_samples_fini(&s);

    put("female_names.txt", "Ada_Lovelace_0001\nAda_Lovelace_0002.jpg\r\nGrace_Hopper_0001.jpg\nRobin_0001.jpg\n");
    CHECK_INT(import_one("lfw", "lfw", "", &s, &err), -ENOENT);
    CHECK(strstr(err.text, "female_names.txt is there and male_names.txt is not") != NULL);
    put("male_names.txt", "Alan_Turing_0001.jpg\n\nRobin_0001.jpg");
    REQUIRE(import_one("lfw", "lfw", "", &s, &err) == 0);
    EXPECT(s, {"c/Ada_Lovelace/Ada_Lovelace_0001.jpg", "c/Ada_Lovelace", FM_SEX_FEMALE, NAN, NULL},
           {"c/Ada_Lovelace/Ada_Lovelace_0002.jpg", "c/Ada_Lovelace", FM_SEX_FEMALE, NAN, NULL},
           {"c/Alan_Turing/Alan_Turing_0001.jpg", "c/Alan_Turing", FM_SEX_MALE, NAN, NULL},
           {"c/Alan_Turing/Alan_Turing_1.jpg", "", 0, 0, "the name is not Alan_Turing_0001.jpg with any number"},
           {"c/Kim/Kim_0001.jpg", "c/Kim", FM_SEX_UNKNOWN, NAN, NULL},
           {"c/Robin/Robin_0001.jpg", "", 0, 0, "female_names.txt:4: Robin_0001 is in"},
           {"c/female_names.txt:3", "", 0, 0, "female_names.txt:3: Grace_Hopper_0001 names no photograph"});
    fm_samples_fini(&s);
}

#define GRANTED "0.1 0.2 0.4 0.2 0.1"

static void put_megaage(const char *dir)
{
    char name[128];
    const struct { const char *file, *text; } files[] = {
        {"list/train_name.txt", "1.jpg\n2.jpg\n3.jpg\n\n5.jpg\n"},
        {"list/train_age.txt", "34\n7\nx\n20\n131\n"},
        {"list/train_dis.txt", "0 0 1 0 0\n" GRANTED "\n" GRANTED "\n" GRANTED "\n0.5 0.5\n"},
        {"list/train_gender.txt", "0\n1\n0\n1\n2\n"},
        {"list/test_name.txt", "1.jpg\n2.jpg\n"},
        {"list/test_age.txt", "70\n0"},
    };

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "%s/%s", dir, files[i].file);
        put(name, files[i].text);
    }
}

/* A row may have several problems, and all are told. */
static void megaage(void)
{
    fm_samples s;
    fm_err err;
    char number[32];

    put_megaage("m");
    REQUIRE(import_one("megaage", "m", "", &s, &err) == 0);
    EXPECT(s, {"c/train/1.jpg", "c/train/1.jpg", FM_SEX_UNKNOWN, 34, NULL},
           {"c/train/2.jpg", "c/train/2.jpg", FM_SEX_UNKNOWN, 7, NULL},
           {"c/train/3.jpg", "", 0, 0, "train_age.txt:3: age \"x\""},
           {"c/train/(line 4)", "", 0, 0, "train_name.txt:4: \"\" is no name"},
           {"c/train/5.jpg", "", 0, 0, "train_age.txt:5: age \"131\" is not a number from 0 to 130"},
           {"c/test/1.jpg", "c/test/1.jpg", FM_SEX_UNKNOWN, 70, NULL},
           {"c/test/2.jpg", "c/test/2.jpg", FM_SEX_UNKNOWN, 0, NULL});
    CHECK(strstr(s.v[4].detail, "train_dis.txt:5: is not a line of 5 probabilities") != NULL);
    CHECK_INT(s.problems, 4);
    CHECK_STR(fm_sample_column(&s, &s.v[0], "age_sd", number), "0");
    CHECK_NEAR(atof(fm_sample_column(&s, &s.v[1], "age_sd", number)), sqrt(1.2), 1e-5);
    CHECK_STR(fm_sample_column(&s, &s.v[5], "age_sd", number), "");
    CHECK_STR(fm_sample_column(&s, &s.v[5], "part", number), "test");
    fm_samples_fini(&s);
    REQUIRE(import_one("megaage-asian", "m", ", sex: {male: 1, female: 0}", &s, &err) == 0);
    CHECK(s.v[0].sex == FM_SEX_FEMALE && s.v[1].sex == FM_SEX_MALE && s.v[4].sex == FM_SEX_UNKNOWN);
    CHECK_INT(s.v[5].sex, FM_SEX_UNKNOWN);
    fm_samples_fini(&s);

    put("m/list/train_age.txt", "34\n7\n20\n131\n");
    CHECK_INT(import_one("megaage", "m", "", &s, &err), -EINVAL);
    CHECK(strstr(err.text, "train_age.txt has 4 lines and train_name.txt 5") != NULL);
    CHECK_INT(import_one("megaage", "m/list", "", &s, &err), -ENOENT);
    CHECK(strstr(err.text, "path must be the unpacked folder") != NULL);
}

static void fairface(void)
{
    fm_samples s;
    fm_err err;
    char number[32];

    put("ff/fairface_label_val.csv", "file,age,gender,race,service_test\n"
                                     "val/1.jpg,3-9,Male,East Asian,False\n"
                                     "val/2.jpg,more than 70,Female,Latino_Hispanic,True\n"
                                     "val/3.jpg,9-Mar,Man,Martian,FALSE\n"
                                     "val/4.jpg,20-29,Male,White\n"
                                     "../5.jpg,20-29,Male,White,maybe\n");
    REQUIRE(import_one("fairface", "ff", "", &s, &err) == 0);
    EXPECT(s, {"c/val/1.jpg", "c/val/1.jpg", FM_SEX_MALE, NAN, NULL},
           {"c/val/2.jpg", "c/val/2.jpg", FM_SEX_FEMALE, NAN, NULL},
           {"c/val/3.jpg", "", 0, 0, "fairface_label_val.csv:4: age \"9-Mar\" is none of FairFace's bins"},
           {"c/val/4.jpg", "", 0, 0, "val.csv:5: 4 fields where FairFace has 5"},
           {"c/(line 6)", "", 0, 0, "val.csv:6: \"../5.jpg\" is no path below"});
    CHECK_INT(s.problems, 6);
    CHECK(strstr(s.v[2].detail, "gender \"Man\"") && strstr(s.v[2].detail, "race \"Martian\""));
    CHECK(s.v[0].age_low == 3 && s.v[0].age_high == 9 && s.v[1].age_low == 70 && isinf(s.v[1].age_high));
    CHECK_STR(fm_sample_column(&s, &s.v[0], "age", number), "3-9");
    CHECK_STR(fm_sample_column(&s, &s.v[1], "age", number), "70+");
    CHECK_STR(fm_sample_column(&s, &s.v[1], "race", number), "Latino_Hispanic");
    fm_samples_fini(&s);
    put("ff/fairface_label_train.csv", "file,age,race,gender,service_test\ntrain/1.jpg,3-9,White,Male,False\n");
    CHECK_INT(import_one("fairface", "ff", "", &s, &err), -EINVAL);
    CHECK(strstr(err.text, "fairface_label_train.csv:1: the header is not") != NULL);
    REQUIRE(import_one("fairface", "ff/fairface_label_val.csv", "", &s, &err) == 0);
    CHECK_INT(s.n, 5);
    fm_samples_fini(&s);
}

/* A range of ages is selected, and has a label, when all of it lies on one side. */
static void ranges_of_ages_select_and_label(void)
{
    static const struct { const char *bin; fm_reason reason; const char *label; } rows[] = {
        {"20-29", FM_NOT_SELECTED, NULL}, {"30-39", FM_USED, "age<50"},          {"40-49", FM_USED, "age<50"},
        {"50-59", FM_USED, "age>=50"},    {"more than 70", FM_NOT_SELECTED, NULL}};
    char csv[512] = "file,age,gender,race,service_test\n";
    fm_err err;
    fm_study *study;
    fm_samples s;

    for (int i = 0; i < 5; i++)
        snprintf(csv + strlen(csv), sizeof csv - strlen(csv), "val/%d.jpg,%s,Male,White,True\n", i, rows[i].bin);
    put("r/fairface_label_val.csv", csv);
    study = load("name: x\ncohorts: [{name: c, role: case, format: fairface, path: r}]\nselect: {age: [25, 69]}\n"
                 "task: {label: age>=50}\n", &err);
    REQUIRE(study && fm_samples_import(study, &s, &err) == 0);
    REQUIRE(fm_samples_select(study, &s, &err) == 0 && fm_samples_label(study, &s, &err) == 0);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(s.v[i].reason, rows[i].reason);
        if (rows[i].label)
            CHECK_STR(s.classes[s.v[i].label], rows[i].label);
    }
    fm_samples_fini(&s);
    study->task.age = 45;
    REQUIRE(fm_samples_import(study, &s, &err) == 0);
    REQUIRE(fm_samples_label(study, &s, &err) == 0);
    CHECK_INT(s.v[2].reason, FM_UNKNOWN_LABEL);
    fm_samples_fini(&s);
}

static void csv_names_all_problems_of_a_row(void)
{
    fm_samples s;
    fm_err err;

    put("m.csv", "file,sex,age,fold\n"
                 "1.jpg,1,400,-1\n"
                 "2.jpg,2,40,0\n"
                 "3.jpg,9,40,0\n"
                 "\"4.jpg\"x,1,40,0\n"
                 ",1,40,0\n"
                 "\"6.jpg,1,40,0\n");
    REQUIRE(import_one("csv", "m.csv", "", &s, &err) == 0);
    CHECK_INT(s.n, 6);
    CHECK_INT(s.problems, 11);
    CHECK(strstr(s.v[0].detail, "m.csv:2: sex \"1\": write male, female or nothing, or say in the study") != NULL);
    CHECK(strstr(s.v[0].detail, "m.csv:2: age \"400\": write") && strstr(s.v[0].detail, "m.csv:2: fold \"-1\": write"));
    fm_samples_fini(&s);
    REQUIRE(import_one("csv", "m.csv", ", sex: {male: 1, female: 2}", &s, &err) == 0);
    CHECK(!strstr(s.v[0].detail, "sex") && strstr(s.v[0].detail, "; "));
    CHECK(s.v[1].reason == FM_USED && s.v[1].sex == FM_SEX_FEMALE);
    CHECK(strstr(s.v[2].detail, "m.csv:4: sex \"9\" is neither \"1\" nor \"2\"") != NULL);
    CHECK(strstr(s.v[3].detail, "m.csv:5: text follows a closing quote") != NULL);
    CHECK(strstr(s.v[4].detail, "m.csv:6: no usable file name; write") != NULL);
    CHECK(strstr(s.v[5].detail, "m.csv:7: a quote opens and never closes") != NULL);
    fm_samples_fini(&s);
}

static void sex_codes_are_checked(void)
{
    static const struct { const char *format, *more, *say; } cases[] = {
        {"utkface", ", sex: {male: 0, female: 1}", "format utkface says itself"},
        {"csv", ", sex: {male: m, female: M}", "cannot be both"},
        {"csv", ", sex: {male: 1}", "\"female\" is missing"},
        {"csv", ", sex: {male: 1, femle: 2}", "did you mean \"female\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_samples s;
        fm_err err;

        CHECK_INT(import_one(cases[i].format, "x", cases[i].more, &s, &err), -EINVAL);
        if (!strstr(err.text, cases[i].say))
            check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, cases[i].say);
    }
}

/* The real names: 2,002 files of which two lack the sex or the race. */
static void utkface_for_real(void)
{
    const char *dir = check_data("utkface-2k");
    size_t of[3] = {0}, bad = 0;
    fm_samples s;
    fm_err err;

    if (!dir)
        return;
    REQUIRE(import_one("utkface", dir, "", &s, &err) == 0);
    for (size_t i = 0; i < s.n; i++) {
        bad += s.v[i].reason == FM_BAD_MANIFEST;
        of[s.v[i].sex]++;
        CHECK(s.v[i].reason == FM_BAD_MANIFEST || (s.v[i].age >= 1 && s.v[i].age <= 116));
    }
    CHECK_INT(s.n, 2002);
    CHECK_INT(bad, 2);
    CHECK_INT(s.problems, 2);
    CHECK_INT(of[FM_SEX_UNKNOWN], 2);
    CHECK_INT(of[FM_SEX_MALE], 859);
    CHECK_INT(of[FM_SEX_FEMALE], 1141);
    fm_samples_fini(&s);
}

/* UBSan sees what sorting no names does. */
static void an_empty_class_has_no_photographs(void)
{
    char path[FM_PATH_MAX];
    fm_samples s;
    fm_err err;

    put("classes/one/a.jpg", "x");
    snprintf(path, sizeof path, "%s/classes/none", check_tmpdir());
    REQUIRE(fm_dir_make(path, NULL) == 0);
    REQUIRE(import_one("folder", "classes", "", &s, &err) == 0);
    CHECK_INT((long long)s.n, 1);
    fm_samples_fini(&s);
}

int main(int argc, char **argv)
{
    static const check_case cases[] = {
        CHECK_CASE(fgnet), CHECK_CASE(all_age_faces), CHECK_CASE(lfw), CHECK_CASE(megaage), CHECK_CASE(fairface),
        CHECK_CASE(ranges_of_ages_select_and_label), CHECK_CASE(csv_names_all_problems_of_a_row),
        CHECK_CASE(sex_codes_are_checked), CHECK_CASE(an_empty_class_has_no_photographs), CHECK_CASE(utkface_for_real)};

    fm_log_set_level(FM_LOG_ERROR);
    return check_main(argc, argv, cases, sizeof cases / sizeof *cases);
}

/* Balance against MatchIt's summary of the same people and pairs (expected_balance.tsv, made by balance.R). */
#include "tests/check.h"

#include <stdlib.h>

#include "base/file.h"
#include "jobs/balance.h"

#define EXPECTED "tests/jobs/expected_balance.tsv"
#define FIELDS 12

typedef struct {
    fm_study study;
    fm_samples samples;
    fm_pairs pairs;
} setting;

static void open_setting(setting *s)
{
    memset(s, 0, sizeof *s);
    s->study.n_cohorts = 2;
    s->study.cohorts[0].role = FM_ROLE_CASE;
    s->study.cohorts[1].role = FM_ROLE_CONTROL;
    s->study.match.on = true;
}

static void close_setting(setting *s)
{
    fm_samples_fini(&s->samples);
    fm_pairs_fini(&s->pairs);
}

static fm_sample *person(setting *s, bool is_case, fm_sex sex, double age)
{
    char file[32];
    fm_sample *x;

    snprintf(file, sizeof file, "%zu.jpg", s->samples.n);
    x = fm_samples_add(&s->samples, is_case ? 0 : 1, is_case ? "case" : "control", file, "/x", NULL, NULL);
    if (!x)
        abort();
    x->sex = sex;
    x->age = age;
    return x;
}

static void pair(setting *s, size_t case_sample, size_t control_sample)
{
    s->pairs.v = realloc(s->pairs.v, (s->pairs.n + 1) * sizeof *s->pairs.v);
    if (!s->pairs.v)
        abort();
    s->pairs.v[s->pairs.n++] = (fm_pair){.case_sample = case_sample, .control_sample = control_sample};
}

/* NaN for NA, which both say where a figure is not defined. */
static void same(const char *what, double got, const char *want)
{
    double w = strcmp(want, "NA") == 0 ? NAN : atof(want);

    if (isnan(w) ? !isnan(got) : !(fabs(got - w) <= 1e-12))
        check_failed(__FILE__, __LINE__, "%s is %.17g, expected %s", what, got, want);
}

static void same_figures(const fm_balance_figures *f, char **field)
{
    same("mean of cases", f->mean_cases, field[0]);
    same("mean of controls", f->mean_controls, field[1]);
    same("standardised difference", f->smd, field[2]);
    same("variance ratio", f->variance_ratio, field[3]);
    same("eCDF mean", f->ecdf_mean, field[4]);
    same("eCDF max", f->ecdf_max, field[5]);
}

static const fm_balance_row *row(const fm_balance *b, const char *name)
{
    for (int i = 0; i < b->n_rows; i++)
        if (strcmp(b->rows[i].name, name) == 0)
            return &b->rows[i];
    return NULL;
}

static int split(char *line, char **field)
{
    int n = 0;

    for (char *p = strtok(line, "\t"); p && n < FIELDS; p = strtok(NULL, "\t"))
        field[n++] = p;
    return n;
}

/* What one line of the table expects of the balance that its name has. */
static void compare(char **field, const fm_balance *b)
{
    const fm_balance_row *r;

    if (strcmp(field[0], "size") == 0) {
        same("effective controls", b->rows[0].matched.effective_controls, field[2]);
        CHECK_INT(b->rows[0].matched.controls, atoi(field[3]));
        CHECK_INT(b->rows[0].matched.cases, atoi(field[4]));
        return;
    }
    if (!(r = row(b, field[2]))) {
        check_failed(__FILE__, __LINE__, "no row %s", field[2]);
        return;
    }
    same_figures(strcmp(field[0], "all") == 0 ? &r->all : &r->matched, field + 3);
    if (strcmp(field[0], "matched") == 0)
        same("pair distance", r->pair_distance, field[9]);
}

static void equals_matchit(void)
{
    static setting s;
    fm_buf text = FM_BUF_INIT;
    fm_balance b = {.n_rows = 0};
    char *field[FIELDS], *next, name[16] = "";
    int compared = 0;

    open_setting(&s);
    REQUIRE(fm_file_read(EXPECTED, 1 << 20, &text, NULL) == 0);
    fm_buf_u8(&text, 0);
    for (char *line = (char *)text.data; line && *line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        if (split(line, field) < 4)
            continue;
        if (strcmp(field[0], "person") == 0) {
            person(&s, field[1][0] == '1', field[2][0] == '1' ? FM_SEX_FEMALE : FM_SEX_MALE, atof(field[3]));
        } else if (strcmp(field[0], "pair") == 0) {
            if (strcmp(name, field[1]) != 0)
                s.pairs.n = 0;
            snprintf(name, sizeof name, "%s", field[1]);
            pair(&s, (size_t)atoi(field[2]), (size_t)atoi(field[3]));
            b.n_rows = 0;
        } else {
            REQUIRE(b.n_rows || fm_balance_make(&s.study, &s.samples, &s.pairs, &b, NULL) == 0);
            compare(field, &b);
            compared++;
        }
    }
    CHECK_INT(compared, 21);
    fm_buf_fini(&text);
    close_setting(&s);
}

/* Pairs that lost a member after the build count no more; who was left out before is not compared. */
static void counts_what_is_left(void)
{
    static setting s;
    fm_balance b;
    fm_buf table = FM_BUF_INIT;

    open_setting(&s);
    person(&s, true, FM_SEX_MALE, 30);
    person(&s, true, FM_SEX_MALE, 40);
    person(&s, false, FM_SEX_MALE, 31);
    person(&s, false, FM_SEX_MALE, 44);
    fm_sample_leave_out(person(&s, false, FM_SEX_MALE, 90), FM_NOT_SELECTED, NULL);
    person(&s, false, FM_SEX_UNKNOWN, NAN);
    pair(&s, 0, 2);
    pair(&s, 1, 3);
    fm_sample_leave_out(&s.samples.v[3], FM_NO_FACE, NULL);
    REQUIRE(fm_balance_make(&s.study, &s.samples, &s.pairs, &b, NULL) == 0);
    REQUIRE(b.n_rows == 3);
    CHECK_INT(b.rows[0].all.controls, 1);
    CHECK_INT(b.rows[0].matched.cases, 1);
    CHECK_NEAR(b.rows[0].matched.mean_controls, 31, 0);
    CHECK(isnan(b.rows[0].matched.variance_ratio));
    REQUIRE(fm_balance_table(&b, &table, NULL) == 0);
    fm_buf_u8(&table, 0);
    CHECK(strstr((char *)table.data, "\nage\tmatched\t1\t1\t1\t30\t31\t-0.141421356237\t\t0.333333333333\t1\t0.1414213562") !=
          NULL);
    fm_buf_fini(&table);
    close_setting(&s);
}

/* Nobody on one side, and a value that all share: figures are undefined or zero, nothing divides by zero aloud. */
static void undefined_stays_undefined(void)
{
    static setting s;
    fm_balance b;

    open_setting(&s);
    REQUIRE(fm_balance_make(&s.study, &s.samples, &s.pairs, &b, NULL) == 0);
    CHECK_INT(b.n_rows, 0);
    person(&s, true, FM_SEX_FEMALE, 50);
    person(&s, true, FM_SEX_FEMALE, 50);
    person(&s, false, FM_SEX_FEMALE, NAN);
    REQUIRE(fm_balance_make(&s.study, &s.samples, &s.pairs, &b, NULL) == 0);
    CHECK_INT(b.n_rows, 2);
    CHECK_STR(b.rows[0].name, "female");
    CHECK_NEAR(b.rows[0].all.smd, 0, 0);
    person(&s, false, FM_SEX_FEMALE, 40);
    person(&s, false, FM_SEX_FEMALE, 44);
    REQUIRE(fm_balance_make(&s.study, &s.samples, &s.pairs, &b, NULL) == 0);
    CHECK_NEAR(b.rows[0].all.smd, 8 / sqrt(8.0 / 3), 1e-12);    /* cases do not vary: the pooled deviation */
    CHECK_NEAR(b.rows[0].all.variance_ratio, 0, 0);
    close_setting(&s);
}

CHECK_MAIN(CHECK_CASE(equals_matchit), CHECK_CASE(counts_what_is_left), CHECK_CASE(undefined_stays_undefined))

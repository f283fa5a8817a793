/* Table 1 of a small study, counted by hand. */
#include "tests/check.h"

#include "jobs/characteristics.h"
#include "tests/jobs/fixture.h"

static void quartiles_are_those_of_R(void)
{
    double v[] = {7, 1, 3, 10}, one[] = {4}, q[5];

    fm_quartiles(v, 4, q);      /* R: quantile(c(7, 1, 3, 10)) */
    CHECK(q[0] == 1 && q[1] == 2.5 && q[2] == 5 && q[3] == 7.75 && q[4] == 10);
    fm_quartiles(one, 1, q);
    CHECK(q[0] == 4 && q[2] == 4 && q[4] == 4);
    fm_quartiles(one, 0, q);
    CHECK(isnan(q[0]) && isnan(q[2]) && isnan(q[4]));
}

static void classes_and_all(void)
{
    fixture *x = fixture_make();
    fm_characteristics c[3];

    REQUIRE(fm_characteristics_make(&x->results, c, NULL) == 0);
    CHECK(c[0].faces == 5 && c[1].faces == 5 && c[2].faces == 10 && c[2].photographs == 10 && c[2].subjects == 10);
    CHECK(c[0].male == 3 && c[0].female == 2 && c[1].male == 3 && c[1].female == 2 && c[2].sex_unknown == 0);
    CHECK(c[1].ages == 4 && c[1].age_unknown == 1 && c[2].ages == 9 && c[2].age_ranges == 0);
    CHECK_NEAR(c[0].age_mean, 50, 1e-12);           /* 42, 46, 50, 54, 58 */
    CHECK_NEAR(c[0].age_sd, sqrt(40), 1e-12);
    CHECK(c[0].age[0] == 42 && c[0].age[1] == 46 && c[0].age[2] == 50 && c[0].age[4] == 58);
    CHECK_NEAR(c[1].age_mean, 27, 1e-12);           /* 18, 26, 30, 34 */
    CHECK(c[2].of_band[0] == 0);
    fixture_fini(x);
}

/* Faces of one photograph share its age and sex; a known range is no age; the last band holds its upper edge. */
static void photographs_count_once(void)
{
    fixture *x = fixture_make();
    fm_characteristics c[3];

    x->evaluation.sample[1] = x->evaluation.subject[1] = 0;
    x->samples.v[2].age = NAN;
    x->samples.v[2].age_low = 20;
    x->samples.v[2].age_high = 29;
    x->samples.v[3].sex = FM_SEX_UNKNOWN;
    x->study.match = (fm_match_spec){.on = true, .by_age = true, .n_bands = 3, .bands = {18, 50, 58}};
    REQUIRE(fm_characteristics_make(&x->results, c, NULL) == 0);
    CHECK(c[1].faces == 5 && c[1].photographs == 4 && c[1].subjects == 4);
    CHECK(c[1].ages == 3 && c[1].age_ranges == 1 && c[1].age_unknown == 0 && c[1].sex_unknown == 1);
    CHECK(c[1].of_band[0] == 3 && c[1].of_band[1] == 0);
    CHECK(c[0].of_band[0] == 2 && c[0].of_band[1] == 3);        /* 50, 54 and 58 */
    fixture_fini(x);
}

static void a_class_without_faces(void)
{
    fixture *x = fixture_make();
    fm_characteristics c[3];

    x->evaluation.n = 5;    /* cases only */
    REQUIRE(fm_characteristics_make(&x->results, c, NULL) == 0);
    CHECK(c[0].faces == 0 && isnan(c[0].age_mean) && isnan(c[0].age_sd) && isnan(c[0].age[2]) && c[2].faces == 5);
    fixture_fini(x);
}

CHECK_MAIN(CHECK_CASE(quartiles_are_those_of_R), CHECK_CASE(classes_and_all), CHECK_CASE(photographs_count_once),
           CHECK_CASE(a_class_without_faces))

/* What the figures of audits say: sentences, sums, pairs, near duplicates, JSON. */
#include "jobs/audits.h"

#include <stdlib.h>

#include "base/file.h"
#include "tests/check.h"
#include "tests/jobs/fixture.h"

static void sentences_say_how_far_to_trust(void)
{
    const struct { fm_audit_figure f; const char *says; bool rings; } cases[] = {
        {{0.97, 0.95, 0.99, 0}, "0.970 (0.950 to 0.990): the classes come from different sources", true},
        {{0.62, 0.55, 0.69, 0}, "a little more than chance", false},
        {{0.48, 0.40, 0.56, 0}, "no more than chance", false},
        {{0.30, 0.20, 0.40, 0}, "(0.200 to 0.400), below 0.5: no more than chance", false},
        {{0.9, NAN, NAN, 0}, "without resamples", false},
        {{NAN, NAN, NAN, 0}, "could not be trained", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];

        fm_audits_sentence(FM_CONFOUND_FACTS, &cases[i].f, text, sizeof text);
        if (!strstr(text, cases[i].says))
            check_failed(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", text, cases[i].says);
        CHECK(fm_audits_rings(&cases[i].f) == cases[i].rings);
    }
}

/* Four of each: a stage that found nothing wrong, with one null study of two that does not hold. */
static void fill(fm_audits *a)
{
    fm_audit *f = &a->figures;
    const size_t count[FM_AUDIT_KINDS] = {FM_AUDIT_CONFOUNDS, 2, FM_AUDIT_CURVE, 3, 4};
    const double seeds[] = {0.8, 0.9, 0.7}, permuted[] = {0.5, 0.75, 0.85, NAN};
    fm_audit_figure *v;

    memset(a, 0, sizeof *a);
    memcpy(f->count, count, sizeof count);
    f->n = FM_AUDIT_CONFOUNDS + 2 + FM_AUDIT_CURVE + 3 + 4;
    f->v = v = calloc(f->n, sizeof *f->v);
    v += FM_AUDIT_CONFOUNDS;
    *v++ = (fm_audit_figure){0.5, 0.4, 0.6, 20};
    *v++ = (fm_audit_figure){0.7, 0.6, 0.8, 20};
    for (int i = 0; i < FM_AUDIT_CURVE; i++)
        *v++ = (fm_audit_figure){0.8, 0.7, 0.9, 10};
    for (int i = 0; i < 3; i++)
        *v++ = (fm_audit_figure){seeds[i], seeds[i] - 0.1, seeds[i] + 0.1, 0};
    for (int i = 0; i < 4; i++)
        *v++ = (fm_audit_figure){permuted[i], NAN, NAN, 0};
}

static void figures_are_summed_up(void)
{
    fixture *x = fixture_make();
    fm_pair all[] = {{0, 6, 0, 1}, {1, 9, 0, 1}, {2, 10, 0, 1}, {4, 7, 0, 1}};
    fm_pairs pairs = {all, 4};
    fm_buf b = FM_BUF_INIT;
    char path[FM_PATH_MAX];
    fm_audits a;
    json_t *o;

    fill(&a);
    x->study.audit = FM_AUDIT_QUICK;
    x->study.match.on = true;
    REQUIRE(fm_audits_conclude(&x->study, &x->samples, &pairs, &x->evaluation, &a, NULL) == 0);
    CHECK_NEAR(a.null_hold, 0.5, 0);
    CHECK_NEAR(a.seed_mean, 0.8, 1e-12);
    CHECK_NEAR(a.seed_sd, 0.1, 1e-12);
    CHECK_NEAR(a.seed_low, 0.7, 0);
    CHECK_NEAR(a.seed_high, 0.9, 0);
    CHECK_INT(a.permutations, 3);
    CHECK_NEAR(a.p, 2.0 / 4, 1e-12);
    CHECK_NEAR(a.permuted_mean, 0.7, 1e-12);
    CHECK_NEAR(a.permuted_high, 0.85, 0);
    CHECK(a.paired);
    CHECK_INT(a.n_pairs, 3);            /* case 4 was not tested */
    CHECK_INT(a.disagree, 0);
    CHECK_NEAR(a.pairs[1].case_score, 1.0 / 3, 1e-15);
    x->evaluation.prob[1] = 0.01;       /* case 0, below its control's 0.1 */
    x->evaluation.prob[0] = 0.99;
    free(a.pairs);
    a.pairs = NULL;
    a.n_pairs = 0;
    REQUIRE(fm_audits_conclude(&x->study, &x->samples, &pairs, &x->evaluation, &a, NULL) == 0);
    CHECK_INT(a.disagree, 1);
    o = fm_audits_json(&a, NULL, &x->samples);
    REQUIRE(o != NULL);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(o, "pairs"), "disagree")), 1);
    CHECK_INT((long long)json_array_size(json_object_get(o, "confounds")), FM_CONFOUND_COUNT);
    CHECK_STR(json_string_value(json_object_get(o, "level")), "quick");
    json_decref(o);
    snprintf(path, sizeof path, "%s/pairs.tsv", check_tmpdir());
    REQUIRE(fm_audits_write_pairs(&x->samples, &a, path, NULL) == 0 && fm_file_read(path, 4096, &b, NULL) == 0);
    fm_buf_u8(&b, 0);
    CHECK(strstr((char *)b.data, "\t0.010000\t0.100000\tno\n") != NULL);
    CHECK(strstr((char *)b.data, "clinic/tab\\there.jpg\t") != NULL);
    fm_buf_fini(&b);
    fm_audits_fini(&a);
    fixture_fini(x);
}

CHECK_MAIN(CHECK_CASE(sentences_say_how_far_to_trust), CHECK_CASE(figures_are_summed_up))

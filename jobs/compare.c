/* compare: two finished studies on the faces that both tested. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/options.h"
#include "coordinator/learn/compare.h"
#include "jobs/pairing.h"
#include "jobs/verbs.h"

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *paired_json(const fm_paired *d)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "first", number(d->a), "second", number(d->b),
                     "difference", number(d->difference), "se", number(d->se), "low", number(d->low), "high",
                     number(d->high), "z", number(d->z), "p", number(d->p));
}

static json_t *mcnemar_json(const fm_mcnemar *m)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "both", (json_int_t)m->both, "only_first",
                     (json_int_t)m->only_a, "only_second", (json_int_t)m->only_b, "neither", (json_int_t)m->neither,
                     "exact_p", number(m->exact_p), "chi2", number(m->chi2), "chi2_p", number(m->chi2_p));
}

static int print_json(const fm_pairing *pairing, const fm_comparison *c)
{
    json_t *all = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "faces", (json_int_t)c->rows, "subjects",
                            (json_int_t)c->subjects, "only_first", (json_int_t)pairing->only[0], "only_second",
                            (json_int_t)pairing->only[1], "auc", paired_json(&c->auc), "accuracy",
                            paired_json(&c->accuracy), "mcnemar", mcnemar_json(&c->mcnemar));
    char *text = json_dumps(all, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));

    if (text)
        puts(text);
    free(text);
    json_decref(all);
    return text ? FM_EXIT_DONE : FM_EXIT_FAILED;
}

static void print_paired(const char *name, const fm_paired *d, const char *how)
{
    if (isnan(d->difference)) {
        printf("%-9s not defined\n", name);
        return;
    }
    printf("%-9s %6.3f %6.3f  %+.3f", name, d->a, d->b, d->difference);
    if (!isnan(d->se))
        printf(" (%+.3f to %+.3f)", d->low, d->high);
    if (!isnan(d->p))
        printf("  p %.4g, %s", d->p, how);
    putchar('\n');
}

static void print_words(const fm_pairing *pairing, const fm_comparison *c)
{
    const fm_mcnemar *m = &c->mcnemar;

    printf("%zu faces of %zu subjects tested in both; %zu in the first only, %zu in the second only\n", c->rows,
           c->subjects, pairing->only[0], pairing->only[1]);
    printf("           first second  difference (95 %% interval)\n");
    print_paired("AUC", &c->auc, "DeLong");
    print_paired("accuracy", &c->accuracy, "by subject");
    printf("McNemar   right in the first only %llu, in the second only %llu: exact p %.4g",
           (unsigned long long)m->only_a, (unsigned long long)m->only_b, m->exact_p);
    if (!isnan(m->chi2))
        printf(", corrected chi2 %.3f, p %.4g", m->chi2, m->chi2_p);
    putchar('\n');
    if (c->subjects < c->rows)
        printf("          (takes faces to be independent, and subjects have several: go by the lines above)\n");
}

int fm_verb_compare(int argc, char **argv)
{
    bool json = false;
    const fm_option options[] = {{"json", FM_OPT_FLAG, &json, 0, 0, NULL, "print the comparison as JSON"}};
    const fm_command command = {"compare OUT1 OUT2 [options]",
                                "Compares two finished studies on the faces that both tested: difference in AUC (DeLong),\n"
                                "in accuracy (by subject), and McNemar's test.  Photographs are paired by their names.",
                                options, 1, 2, 2};
    const char *args[2];
    fm_pairing pairing;
    fm_comparison c;
    fm_err err = FM_ERR_INIT;
    int rc = fm_command_parse(&command, argc, argv, args, &err), status = FM_EXIT_DONE;

    if (rc != 0)
        return fm_command_exit(rc, &err);
    rc = fm_pairing_make(args, &pairing, &err);
    if (rc == 0) {
        rc = fm_compare(&pairing.of[0], &pairing.of[1], &c, &err);
        if (rc == 0 && json)
            status = print_json(&pairing, &c);
        else if (rc == 0)
            print_words(&pairing, &c);
        fm_pairing_fini(&pairing);
    }
    if (rc == 0)
        return status;
    fprintf(stderr, "facemill compare: %s\n", err.text);
    return rc == -ENOMEM ? FM_EXIT_FAILED : FM_EXIT_INPUT;
}

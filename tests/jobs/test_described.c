/* No figure without its formula: every name of a number in results.json stands in docs/statistics.md. */
#include "tests/check.h"

#include <ctype.h>
#include <jansson.h>

#include "base/file.h"
#include "jobs/results.h"
#include "tests/jobs/fixture.h"

/* Facts and settings, not figures: docs/study.md has them. */
static const char *const facts[] = {"counts", "provenance", "run", "digest", "name", "undefined"};

static fm_buf document;

static bool is_fact(const char *key)
{
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (strcmp(facts[i], key) == 0)
            return true;
    return false;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool is_described(const char *name)
{
    const char *text = (const char *)document.data, *at = text;
    size_t n = strlen(name);

    while ((at = strstr(at, name))) {
        if ((at == text || !in_word(at[-1])) && !in_word(at[n]))
            return true;
        at += n;
    }
    return false;
}

/* Numbers, and what is null where it is undefined, are figures; whatever holds them has a name, too. */
static void look_at(const char *name, json_t *v, size_t *figures)
{
    const char *key;
    json_t *x;
    size_t i;

    if (json_is_object(v))
        json_object_foreach(v, key, x)
            if (!is_fact(key))
                look_at(key, x, figures);
    if (json_is_array(v))
        json_array_foreach(v, i, x)
            look_at(name, x, figures);
    if (!json_is_number(v) && !json_is_null(v))
        return;
    ++*figures;
    if (!is_described(name))
        check_failed(__FILE__, __LINE__, "%s is not described in docs/statistics.md", name);
}

static void every_figure_is_described(void)
{
    static fixture_extras more;
    fixture *x = fixture_make();
    fm_buf b = FM_BUF_INIT;
    json_t *root;
    size_t figures = 0;

    REQUIRE(fm_file_read("docs/statistics.md", 1 << 20, &document, NULL) == 0);
    fm_buf_u8(&document, 0);
    fixture_report(x, &more);
    x->evaluation.prevalence = 0.1;
    REQUIRE(fm_results_json(&x->results, &b, NULL) == 0);
    root = json_loadb((const char *)b.data, b.size, 0, NULL);
    REQUIRE(root != NULL);
    CHECK(json_object_get(root, "audits") && json_object_get(root, "balance") && json_object_get(root, "explain") && json_object_get(root, "subgroups"));
    look_at("", root, &figures);
    CHECK(figures > 100);
    CHECK(!is_described("no_such_figure"));
    json_decref(root);
    fm_buf_fini(&b);
    fm_buf_fini(&document);
    fixture_fini(x);
}

/* With several classes, too, and whether or not the study asks for them. */
static void every_metric_is_described(void)
{
    REQUIRE(fm_file_read("docs/statistics.md", 1 << 20, &document, NULL) == 0);
    fm_buf_u8(&document, 0);
    for (int k = 0; k < FM_METRIC_COUNT; k++)
        if (!is_described(fm_metric_name(k)))
            check_failed(__FILE__, __LINE__, "%s is not described in docs/statistics.md", fm_metric_name(k));
    fm_buf_fini(&document);
}

CHECK_MAIN(CHECK_CASE(every_figure_is_described), CHECK_CASE(every_metric_is_described))

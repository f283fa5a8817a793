/* What others read: JSON by a JSON parser, metrics by a parser that takes no more than the exposition format says. */
#include <ctype.h>
#include <stdlib.h>

#include <jansson.h>

#include "coordinator/status.h"
#include "tests/check.h"

static fm_crew_facts crews[] = {
    {.crew = 0, .ranks = 2, .host = "node-1.site", .photographs = 40, .rate = 12.5, .memory = 1 << 30, .silent_ms = 400},
    {.crew = 17, .ranks = 1, .host = "n2", .leaving = true},
};

static fm_conversation_facts some_facts(void)
{
    fm_conversation_facts f = {.state = {.queued = 3, .leased = 2, .done = 9, .twice = 1}, .ranks = 3, .memory = 5000,
                               .n_crews = 2, .crews = crews,
                               .slowest = {.crew = 17, .rank = 4, .host = "n2", .rate = 2.5, .median = 6}};

    for (int k = 0; k < FM_SPAN_KINDS; k++) {
        f.spent[k].us = (uint64_t)(k + 1) * 1500000;
        f.spent[k].n = (uint64_t)k * 10;
    }
    return f;
}

static const fm_build_counts counts = {.photographs = 100, .done = 60, .photos_made = 50, .photos_reused = 10,
                                       .codes_made = 48, .left_out = {[FM_NO_FACE] = 3}, .leases_lost = 2, .crews_lost = 1,
                                       .workers = 4, .seconds = 12.34};

static void json_is_json(void)
{
    fm_conversation_facts facts = some_facts();
    fm_status status = {"running", 7, &counts, &facts};
    fm_buf b = FM_BUF_INIT;
    json_t *all;

    fm_status_json(&status, &b);
    REQUIRE(!b.failed && (all = json_loadb((const char *)b.data, b.size, JSON_REJECT_DUPLICATES, NULL)));
    CHECK_INT(json_integer_value(json_object_get(all, "done")), 60);
    CHECK_INT(json_integer_value(json_object_get(json_object_get(all, "left_out"), "no_face")), 3);
    CHECK_INT(json_integer_value(json_object_get(all, "twice")), 1);
    CHECK_NEAR(json_number_value(json_object_get(json_object_get(json_object_get(all, "stages"), "encode"), "seconds")),
               1.5 * (FM_SPAN_ENCODE + 1), 1e-9);
    CHECK_INT((long long)json_array_size(json_object_get(all, "crews")), 2);
    CHECK(json_is_true(json_object_get(json_array_get(json_object_get(all, "crews"), 1), "leaving")));
    CHECK_INT(json_integer_value(json_object_get(json_object_get(all, "slowest"), "rank")), 4);
    json_decref(all);
    status.facts = NULL;
    b.size = 0;
    fm_status_json(&status, &b);
    REQUIRE(!b.failed && (all = json_loadb((const char *)b.data, b.size, JSON_REJECT_DUPLICATES, NULL)));
    CHECK_INT((long long)json_object_size(all), 13);
    json_decref(all);
    fm_buf_fini(&b);
}

/* A strict reader of the exposition format: every family has HELP, then TYPE, then all of its samples; no series twice. */
typedef struct {
    char family[80], type[16];
    bool helped, typed;
    char *series[400], *families[80];
    int n_series, n_families;
} strict;

static bool is_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(isalpha((unsigned char)s[i]) || s[i] == '_' || s[i] == ':' || (i && isdigit((unsigned char)s[i]))))
            return false;
    return n > 0;
}

static bool once(char **list, int *n, int most, const char *s, size_t length)
{
    for (int i = 0; i < *n; i++)
        if (strlen(list[i]) == length && strncmp(list[i], s, length) == 0)
            return false;
    if (*n == most)
        return false;
    list[(*n)++] = strndup(s, length);
    return true;
}

/* {name="value",...}: where it ends, or NULL. */
static const char *skip_labels(const char *s)
{
    if (*s != '{')
        return s;
    do {
        size_t n = strcspn(++s, "=");

        if (!is_name(s, n) || memchr(s, ':', n) || s[n + 1] != '"')
            return NULL;
        for (s += n + 2; *s != '"'; s++) {
            if (*s == '\0' || *s == '\n' || (*s == '\\' && !strchr("\\\"n", *++s)))
                return NULL;
        }
        s++;
    } while (*s == ',');
    return *s == '}' ? s + 1 : NULL;
}

static bool take_sample(strict *p, const char *line)
{
    size_t n = strcspn(line, "{ ");
    const char *end = skip_labels(line + n);
    bool counter = strcmp(p->type, "counter") == 0;
    char *rest;

    if (!p->typed || !is_name(line, n) || strlen(p->family) != n || strncmp(line, p->family, n) != 0 || !end || *end != ' ')
        return false;
    if (counter != (n > 6 && strncmp(line + n - 6, "_total", 6) == 0))
        return false;
    if (!once(p->series, &p->n_series, 400, line, (size_t)(end - line)))
        return false;
    return strtod(end + 1, &rest) >= 0 && rest > end + 1 && *rest == '\0';
}

static bool take_line(strict *p, const char *line)
{
    char what[8], name[80];
    int at = 0;

    if (line[0] != '#')
        return take_sample(p, line);
    if (sscanf(line, "# %7s %79s %n", what, name, &at) != 2 || at == 0 || !is_name(name, strlen(name)))
        return false;
    if (strcmp(what, "HELP") == 0) {
        p->helped = true;
        p->typed = false;
        snprintf(p->family, sizeof p->family, "%s", name);
        return line[at] && once(p->families, &p->n_families, 80, name, strlen(name));
    }
    snprintf(p->type, sizeof p->type, "%s", line + at);
    p->typed = true;
    return strcmp(what, "TYPE") == 0 && p->helped && strcmp(name, p->family) == 0 &&
           (strcmp(p->type, "gauge") == 0 || strcmp(p->type, "counter") == 0);
}

/* How many series a text has; -1: a line is not as it should be. */
static int read_strictly(char *text, size_t n)
{
    strict *p = calloc(1, sizeof *p);
    int series;

    if (!p || n == 0 || text[n - 1] != '\n') {
        free(p);
        return -1;
    }
    for (char *line = text, *end; line < text + n; line = end + 1) {
        end = memchr(line, '\n', (size_t)(text + n - line));
        *end = '\0';
        if (!take_line(p, line)) {
            series = p->n_series = -1;
            break;
        }
    }
    series = p->n_series;
    for (int i = 0; i < p->n_series; i++)
        free(p->series[i]);
    for (int i = 0; i < p->n_families; i++)
        free(p->families[i]);
    free(p);
    return series;
}

static void metrics_are_read_strictly(void)
{
    static const char *const wrong[] = {
        "facemill_x 1\n", "# HELP a b\n# TYPE a gauge\na 1", "# HELP a b\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n",
        "# HELP a b\n# TYPE a gauge\na{x=\"1} 1\n", "# HELP a b\n# TYPE a counter\na 1\n", "# HELP a b\na 1\n",
        "# HELP a b\n# TYPE a gauge\na one\n",
    };
    fm_conversation_facts facts = some_facts();
    fm_status status = {"running", 7, &counts, &facts};
    fm_buf b = FM_BUF_INIT;
    int with, without;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *text = strdup(wrong[i]);

        CHECK_INT(read_strictly(text, strlen(text)), -1);
        free(text);
    }
    fm_status_metrics(&status, &b);
    REQUIRE(!b.failed);
    fm_buf_u8(&b, 0);
    CHECK(strstr((char *)b.data, "\nfacemill_build_state{state=\"running\"} 1\n"));
    CHECK(strstr((char *)b.data, "\nfacemill_left_out{reason=\"no_face\"} 3\n"));
    CHECK(strstr((char *)b.data, "\nfacemill_crew_ranks{crew=\"0\",host=\"node-1.site\"} 2\n"));
    CHECK(strstr((char *)b.data, "\nfacemill_stage_seconds_total{stage=\"seal\"} 9.000\n"));
    with = read_strictly((char *)b.data, b.size - 1);
    b.size = 0;
    status.facts = NULL;
    fm_status_metrics(&status, &b);
    REQUIRE(!b.failed);
    without = read_strictly((char *)b.data, b.size);
    CHECK_INT(with - without, 2 + 2 * FM_SPAN_KINDS + 3 * 2);
    CHECK(without > 20);
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(json_is_json), CHECK_CASE(metrics_are_read_strictly))

/* libyaml builds the document; tables of keys say what may stand in it. */
#include "jobs/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"

#define BYTES_MAX (1u << 20)
#define KEYS_MAX 64

static int parse(fm_yaml *y, const fm_buf *text, fm_err *err)
{
    yaml_parser_t parser;
    int rc = 0;

    if (!yaml_parser_initialize(&parser))
        return fm_fail_nomem(err, "YAML parser", sizeof parser);
    yaml_parser_set_input_string(&parser, text->size ? text->data : (const uint8_t *)"", text->size);
    if (!yaml_parser_load(&parser, &y->document))
        rc = fm_fail(err, -EINVAL, "%s:%zu: not YAML: %s", y->name, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "cannot be parsed");
    else
        y->loaded = true;
    yaml_parser_delete(&parser);
    return rc;
}

int fm_yaml_open(const char *path, fm_yaml *out, fm_err *err)
{
    fm_yaml y = {.name = strdup(path)};
    fm_buf text = FM_BUF_INIT;
    int rc = y.name ? fm_file_read(path, BYTES_MAX, &text, err) : fm_fail_nomem(err, path, strlen(path));

    if (rc == 0)
        rc = parse(&y, &text, err);
    if (rc == 0 && !fm_yaml_root(&y))
        rc = fm_fail(err, -EINVAL, "%s: is empty; see \"facemill help run\" for what a study file holds", path);
    fm_buf_fini(&text);
    if (rc != 0)
        fm_yaml_close(&y);
    else
        *out = y;
    return rc;
}

void fm_yaml_close(fm_yaml *y)
{
    if (y->loaded)
        yaml_document_delete(&y->document);
    free(y->name);
    memset(y, 0, sizeof *y);
}

const yaml_node_t *fm_yaml_root(const fm_yaml *y)
{
    return yaml_document_get_root_node((yaml_document_t *)&y->document);
}

const yaml_node_t *fm_yaml_node(const fm_yaml *y, int index)
{
    return yaml_document_get_node((yaml_document_t *)&y->document, index);
}

const char *fm_yaml_text(const yaml_node_t *node)
{
    const char *text;

    if (!node || node->type != YAML_SCALAR_NODE)
        return NULL;
    text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;      /* a NUL inside is no text */
}

int fm_yaml_fail(const fm_yaml *y, const yaml_node_t *node, fm_err *err, const char *fmt, ...)
{
    char what[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fm_fail(err, -EINVAL, "%s:%zu: %s", y->name, node ? node->start_mark.line + 1 : 1, what);
}

static int read_choice(const fm_yaml *y, const yaml_node_t *node, const fm_yaml_key *key, const char *text, int *to,
                       fm_err *err)
{
    char list[200] = "";
    size_t n = 0;

    for (; key->choices[n]; n++) {
        if (text && strcmp(text, key->choices[n]) == 0) {
            *to = (int)n;
            return 0;
        }
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", n ? ", " : "", key->choices[n]);
    }
    return fm_yaml_fail(y, node, err, "%s: \"%s\" is none of: %s", key->key, text ? text : "(not a word)", list);
}

static int read_value(const fm_yaml *y, const yaml_node_t *node, const fm_yaml_key *key, char *to, fm_err *err)
{
    const char *text = fm_yaml_text(node);

    if (key->kind == FM_YAML_NODE) {
        memcpy(to, &node, sizeof node);
        return 0;
    }
    if (key->kind == FM_YAML_CHOICE)
        return read_choice(y, node, key, text, (int *)(void *)to, err);
    if (!text)
        return fm_yaml_fail(y, node, err, "%s: expected a single value here", key->key);
    switch (key->kind) {
    case FM_YAML_STRING:
        if (!*text || strlen(text) >= (size_t)key->high)
            return fm_yaml_fail(y, node, err, "%s: expected 1 to %.0f characters", key->key, key->high - 1);
        memcpy(to, text, strlen(text) + 1);
        return 0;
    case FM_YAML_INT:
        if (!fm_parse_int(text, (int64_t)key->low, (int64_t)key->high, (int64_t *)(void *)to))
            return fm_yaml_fail(y, node, err, "%s: expected a whole number from %.0f to %.0f, not \"%s\"", key->key,
                                key->low, key->high, text);
        return 0;
    case FM_YAML_REAL: {
        double v;

        if (!fm_parse_double(text, &v) || v < key->low || v > key->high)
            return fm_yaml_fail(y, node, err, "%s: expected a number from %g to %g, not \"%s\"", key->key, key->low,
                                key->high, text);
        memcpy(to, &v, sizeof v);
        return 0;
    }
    default:
        if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
            return fm_yaml_fail(y, node, err, "%s: expected true or false, not \"%s\"", key->key, text);
        *(bool *)to = text[0] == 't';
        return 0;
    }
}

static int fail_unknown(const fm_yaml *y, const yaml_node_t *node, const char *what, const fm_yaml_key *keys, size_t n,
                        const char *word, fm_err *err)
{
    const char *names[KEYS_MAX], *near;

    for (size_t i = 0; i < n && i < KEYS_MAX; i++)
        names[i] = keys[i].key;
    near = fm_nearest(word, names, n < KEYS_MAX ? n : KEYS_MAX);
    if (near)
        return fm_yaml_fail(y, node, err, "%s: unknown key \"%.60s\"; did you mean \"%s\"?", what, word, near);
    return fm_yaml_fail(y, node, err, "%s: unknown key \"%.60s\"", what, word);
}

int fm_yaml_map(const fm_yaml *y, const yaml_node_t *node, const char *what, const fm_yaml_key *keys, size_t n,
                void *to, fm_err *err)
{
    uint64_t seen = 0;
    int rc;

    if (!node || node->type != YAML_MAPPING_NODE)
        return fm_yaml_fail(y, node, err, "%s: expected a mapping (key: value)", what);
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key_node = fm_yaml_node(y, p->key);
        const char *word = fm_yaml_text(key_node);
        size_t i = 0;

        while (word && i < n && strcmp(keys[i].key, word) != 0)
            i++;
        if (!word || i == n)
            return fail_unknown(y, key_node, what, keys, n, word ? word : "(not a word)", err);
        if (seen >> i & 1)
            return fm_yaml_fail(y, key_node, err, "%s: key \"%s\" stands here twice", what, word);
        seen |= (uint64_t)1 << i;
        if ((rc = read_value(y, fm_yaml_node(y, p->value), &keys[i], (char *)to + keys[i].offset, err)) != 0)
            return rc;
    }
    for (size_t i = 0; i < n; i++)
        if (keys[i].required && !(seen >> i & 1))
            return fm_yaml_fail(y, node, err, "%s: key \"%s\" is missing", what, keys[i].key);
    return 0;
}

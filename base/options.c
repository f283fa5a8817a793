#include "base/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define OPTIONS_MAX 48

static const fm_option *find(const fm_command *c, const char *name, size_t n)
{
    for (size_t i = 0; i < c->n_options; i++)
        if (strlen(c->options[i].name) == n && strncmp(c->options[i].name, name, n) == 0)
            return &c->options[i];
    return NULL;
}

static int fail_unknown(const fm_command *c, const char *verb, const char *name, size_t n, fm_err *err)
{
    const char *names[OPTIONS_MAX], *near;
    char word[64];
    size_t count = 0;

    for (; count < c->n_options && count < OPTIONS_MAX; count++)
        names[count] = c->options[count].name;
    snprintf(word, sizeof word, "%.*s", (int)n, name);
    near = fm_nearest(word, names, count);
    return fm_fail(err, -EINVAL, "%s: unknown option --%s%s%s%s (facemill help %s lists them)", verb, word,
                   near ? ", did you mean --" : "", near ? near : "", near ? "?" : "", verb);
}

static int set(const fm_option *o, const char *verb, const char *value, fm_err *err)
{
    int64_t whole;
    double real;

    switch (o->kind) {
    case FM_OPT_FLAG:
        *(bool *)o->to = true;
        return 0;
    case FM_OPT_STRING:
        *(const char **)o->to = value;
        return 0;
    case FM_OPT_INT:
        if (!fm_parse_int(value, (int64_t)o->low, (int64_t)o->high, &whole))
            return fm_fail(err, -EINVAL, "%s: --%s takes a whole number from %.0f to %.0f, not \"%s\"", verb, o->name,
                           o->low, o->high, value);
        *(int64_t *)o->to = whole;
        return 0;
    case FM_OPT_REAL:
        if (!fm_parse_double(value, &real) || real < o->low || real > o->high)
            return fm_fail(err, -EINVAL, "%s: --%s takes a number from %g to %g, not \"%s\"", verb, o->name, o->low,
                           o->high, value);
        *(double *)o->to = real;
        return 0;
    }
    return -EINVAL;
}

/* Handles argv[*at], which starts with "--"; steps *at over a value of its own. */
static int take_option(const fm_command *c, int argc, char **argv, int *at, fm_err *err)
{
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const fm_option *o = find(c, name, n);

    if (!o)
        return fail_unknown(c, argv[0], name, n, err);
    if (o->kind == FM_OPT_FLAG) {
        if (equals)
            return fm_fail(err, -EINVAL, "%s: --%s takes no value", argv[0], o->name);
        return set(o, argv[0], NULL, err);
    }
    if (equals)
        return set(o, argv[0], equals + 1, err);
    if (*at + 1 >= argc)
        return fm_fail(err, -EINVAL, "%s: --%s needs a value (%s)", argv[0], o->name, o->value);
    return set(o, argv[0], argv[++*at], err);
}

int fm_command_parse(const fm_command *c, int argc, char **argv, const char **args, fm_err *err)
{
    int n = 0, rc;
    bool options = true;

    for (int i = 0; i < c->max_args; i++)
        args[i] = NULL;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strcmp(argv[i], "--help") == 0) {
            fm_command_help(c);
            return 1;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if ((rc = take_option(c, argc, argv, &i, err)) != 0)
                return rc;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            return fm_fail(err, -EINVAL, "%s: unknown option %s: options have long names only (facemill help %s)",
                           argv[0], argv[i], argv[0]);
        } else if (n >= c->max_args) {
            return fm_fail(err, -EINVAL, "%s: \"%s\" is one word too many (usage: facemill %s)", argv[0], argv[i],
                           c->usage);
        } else {
            args[n++] = argv[i];
        }
    }
    if (n < c->min_args)
        return fm_fail(err, -EINVAL, "%s: something is missing (usage: facemill %s)", argv[0], c->usage);
    return 0;
}

void fm_command_help(const fm_command *c)
{
    printf("usage: facemill %s\n\n%s\n", c->usage, c->about);
    if (c->n_options)
        printf("\n");
    for (size_t i = 0; i < c->n_options; i++) {
        const fm_option *o = &c->options[i];
        char left[64];

        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-24s %s\n", left, o->help);
    }
}

int fm_command_exit(int rc, const fm_err *err)
{
    if (rc >= 0)
        return 0;
    fprintf(stderr, "facemill %s\n", err->text);
    return 2;
}

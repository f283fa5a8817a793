/* YAML read into C structs through tables of keys, with errors that name the
 * line and the nearest key.  The one home of libyaml. */
#ifndef FM_JOBS_YAML_H
#define FM_JOBS_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yaml.h>

#include "base/err.h"

typedef struct {
    char *name;                 /* of the file, for messages */
    yaml_document_t document;
    bool loaded;
} fm_yaml;

/* Parse one document of at most 1 MiB.  Errors: what reading gives, -EINVAL with line and column. */
int fm_yaml_open(const char *path, fm_yaml *out, fm_err *err);
void fm_yaml_close(fm_yaml *y);

typedef enum {
    FM_YAML_STRING,     /* char [high], NUL included; an empty one is refused */
    FM_YAML_INT,        /* int64_t in [low, high] */
    FM_YAML_REAL,       /* double in [low, high] */
    FM_YAML_BOOL,       /* bool: true or false */
    FM_YAML_CHOICE,     /* int: index into choices */
    FM_YAML_NODE        /* const yaml_node_t *: read by the caller */
} fm_yaml_kind;

typedef struct {
    const char *key;
    fm_yaml_kind kind;
    size_t offset;                  /* of the member in the struct that is filled */
    double low, high;
    const char *const *choices;     /* NULL-ended */
    bool required;
} fm_yaml_key;

/* Fill the members of a struct from a mapping; members whose key is absent keep their content.
 * what  the mapping's name in messages, e.g. "recipe".
 * Errors: -EINVAL (not a mapping, unknown or repeated or missing key, wrong type, out of range). */
int fm_yaml_map(const fm_yaml *y, const yaml_node_t *node, const char *what, const fm_yaml_key *keys, size_t n,
                void *to, fm_err *err);

const yaml_node_t *fm_yaml_root(const fm_yaml *y);
const yaml_node_t *fm_yaml_node(const fm_yaml *y, int index);
/* The text of a scalar, NULL for another kind of node.  Borrowed from y. */
const char *fm_yaml_text(const yaml_node_t *node);
/* "file:line: ..." */
int fm_yaml_fail(const fm_yaml *y, const yaml_node_t *node, fm_err *err, const char *fmt, ...) FM_PRINTF(4, 5);

#endif

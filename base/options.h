/* Command lines: a table of options a verb has, and one parser for all verbs. */
#ifndef FM_BASE_OPTIONS_H
#define FM_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef enum {
    FM_OPT_FLAG,        /* --name               bool * */
    FM_OPT_STRING,      /* --name S, --name=S   const char **, borrowed from argv */
    FM_OPT_INT,         /* whole number in [low, high]   int64_t * */
    FM_OPT_REAL         /* number in [low, high]         double * */
} fm_option_kind;

typedef struct {
    const char *name;       /* without the dashes */
    fm_option_kind kind;
    void *to;               /* where the value goes; keeps its content when the option is not given */
    double low, high;       /* INT and REAL */
    const char *value;      /* word for the value in the help text; NULL for flags */
    const char *help;       /* one line */
} fm_option;

typedef struct {
    const char *usage;      /* "run STUDY.yaml [options]" */
    const char *about;      /* a sentence or a few lines */
    const fm_option *options;
    size_t n_options;
    int min_args, max_args; /* how many words that are not options; max at most 8 */
} fm_command;

/* Read argv[1..] (argv[0] is the verb).  "--" ends the options; --help is known to every command.
 * args  caller's, [max_args], filled with borrowed words, the rest NULL.
 * Returns 0; 1 when help was asked for and printed on stdout (the verb then exits 0);
 * -EINVAL with the nearest option suggested, a value out of range, or too few or too many words. */
int fm_command_parse(const fm_command *command, int argc, char **argv, const char **args, fm_err *err);

void fm_command_help(const fm_command *command);

/* What a verb does with that result: prints the error if there is one and gives the exit status (0 or 2). */
int fm_command_exit(int rc, const fm_err *err);

#endif

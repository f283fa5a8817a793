/* facemill VERB [options]: finds the verb in the table and hands over. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/text.h"
#include "jobs/verbs.h"

typedef struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;                      /* NULL: the program's own, not listed */
} verb;

static const verb verbs[] = {
    {"run", fm_verb_road, "the whole study; run again, it does only what is missing"},
    {"import", fm_verb_road, "read the cohorts and say what is in them"},
    {"match", fm_verb_road, "choose controls for the cases by sex and age"},
    {"build", fm_verb_road, "photographs to chips and codes, on all ranks"},
    {"train", fm_verb_road, "train the head on all codes"},
    {"evaluate", fm_verb_road, "train and test over the folds"},
    {"power", fm_verb_power, "what size of a planted effect the study would find"},
    {"explain", fm_verb_road, "what the classifier looked at"},
    {"report", fm_verb_road, "write results, ledger and report"},
    {"predict", fm_verb_predict, "what a study's head makes of new photographs"},
    {"folds", fm_verb_folds, "a study's folds as the jobs of an array"},
    {"submit", fm_verb_submit, "the whole study as a SLURM job"},
    {"status", fm_verb_status, "progress of a run, once"},
    {"watch", fm_verb_watch, "progress of a run, live"},
    {"join", fm_verb_join, "add crews of this machine or allocation to a running build"},
    {"drain", fm_verb_drain, "ask a running build, or one node of it, to leave off"},
    {"compare", fm_verb_compare, "two studies on the faces that both tested"},
    {"verify", fm_verb_verify, "prove store and results whole"},
    {"digest", fm_verb_digest, "one digest of all chips and codes"},
    {"export", fm_verb_export, "ledger, faces, chips, codes or predictions to a folder"},
    {"forget", fm_verb_forget, "make all records of a subject unreadable, for good"},
    {"rekey", fm_verb_rekey, "a new master key for an encrypted store"},
    {"models", fm_verb_models, "which model files there are, and whether they are here"},
    {"synth", fm_verb_synth, "generated faces with a planted difference between cohorts"},
    {"doctor", fm_verb_doctor, "what this machine can and cannot do, each with a remedy"},
    {"crew", fm_verb_crew, NULL},
    {"stage", fm_verb_stage, NULL},
};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static const verb *find(const char *name)
{
    for (size_t i = 0; i < N_VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static void usage(FILE *to)
{
    fputs("usage: facemill VERB [options]\n\n", to);
    for (size_t i = 0; i < N_VERBS; i++)
        if (verbs[i].about)
            fprintf(to, "  %-10s %s\n", verbs[i].name, verbs[i].about);
    fputs("\nEvery verb takes --log-format json.\nfacemill help VERB says more.  A study starts with: facemill run STUDY.yaml\n", to);
}

static int unknown(const char *word)
{
    const char *names[N_VERBS], *near;
    size_t n = 0;

    for (size_t i = 0; i < N_VERBS; i++)
        if (verbs[i].about)
            names[n++] = verbs[i].name;
    near = fm_nearest(word, names, n);
    fprintf(stderr, "facemill: no verb \"%s\"%s%s%s (facemill help lists them)\n", word, near ? ", did you mean " : "",
            near ? near : "", near ? "?" : "");
    return FM_EXIT_USAGE;
}

/* Photographs of patients: nothing we create is for others, no memory lands in a core file, and none is read by
 * another process of the same user (which also makes /proc/PID/mem and environ root's). */
static void be_private(void)
{
    const struct rlimit none = {0, 0};

    umask(077);
#ifndef FM_DEBUG
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
#else
    (void)none;
#endif
}

/* Takes --log-format out of the words, wherever it stands: every verb has it, and what is started by one gets it through
 * the environment.  False: it has no value, or one that does not exist. */
static bool take_log_format(int *argc, char **argv)
{
    static const char name[] = "--log-format";
    const char *level = getenv("FACEMILL_LOG");
    char value[64];

    for (int i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        bool joined = strncmp(argv[i], name, sizeof name - 1) == 0 && argv[i][sizeof name - 1] == '=';
        const char *format = joined ? argv[i] + sizeof name : argv[i + 1];
        int words = joined ? 1 : 2;

        if (!joined && strcmp(argv[i], name) != 0)
            continue;
        if (!format || (strcmp(format, "json") != 0 && strcmp(format, "text") != 0))
            return false;
        if (strcmp(format, "json") == 0) {
            snprintf(value, sizeof value, "%s%sjson", level ? level : "", level && *level ? "," : "");
            setenv("FACEMILL_LOG", value, 1);
        }
        memmove(argv + i, argv + i + words, (size_t)(*argc - i - words + 1) * sizeof *argv);
        *argc -= words;
        return true;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool understood = take_log_format(&argc, argv);
    const char *word = argc > 1 ? argv[1] : "";
    char help[] = "--help", *help_words[] = {argc > 2 ? argv[2] : NULL, help, NULL};
    bool help_on = strcmp(word, "help") == 0 && argc > 2;
    const verb *v = find(help_on ? argv[2] : word);

    be_private();
    if (!understood) {
        fprintf(stderr, "facemill: --log-format takes json or text\n");
        return FM_EXIT_USAGE;
    }
    if (v)
        return help_on ? v->run(2, help_words) : v->run(argc - 1, argv + 1);
    if (help_on)
        return unknown(argv[2]);
    if (strcmp(word, "--version") == 0) {
        puts("facemill " FM_VERSION);
        return FM_EXIT_DONE;
    }
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        usage(stdout);
        return FM_EXIT_DONE;
    }
    if (*word)
        return unknown(word);
    usage(stderr);
    return FM_EXIT_USAGE;
}

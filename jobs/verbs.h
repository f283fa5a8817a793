/* The verbs of the command line: one function each, one table of them in main.c. */
#ifndef FM_JOBS_VERBS_H
#define FM_JOBS_VERBS_H

/* What the program's exit status says. */
enum {
    FM_EXIT_DONE = 0,
    FM_EXIT_NOT_HELD = 1,       /* done, but what was checked does not hold */
    FM_EXIT_USAGE = 2,          /* wrong use, wrong study file */
    FM_EXIT_INPUT = 3,          /* input unusable */
    FM_EXIT_FAILED = 4,         /* a stage failed after its retries */
    FM_EXIT_STOPPED = 5,        /* stopped by a signal; run again to go on */
    FM_EXIT_BUSY = 75           /* another coordinator holds the store */
};

/* Each takes its own words (argv[0] is the verb) and returns an exit status. */
int fm_verb_road(int argc, char **argv);        /* run, import, match, build, train, evaluate, report */
int fm_verb_folds(int argc, char **argv);
int fm_verb_submit(int argc, char **argv);
int fm_verb_predict(int argc, char **argv);
int fm_verb_power(int argc, char **argv);
int fm_verb_status(int argc, char **argv);
int fm_verb_watch(int argc, char **argv);
int fm_verb_join(int argc, char **argv);
int fm_verb_drain(int argc, char **argv);
int fm_verb_compare(int argc, char **argv);
int fm_verb_verify(int argc, char **argv);
int fm_verb_digest(int argc, char **argv);
int fm_verb_export(int argc, char **argv);
int fm_verb_forget(int argc, char **argv);
int fm_verb_rekey(int argc, char **argv);
int fm_verb_models(int argc, char **argv);
int fm_verb_synth(int argc, char **argv);
int fm_verb_doctor(int argc, char **argv);
int fm_verb_crew(int argc, char **argv);        /* the program's own: a rank of a crew */
int fm_verb_stage(int argc, char **argv);       /* the program's own: a rank of a collective stage */

#endif

/* facemill models run and models show: any supported network on the command line. */
#ifndef FM_JOBS_MODELS_RUN_H
#define FM_JOBS_MODELS_RUN_H

/* argv[0] is "run" or "show"; both return an exit status. */
int fm_models_run(int argc, char **argv);
int fm_models_show(int argc, char **argv);

#endif

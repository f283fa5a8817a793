/* Generated faces: portraits of people who do not exist, for the demonstration
 * and for tests.  Two cohorts differ in one planted thing, the build of the face.
 *
 * A picture depends on (seed, subject, photo, effect) alone, through counter-based
 * random numbers; pixels are the same wherever libm's log, sin and cos are. */
#ifndef FM_JOBS_SYNTH_H
#define FM_JOBS_SYNTH_H

#include <stdint.h>

#include "base/err.h"
#include "jobs/samples.h"
#include "worker/image/image.h"

typedef struct {
    const char *dir;            /* made when it is not there */
    int64_t cases, controls;    /* photographs in each cohort, 1 to 1,000,000 */
    int64_t seed;
    double effect;              /* size of the planted difference, 0 to 4; 0: the cohorts are exchangeable */
} fm_synth_spec;

/* Write two cohorts and a study of them:
 *   dir/cases/manifest.csv, dir/controls/manifest.csv   file,subject,sex,age; about one subject in eight
 *                                                       has two photographs, in rows that follow each other
 *   dir/cases/NAME.jpg, dir/controls/NAME.jpg
 *   dir/cases/GENERATED, dir/controls/GENERATED         say that no real person is shown
 *   dir/study.yaml                                      matched by sex and age; runs as it stands
 * A failure leaves what was written so far, without study.yaml.
 * Errors: -EEXIST (dir is there and not empty), -EINVAL (a number out of range), -ENOMEM, and those of files. */
int fm_synth_write(const fm_synth_spec *spec, fm_err *err);

typedef struct {
    int64_t seed, subject;
    int photo;                  /* the same subject with another pose, light, expression and background */
    double effect;              /* 0: as a control */
} fm_synth_id;

typedef struct {
    fm_sex sex;
    int age;                    /* years, 10 to 80 */
    bool glasses;
    double eyes[2][2];          /* x, y of the pupils, pixels; the one on the picture's left first */
    double mouth[2];            /* x, y of the mouth's middle, pixels */
} fm_synth_truth;

/* Draw one face.
 * out    240 to 360 pixels a side; free with fm_image_fini; written only on success.
 * truth  NULL allowed.
 * Errors: -ENOMEM.  Threads: any number. */
int fm_synth_face(const fm_synth_id *id, fm_image *out, fm_synth_truth *truth, fm_err *err);

#endif

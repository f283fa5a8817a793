/* What both sides work on: photographs of 1 to 3 megapixels, their faces, chips
 * of those, and the models. */
#ifndef FM_BENCH_INPUTS_H
#define FM_BENCH_INPUTS_H

#include "base/buf.h"
#include "worker/face/detector.h"
#include "worker/image/image.h"
#include "worker/models.h"
#include "worker/preprocess.h"

enum {
    PHOTOGRAPHS_MAX = 32,
    FACES_MAX = 512,
    CHIP_BYTES = FM_ENCODER_CHIP * FM_ENCODER_CHIP * 3,
    FACE_POINTS = 68
};

typedef struct {
    fm_image image;
    fm_buf file;                /* JPEG or PNG; JPEG of our own for one that was doubled */
} bench_photograph;

typedef struct {
    bench_photograph photographs[PHOTOGRAPHS_MAX];
    size_t n_photographs, n_doubled;
    double pixels;              /* of all photographs */
    struct { size_t photograph; fm_face_box box; } faces[FACES_MAX];
    size_t n_faces;
    const uint8_t *chips[FM_ENCODER_BATCH];     /* of the first faces, from the first again when they are fewer */
    fm_photo cut[PHOTOGRAPHS_MAX];              /* owns the chips */
    fm_models *models;
    fm_detector *detector;
    fm_preprocessor *preprocessor;
} bench_inputs;

/* Ends the program when something is missing.
 * folder  made here, with what Python's peers need: see bench/peers.py. */
void bench_inputs_read(bench_inputs *in, const char *folder);

const char *bench_model_path(const char *name);     /* valid until the next call */
void bench_stop(const char *what, const fm_err *err);
fm_buf bench_read(const char *path);

#endif

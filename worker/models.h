/* The model files in the form workers use, in one block of memory that the ranks
 * of a node share: files are packed into it once, then each rank views it. */
#ifndef FM_WORKER_MODELS_H
#define FM_WORKER_MODELS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/err.h"
#include "worker/face/landmarks.h"
#include "worker/net/encoder.h"

/* Bytes of the files; encoder may be NULL with size 0 (chips only), and so may mask (no masks).
 * encoder  dlib's .dat or an ONNX file.  dlib's is packed for the instruction set; ONNX files are held as they are
 *          and planned by each rank, whose weights are then its own. */
typedef struct {
    const void *detector, *landmarks, *encoder, *mask;
    size_t detector_size, landmarks_size, encoder_size, mask_size;
} fm_model_files;

/* Append the packed block to out (empty before).  Deterministic.  Errors: as the parts' pack functions. */
int fm_models_pack(const fm_model_files *files, fm_isa isa, fm_buf *out, fm_err *err);

typedef struct fm_models fm_models;

/* View a packed block: borrowed, 64-byte aligned, must outlive the result.  Errors: -EBADMSG, -ENOMEM. */
int fm_models_open(const void *packed, size_t n, fm_models **out, fm_err *err);
void fm_models_close(fm_models *m);

/* Borrowed from m. */
const void *fm_models_detector(const fm_models *m, size_t *n_bytes);    /* as fm_detector_create takes it */
const fm_landmarks *fm_models_landmarks(const fm_models *m);
fm_encoder *fm_models_encoder(const fm_models *m);                      /* NULL: none, or it is an ONNX network */
/* Bytes of ONNX files; NULL with size 0: none. */
const void *fm_models_network(const fm_models *m, size_t *n_bytes);
const void *fm_models_mask(const fm_models *m, size_t *n_bytes);

#endif

/* The frontal face detector of dlib: five rigid filters over FHOG planes
 * (Felzenszwalb et al. 2010, "Object Detection with Discriminatively Trained
 * Part Based Models"; King 2015, arXiv:1502.00046), a 6:5 pyramid, greedy
 * non-maximum suppression.  Boxes are those that dlib 19.24 finds, scores equal
 * to about 1e-5. */
#ifndef FM_WORKER_FACE_DETECTOR_H
#define FM_WORKER_FACE_DETECTOR_H

#include <stddef.h>

#include "base/cpu.h"
#include "base/err.h"
#include "worker/face/box.h"
#include "worker/image/image.h"

typedef struct fm_detector fm_detector;

/* filters  bytes of frontal_hog.f32: f32 little-endian [5 filters][31 planes][10 rows][10 columns], then
 *          [5] thresholds; copied.
 * isa      which kernels; fm_cpu_isa() in programs, others in tests.
 * Errors: -EINVAL (another size, or values that are no numbers), -ENOMEM. */
int fm_detector_create(const void *filters, size_t n_bytes, fm_isa isa, fm_detector **out, fm_err *err);
void fm_detector_destroy(fm_detector *d);

/* Find faces.
 * threshold  added to every filter's own, as dlib's adjust_threshold.
 * boxes      [n], best first; owned by d, valid until the next call.
 * Images too small for a filter have no faces.  Memory grows to about 10 bytes a pixel and is kept.
 * Errors: -ENOMEM.  Threads: one detector each. */
int fm_detector_find(fm_detector *d, const fm_image *image, double threshold, const fm_face_box **boxes, size_t *n,
                     fm_err *err);

#endif

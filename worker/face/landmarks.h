/* Landmarks by a cascade of regression trees (Kazemi and Sullivan 2014, "One
 * Millisecond Face Alignment with an Ensemble of Regression Trees"), read from
 * dlib's shape predictor files (68 or 5 points). */
#ifndef FM_WORKER_FACE_LANDMARKS_H
#define FM_WORKER_FACE_LANDMARKS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "worker/face/box.h"
#include "worker/image/image.h"

typedef struct fm_landmarks fm_landmarks;

/* Turn a .dat file's bytes into a packed image: position-independent, read-only,
 * so that the ranks of a node can share one.  Appended to out, whose size must be
 * a multiple of 64.
 * Errors: -EBADMSG (not a shape predictor of version 1, cut short, or trees that
 * point outside), -ENOMEM. */
int fm_landmarks_pack(const void *file, size_t n, fm_buf *out, fm_err *err);

/* View a packed image: borrowed, 64-byte aligned, must outlive the result.
 * Errors: -EBADMSG, -ENOMEM. */
int fm_landmarks_open(const void *packed, size_t n, fm_landmarks **out, fm_err *err);
void fm_landmarks_close(fm_landmarks *l);

int fm_landmarks_count(const fm_landmarks *l);      /* 68 or 5 */

/* Place landmarks in a box.
 * points  [fm_landmarks_count], pixels of the image; may lie outside it.
 * Threads: any number share one fm_landmarks.  Never fails: pixels outside the image count as 0. */
void fm_landmarks_find(const fm_landmarks *l, const fm_image *image, const fm_face_box *box, fm_point *points);

#endif

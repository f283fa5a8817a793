/* A detection, and a landmark. */
#ifndef FM_WORKER_FACE_BOX_H
#define FM_WORKER_FACE_BOX_H

#include <stdint.h>

typedef struct {
    int32_t left, top, right, bottom;   /* inclusive, pixels of the image searched; may reach beyond it */
    float score;                        /* the filter's answer less its threshold */
    int view;                           /* which of the five filters answered */
} fm_face_box;

typedef struct { int32_t x, y; } fm_point;

#endif

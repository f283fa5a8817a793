/* dlib doing the same work, behind plain C calls.  What it works on is turned
 * into dlib's types ahead of the measurement, and numbered as it is added. */
#ifndef FM_BENCH_DLIB_PEER_H
#define FM_BENCH_DLIB_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { DLIB_PEER_POINTS = 68, DLIB_PEER_EMBEDDING = 128, DLIB_PEER_BATCH = 16 };

typedef struct { int32_t left, top, right, bottom; } dlib_peer_box;     /* inclusive */

/* 0, or -1 after printing why a model could not be read. */
int dlib_peer_open(const char *network, const char *landmarks);
/* file  the JPEG's bytes, borrowed. */
void dlib_peer_add_photograph(const uint8_t *rgb, int width, int height, const uint8_t *file, size_t n);
void dlib_peer_add_box(size_t photograph, dlib_peer_box box);
void dlib_peer_add_chip(const uint8_t *rgb, int side);
/* Boxes of a photograph's faces, best first, at dlib's own threshold; how many there are. */
size_t dlib_peer_detect(size_t photograph, dlib_peer_box *boxes, size_t max);
/* Landmarks of all boxes that were added: i32 [boxes][68][2]. */
void dlib_peer_landmarks(int32_t *points);
/* Embeddings of all chips as one batch: f32 [chips][128]. */
void dlib_peer_encode(float *codes);
/* All photographs from their files: decode, detect, landmarks, chip, embedding; f32 [faces][128], at most max of them.
 * How many faces there are. */
size_t dlib_peer_pipeline(float *codes, size_t max);

#ifdef __cplusplus
}
#endif

#endif

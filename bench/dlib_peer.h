/* dlib doing the same work: its frontal face detector and its face network,
 * behind plain C calls. */
#ifndef FM_BENCH_DLIB_PEER_H
#define FM_BENCH_DLIB_PEER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0, or -1 after printing why the network could not be read. */
int dlib_peer_open(const char *network);
/* Photographs and chips are turned into dlib's types ahead of the measurement; they are numbered as they are added. */
void dlib_peer_add_photograph(const uint8_t *rgb, int width, int height);
void dlib_peer_add_chip(const uint8_t *rgb, int side);
/* Faces found in a photograph at dlib's own threshold. */
size_t dlib_peer_detect(size_t photograph);
/* Embeddings of all chips as one batch; codes f32 [chips][128]. */
void dlib_peer_encode(float *codes);

#ifdef __cplusplus
}
#endif

#endif

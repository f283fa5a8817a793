/* Decoding in a process of its own, which a photograph may kill. */
#ifndef FM_WORKER_IMAGE_ISOLATE_H
#define FM_WORKER_IMAGE_ISOLATE_H

#include "worker/image/decode.h"

typedef struct fm_isolate fm_isolate;

/* Start a process that keeps one decoder running.  It ends with this one, however that ends.
 * Call it before MPI starts and before there are threads: it forks, and its children fork again. */
int fm_isolate_start(fm_isolate **out, fm_err *err);
void fm_isolate_end(fm_isolate *isolate);

/* As fm_image_decode, in the decoder.  Its memory is bounded by what the limits can make it need.
 * isolate  NULL: decoded here.
 * Errors besides: -ECHILD (info->reason is crashed: a decoder died of these bytes twice, or could not have the memory
 * that they take twice; the next call finds another decoder), -EIO (there are no decoders any more, or they fail
 * whatever they are given).
 * Threads: one at a time.  Fork: not across one. */
int fm_isolate_decode(fm_isolate *isolate, const uint8_t *bytes, size_t n, const fm_decode_limits *limits,
                      fm_image *out, fm_decode_info *info, fm_err *err);

#endif

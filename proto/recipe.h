/* The recipe: everything that decides what a chip looks like.  Pure codec; the
 * study file fills it, the coordinator sends it, workers obey it. */
#ifndef FM_PROTO_RECIPE_H
#define FM_PROTO_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

typedef enum { FM_FACE_LARGEST, FM_FACE_ALL, FM_FACE_ONLY } fm_face_choice;

typedef struct {
    uint8_t upsample;           /* doublings before detection, 0 to 4 */
    double threshold;           /* added to the detector's own thresholds, as dlib's adjust_threshold */
    fm_face_choice face;        /* which faces of a photograph are kept */
    uint32_t face_min_pixels;   /* a chosen face with a narrower box is face_too_small; 0: none is */
    uint8_t landmarks;          /* 68 or 5 */
    uint16_t chip_size;         /* pixels a side, 32 to 1024 */
    double chip_padding;        /* 0 to 2, as dlib's get_face_chip_details */
    bool strict;                /* a decoder's warning leaves the photograph out */
    uint64_t max_pixels;        /* more: too_large */
    uint64_t max_bytes;         /* a larger file: too_large */
    fm_digest detector_model;   /* SHA-256 of the model files that shape a chip */
    fm_digest landmarks_model;
    bool mask;                  /* a portrait mask is kept beside every chip */
    fm_digest mask_model;       /* of the network that makes it; looked at when mask is set */
} fm_recipe;

/* dlib's usual ways: hog, upsample 0, threshold 0, largest, 68 points, 150 pixels, padding 0.25,
 * 100 megapixels, 256 MiB; model digests zero. */
void fm_recipe_default(fm_recipe *recipe);

void fm_recipe_encode(const fm_recipe *recipe, fm_buf *out);
/* Errors: -EBADMSG (cut short, or a value out of range). */
int fm_recipe_decode(fm_reader *in, fm_recipe *out, fm_err *err);

/* Digest of the canonical encoding: without a mask the bytes of version 1, which knew none. */
int fm_recipe_digest(const fm_recipe *recipe, fm_digest *out, fm_err *err);

/* Keys of what is stored (storage/record.h):
 *   photo = H("photo", image bytes' digest, recipe digest)
 *   code  = H("code", photo key, digest of the encoding, proto/encoding.h) */
void fm_key_photo(const fm_digest *image, const fm_digest *recipe, fm_digest *out);
void fm_key_code(const fm_digest *photo_key, const fm_digest *encoder, fm_digest *out);

#endif

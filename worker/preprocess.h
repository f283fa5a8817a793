/* A photograph's bytes to its PHOTO payload: decode, detect, choose faces,
 * landmarks, chips, masks.  Obeys the recipe and nothing else: the same bytes and recipe
 * give the same payload on every rank. */
#ifndef FM_WORKER_PREPROCESS_H
#define FM_WORKER_PREPROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/recipe.h"
#include "storage/photo.h"
#include "worker/image/isolate.h"
#include "worker/models.h"

/* The photo's detail where no decoder's warning stands there. */
#define FM_MASK_MISSES "the portrait mask misses the face; it was kept with its background"

typedef struct fm_preprocessor fm_preprocessor;

/* models  borrowed, must outlive the result. */
int fm_preprocessor_create(const fm_recipe *recipe, const fm_models *models, fm_preprocessor **out, fm_err *err);
void fm_preprocessor_destroy(fm_preprocessor *p);
/* Decode there from now on; NULL: in this process.  Borrowed. */
void fm_preprocessor_isolate(fm_preprocessor *p, fm_isolate *isolate);

/* A photograph that cannot be used is no error: out->reason and out->detail say why, it has no faces.
 * Several faces of FM_FACE_ALL stand in the detector's order, best first; FM_FACE_LARGEST takes the
 * widest box, ties the better score, then the upper, then the left one; FM_FACE_ONLY leaves a photograph
 * with more than one face out as several_faces.
 * One of which the isolated decoder died is crashed: that is no property of its bytes, and nothing to keep as a record.
 * out  fm_photo_fini; written only on success.
 * Errors: -ENOMEM, -EIO (there is no isolated decoder any more).  Threads: one preprocessor each. */
int fm_preprocess(fm_preprocessor *p, const uint8_t *bytes, size_t n, fm_photo *out, fm_err *err);

#endif

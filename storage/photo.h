/* What preprocessing makes of one photograph: the payload of a PHOTO record.
 *
 * A photograph that is left out has a record too (reason and no faces), so that
 * a second run does not decode it again.  The encoding is canonical: the same
 * photograph and recipe give the same bytes on every rank. */
#ifndef FM_STORAGE_PHOTO_H
#define FM_STORAGE_PHOTO_H

#include "base/buf.h"
#include "base/err.h"
#include "base/reason.h"

#define FM_POINTS_MAX 68
#define FM_PHOTO_FACES_MAX 4096

typedef struct {
    int32_t left, top, right, bottom;   /* detection, inclusive, pixels of the upright photograph after upsampling */
    float score;                        /* detector's, after its threshold is subtracted */
    uint8_t view;                       /* which of the five filters */
    uint16_t n_points;                  /* landmarks: 68 or 5 */
    int32_t points[FM_POINTS_MAX][2];   /* x, y; pixels as box */
    uint8_t *chip;                      /* u8 [chip_size, chip_size, 3], RGB; owned */
    uint8_t *mask;                      /* u8 [chip_size, chip_size], 255: person; NULL: none was made; owned */
} fm_photo_face;

typedef struct {
    fm_reason reason;           /* FM_USED, or why it is left out; from the bytes or the face only */
    char detail[160];           /* one sentence on why, or a decoder's warning; may be empty */
    uint32_t width, height;     /* of the upright photograph before upsampling; 0 when not decoded */
    uint8_t format;             /* fm_photo_format */
    uint8_t orientation;        /* EXIF, 1 to 8 */
    uint8_t jpeg_quality;       /* estimate 1 to 100; 0 when not JPEG */
    uint8_t upsample;           /* doublings before detection */
    uint32_t faces_found;       /* by the detector, before one is chosen */
    uint16_t chip_size;         /* pixels; 0 without faces */
    uint32_t n_faces;           /* kept */
    fm_photo_face *faces;       /* [n_faces]; owned */
} fm_photo;

typedef enum { FM_PHOTO_FORMAT_NONE, FM_PHOTO_JPEG, FM_PHOTO_PNG } fm_photo_format;

#define FM_PHOTO_INIT {.reason = FM_USED}

void fm_photo_fini(fm_photo *photo);

/* Append the payload, of version 1 where no face has a mask and of version 2 where every face has.  Sets out->failed
 * when memory runs out. */
void fm_photo_encode(const fm_photo *photo, fm_buf *out);

/* Read a payload; chips are copied.  Errors: -EBADMSG (not a payload of these
 * versions, or lengths that do not agree), -ENOMEM.  out is written only on success. */
int fm_photo_decode(const void *bytes, size_t n, fm_photo *out, fm_err *err);

#endif

/* Small pictures as files of every kind that a decoder must know, written with the
 * codec libraries themselves, so that what the project's encoders do plays no part. */
#ifndef FM_TESTS_PICTURES_H
#define FM_TESTS_PICTURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

typedef struct {
    int width, height;
    int components;             /* of a sample: 1 grey, 2 unknown, 3 RGB, 4 CMYK */
    const uint8_t *samples;     /* [height, width, components] as the file shall hold them */
    int quality;                /* 0: 75 */
    bool ycck;                  /* store CMYK as YCCK */
    bool plain_cmyk;            /* without the Adobe marker */
    bool halved;                /* chroma 4:2:0; else 4:4:4 */
    bool progressive, arithmetic;
    int restart_rows;           /* 0: no restart markers */
    const uint8_t *exif;        /* APP1, with "Exif\0\0"; NULL for none */
    size_t exif_bytes;
} picture_jpeg;

/* Append the file to out; false when this libjpeg cannot write it (arithmetic coding left out). */
bool picture_jpeg_write(const picture_jpeg *p, fm_buf *out);

typedef struct {
    int width, height, depth;
    int colours;                /* PNG_COLOR_TYPE_ */
    const uint8_t *rows;        /* packed as the format packs them; 16 bits big-endian */
    bool interlaced;
    const uint8_t *palette;     /* 256 RGB; only for PNG_COLOR_TYPE_PALETTE */
    bool transparent;           /* a tRNS chunk: entry 0, or the colour 0 */
    const uint8_t *exif;        /* eXIf, from the TIFF header on; NULL for none */
    size_t exif_bytes;
    bool exif_last;             /* behind the pixels */
} picture_png;

void picture_png_write(const picture_png *p, fm_buf *out);

/* A file whose header claims this much (RGB 8) and whose data are a few bytes. */
void picture_png_claim(uint32_t width, uint32_t height, fm_buf *out);
void picture_jpeg_claim(uint16_t width, uint16_t height, bool progressive, fm_buf *out);

/* EXIF data with this orientation: "Exif\0\0", then TIFF.  Returns the size, at most 64. */
size_t picture_exif(uint8_t out[64], int orientation, bool big_endian);

/* Smooth RGB with edges, unlike under every turn and mirroring: [height, width, 3]; free it. */
uint8_t *picture_scene(int width, int height);

#endif

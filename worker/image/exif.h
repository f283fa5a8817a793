/* The one thing of EXIF that changes pixels. */
#ifndef FM_WORKER_IMAGE_EXIF_H
#define FM_WORKER_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* Orientation (tag 0x0112 of the first directory) of EXIF data that begin with the TIFF header
 * ("II*\0" or "MM\0*"), as in PNG's eXIf; JPEG's APP1 has "Exif\0\0" before it, which is stepped over.
 * Returns 1 to 8; 0 when there is none or the data are damaged.  Reads nothing outside [bytes, bytes + n). */
int fm_exif_orientation(const uint8_t *bytes, size_t n);

#endif

/* dlib's serialization, as its .dat files hold it (dlib/serialize.h, float_details.h).
 *
 * A whole number is a byte (size in the low nibble, sign in the top bit) and
 * that many little-endian bytes; a floating point number is two of them,
 * mantissa and binary exponent; arrays are a count and their elements.  Works on
 * a bounded reader: after the first thing that does not fit, reader.failed is set. */
#ifndef FM_BASE_DAT_H
#define FM_BASE_DAT_H

#include "base/buf.h"

int64_t fm_dat_int(fm_reader *r);
/* Numbers in the text form of dlib before version 18 are not read: failed is set. */
double fm_dat_real(fm_reader *r);
/* A count of things that take at least bytes_each bytes: fails when the input cannot hold them. */
size_t fm_dat_count(fm_reader *r, size_t bytes_each);
/* A string of at most out_size - 1 characters. */
void fm_dat_str(fm_reader *r, char *out, size_t out_size);

#endif

/* NumPy's .npy files (versions 1 and 2) of float32 and int64, little-endian, row-major.  Pure: bytes to array and back. */
#ifndef FM_BASE_NPY_H
#define FM_BASE_NPY_H

#include "base/buf.h"
#include "base/err.h"

enum { FM_NPY_RANK = 8 };

typedef enum { FM_NPY_F32, FM_NPY_I64 } fm_npy_type;

typedef struct {
    fm_npy_type type;
    int rank;
    int64_t dims[FM_NPY_RANK];
    size_t count;               /* elements */
    const uint8_t *data;        /* borrowed from the file's bytes; not aligned */
} fm_npy;

bool fm_npy_is(const void *bytes, size_t n);
/* name: for messages.  Errors: -EBADMSG (not .npy, cut short), -ENOTSUP (another type, column-major). */
int fm_npy_read(const void *bytes, size_t n, const char *name, fm_npy *out, fm_err *err);
/* Append a file; out->failed when memory is used up. */
void fm_npy_write(fm_npy_type type, int rank, const int64_t *dims, const void *data, fm_buf *out);

#endif

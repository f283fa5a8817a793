/* Reads the tables and photographs that parity tests compare with. */
#ifndef FM_TESTS_ORACLE_H
#define FM_TESTS_ORACLE_H

#include <stddef.h>

#include "base/buf.h"
#include "worker/face/box.h"
#include "worker/image/image.h"

typedef struct {
    char file[256];
    int face;               /* -2: the photograph has none */
    fm_face_box box;
    double score;
    fm_point points[68];
} oracle_face;

typedef struct {
    oracle_face *v;
    size_t n;
} oracle_faces;

/* faces.tsv; false when it is not there (the case is then marked skipped). */
int oracle_load(const char *rel, oracle_faces *out);
void oracle_free(oracle_faces *o);

/* $FACEMILL_DATA/folder/file decoded (none of them is stored turned); false after a failed check. */
int oracle_image(const char *folder, const char *file, fm_image *out);
int oracle_bytes(const char *rel, fm_buf *out);

/* Runs fn for each photograph of the table, with its rows.  every: 1 all, n only each n-th photograph. */
void oracle_each(const char *folder, const oracle_faces *o, size_t every,
                 void (*fn)(void *ctx, const fm_image *image, const oracle_face *faces, size_t n), void *ctx);

#endif

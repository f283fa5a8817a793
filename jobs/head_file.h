/* head.bin: a trained head together with all that decides what it may be used on.
 * Probabilities mean something only for codes made as the training codes were. */
#ifndef FM_JOBS_HEAD_FILE_H
#define FM_JOBS_HEAD_FILE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "coordinator/learn/head.h"
#include "proto/encoding.h"
#include "proto/recipe.h"

typedef struct {
    char study[128];                    /* its name */
    fm_digest study_digest;             /* of the study file's bytes */
    fm_recipe recipe;                   /* with its models' digests */
    char encoder[64];                   /* name in models.tsv, or of the ONNX file */
    fm_encoding encoding;               /* with its model's SHA-256 */
    uint32_t code_offset, code_width;   /* the view: columns of a code */
    double threshold;                   /* of class 1's probability, at or over which it is called; NaN: the larger one is */
    uint32_t n_classes;
    char **classes;                     /* [n_classes], names; owned */
    fm_head *head;                      /* owned */
} fm_head_file;

void fm_head_file_fini(fm_head_file *f);

/* Canonical bytes, closed by their digest.  Sets out->failed when memory runs out. */
void fm_head_file_encode(const fm_head_file *f, fm_buf *out);
/* Errors: -EBADMSG (not a head file of version 1 or 2, cut short, damaged), -ENOMEM.  out is written only on success. */
int fm_head_file_decode(const void *bytes, size_t n, fm_head_file *out, fm_err *err);

int fm_head_file_write(const fm_head_file *f, const char *path, fm_err *err);
int fm_head_file_read(const char *path, fm_head_file *out, fm_err *err);

/* Are codes of this recipe, encoder and view those it was trained on?
 * Errors: -EINVAL, naming what differs and both digests. */
int fm_head_file_fits(const fm_head_file *f, const fm_recipe *recipe, const fm_encoding *encoding,
                      uint32_t code_offset, uint32_t code_width, fm_err *err);

#endif

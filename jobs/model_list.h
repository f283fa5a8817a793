/* The model files facemill knows, as models/models.tsv lists them, and where they
 * are on this machine. */
#ifndef FM_JOBS_MODEL_LIST_H
#define FM_JOBS_MODEL_LIST_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/file.h"

#define FM_MODEL_LIST_MAX 32
#define FM_MODEL_BYTES_MAX ((size_t)1 << 30)     /* of one file */

typedef struct {
    char name[64];              /* "dlib-resnet" */
    char file[128];             /* file name */
    char licence[96], source[128], purpose[128];
    fm_digest sha256;
    uint64_t bytes;
    char path[FM_PATH_MAX];     /* where a file of that name and size lies; "" when nowhere */
} fm_model_entry;

typedef struct {
    fm_model_entry v[FM_MODEL_LIST_MAX];
    size_t n;
} fm_model_list;

/* Read the list and look for the files, in this order: $FACEMILL_MODELS; share/facemill/models under the
 * prefix the program is installed in; models and models/cache of the folder it was built in.
 * out  large (about 150 KB): keep it off the stack.
 * Errors: -ENOENT (models.tsv is nowhere), -EINVAL (it is damaged). */
int fm_model_list_read(fm_model_list *out, fm_err *err);

/* NULL when there is no such name. */
const fm_model_entry *fm_model_find(const fm_model_list *list, const char *name);

/* The entry, its file being here.  Errors: -ENOENT with the remedy. */
int fm_model_need(const fm_model_list *list, const char *name, const fm_model_entry **out, fm_err *err);

/* Read the whole file and compare its SHA-256.  Errors: -ENOENT, -EBADMSG with both hashes. */
int fm_model_check(const fm_model_entry *m, fm_err *err);

#endif

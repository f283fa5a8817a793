/* STORE/study.keys: the study's photographs in order and the keys of what the
 * store holds of them, for digest, verify and export. */
#ifndef FM_STORAGE_KEYS_H
#define FM_STORAGE_KEYS_H

#include "base/digest.h"
#include "base/err.h"
#include "base/reason.h"

typedef struct {
    char *name, *path;          /* owned; borrowed while writing */
    fm_digest image, photo, code;   /* zero where there is none */
    fm_reason reason;
} fm_study_key;

typedef struct {
    fm_study_key *v;            /* [n]; owned after reading */
    size_t n;
} fm_study_keys;

int fm_keys_write(const char *store_dir, const fm_study_keys *keys, fm_err *err);
/* Errors: -ENOENT (no build has finished yet), -EBADMSG. */
int fm_keys_read(const char *store_dir, fm_study_keys *out, fm_err *err);
void fm_keys_fini(fm_study_keys *keys);

#endif
